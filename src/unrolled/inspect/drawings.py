"""Pictures of drawings: strokes or small pictures side by side, what was given and what was drawn told apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unrolled.errors import DataError, SaveError
from unrolled.fields.ink import Drawing, boxed, to_svg
from unrolled.fields.ink.drawing import checked
from unrolled.inspect.figure import BLUE, INK, ORANGE, cut, make_figure, save_picture
from unrolled.model import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Shown", "draw_sheet", "save_drawings"]

# Drawings side by side, inches of each, and as many as are found on one sheet.
COLUMNS, SIDE, MOST = 5, 1.6, 200
LONGEST_NAME = 24


class Shown(NamedTuple):
    """drawing: strokes, or the pixels (height, width, 3) of a picture. given: how many of its strokes, or rows, were
    there before the rest was drawn. name: what stands above it."""

    drawing: Drawing | np.ndarray
    given: int = 0
    name: str = ""


def draw_sheet(shown: Sequence[Shown], path: str | Path) -> Path:
    """Write a picture of drawings side by side; the name's ending says which kind (.png, .svg, .pdf).

    Each is as large as fits; y grows downwards. Where something was given, it is dark and what was drawn is blue; of a
    picture, the rows above the orange line were given.

    Raises:
        DataError: there is none, there are more than 200, or one is no drawing.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    if not 0 < len(shown) <= MOST:
        raise DataError(f"plot: expected 1 to {MOST} drawings on a sheet, got {len(shown)}; choose some.")
    columns = min(COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    named = 0.25 * any(one.name for one in shown)
    figure = make_figure(columns * SIDE, rows * (SIDE + named))
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every:
        axes.set_axis_off()
    for axes, one in zip(every, shown, strict=False):
        if isinstance(one.drawing, np.ndarray):
            _paint(axes, one.drawing, one.given)
        else:
            _stroke(axes, checked(one.drawing, "plot"), one.given)
        if one.name:
            axes.set_title(cut(one.name, LONGEST_NAME), fontsize=9, color=INK, pad=3)
    return save_picture(figure, path)


def save_drawings(drawings: Sequence[Drawing | np.ndarray], path: str | Path) -> Path:
    """Write drawings as a picture: one of strokes as plain SVG, which needs no matplotlib, others as `draw_sheet`."""
    if len(drawings) == 1 and not isinstance(drawings[0], np.ndarray) and Path(path).suffix.lower() == ".svg":
        try:
            write_atomically(Path(path), to_svg(drawings[0]).encode())
        except OSError as error:
            raise SaveError(f"plot: cannot write {path}: {error.strerror or error}; choose another place.") from error
        return Path(path)
    return draw_sheet([Shown(one) for one in drawings], path)


def _paint(axes: Axes, pixels: np.ndarray, given: int) -> None:
    axes.imshow(pixels, interpolation="nearest")
    if 0 < given < len(pixels):
        axes.axhline(given - 0.5, color=ORANGE, linewidth=1.6)


def _stroke(axes: Axes, strokes: Drawing, given: int) -> None:
    shown = boxed(strokes) if strokes else []
    for number, stroke in enumerate(shown):
        colour = BLUE if 0 < given <= number else INK
        axes.plot(*stroke.T, color=colour, linewidth=1.6, solid_capstyle="round", solid_joinstyle="round")
        if len(stroke) == 1:
            axes.plot(*stroke.T, marker="o", markersize=3, color=colour, markeredgewidth=0)
    # A square around the middle, whatever the drawing's own sides.
    middle = np.concatenate(shown).max(0) / 2 if shown else np.full(2, 0.5)
    axes.set_xlim(middle[0] - 0.55, middle[0] + 0.55)
    axes.set_ylim(middle[1] + 0.55, middle[1] - 0.55)
    axes.set_aspect("equal")
