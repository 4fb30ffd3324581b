"""One long row of codes or numbers as parallel streams of windows, each of which goes on where the one before ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.check import check_size
from unrolled.data.batch.batching import Rows
from unrolled.errors import DataError

__all__ = ["NumberStream", "Stream", "StreamWindows", "Stretch", "rows_before"]


class Stretch(NamedTuple):
    """A piece of something running, to predict each next step.

    x: (batch, time) int64, the code before, or (batch, time, numbers) float32. target: the code or the numbers to
    predict, likewise; all 0 in the padding. lengths: (batch,) int64, valid steps a row, 0 included. reset: (batch,
    time) bool, True where a text or a series begins, so that the state there is the initial one; None where these are
    not told apart.
    """

    x: Tensor
    target: Tensor
    lengths: Tensor
    reset: Tensor | None = None

    def cut(self, steps: int) -> list[Stretch]:
        """The same along time in pieces of at most so many steps, through which the state is carried."""
        pieces = []
        for start in range(0, self.x.shape[1], steps):
            part = slice(start, start + steps)
            x, target = self.x[:, part], self.target[:, part]
            lengths = (self.lengths - start).clamp(0, x.shape[1])
            pieces.append(Stretch(x, target, lengths, None if self.reset is None else self.reset[:, part]))
        return pieces


class StreamWindows(ABC):
    """N steps cut into `batch_size` streams of almost equal length, and these into windows of `steps`.

    The streams follow one another, the first ones a step longer where N does not divide. Item k * B + b is window k of
    stream b, so it goes on where item (k - 1) * B + b ended; the last window of a stream may be shorter, also empty.
    Every step is a target exactly once.

    starts: positions where a text or a series begins; None: all of it is one, no resets.
    """

    carries_state = True

    def __init__(
        self, count: int, batch_size: int, steps: int, starts: Sequence[int] | np.ndarray | None, name: str
    ) -> None:
        self.batch_size = check_size(name, "batch_size", batch_size)
        self.steps = check_size(name, "steps", steps)
        self._starts = None if starts is None else _checked(name, starts, count)
        shares = count // batch_size + (np.arange(batch_size) < count % batch_size)
        windows = -(-int(shares.max()) // steps)
        done = np.arange(windows)[:, None] * steps
        self._begins = (np.cumsum(shares) - shares + done).ravel()
        self._lengths = np.clip(shares - done, 0, steps).ravel()

    @property
    def lengths(self) -> np.ndarray:
        """(items,) int64, the steps of each window."""
        lengths: np.ndarray = self._lengths
        return lengths

    def __len__(self) -> int:
        return len(self._lengths)

    @abstractmethod
    def before(self, at: np.ndarray, first: np.ndarray) -> np.ndarray:
        """What is read before the steps at these places, (n, ...); first (n,) bool: nothing came before."""

    @abstractmethod
    def wanted(self, at: np.ndarray) -> np.ndarray:
        """What stands at these places, (n, ...)."""

    def batch(self, rows: Sequence[int] | Rows) -> Stretch:
        """The windows given, one a row; as long as the longest of them, at least one step."""
        chosen = np.asarray(rows, np.int64)
        lengths = self._lengths[chosen]
        time = np.arange(max(1, int(lengths.max(initial=0))))
        valid = time < lengths[:, None]
        at = (self._begins[chosen][:, None] + time)[valid]
        begins = np.zeros(len(at), bool) if self._starts is None else _among(at, self._starts)
        x = _spread(valid, self.before(at, begins | (at == 0)))
        target, reset = _spread(valid, self.wanted(at)), _spread(valid, begins)
        resets = None if self._starts is None else torch.from_numpy(reset)
        return Stretch(torch.from_numpy(x), torch.from_numpy(target), torch.from_numpy(lengths), resets)

    def chunks(self, batch: Stretch, steps: int) -> Sequence[Stretch]:
        """The batch cut along time into pieces of at most `steps` steps, through which the state is carried."""
        return batch.cut(steps)


class Stream(StreamWindows):
    """Running text, as `StreamWindows` cuts it.

    The input of a code is the code before it, also where a stream begins in the middle of the text; for the first code
    of the text, and of every document, it is `first`.

    Args:
        codes: (N,) integers; may be mapped from a file, only the windows asked for are read.
        batch_size: number of parallel streams B; the loop must run with this batch size.
        steps: time steps in a window.
        first: the code that stands before a text, usually BEGIN or END.
        starts: positions in `codes` where a document begins; None: all of it is one text, no resets.

    Raises:
        DataError: codes that are no row of integers, starts outside it.
    """

    def __init__(
        self,
        codes: np.ndarray,
        batch_size: int,
        steps: int,
        *,
        first: int,
        starts: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        if codes.ndim != 1 or codes.dtype.kind not in "iu":
            raise DataError(f"Stream: expected codes as one row of integers, got {codes.dtype} of shape {codes.shape}.")
        self.codes, self.first = codes, first
        super().__init__(len(codes), batch_size, steps, starts, "Stream")

    def before(self, at: np.ndarray, first: np.ndarray) -> np.ndarray:
        x: np.ndarray = np.where(first, self.first, self.codes[np.maximum(at - 1, 0)].astype(np.int64))
        return x

    def wanted(self, at: np.ndarray) -> np.ndarray:
        codes: np.ndarray = self.codes[at].astype(np.int64)
        return codes


class NumberStream(StreamWindows):
    """Running numbers, as `StreamWindows` cuts them: series one after another, some values missing.

    Args:
        inputs: (N, F), what is read at each row, see `rows_before`. targets: (N, D), what is to be said there, NaN
            where it is not known.
        batch_size, steps: as for `Stream`.
        starts: positions where a series begins; None: all rows are one series, no resets.

    Raises:
        DataError: arrays of other shapes, starts outside them.
    """

    def __init__(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        batch_size: int,
        steps: int,
        *,
        starts: Sequence[int] | np.ndarray | None = None,
    ) -> None:
        for name, values in (("inputs", inputs), ("targets", targets)):
            if values.ndim != 2 or len(values) != len(targets) or values.dtype.kind not in "iuf":
                raise DataError(
                    f"NumberStream: expected {name} as numbers ({len(targets)}, features), got {values.dtype} of shape "
                    f"{values.shape}; give a row of them for each row."
                )
        self.inputs, self.targets = inputs, targets
        super().__init__(len(targets), batch_size, steps, starts, "NumberStream")

    def before(self, at: np.ndarray, first: np.ndarray) -> np.ndarray:
        x: np.ndarray = self.inputs[at].astype(np.float32)
        return x

    def wanted(self, at: np.ndarray) -> np.ndarray:
        targets: np.ndarray = self.targets[at].astype(np.float32)
        return targets


def rows_before(
    values: np.ndarray, starts: Sequence[int] | np.ndarray | None = None, known: np.ndarray | None = None
) -> np.ndarray:
    """(N, D + K): the values (N, D) of the row before each, NaN where a series begins, and what is known of it (N, K).

    starts: positions where a series begins, beside the first; known: such as the time of day of each row, finite.

    >>> rows_before(np.array([[1.0], [2.0], [3.0]]), starts=[2], known=np.array([[7.0], [8.0], [9.0]])).tolist()
    [[nan, 7.0], [1.0, 8.0], [nan, 9.0]]
    """
    beside = np.zeros((len(values), 0)) if known is None else known
    if values.ndim != 2 or beside.ndim != 2 or len(beside) != len(values) or not np.isfinite(beside).all():
        raise DataError(
            f"rows_before: expected values (N, D) and finite known numbers (N, K), got {values.shape} and "
            f"{beside.shape}; leave out what is not known."
        )
    earlier = np.concatenate([np.full_like(values[:1], np.nan, float), values[:-1]])
    earlier[[] if starts is None else list(starts)] = np.nan
    return np.concatenate([earlier, beside], 1)


def _spread(valid: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values (n, ...) at the n valid places of (batch, time), 0 elsewhere."""
    spread = np.zeros((*valid.shape, *values.shape[1:]), values.dtype)
    spread[valid] = values
    return spread


def _checked(name: str, starts: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    positions = np.unique(np.asarray(starts, np.int64))
    if len(positions) and (positions[0] < 0 or positions[-1] >= count):
        raise DataError(
            f"{name}: expected starts in 0..{count - 1}, the positions of the steps, got {positions[0]} to "
            f"{positions[-1]}; leave out what has no step."
        )
    return positions


def _among(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Whether each value is one of the ordered ones, without sorting those again."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    found: np.ndarray = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found
