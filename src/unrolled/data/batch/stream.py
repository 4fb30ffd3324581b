"""One long row of codes as parallel streams of windows, each of which goes on where the one before ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.check import check_size
from unrolled.data.batch.batching import Rows
from unrolled.errors import DataError

__all__ = ["Stream", "Stretch"]


class Stretch(NamedTuple):
    """A piece of running text, to predict each next code.

    x: (batch, time) int64, the code before. target: (batch, time) int64, the code to predict; both 0 in the padding.
    lengths: (batch,) int64, valid steps a row, 0 included. reset: (batch, time) bool, True where a document begins, so
    that the state there is the initial one; None where documents are not told apart.
    """

    x: Tensor
    target: Tensor
    lengths: Tensor
    reset: Tensor | None = None


class Stream:
    """N codes cut into `batch_size` streams of almost equal length, and these into windows of `steps`.

    The streams follow one another in the text, the first ones a step longer where N does not divide. Item k * B + b is
    window k of stream b, so it goes on where item (k - 1) * B + b ended; the last window of a stream may be shorter,
    also empty. Every code is a target exactly once. Its input is the code before it, also where a stream begins in the
    middle of the text; for the first code of the text, and of every document, it is `first`.

    Args:
        codes: (N,) integers; may be mapped from a file, only the windows asked for are read.
        batch_size: number of parallel streams B; the loop must run with this batch size.
        steps: time steps in a window.
        first: the code that stands before a text, usually BEGIN or END.
        starts: positions in `codes` where a document begins; None: all of it is one text, no resets.

    Raises:
        DataError: codes that are no row of integers, starts outside it.
    """

    carries_state = True

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
        self.batch_size = check_size("Stream", "batch_size", batch_size)
        self.steps = check_size("Stream", "steps", steps)
        self._starts = None if starts is None else _checked(starts, len(codes))
        shares = len(codes) // batch_size + (np.arange(batch_size) < len(codes) % batch_size)
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

    def batch(self, rows: Sequence[int] | Rows) -> Stretch:
        """The windows given, one a row; as long as the longest of them, at least one step."""
        chosen = np.asarray(rows, np.int64)
        lengths = self._lengths[chosen]
        time = np.arange(max(1, int(lengths.max(initial=0))))
        valid = time < lengths[:, None]
        at = (self._begins[chosen][:, None] + time)[valid]
        begins = np.zeros(len(at), bool) if self._starts is None else _among(at, self._starts)
        x, target, reset = np.zeros(valid.shape, np.int64), np.zeros(valid.shape, np.int64), np.zeros_like(valid)
        target[valid] = self.codes[at]
        x[valid] = self.codes[np.maximum(at - 1, 0)]
        x[valid] = np.where(begins | (at == 0), self.first, x[valid])
        reset[valid] = begins
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


def _checked(starts: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    positions = np.unique(np.asarray(starts, np.int64))
    if len(positions) and (positions[0] < 0 or positions[-1] >= count):
        raise DataError(
            f"Stream: expected starts in 0..{count - 1}, the positions of the codes, got {positions[0]} to "
            f"{positions[-1]}; leave out documents without codes."
        )
    return positions


def _among(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Whether each value is one of the ordered ones, without sorting those again."""
    if not len(ordered):
        return np.zeros(len(values), bool)
    found: np.ndarray = ordered[np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)] == values
    return found
