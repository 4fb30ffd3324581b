"""Forecasts in the user's units, one row for each window and target: what tables, scores and plots are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.data.panel.panel import Panel
from unrolled.data.panel.windows import WindowBatch, Windows

__all__ = ["Channels", "forecast", "truth"]

# Windows that go through the network at once when forecasting.
ROWS = 256


@dataclass(frozen=True, eq=False)
class Channels:
    """n forecasts, sorted by series, target and cut.

    series, column, cut: (n,) int64, the series and target column of the panel, and the row of the first forecast.
    quantiles: (n, H, Q) float64, Q odd: the lower ends of the bands from wide to narrow, the median, the upper ends.
    """

    series: np.ndarray
    column: np.ndarray
    cut: np.ndarray
    quantiles: np.ndarray

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return int(self.quantiles.shape[1])

    @property
    def median(self) -> np.ndarray:
        """(n, H), the one number to name."""
        return np.asarray(self.quantiles[:, :, self.quantiles.shape[2] // 2])

    def band(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(lower, upper), each (n, H), of the band number `index`, the narrowest first."""
        middle = self.quantiles.shape[2] // 2
        return self.quantiles[:, :, middle - 1 - index], self.quantiles[:, :, middle + 1 + index]

    def rows(self, panel: Panel) -> np.ndarray:
        """(n, H) the rows of the panel that are forecast."""
        return np.asarray((panel.offsets[self.series] + self.cut)[:, None] + np.arange(self.horizon))


def forecast(net: Any, windows: Windows, levels: Sequence[float], *, samples: int, seed: int) -> Channels:
    """What the network says about all windows at quantile `levels` (an odd number of them, rising)."""
    arrays = windows.arrays
    device = next(net.parameters()).device
    parts = []
    for start in range(0, len(windows), ROWS):
        rows = np.arange(start, min(start + ROWS, len(windows)))
        batch = WindowBatch(*(part.to(device) for part in windows.batch(rows)))
        found = net.predict(batch, tuple(levels), samples=samples, seed=seed).quantiles
        # (B, H, D, Q) -> (B, D, Q, H): the field wants the target last and the series first.
        moved = np.moveaxis(found.double().cpu().numpy(), -1, 1)
        parts.append(np.transpose(arrays.scaler.decode(moved, windows.series[rows]), (0, 3, 2, 1)))
    quantiles = np.concatenate(parts)
    count, width = quantiles.shape[:2]
    joint = np.broadcast_to(np.arange(width), (count, width))
    column = joint if width > 1 else np.maximum(arrays.column[windows.series], 0)[:, None]
    series, cut = (np.repeat(values, width) for values in (arrays.parent[windows.series], windows.cuts))
    order = np.lexsort([cut, column.ravel(), series])
    flat = quantiles.reshape(count * width, *quantiles.shape[2:])
    return Channels(series[order], column.ravel()[order], cut[order], flat[order])


def truth(panel: Panel, channels: Channels) -> np.ndarray:
    """(n, H) the values that came, NaN where missing."""
    return np.asarray(panel.target[channels.rows(panel), channels.column[:, None]])
