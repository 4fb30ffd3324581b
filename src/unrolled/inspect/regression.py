"""The picture of a regression: what was predicted against what is true."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import DataError
from unrolled.inspect.figure import BLUE, GREY, INK, RULE, make_figure, save_picture, tidy, write_title
from unrolled.score.regression import r2

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_regression"]

# More targets side by side are too small to read.
PANELS = 4
# Intervals of more rows hide one another; points of more rows are thinned by their transparency.
INTERVALS, FAINT = 300, 500
# Free room around the points, as a part of their range.
ROOM = 0.04

Array = NDArray[np.float64]


def draw_regression(truth: Array, found: Array, interval: tuple[float, Array, Array] | None, path: str | Path) -> Path:
    """Write one panel a target; the name's ending says which kind (.png, .svg, .pdf).

    truth, found: (N, V). interval: a level in percent, and the lower and upper ends (N, V) of its intervals; None where
    there are none.

    Raises:
        DataError: no row, or more than 4 targets.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    if not truth.size or truth.shape != found.shape or truth.shape[1] > PANELS:
        raise DataError(
            f"plot: expected a prediction for each of some rows and of 1 to {PANELS} targets, got {found.shape} for "
            f"{truth.shape}; give rows, and draw several pictures of more targets."
        )
    values = truth.shape[1]
    figure = make_figure(0.6 + 4.6 * values, 4.9)
    for value in range(values):
        axes = figure.add_subplot(1, values, value + 1)
        band = None if interval is None else tuple(end[:, value] for end in interval[1:])
        _panel(axes, truth[:, value], found[:, value], band)
        name = f"Target {value + 1}" if values > 1 else "Predicted against true"
        write_title(axes, name, _said(truth[:, value], found[:, value], interval, value))
        if value == 0:
            axes.set_ylabel("predicted", color=GREY, fontsize=10)
    return save_picture(figure, path)


def _panel(axes: Axes, truth: Array, found: Array, band: tuple[Array, ...] | None) -> None:
    shown = np.arange(len(truth))
    if band is not None:
        # The same rows in every picture of the same data: evenly spaced in the order of the truth.
        order = np.argsort(truth, kind="stable")
        shown = order[np.linspace(0, len(order) - 1, min(len(order), INTERVALS)).astype(int)]
        axes.vlines(truth[shown], band[0][shown], band[1][shown], color=BLUE, alpha=0.22, linewidth=1.2)
    faint = float(np.clip(FAINT / len(truth), 0.25, 0.85))
    axes.scatter(truth, found, s=14, color=BLUE, alpha=faint, linewidths=0)
    ends = np.concatenate([truth, found, *(() if band is None else (end[shown] for end in band))])
    low, high = float(ends.min()), float(ends.max())
    room = ROOM * ((high - low) or 1.0)
    limits = (low - room, high + room)
    axes.plot(limits, limits, color=INK, linewidth=1, linestyle=(0, (3, 3)))
    axes.set(xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    axes.grid(color=RULE, linewidth=0.7)
    axes.set_xlabel("true", color=GREY, fontsize=10)
    tidy(axes)


def _said(truth: Array, found: Array, interval: tuple[float, Array, Array] | None, value: int) -> str:
    said = f"R² {r2(truth, found):.3f}, {len(truth):,} rows"
    if interval is None:
        return said
    level, lower, upper = interval
    inside = float(((truth >= lower[:, value]) & (truth <= upper[:, value])).mean())
    return f"{said}; lines: {level:g} % intervals, {inside:.1%} inside"
