"""The picture of attention: which source words each target word was made from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from unrolled.errors import DataError
from unrolled.inspect.figure import GREY, INK, cut, draw_map, label_ticks, make_figure, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_attention"]

LONGEST_LABEL = 24
# Inches: the side of a cell where there is room, and the longest side of the whole map.
CELL, LONGEST_SIDE = 0.34, 36.0


def draw_attention(
    weights: ArrayLike, source: Sequence[str], target: Sequence[str], path: str | Path, *, title: str = ""
) -> Path:
    """Write the map of attention weights; the name's ending says which kind (.png, .svg, .pdf).

    weights: (target words, source words), in [0, 1]. source, target: the words, shown from left to right and from top
    to bottom.

    Raises:
        DataError: weights and words do not fit together.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    table = np.asarray(weights, np.float64)
    if table.shape != (len(target), len(source)) or not table.size:
        raise DataError(
            f"plot: expected attention weights of shape {(len(target), len(source))} (target words, source words), got "
            f"{table.shape}; leave out the padding on both sides."
        )
    if not np.isfinite(table).all():
        raise DataError("plot: expected finite attention weights, got NaN or infinite ones.")
    columns, rows = ([cut(word, LONGEST_LABEL) for word in words] for words in (source, target))
    cell = min(CELL, LONGEST_SIDE / max(table.shape))
    left, top = (0.09 * max(map(len, words)) + 0.3 for words in (rows, columns))
    figure = make_figure(max(4.2, len(source) * cell + left + 1.3), max(2.4, len(target) * cell + top + 0.9))
    axes = figure.add_subplot()
    from matplotlib.colors import Normalize

    draw_map(figure, axes, table, cell=cell, norm=Normalize(0, max(1e-6, float(table.max()))))
    _label(axes, columns, rows, min(10.0, 72 * cell * 0.46))
    if title:
        # Above the axes stand the source words, so the title belongs to the figure.
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK, parse_math=False)
    return save_picture(figure, path)


def _label(axes: Axes, columns: Sequence[str], rows: Sequence[str], size: float) -> None:
    """What was read above, what was written beside."""
    axes.xaxis.tick_top()
    # Characters stand upright, words have no room to.
    upright = max(map(len, columns)) <= 2
    label_ticks(axes.xaxis, columns, size=size, rotation=0 if upright else 90)
    label_ticks(axes.yaxis, rows, size=size)
    axes.tick_params(length=0, which="both")
    axes.xaxis.set_label_position("top")
    axes.set_xlabel("read", color=GREY, fontsize=9)
    axes.set_ylabel("written", color=GREY, fontsize=9)
