"""Readers: what turns a padded batch of inputs into the vectors that an encoder takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding as look_up

from unrolled.check import check_rate, check_size
from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.spelling import SpellingEncoder
from unrolled.nn.recurrent import Recurrent
from unrolled.padding import Padded, zero_padding

__all__ = ["NumberReader", "Reader", "SeriesReader", "WordReader", "check_reader", "encode"]

S = TypeVar("S")


class Reader(nn.Module, ABC):
    """Turns a `Padded` into vectors (batch, steps, output_size); what it gives in the padding is never read.

    A reader may change time: several inputs become one step, or one input several. `frames` says how many.
    """

    output_size: int

    @abstractmethod
    def forward(self, x: Padded) -> Tensor:
        """x -> (batch, steps, output_size)."""

    def frames(self, lengths: Tensor) -> Tensor:
        """The steps (batch,) that it gives of rows of so many inputs; none of a row of length 0."""
        return lengths

    @property
    def context(self) -> int | None:
        """How many inputs before its own a step is made of, for who reads on in pieces; None: later ones, too."""
        return 0


class WordReader(Reader):
    """Codes as vectors, with what the characters of each word say beside them.

        y_t = drop([E[word_t], spelling(characters of word_t)])

    embedding: vectors of the codes. spelling: encodes every distinct word of a batch once; None leaves it out.
    dropout: rate in [0, 1), on the features of y, drawn for every step; for one mask a sequence, wrap the encoder.

    >>> reader = WordReader(Embedding(10, 4), SpellingEncoder(20, output_size=6))
    >>> words = Padded(torch.tensor([[3, 5, 3]]), torch.tensor([3]), torch.tensor([[0, 1, 0]]), torch.ones(2, 7).long())
    >>> reader(words).shape
    torch.Size([1, 3, 10])
    """

    def __init__(self, embedding: Embedding, spelling: SpellingEncoder | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        self.embedding = embedding
        self.spelling = spelling
        self.dropout = nn.Dropout(check_rate("WordReader", "dropout", dropout))
        self.output_size = embedding.output_size + (0 if spelling is None else spelling.output_size)

    def forward(self, x: Padded) -> Tensor:
        parts = [self.embedding(zero_padding(x.values, x.lengths))]
        if self.spelling is not None:
            parts.append(self._spelled(self.spelling, x))
        y: Tensor = self.dropout(torch.cat(parts, -1))
        return y

    def _spelled(self, spelling: SpellingEncoder, x: Padded) -> Tensor:
        if x.forms is None or x.spellings is None:
            raise DataError("WordReader: expected words with forms and spellings, got codes alone; spell the words.")
        if not x.spellings.shape[0]:
            return self.embedding.weight.new_zeros(*x.values.shape, spelling.output_size)
        return look_up(zero_padding(x.forms, x.lengths), spelling(x.spellings))


class SeriesReader(Reader):
    """Numbers as they are, with dropout.

    width: features of the input. dropout: rate in [0, 1), on each feature of each step.

    >>> SeriesReader(3)(Padded(torch.zeros(2, 7, 3), torch.tensor([7, 2]))).shape
    torch.Size([2, 7, 3])
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.output_size = check_size("SeriesReader", "width", width)
        self.dropout = nn.Dropout(check_rate("SeriesReader", "dropout", dropout))

    def forward(self, x: Padded) -> Tensor:
        if x.values.ndim != 3 or x.values.shape[2] != self.output_size:
            raise ShapeError(
                f"SeriesReader: values must be (batch, time, {self.output_size}), got {tuple(x.values.shape)}; "
                "encode the series with the field this was built for."
            )
        y: Tensor = self.dropout(zero_padding(x.values, x.lengths))
        return y


class NumberReader(nn.Module):
    """The numbers of a step, each with a flag that says that it is missing, and what is known beside them.

        y = [v with 0 where it is NaN, 1 where v is NaN else 0, known]        x = [v, known], (..., numbers + known)

    numbers: how many may be missing. known: how many more there are, none of them NaN.

    >>> NumberReader(1, known=1)(torch.tensor([[2.0, 5.0], [torch.nan, 6.0]])).tolist()
    [[2.0, 0.0, 5.0], [0.0, 1.0, 6.0]]
    """

    def __init__(self, numbers: int, known: int = 0) -> None:
        super().__init__()
        self.numbers, self.known = check_size("NumberReader", "numbers", numbers), known
        self.output_size = 2 * numbers + known

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.numbers + self.known:
            raise ShapeError(
                f"NumberReader: expected {self.numbers + self.known} numbers a step, got {x.shape[-1]}; give those "
                "that may be missing first, then those that are known."
            )
        values, known = x[..., : self.numbers], x[..., self.numbers :]
        missing = values.isnan()
        return torch.cat([torch.where(missing, 0, values), missing.to(x.dtype), known], -1)


def check_reader(owner: str, reader: Reader, encoder: Recurrent[S]) -> None:
    """The encoder must take as many features as the reader gives."""
    if reader.output_size != encoder.input_size:
        raise OptionError(
            f"{owner}: the encoder must take the {reader.output_size} features that the reader gives, "
            f"got input_size={encoder.input_size}; make the two sizes equal."
        )


def encode(reader: Reader, encoder: Recurrent[S], x: Padded) -> tuple[Tensor, Tensor, S]:
    """The encoder's y (batch, steps, output_size), the steps (batch,) of each row, and the final state.

    A batch of empty rows may have no step at all.
    """
    lengths = reader.frames(x.lengths)
    if x.values.shape[1]:
        y, state = encoder(reader(x), lengths=lengths)
        return y, lengths, state
    weight = next(iter((*encoder.parameters(), *reader.parameters())))
    rows = x.values.shape[0]
    state = encoder.initial_state(rows, device=weight.device, dtype=weight.dtype)
    return weight.new_zeros(rows, 0, encoder.output_size), lengths, state
