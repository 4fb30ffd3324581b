"""Many to many of equal length: something for every step, a tag or numbers."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from torch import Tensor, nn

from unrolled.align.mode import evaluating
from unrolled.align.pool import check_head_size
from unrolled.errors import ShapeError
from unrolled.heads.head import Head
from unrolled.nn.build import Rate
from unrolled.nn.reading.reader import Reader, check_reader, encode
from unrolled.nn.recurrent import Recurrent
from unrolled.options import Options
from unrolled.padding import Padded

__all__ = ["Each", "EachOptions", "Tagged"]

S = TypeVar("S")


class Tagged(NamedTuple):
    """Sequences and what is to be said of every step: codes (batch, time), -1 where one is not known, or numbers
    (batch, time, values), NaN where one is not."""

    x: Padded
    tags: Tensor


class EachOptions(Options):
    """dropout: rate in [0, 1), on the encoder's y, drawn for every step."""

    dropout: Rate = 0.0


class Each(nn.Module, Generic[S]):
    """What a head says of every step of a sequence.

        y = encoder(reader(x))                  (batch, time, features)
        p = head(drop(y))                       of each step by itself, or of each row as a whole: as the head has it

    reader: turns inputs into vectors. encoder: any Recurrent over them. head: any `Head` over its output_size.

    Source: with a chain over the tags: Huang et al. 2015, arXiv:1508.01991; with spelled words: Lample et al. 2016, Ma
    and Hovy 2016.
    """

    def __init__(self, reader: Reader, encoder: Recurrent[S], head: Head, options: EachOptions) -> None:
        super().__init__()
        check_reader("Each", reader, encoder)
        check_head_size("Each", encoder, head)
        self.options = options
        self.reader = reader
        self.encoder = encoder
        self.dropout = nn.Dropout(options.dropout)
        self.head = head

    def loss(self, batch: Tagged, state: None = None) -> tuple[Tensor, Tensor, None]:
        """The head's loss, summed over the steps whose tag is known, the number of known ones, and no state."""
        x = batch.x
        if batch.tags.shape[:2] != x.values.shape[:2]:
            raise ShapeError(
                f"Each: tags must be (batch, time) = {tuple(x.values.shape[:2])}, got {tuple(batch.tags.shape)}; "
                "give one tag a step, -1 in the padding."
            )
        total, count = self.head.loss(self.vectors(x), batch.tags, x.lengths)
        return total, count, None

    def vectors(self, x: Padded) -> Tensor:
        """What the head sees of each step, (batch, time, features), with the gradient, in the module's mode."""
        y, _, _ = encode(self.reader, self.encoder, x)
        dropped: Tensor = self.dropout(y)
        return dropped

    def predict(self, x: Padded) -> Tensor:
        """The head's best value for each step, dropout off, without gradients; -1 or NaN in the padding."""
        with evaluating(self):
            return self.head.best(self.vectors(x), x.lengths)
