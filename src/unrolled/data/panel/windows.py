"""Windows: a piece of history and the horizon after it, cut by index; nothing is copied until a batch is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.data.batch.runs import spans
from unrolled.data.panel.arrays import SeriesArrays
from unrolled.errors import DataError, OptionError

Short = Literal["error", "skip", "pad"]


class WindowBatch(NamedTuple):
    """B windows of L past steps and H future ones; masks are 1 where a value is present, 0 where it is missing.

    past (B, L, D), past_mask (B, L, D), past_known (B, L, Kp + Kf), past_codes (B, L, Cp + Cf) int64,
    future_known (B, H, Kf), future_codes (B, H, Cf) int64, static (B, Q), static_codes (B, C) int64,
    target (B, H, D), target_mask (B, H, D), series (B,) int64, cut (B,) int64: the row of the first target.
    """

    past: Tensor
    past_mask: Tensor
    past_known: Tensor
    past_codes: Tensor
    future_known: Tensor
    future_codes: Tensor
    static: Tensor
    static_codes: Tensor
    target: Tensor
    target_mask: Tensor
    series: Tensor
    cut: Tensor


@dataclass(frozen=True, eq=False)
class Windows:
    """A dataset: window i is the `lookback` rows before row `cuts[i]` of series `series[i]`, and `horizon` from it on.

    Args:
        arrays: the series.
        lookback, horizon: rows, at least 1.
        series, cuts: (n,) int64.
        pad: rows before a series' begin are allowed, and are missing.
    """

    arrays: SeriesArrays
    lookback: int
    horizon: int
    series: np.ndarray
    cuts: np.ndarray
    pad: bool = False

    carries_state = False

    def __post_init__(self) -> None:
        for name, value in (("lookback", self.lookback), ("horizon", self.horizon)):
            if value < 1:
                raise OptionError(
                    f"Expected {name}= as a whole number of 1 or more, but got {value}: choose a longer one."
                )
        after = self.cuts + self.horizon > self.arrays.lengths[self.series]
        before = self.cuts < (0 if self.pad else self.lookback)
        if (after | before).any():
            i = int(np.flatnonzero(after | before)[0])
            raise OptionError(
                f"Expected windows inside their series, but a cut at row {self.cuts[i]} of series "
                f"{self.arrays.ids[self.series[i]]!r} with {self.arrays.lengths[self.series[i]]} rows "
                "leaves no room for "
                f"{self.lookback} rows before and {self.horizon} after: move the cut."
            )

    @classmethod
    def sliding(
        cls,
        arrays: SeriesArrays,
        lookback: int,
        horizon: int,
        *,
        stride: int = 1,
        first: int | np.ndarray | None = None,
        last: int | np.ndarray | None = None,
        short: Short = "error",
    ) -> Windows:
        """Every window, `stride` rows apart, whose targets lie in rows [first, last) of their series.

        Args:
            arrays: the series.
            lookback, horizon: rows.
            stride: rows between windows.
            first: int or (S,): the first target row; rows before it still serve as input. None: the first with a full
                lookback (with one row, in a short series under short="pad").
            last: int or (S,): the row after the last target; None: the series' end.
            short: what becomes of a series without room for a window: "error", "skip", or "pad", which puts missing
                rows before it.
        """
        _check_stride(stride)
        _check_short(short)
        shape = arrays.lengths.shape
        end = arrays.lengths if last is None else np.minimum(np.broadcast_to(last, shape), arrays.lengths)
        least = np.where((short == "pad") & (end < lookback + horizon), 1, lookback)
        begin = least if first is None else np.maximum(np.broadcast_to(first, shape), least)
        room = end - horizon - begin
        counts = np.where(room >= 0, room // stride + 1, 0)
        if short != "skip" and (counts == 0).any():
            raise _too_short(
                arrays, end, begin, lookback if short == "error" else 1, horizon, np.flatnonzero(counts == 0)
            )
        if not counts.any():
            raise _too_short(arrays, end, begin, lookback, horizon, np.arange(len(counts)))
        series = np.repeat(np.arange(len(counts)), counts)
        cuts = np.repeat(begin, counts) + stride * spans(np.zeros(len(counts), np.int64), counts)
        return cls(arrays, lookback, horizon, series, cuts, pad=short == "pad")

    @classmethod
    def last(cls, arrays: SeriesArrays, lookback: int, horizon: int, *, short: Short = "pad") -> Windows:
        """One window for each series: its last `horizon` rows are the targets."""
        return cls.rolling(arrays, lookback, horizon, 1, short=short)

    @classmethod
    def rolling(
        cls,
        arrays: SeriesArrays,
        lookback: int,
        horizon: int,
        windows: int,
        *,
        stride: int | None = None,
        short: Short = "error",
    ) -> Windows:
        """The last `windows` windows of each series, `stride` rows apart (the horizon by default), oldest first.

        With short="skip" a series gives as many as it has room for.
        """
        stride = horizon if stride is None else stride
        if windows < 1 or stride < 1:
            raise OptionError(
                f"Expected windows= and stride= of 1 or more, but got {windows} and {stride}: choose more."
            )
        _check_short(short)
        cuts = arrays.lengths[:, None] - horizon - stride * np.arange(windows)[::-1]
        fits = cuts >= (1 if short == "pad" else lookback)
        bad = np.flatnonzero(~fits.all(axis=1))
        if len(bad) and (short != "skip" or not fits.any()):
            needed = horizon + stride * (windows - 1)
            raise _too_short(
                arrays, arrays.lengths, np.zeros_like(arrays.lengths), 1 if short == "pad" else lookback, needed, bad
            )
        series = np.broadcast_to(np.arange(len(cuts))[:, None], cuts.shape)
        return cls(arrays, lookback, horizon, series[fits], cuts[fits], pad=short == "pad")

    def __len__(self) -> int:
        return len(self.cuts)

    @property
    def lengths(self) -> np.ndarray:
        """(n,) int64, the steps each window costs: lookback and horizon."""
        return np.full(len(self), self.lookback + self.horizon, np.int64)

    def batch(self, rows: np.ndarray) -> WindowBatch:
        """The windows with the numbers given, as tensors of the arrays' dtype."""
        arrays, sizes = self.arrays, self.arrays.sizes
        series, cuts = self.series[rows], self.cuts[rows]
        valid = np.minimum(cuts, self.lookback) if self.pad else None
        target, known = arrays.target_starts[series] + cuts, arrays.covariate_starts[series] + cuts
        early_target, early_known = target - self.lookback, known - self.lookback
        past_codes = len(sizes.past_codes)
        parts = (
            cut_rows(arrays.target, early_target, self.lookback, valid),
            cut_rows(arrays.mask, early_target, self.lookback, valid),
            cut_rows(arrays.covariates, early_known, self.lookback, valid),
            cut_rows(arrays.codes, early_known, self.lookback, valid),
            cut_rows(arrays.covariates, known, self.horizon)[:, :, sizes.past :],
            cut_rows(arrays.codes, known, self.horizon)[:, :, past_codes:],
            arrays.static[series],
            arrays.static_codes[series],
            cut_rows(arrays.target, target, self.horizon),
            cut_rows(arrays.mask, target, self.horizon),
            series,
            cuts,
        )
        return WindowBatch(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))

    def chunks(self, batch: WindowBatch, steps: int) -> Sequence[WindowBatch]:
        """[batch]: a window is trained on whole."""
        return [batch]


