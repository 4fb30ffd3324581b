"""Many to many of equal length: a tag for every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from unrolled.align.mode import evaluating
from unrolled.check import check_size
from unrolled.errors import OptionError, ShapeError
from unrolled.heads.crf import LinearChainCRF
from unrolled.nn.build import Rate
from unrolled.nn.reading.embedding import check_codes
from unrolled.nn.reading.reader import Reader, check_reader, encode
from unrolled.nn.recurrent import Recurrent
from unrolled.options import Options
from unrolled.padding import Padded, valid_mask, zero_padding

__all__ = ["Each", "EachOptions", "Tagged"]

S = TypeVar("S")


class Tagged(NamedTuple):
    """Sequences and a tag for every step: (batch, time) int64 in 0 .. classes - 1, or -1 where it is not known."""

    x: Padded
    tags: Tensor


class EachOptions(Options):
    """How the tags of a sequence are learned.

    crf: tags depend on their neighbours, in a `LinearChainCRF`; False: each by itself. dropout: rate in [0, 1), on the
    encoder's y, drawn for every step.
    """

    crf: bool = False
    dropout: Rate = 0.0


class Each(nn.Module, Generic[S]):
    """A tag for every step of a sequence.

        scores_t = W drop(y_t) + b,   y = encoder(reader(x))
        p(tag_t) = softmax(scores_t)                without a CRF
        p(tags)  = CRF(scores)                      with one

    reader: turns inputs into vectors. encoder: any Recurrent over them. classes: the number of tags K. legal: which
    tags may begin, follow and end, for the CRF alone (see `LinearChainCRF`).

    Source: Huang et al. 2015, arXiv:1508.01991; with spelled words: Lample et al. 2016, Ma and Hovy 2016.
    """

    def __init__(
        self,
        reader: Reader,
        encoder: Recurrent[S],
        classes: int,
        options: EachOptions,
        legal: Sequence[np.ndarray | Tensor] | None = None,
    ) -> None:
        super().__init__()
        check_reader("Each", reader, encoder)
        if legal is not None and not options.crf:
            raise OptionError("Each: legal tags need crf=True, got crf=False; leave one of them out.")
        self.classes = check_size("Each", "classes", classes)
        self.options = options
        self.reader = reader
        self.encoder = encoder
        self.dropout = nn.Dropout(options.dropout)
        self.head = nn.Linear(encoder.output_size, classes)
        self.crf = LinearChainCRF(classes, legal) if options.crf else None

    def loss(self, batch: Tagged, state: None = None) -> tuple[Tensor, Tensor, None]:
        """Sum of -log p(tags) in nats, the number of known tags, and no state.

        With a CRF it is the sum over the rows of -log p of all their tags together, still counted by tags.
        """
        x, lengths = batch.x, batch.x.lengths
        if batch.tags.shape != x.values.shape[:2]:
            raise ShapeError(
                f"Each: tags must be (batch, time) = {tuple(x.values.shape[:2])}, got {tuple(batch.tags.shape)}; "
                "give one tag a step, -1 in the padding."
            )
        tags = torch.where(valid_mask(lengths, batch.tags.shape[1]), batch.tags, -1)
        check_codes("Each", "tag", tags, -1, self.classes)
        scores = self.scores(x)
        if self.crf is not None:
            total = -self.crf.log_likelihood(scores, tags, lengths).sum()
        else:
            total = cross_entropy(scores.flatten(0, 1), tags.flatten(), ignore_index=-1, reduction="sum")
        return total, (tags >= 0).sum(), None

    def scores(self, x: Padded) -> Tensor:
        """Scores of the tags (batch, time, K), with the gradient, in the mode that the module is in."""
        y, _ = encode(self.reader, self.encoder, x)
        scores: Tensor = self.head(self.dropout(y))
        # What follows sums exponentials: half precision would lose them.
        return scores.to(torch.promote_types(scores.dtype, torch.float32))

    def predict(self, x: Padded) -> Tensor:
        """The best tags (batch, time), -1 in the padding: of each step by itself, or with a CRF of the whole row."""
        with evaluating(self):
            scores = self.scores(x)
            if self.crf is not None:
                return self.crf.viterbi(scores, x.lengths)[0]
            return torch.where(valid_mask(x.lengths, scores.shape[1]), scores.argmax(-1), -1)

    def probabilities(self, x: Padded) -> Tensor:
        """The probability of each tag at each step (batch, time, K), 0 in the padding; with a CRF the marginal one."""
        with evaluating(self):
            scores = self.scores(x)
            if self.crf is not None:
                return self.crf.marginals(scores, x.lengths)
            return zero_padding(scores.softmax(-1), x.lengths)
