"""Series that have only ever held one value: they are forecast by it, exactly, rather than by a network."""

from __future__ import annotations

import numpy as np

from unrolled.data.panel.panel import Panel

__all__ = ["constants", "held_values"]

# Values that differ by no more than rounding are one.
ROUNDING = 1e-12


def constants(panel: Panel, ends: np.ndarray) -> np.ndarray:
    """(S, D) the one value that the first `ends[i]` rows of each series hold, NaN where they hold several or none."""
    rows = [panel.target[panel.rows(i)][: int(end)] for i, end in enumerate(ends)]
    return np.array([[_one_value(values[:, d]) for d in range(values.shape[1])] for values in rows])


def held_values(
    panel: Panel, trained: np.ndarray, series: np.ndarray, column: np.ndarray, cut: np.ndarray
) -> np.ndarray:
    """(n,) the value of each forecast whose series has held it in training and in every row before the cut, else NaN.

    trained: (S, D) as `constants` gives it, NaN for a series that the fit has not met.
    """
    found = np.full(len(cut), np.nan)
    for i in np.flatnonzero(~np.isnan(trained[series, column])):
        value = trained[series[i], column[i]]
        rows = panel.target[panel.rows(int(series[i])), column[i]][: int(cut[i])]
        if (np.abs(rows[~np.isnan(rows)] - value) <= ROUNDING * abs(value)).all():
            found[i] = value
    return found


def _one_value(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    if len(present) < 2:
        return float("nan")
    value = float(present[-1])
    return value if np.ptp(present) <= ROUNDING * abs(value) else float("nan")
