"""Windows: a piece of history and the horizon after it, cut by index; nothing is copied until a batch is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unrolled.data.panel.arrays import SeriesArrays
from unrolled.errors import OptionError


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
            cut_runs(arrays.target, early_target, self.lookback, valid),
            cut_runs(arrays.mask, early_target, self.lookback, valid),
            cut_runs(arrays.covariates, early_known, self.lookback, valid),
            cut_runs(arrays.codes, early_known, self.lookback, valid),
            cut_runs(arrays.covariates, known, self.horizon)[:, :, sizes.past :],
            cut_runs(arrays.codes, known, self.horizon)[:, :, past_codes:],
            arrays.static[series],
            arrays.static_codes[series],
            cut_runs(arrays.target, target, self.horizon),
            cut_runs(arrays.mask, target, self.horizon),
            series,
            cuts,
        )
        return WindowBatch(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))

    def chunks(self, batch: WindowBatch, steps: int) -> Sequence[WindowBatch]:
        """[batch]: a window is trained on whole."""
        return [batch]


def cut_runs(values: np.ndarray, starts: np.ndarray, length: int, valid: np.ndarray | None = None) -> np.ndarray:
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
