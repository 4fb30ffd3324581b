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

__all__ = ["NumberStream", "Stream", "Stretch"]


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
        pieces = []
        for start in range(0, batch.x.shape[1], steps):
            part = slice(start, start + steps)
            x, target = batch.x[:, part], batch.target[:, part]
            lengths = (batch.lengths - start).clamp(0, x.shape[1])
            pieces.append(Stretch(x, target, lengths, None if batch.reset is None else batch.reset[:, part]))
        return pieces


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

    The input of a row are the values of the row before it and what is known of the row itself; nothing came before the
    first row of a series, so its values are missing.

    Args:
        values: (N, D), NaN where missing, D at least 1.
        batch_size, steps: as for `Stream`.
        starts: positions where a series begins; None: all rows are one series, no resets.
        known: (N, K) what is known of each row before it comes, such as its time of day; None: nothing.

    Raises:
        DataError: arrays of other shapes, known values that are not finite, starts outside them.
    """

    def __init__(
        self,
        values: np.ndarray,
        batch_size: int,
        steps: int,
        *,
        starts: Sequence[int] | np.ndarray | None = None,
        known: np.ndarray | None = None,
    ) -> None:
        if values.ndim != 2 or values.shape[1] < 1 or values.dtype.kind not in "iuf":
            raise DataError(f"NumberStream: expected values (N, D), got {values.dtype} of shape {values.shape}.")
        beside = np.zeros((len(values), 0), np.float32) if known is None else known
        if beside.ndim != 2 or len(beside) != len(values) or not np.isfinite(beside).all():
            raise DataError(
                f"NumberStream: expected finite known numbers ({len(values)}, K), one row a row of values, got "
                f"{beside.shape}; leave out what is not known."
            )
        self.values, self.known = values, beside
        super().__init__(len(values), batch_size, steps, starts, "NumberStream")

    def before(self, at: np.ndarray, first: np.ndarray) -> np.ndarray:
        values = np.where(first[:, None], np.nan, self.values[np.maximum(at - 1, 0)])
        x: np.ndarray = np.concatenate([values, self.known[at]], 1).astype(np.float32)
        return x

    def wanted(self, at: np.ndarray) -> np.ndarray:
        values: np.ndarray = self.values[at].astype(np.float32)
        return values


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
