"""Items of different lengths that are made when they are asked for; those used last are kept while there is room."""

from __future__ import annotations

import math
import operator
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from unrolled.data.batch.batching import Rows
from unrolled.data.batch.runs import offsets_of
from unrolled.errors import DataError

__all__ = ["MEGABYTE", "LazyRagged"]

MEGABYTE = 1 << 20
"""In which rooms are asked for."""


class LazyRagged:
    """n items of known lengths, of which item i is `make(i)`, asked for whenever it is needed: else as `Ragged`.

    Batches are those of a `Ragged` of all items, bit for bit, whatever is kept: so an item must come out the same each
    time. One that does not is told, by its length and a checksum. Each process keeps items of its own.

    Args:
        make: a number to its item, (T_i, ...), of the dtype and the shape of a step given.
        lengths: (n,) integers, the T_i.
        room: how many bytes the items that are kept may take; those unused for longest make way for others.
        name: a number to what messages call its item.
        shape, dtype: of a step.
    """

    def __init__(
        self,
        make: Callable[[int], np.ndarray],
        lengths: ArrayLike,
        *,
        room: int,
        name: Callable[[int], str],
        shape: tuple[int, ...] = (),
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self._make, self._name, self._room = make, name, room
        self._shape, self._dtype = shape, np.dtype(dtype)
        self._ends = offsets_of(self.lengths)
        self._whole = int(self._ends[-1]) * math.prod(shape) * self._dtype.itemsize <= room
        self._kept: dict[int, np.ndarray] = {}
        self._taken = 0
        self._block: np.ndarray | None = None
        # Of an item that was never made: -1.
        self._checksums = np.full(len(self.lengths), -1, np.int64)

    def __getstate__(self) -> dict[str, object]:
        """What a copy, or another process, takes along: not what is kept."""
        return {**vars(self), "_kept": {}, "_taken": 0, "_block": None}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        """Item `index`, (T_i, ...); negative numbers count from the end. Raises DataError where it has changed."""
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"LazyRagged: expected an item number below {len(self)}, got {i}.")
        i %= len(self)
        item = self._kept.pop(i, None)
        if item is None:
            item = self._made(i)
            if item.nbytes > self._room:
                return item
            self._taken += item.nbytes
            while self._taken > self._room:
                self._taken -= self._kept.pop(next(iter(self._kept))).nbytes
        # The order of a dictionary is that of use: what is put in again stands last.
        self._kept[i] = item
        return item

    def pad(self, rows: Sequence[int] | Rows, *, least: int = 0) -> np.ndarray:
        """The items given as one array, padded with zeros on the right: see `Ragged.pad`."""
        chosen = np.asarray(rows, np.int64)
        time = max(int(self.lengths[chosen].max(initial=0)), least)
        padded = np.zeros((len(chosen), time, *self._shape), self._dtype)
        for place, row in zip(padded, chosen.tolist(), strict=True):
            item = self[row]
            place[: len(item)] = item
        return padded

    def _made(self, i: int) -> np.ndarray:
        item = self._make(i)
        if len(item) != self.lengths[i]:
            raise DataError(_changed(self._name(i), f"it had {self.lengths[i]} steps and has {len(item)} now"))
        checksum = zlib.crc32(np.ascontiguousarray(item).data)
        if self._checksums[i] not in (-1, checksum):
            raise DataError(_changed(self._name(i), "it holds something else than when it was read before"))
        self._checksums[i] = checksum
        return self._in_block(i, item) if self._whole else item

    def _in_block(self, i: int, item: np.ndarray) -> np.ndarray:
        """The item in one block with all others: many small ones between its buffers slow a training by a tenth."""
        if self._block is None:
            self._block = np.zeros((int(self._ends[-1]), *self._shape), self._dtype)
        place = self._block[self._ends[i] : self._ends[i + 1]]
        place[...] = item
        return place


def _changed(name: str, how: str) -> str:
    return f"{name} has changed since training or prediction began ({how}): leave it as it is until they are done."
