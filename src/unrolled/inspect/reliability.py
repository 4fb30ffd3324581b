"""The reliability diagram: how often a model is right, by how sure it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.errors import DataError
from unrolled.inspect.figure import GREY, INK, RULE, make_figure, save_picture, tidy, write_title
from unrolled.score.calibration import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_reliability"]

# More diagrams side by side are too small to read.
PANELS = 4
# Bars of bins that hold a single probability have some width all the same.
THINNEST = 0.004


def draw_reliability(panels: Sequence[tuple[str, Reliability]], path: str | Path) -> Path:
    """Write one diagram beside the other; the name's ending says which kind (.png, .svg, .pdf).

    panels: a title and the bins of `reliability`, for instance before and after a temperature was fitted; at most 4.

    Raises:
        DataError: no diagram, or more than 4.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    if not 0 < len(panels) <= PANELS:
        raise DataError(f"plot: expected 1 to {PANELS} reliability diagrams, got {len(panels)}; draw several pictures.")
    figure = make_figure(0.4 + 4.3 * len(panels), 5.4)
    grid = figure.add_gridspec(2, len(panels), height_ratios=[4, 1])
    for i, (title, bins) in enumerate(panels):
        above = figure.add_subplot(grid[0, i])
        below = figure.add_subplot(grid[1, i], sharex=above)
        _diagram(above, bins)
        write_title(above, title, f"expected calibration error {bins.error:.3f}")
        _rows_of(below, bins)
        if i == 0:
            above.set_ylabel("part that is right", color=GREY, fontsize=10)
            below.set_ylabel("rows", color=GREY, fontsize=10)
            figure.align_ylabels([above, below])
            _legend(above)
    return save_picture(figure, path)


def _diagram(axes: Axes, bins: Reliability) -> None:
    width = np.maximum(bins.upper - bins.lower, THINNEST)
    low = np.minimum(bins.accuracy, bins.confidence)
    over, under = bins.confidence - low, bins.accuracy - low
    style: dict[str, Any] = {"width": width, "align": "edge", "edgecolor": "white", "linewidth": 0.8}
    axes.bar(bins.lower, low, color="#5a97cb", label="right", **style)
    axes.bar(bins.lower, over, bottom=low, color="#f3cfa6", label="too sure", **style)
    axes.bar(bins.lower, under, bottom=low, color="#b9d3ea", label="not sure enough", **style)
    axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle=(0, (3, 3)))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.grid(color=RULE, linewidth=0.7)
    tidy(axes)
    axes.tick_params(labelbottom=False)


def _rows_of(axes: Axes, bins: Reliability) -> None:
    """How many rows each bin holds; over its width, so that bins of equal mass show where the rows are."""
    width = np.maximum(bins.upper - bins.lower, THINNEST)
    equal = np.allclose(width, width[0])
    height = bins.count if equal else bins.count / width
    axes.bar(bins.lower, height, width, align="edge", color=GREY, alpha=0.6, edgecolor="white", linewidth=0.8)
    axes.set_xlabel("probability of the class that was predicted", color=GREY, fontsize=10)
    tidy(axes)
    if equal:
        axes.locator_params(axis="y", nbins=3, integer=True)
    else:
        axes.set_yticks([])


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", edgecolor="none", framealpha=0.85, fontsize=9, labelcolor=INK, handlelength=1.2)
