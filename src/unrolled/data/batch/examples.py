"""Examples for the training loop: columns of ragged or single values, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from unrolled.data.batch.batching import Rows
from unrolled.data.batch.ragged import Items, Ragged
from unrolled.errors import DataError, listed
from unrolled.padding import Padded

__all__ = ["CodeColumn", "Column", "Examples", "PaddedColumn", "PickedColumn", "TagColumn", "WordColumn"]

Batch = TypeVar("Batch")


class Column(Protocol):
    """One field of the examples: a value for each, and batches of them."""

    def __len__(self) -> int: ...

    def take(self, rows: Rows) -> Tensor | Padded:
        """The values of the examples given, batch first."""


class PaddedColumn:
    """Sequences of codes (T,) or of numbers (T, D); a batch is `Padded`: codes as int64, numbers as they are.

    The values are padded with zeros to the longest sequence of the batch, and to one step where all are empty.
    """

    def __init__(self, ragged: Items) -> None:
        self.ragged = ragged

    def __len__(self) -> int:
        return len(self.ragged)

    def take(self, rows: Rows) -> Padded:
        """values (B, T) int64 or (B, T, D), lengths (B,)."""
        return Padded(_tensor(self.ragged.pad(rows, least=1)), _tensor(self.ragged.lengths[rows]))


class TagColumn:
    """Sequences of codes with one target a step; a batch is (B, T) int64, -1 in the padding."""

    def __init__(self, ragged: Ragged) -> None:
        self.ragged = ragged

    def __len__(self) -> int:
        return len(self.ragged)

    def take(self, rows: Rows) -> Tensor:
        """(B, T) int64, T that of a `PaddedColumn` of the same lengths."""
        return _tensor(self.ragged.pad(rows, fill=-1, least=1))


class WordColumn:
    """Sequences of words as codes, and spelled out: a batch holds the characters of each distinct word once.

    Args:
        codes: integers, the vocabulary code of each word.
        forms: integers, of the same lengths: the row of `spellings` that spells each word.
        spellings: (U, C) integers, the characters of each distinct word, 0 in the padding.
    """

    def __init__(self, codes: Ragged, forms: Ragged, spellings: np.ndarray) -> None:
        if not np.array_equal(codes.offsets, forms.offsets):
            raise DataError("WordColumn: expected a form for each code, but codes and forms have different lengths.")
        self.codes, self.forms, self.spellings = codes, forms, spellings

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Rows) -> Padded:
        """values and forms (B, T) int64, lengths (B,), spellings (distinct words, longest of them) int64."""
        values, lengths = self.codes.pad(rows, least=1), self.codes.lengths[rows]
        valid = np.arange(values.shape[1]) < lengths[:, None]
        distinct, which = np.unique(self.forms.select(rows).values, return_inverse=True)
        forms = np.zeros(values.shape, np.int64)
        forms[valid] = which
        # One row at least, so that the zeros of the padding name a word that is there.
        spelled = self.spellings[distinct] if len(distinct) else np.zeros((1, 1), np.int64)
        longest = int(np.flatnonzero(spelled.any(axis=0)).max(initial=0)) + 1
        return Padded(_tensor(values), _tensor(lengths), _tensor(forms), _tensor(spelled[:, :longest]))


class CodeColumn:
    """One number an example, such as the code of its label, or several (N, V); a batch is (B,) or (B, V)."""

    def __init__(self, codes: np.ndarray) -> None:
        self.codes = codes

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: Rows) -> Tensor:
        """Integers as int64, or floating as they are."""
        return _tensor(self.codes[rows])


class PickedColumn:
    """Values of another column, each as often as it is picked: an input that several examples share is kept once.

    which: (n,) integers, the value of each example.
    """

    def __init__(self, column: PaddedColumn | WordColumn, which: np.ndarray) -> None:
        self.column, self.which = column, which

    def __len__(self) -> int:
        return len(self.which)

    def take(self, rows: Rows) -> Padded:
        """What the other column gives of these examples' values."""
        return self.column.take(self.which[rows])


class Examples(Generic[Batch]):
    """Independent examples, as the training loop asks for them.

    Args:
        kind: a NamedTuple class; a batch is one of it.
        parts: a column for each of its fields, all of the same length; None for a field that is None in every batch.
        lengths: (n,) integers, the cost of each example in time steps.
    """

    carries_state = False

    def __init__(
        self, kind: Callable[..., Batch], parts: Sequence[Column | None], lengths: np.ndarray | Sequence[int]
    ) -> None:
        self.kind, self.parts, self.lengths = kind, tuple(parts), np.asarray(lengths, np.int64)
        counts = [len(part) for part in self.parts if part is not None]
        if any(count != len(self.lengths) for count in counts):
            raise DataError(
                f"Examples: expected columns of {len(self.lengths)} examples, as many as lengths, but got columns of "
                f"{listed(counts)}."
            )
        self._rows: Rows | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Sequence[int] | Rows) -> Batch:
        """The examples given as tensors, in that order; a function of `rows` alone."""
        chosen = np.asarray(rows, np.int64)
        if self._rows is not None:
            chosen = self._rows[chosen]
        return self.kind(*(None if part is None else part.take(chosen) for part in self.parts))

    def chunks(self, batch: Batch, steps: int) -> Sequence[Batch]:
        """[batch]: an example is trained on whole."""
        return [batch]

    def select(self, rows: Sequence[int] | Rows) -> Examples[Batch]:
        """The examples given, in that order; the columns are shared, not copied."""
        chosen = np.asarray(rows, np.int64)
        picked = Examples(self.kind, (), self.lengths[chosen])
        picked.parts, picked._rows = self.parts, chosen if self._rows is None else self._rows[chosen]
        return picked


def _tensor(values: np.ndarray) -> Tensor:
    integers = values.dtype.kind in "iub"
    return torch.from_numpy(np.ascontiguousarray(values, np.int64 if integers else None))
