"""Texts read once: each distinct token is kept once, and where it stands is kept as a number."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import IO

import numpy as np
from numpy.typing import DTypeLike

from unrolled.data.batch.batching import Rows
from unrolled.data.batch.ragged import Ragged
from unrolled.errors import SaveError

__all__ = ["Interned", "Interning", "intern"]

# Codes held in memory (256 MiB of int32); a text with more of them goes to a temporary file.
LIMIT = 1 << 26
# Codes handled at a time.
BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class Interned:
    """Texts as numbers of their distinct tokens; nothing else of them is kept.

    Args:
        forms: the distinct tokens, in the order in which they first came.
        tokens: int32, which form stands where; item i is text i. Mapped from a temporary file where there are many.
    """

    forms: list[str]
    tokens: Ragged

    def counts(self, rows: Sequence[int] | Rows | None = None) -> np.ndarray:
        """(len(forms),) int64, how often each form stands in the texts given (None: in all), for a vocabulary."""
        total = np.zeros(len(self.forms), np.int64)
        if rows is None:
            for start in range(0, len(self.tokens.values), BLOCK):
                total += np.bincount(self.tokens.values[start : start + BLOCK], minlength=len(total))
            return total
        for start in range(0, len(rows), BLOCK):
            total += np.bincount(self.tokens.select(rows[start : start + BLOCK]).values, minlength=len(total))
        return total

    def recode(self, table: np.ndarray) -> Ragged:
        """The texts in other codes, in the table's dtype; mapped from a temporary file where there are many.

        Args:
            table: (len(forms),) integers, the code of each form.
        """
        values = self.tokens.values
        with _Growing(table.dtype) as codes:
            for start in range(0, len(values), BLOCK):
                codes.append(table[values[start : start + BLOCK]])
            return Ragged(codes.finish(), self.tokens.offsets)


def intern(rows: Iterable[Sequence[str]]) -> Interned:
    """The tokens of all texts as numbers, in one pass that keeps one text at a time.

    Args:
        rows: the tokens of each text; a str stands for its characters.

    Raises:
        SaveError: the temporary file of a long text cannot be written.
    """
    with Interning() as interning:
        for row in rows:
            interning.add(row)
        return interning.finish()


class Interning:
    """`intern` for texts that come one by one, such as those of several columns of one file."""

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._waiting, self._offsets = array("i"), array("q", [0])
        self._codes = _Growing(np.int32)

    def __enter__(self) -> Interning:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._codes.__exit__(kind, error, trace)

    def add(self, row: Sequence[str]) -> None:
        """Take in the tokens of the next text; a str stands for its characters."""
        self._waiting.extend(map(self._numbers.__getitem__, row))
        self._offsets.append(self._codes.count + len(self._waiting))
        if len(self._waiting) >= BLOCK:
            self._codes.append(np.frombuffer(self._waiting, np.int32))
            self._waiting = array("i")

    def finish(self) -> Interned:
        """All texts taken in."""
        self._codes.append(np.array(self._waiting, np.int32))
        return Interned(list(self._numbers), Ragged(self._codes.finish(), np.array(self._offsets, np.int64)))


class _Numbers(dict[str, int]):
    """Gives each new key the next number."""

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        return number


class _Growing:
    """An array that grows by blocks, in memory up to `LIMIT` values and beyond it in a temporary file."""

    def __init__(self, dtype: DTypeLike) -> None:
        self.dtype, self.count = np.dtype(dtype), 0
        self._blocks: list[np.ndarray] = []
        self._file: IO[bytes] | None = None
        self._closing = ExitStack()

    def __enter__(self) -> _Growing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The file has no name: closed here, it lives on as long as an array maps it, and no longer.
        self._closing.close()

    def append(self, block: np.ndarray) -> None:
        self.count += len(block)
        self._blocks.append(block)
        if self.count <= LIMIT:
            return
        try:
            if self._file is None:
                self._file = self._closing.enter_context(_nameless_file())
            for part in self._blocks:
                self._file.write(np.ascontiguousarray(part).data)
            self._file.flush()
        except OSError as error:
            raise SaveError(
                f"The codes of a long text cannot be written to a temporary file ({error}): make room in "
                f"{tempfile.gettempdir()}, or set TMPDIR to a folder with more."
            ) from error
        self._blocks.clear()

    def finish(self) -> np.ndarray:
        """All values, (count,)."""
        if self._file is None:
            return np.concatenate([np.zeros(0, self.dtype), *self._blocks])
        return np.memmap(self._file, self.dtype, "r", shape=(self.count,))


@contextmanager
def _nameless_file() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile(prefix="unrolled-") as file:
        yield file
