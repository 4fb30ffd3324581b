"""Windows for training, validation and scoring, cut where a forecaster needs them."""

from __future__ import annotations

import numpy as np

from unrolled.data.panel.arrays import PanelFields, SeriesArrays, separate_targets
from unrolled.data.panel.panel import Panel
from unrolled.data.panel.windows import Windows

__all__ = ["encode_panel", "every", "sliding", "windows_at"]


def encode_panel(fields: PanelFields, panel: Panel, channels: str, ends: np.ndarray | None = None) -> SeriesArrays:
    """The panel as arrays, with each target a series of its own where channels are separate."""
    arrays = fields.encode(panel, ends=ends)
    return separate_targets(arrays) if channels == "separate" and arrays.sizes.target > 1 else arrays


def windows_at(arrays: SeriesArrays, lookback: int, horizon: int, cuts: np.ndarray) -> Windows:
    """Windows at `cuts` (S, n) of the panel's S series, for all their targets; a cut below 0 is none."""
    mine = cuts[arrays.parent]
    series, which = np.nonzero(mine >= 0)
    return Windows(arrays, lookback, horizon, series, mine[series, which], pad=True)


def sliding(
    arrays: SeriesArrays, lookback: int, horizon: int, first: np.ndarray, last: np.ndarray, stride: int = 1
) -> Windows:
    """Every window, `stride` apart, with targets in rows [first, last) (S,) of the panel's series."""
    return windows_at(arrays, lookback, horizon, every(first, last - horizon, stride))


def every(first: np.ndarray, last: np.ndarray, stride: int) -> np.ndarray:
    """(S, n): first[i], first[i] + stride, ... up to last[i]; filled with -1."""
    counts = np.maximum((last - first) // stride + 1, 0)
    places = np.arange(int(counts.max(initial=0)))
    return np.where(places < counts[:, None], first[:, None] + stride * places, -1)
