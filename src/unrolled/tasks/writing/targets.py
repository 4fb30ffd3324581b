"""Targets written by a decoder: a search for the best ones, and what was looked at while they were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, Self, cast

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from unrolled.align.decode import Decode, DecodeOptions, Pair
from unrolled.align.mode import evaluating
from unrolled.check import check_size
from unrolled.data.batch.batching import Rows
from unrolled.data.batch.examples import Examples
from unrolled.errors import OptionError
from unrolled.fields.text import BEGIN, END, PAD, UNKNOWN, Text
from unrolled.nn.build import ForwardOptions, Rate
from unrolled.nn.reading.reader import Reader
from unrolled.options import Options
from unrolled.padding import Padded
from unrolled.search import Forbid, Found, NoRepeat, beam
from unrolled.search.constraints import Constraint
from unrolled.state import map_state
from unrolled.tasks.batches import batches
from unrolled.tasks.reading.pairs import Pairs, copied

__all__ = ["Attended", "CopyingOptions", "Search", "Writer", "WriterOptions"]

# Tokens of both sides in a batch of a search, where each row has `width` hypotheses.
SEARCHED = 12000
# Target tokens beyond the longest one in training that a search may write.
SLACK = 10


class WriterOptions(Options):
    """How a target is written.

    decoder_layers; attention ("additive", "dot", "none"); feeding (the context of a step enters the next one); sampling
    (rate of scheduled sampling); label_smoothing; tied (the output reads with the rows that the input is written with);
    head_dropout.
    """

    decoder_layers: int = Field(default=1, ge=1, description="Layers of the decoder.")
    attention: Literal["additive", "dot", "none"] = Field(
        default="dot", description="How the decoder looks at the source."
    )
    feeding: bool = Field(default=False, description="Let what was attended to enter the next step.")
    sampling: Rate = Field(default=0.0, description="Rate of scheduled sampling: the model's own words in training.")
    label_smoothing: Rate = Field(default=0.1, description="Part of the truth that is spread over all words.")
    tied: bool = Field(default=True, description="Read and write targets with the same vectors.")
    head_dropout: Rate = Field(default=0.3, description="Dropout before the output.")

    @model_validator(mode="after")
    def _attended(self) -> Self:
        if self.attention == "none" and self.feeding:
            raise ValueError("feeding=True needs an attention, got 'none'; choose 'dot' or 'additive'")
        return self

    def decoding(self, inner: ForwardOptions, copying: Literal["none", "unknown", "pointer"] = "none") -> DecodeOptions:
        """What these options are for a decoder of the cell and the size of an encoder."""
        return DecodeOptions(
            cell=inner.cell,
            hidden_size=inner.hidden_size,
            layers=self.decoder_layers,
            attention=self.attention,
            feeding=self.feeding,
            dropout=self.head_dropout,
            label_smoothing=self.label_smoothing,
            tied=self.tied,
            sampling=self.sampling,
            copying=copying,
        )


class CopyingOptions(WriterOptions):
    """How a target is written where words of the source may stand in it: as `WriterOptions`, and copying.

    copying: "none"; "unknown": an unknown word is replaced by the source word attended to most; "pointer": words are
    copied from the source as the model learns to.
    """

    copying: Literal["none", "unknown", "pointer"] = Field(
        default="none", description="Copy words from the source: where they are unknown, or as is learned."
    )

    @model_validator(mode="after")
    def _pointing(self) -> Self:
        if self.attention == "none" and self.copying != "none":
            raise ValueError(f"copying={self.copying!r} needs an attention, got 'none'; choose 'dot' or 'additive'")
        return self


class Attended(NamedTuple):
    """weights (target tokens, source tokens): how much each target token (END the last) looked at each source token."""

    weights: np.ndarray
    source: list[str]
    target: list[str]


class Search(NamedTuple):
    """How targets are looked for: hypotheses followed, how many are wanted, see `unrolled.search.beam`."""

    width: int
    nbest: int
    length_penalty: float
    no_repeat: int | None

    def check(self, owner: str) -> Self:
        """The search as it is. Raises `OptionError` where more targets are wanted than are followed."""
        check_size(owner, "width", self.width)
        if not 1 <= check_size(owner, "nbest", self.nbest) <= self.width:
            raise OptionError(f"{owner}: nbest must be from 1 to the width of {self.width}, got {self.nbest}.")
        return self


class _Batch(NamedTuple):
    """The rows of a batch, and what was found for each."""

    rows: Rows
    batch: Pair
    found: list[list[Found]]


class Writer:
    """A fitted decoder with the field of its targets, and that of its sources if they are texts and words are copied.

    longest: tokens of the longest target in training.
    """

    def __init__(
        self,
        net: Decode[object],
        target: Text,
        longest: int,
        copying: Literal["none", "unknown", "pointer"] = "none",
        source: Text | None = None,
    ) -> None:
        self.net, self.source, self.target, self.copying, self.longest = net, source, target, copying, longest

    def write(
        self, data: Examples[Pair], how: Search, pairs: Pairs | None = None, chosen: Rows | None = None
    ) -> list[list[tuple[str, float]]]:
        """The best targets of the data, best first, each with what ranks it.

        pairs, chosen: the texts that words are copied from, and their rows that the data are; not needed without that.
        """
        targets: list[list[tuple[str, float]]] = [[] for _ in range(len(data))]
        copies = None if pairs is None or chosen is None or self.copying == "none" else _Copied(pairs, chosen)
        # The words of every row that the target's vocabulary lacks.
        words = None if copies is None or self.copying != "pointer" else copies.words(self.source, self.target)
        for rows, batch, found in self._search(data, how):
            for i, row in enumerate(rows.tolist()):
                for one in found[i]:
                    said = self._tokens(one.codes, () if words is None else words[row])
                    if copies is not None and self.copying == "unknown" and UNKNOWN in one.codes:
                        said = self._replaced(one, said, copies.forms(row), batch, i)
                    targets[row].append((self.target.join(said), one.score))
        return targets

    @torch.no_grad()
    def weights(self, batch: Pair, place: int, codes: Sequence[int]) -> np.ndarray:
        """(codes and END, steps): the attention of one row of a batch while these codes are written."""
        net, device = self.net.eval(), next(self.net.parameters()).device
        row = slice(place, place + 1)
        own = cast("Padded", map_state(lambda part: part[row], batch.source))
        steps = int(cast("Reader", net.reader).frames(own.lengths)[0])
        state = net.begin(own, None if batch.copies is None else batch.copies[row])
        looked = []
        for code in [BEGIN, *codes]:
            _, state = net.step(torch.tensor([code], device=device), state)
            looked.append(cast("Tensor", state.weights)[0, :steps].cpu().numpy())
        return np.stack(looked)

    def _search(self, data: Examples[Pair], how: Search) -> Iterator[_Batch]:
        if not len(data):
            return
        silent = [PAD, BEGIN, *([] if self.copying == "unknown" else [UNKNOWN])]
        rules: list[Constraint] = [Forbid(silent), *([] if how.no_repeat is None else [NoRepeat(how.no_repeat)])]
        device = next(self.net.parameters()).device
        with evaluating(self.net):
            for rows, batch in batches(data, device, steps=SEARCHED // how.width):
                found = beam(
                    self.net.step, self.net.begin(batch.source, batch.copies), begin=BEGIN, end=END,
                    limit=self.longest + SLACK, width=how.width, nbest=how.nbest, length_penalty=how.length_penalty,
                    constraints=rules,
                )  # fmt: skip
                yield _Batch(rows, batch, found)

    def _tokens(self, codes: np.ndarray, words: Sequence[str]) -> list[str]:
        """The tokens of the codes; those beyond the vocabulary are words of the source."""
        target = self.target
        return [target.tokens[code] if code < target.size else words[code - target.size] for code in codes.tolist()]

    def _replaced(self, one: Found, said: list[str], forms: list[str], batch: Pair, place: int) -> list[str]:
        """Every unknown word replaced by the source word that it looked at most."""
        if not forms:
            return said
        looked = self.weights(batch, place, one.codes.tolist())[:, : len(forms)].argmax(1)
        return [forms[looked[i]] if one.codes[i] == UNKNOWN else word for i, word in enumerate(said)]


class _Copied(NamedTuple):
    """Texts that words are copied from; the rows of them that are asked about."""

    pairs: Pairs
    chosen: Rows

    def words(self, source: Text | None, target: Text) -> list[list[str]]:
        """The words of each row that the target's vocabulary lacks."""
        every = copied(self.pairs, source, target)[2]
        return [every[row] for row in self.chosen.tolist()]

    def forms(self, row: int) -> list[str]:
        """The words of one text as they came; none where it was not split into words."""
        texts = self.pairs.words
        if texts.whole is not None:
            return []
        return [texts.interned.forms[code] for code in texts.interned.tokens[int(self.chosen[row])]]
