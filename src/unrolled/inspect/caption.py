"""The pictures of captions: a picture with where each word looked, and the frames of a video under their words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError
from unrolled.inspect.figure import GREY, INK, RULE, cut, label_ticks, make_figure, save_picture, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_places", "draw_times"]

# Inches: the side of a panel; panels in a row; how dark it is where nobody looked.
PANEL, ACROSS, DARK = 1.5, 6, 0.88
# Frames that find room beside each other, and inches of one.
FRAMES, FRAME = 24, 0.75
LONGEST_LABEL = 18


def draw_places(
    picture: ArrayLike, weights: ArrayLike, grid: tuple[int, int], words: Sequence[str], path: str | Path
) -> Path:
    """Write a picture, and then, for each word, that picture bright where was looked; the name's ending says the kind.

    picture: (height, width, 1 or 3) in [0, 1]. weights: (words, rows * columns of the grid), in reading order.

    Raises:
        DataError: weights, words and grid do not fit together.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    seen, table = _picture(picture), _table(weights, words, math.prod(grid), "places")
    height, width = seen.shape[:2]
    panels = 1 + len(words)
    columns = min(ACROSS, panels)
    rows = math.ceil(panels / columns)
    side = PANEL / max(height, width)
    figure = make_figure(columns * max(width * side, 0.9), rows * (max(height * side, 0.5) + 0.3))
    every = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    _show(every[0], seen, "what is seen", GREY)
    for axes, word, looked in zip(every[1:], words, table, strict=False):
        _show(axes, seen, cut(word, LONGEST_LABEL), INK)
        shade = np.zeros((*grid, 4))
        shade[..., 3] = DARK * (1 - looked.reshape(grid) / max(looked.max(), 1e-6))
        extent = (-0.5, width - 0.5, height - 0.5, -0.5)
        axes.imshow(shade, extent=extent, interpolation="bilinear", aspect="equal")
    for axes in every[panels:]:
        axes.set_axis_off()
    return save_picture(figure, path)


def draw_times(frames: ArrayLike, weights: ArrayLike, words: Sequence[str], path: str | Path) -> Path:
    """Write the frames of a video, and above each how much every word looked at it; the name's ending says the kind.

    frames: (steps, height, width, 1 or 3) in [0, 1], the picture of each step. weights: (words, steps). Of many steps
    the pictures of some are shown. Raises what `draw_places` does.
    """
    pictures = [_picture(frame) for frame in np.asarray(frames)]
    table = _table(weights, words, len(pictures), "steps")
    shown = np.unique(np.linspace(0, len(pictures) - 1, min(FRAMES, len(pictures))).round().astype(int))
    height, width = pictures[0].shape[:2]
    across, tall = max(3.0, len(shown) * FRAME), FRAME * height / width
    upper = 0.24 * len(words)
    figure = make_figure(across + 1.2, upper + tall + 0.7)
    above, below = figure.subplots(2, 1, height_ratios=[upper, tall])
    above.imshow(table, cmap=shades(), vmin=0, vmax=max(1e-6, float(table.max())), aspect="auto")
    label_ticks(above.yaxis, [cut(word, LONGEST_LABEL) for word in words], size=9)
    above.set_xticks([])
    for spine in above.spines.values():
        spine.set(color=RULE, linewidth=0.8)
    above.tick_params(length=0, which="both")
    # Each frame under its column, though not all find room.
    step = len(pictures) / len(shown)
    for place, number in enumerate(shown):
        left = place * step - 0.5
        extent = (left + 0.03 * step, left + 0.97 * step, 0.0, 1.0)
        below.imshow(pictures[number], extent=extent, interpolation="nearest")
        below.text(left + step / 2, -0.06, str(number + 1), ha="center", va="top", fontsize=8, color=GREY)
    below.set(xlim=(-0.5, len(pictures) - 0.5), ylim=(-0.25, 1.0), aspect="auto")
    below.set_axis_off()
    return save_picture(figure, path)


def _show(axes: Axes, picture: NDArray[np.float64], title: str, colour: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_title(title, fontsize=9, color=colour, parse_math=False, pad=3)
    axes.set_axis_off()


def _picture(picture: ArrayLike) -> NDArray[np.float64]:
    """(height, width, 3)."""
    seen = np.asarray(picture, np.float64)
    if seen.ndim != 3 or seen.shape[2] not in (1, 3) or not seen.size:
        raise DataError(f"plot: expected a picture (height, width, 1 or 3), got {seen.shape}; give one.")
    return np.broadcast_to(np.clip(seen, 0, 1), (*seen.shape[:2], 3))


def _table(weights: ArrayLike, words: Sequence[str], count: int, what: str) -> NDArray[np.float64]:
    table = np.asarray(weights, np.float64)
    if table.shape != (len(words), count) or not table.size:
        raise DataError(
            f"plot: expected attention weights of shape {(len(words), count)} (words, {what}), got {table.shape}; "
            "leave out the padding on both sides."
        )
    if not np.isfinite(table).all():
        raise DataError("plot: expected finite attention weights, got NaN or infinite ones.")
    return table