def cut_rows(values: np.ndarray, starts: np.ndarray, length: int, valid: np.ndarray | None = None) -> np.ndarray:
    """The runs of `length` rows at `starts`, (B, length, C), copied.

    Args:
        values: (N, C).
        starts: (B,) int64, the first row of each run.
        length: rows in each run.
        valid: (B,) how many rows at the end of each run count; those before them come out as 0. None: all.
    """
    count, width = values.shape
    if width == 0:
        return np.zeros((len(starts), length, 0), values.dtype)
    if valid is None or bool((valid == length).all()):
        # Rows overlap in this view, so that one run is one contiguous block and copying it is one move of memory.
        shape, strides = (max(count - length + 1, 0), length * width), (values.strides[0], values.itemsize)
        runs = np.lib.stride_tricks.as_strided(np.ascontiguousarray(values), shape, strides, writeable=False)
        copied: np.ndarray = runs[starts]
        return copied.reshape(len(starts), length, width)
    rows = starts[:, None] + np.arange(length)
    counts = np.arange(length) >= length - valid[:, None]
    taken = values[np.where(counts, rows, 0)]
    taken[~counts] = 0
    return taken


def _check_stride(stride: int) -> None:
    if stride < 1:
        raise OptionError(f"Expected stride= as a whole number of 1 or more, but got {stride}: choose a longer one.")


def _check_short(short: str) -> None:
    if short not in ("error", "skip", "pad"):
        raise OptionError(f"Expected short= as 'error', 'skip' or 'pad', but got {short!r}: choose one of these.")


def _too_short(
    arrays: SeriesArrays, end: np.ndarray, begin: np.ndarray, lookback: int, horizon: int, which: np.ndarray
) -> DataError:
    """The error for the series in `which`, which have no window: the first is named with its rows."""
    i = int(which[0])
    label = f"Series {arrays.ids[i]!r}" if arrays.ids[i] else "The series"
    more = f" (and {len(which) - 1} more series)" if len(which) > 1 else ""
    rows = int(end[i])
    needed = max(int(begin[i]), lookback) + horizon
    return DataError(
        f"{label} has {rows} rows for windows that need {needed} ({needed - horizon} before the cut "
        f"and {horizon} after it), "
        f"{needed - rows} too few{more}: choose a shorter lookback or horizon, give more rows, or "
        "pass short='skip' or 'pad'."
    )
