"""Items of different lengths in one array, and batches of them padded on the right."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from unrolled.data.batch.batching import Rows
from unrolled.data.batch.runs import offsets_of, rows_of_runs
from unrolled.errors import DataError

__all__ = ["Items", "Ragged"]


class Items(Protocol):
    """n items of different lengths: all in memory, `Ragged`, or made when they are asked for, `LazyRagged`."""

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64, the steps of each item."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray:
        """Item `index`, (T_i, ...)."""

    def pad(self, rows: Sequence[int] | Rows, *, least: int = 0) -> np.ndarray:
        """The items given as one array, padded with zeros on the right, see `Ragged.pad`."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """n items, one after the other: item i is `values[offsets[i] : offsets[i + 1]]`.

    Args:
        values: (N, ...), the steps of all items; it may be mapped from a file.
        offsets: (n + 1,) int64, 0 first, N last, never falling.
    """

    values: np.ndarray
    offsets: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "offsets", np.asarray(self.offsets, np.int64))
        ends = self.offsets
        whole = ends.ndim == 1 and len(ends) > 0 and ends[0] == 0 and ends[-1] == len(self.values)
        if not whole or bool((np.diff(ends) < 0).any()):
            raise DataError(
                f"Ragged: offsets must rise from 0 to the {len(self.values)} values, got {_short(ends)}; "
                "build it with Ragged.from_list()."
            )

    @classmethod
    def from_list(cls, items: Iterable[ArrayLike], dtype: DTypeLike | None = None) -> Ragged:
        """The items (T_i, ...) given, copied; all agree in the dimensions after the first. No items: int64 values."""
        arrays = [np.asarray(item, dtype) for item in items]
        lengths = np.fromiter((len(array) for array in arrays), np.int64, len(arrays))
        # An empty list has no dtype of its own: beside integers it must not make them floats.
        filled = [array for array in arrays if len(array)] or arrays[:1]
        values = np.concatenate(filled) if filled else np.zeros(0, np.int64 if dtype is None else dtype)
        return cls(values, offsets_of(lengths))

    @staticmethod
    def concat(parts: Sequence[Ragged]) -> Ragged:
        """The items of all parts, in order."""
        if not parts:
            raise DataError("Ragged.concat: expected at least one part, got none.")
        lengths = np.concatenate([part.lengths for part in parts])
        return Ragged(np.concatenate([part.values for part in parts]), offsets_of(lengths))

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n,) int64, the steps of each item."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> np.ndarray:
        """Item `index`, (T_i, ...), a view; negative numbers count from the end."""
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"Ragged: expected an item number below {len(self)}, got {i}.")
        i %= len(self)
        item: np.ndarray = self.values[self.offsets[i] : self.offsets[i + 1]]
        return item

    def select(self, rows: Sequence[int] | Rows) -> Ragged:
        """The items given, in that order, repeats allowed; copied."""
        starts, lengths = self._runs(rows)
        return Ragged(np.asarray(self.values[rows_of_runs(starts, lengths)]), offsets_of(lengths))

    def pad(self, rows: Sequence[int] | Rows, *, fill: float = 0, least: int = 0) -> np.ndarray:
        """The items given as one array, padded on the right.

        Args:
            rows: (B,) item numbers.
            fill: what stands in the padding.
            least: the fewest steps of the result, for layers that take no batch of zero steps.

        Returns:
            (B, longest of these items, ...), the dtype of the values.
        """
        starts, lengths = self._runs(rows)
        time = max(int(lengths.max(initial=0)), least)
        padded = np.full((len(lengths), time, *self.values.shape[1:]), fill, self.values.dtype)
        padded[np.arange(time) < lengths[:, None]] = self.values[rows_of_runs(starts, lengths)]
        return padded

    def _runs(self, rows: Sequence[int] | Rows) -> tuple[np.ndarray, np.ndarray]:
        chosen = np.asarray(rows, np.int64)
        starts = self.offsets[:-1][chosen]
        return starts, self.offsets[1:][chosen] - starts


def _short(offsets: np.ndarray) -> str:
    return np.array2string(offsets, threshold=8, edgeitems=2)
