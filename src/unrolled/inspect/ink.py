"""The picture of a drawing: its strokes in colours, and where and in which order they begin."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unrolled.errors import DataError
from unrolled.fields.ink import Drawing, boxed, fault_of
from unrolled.inspect.figure import BLUE, GREY, INK, ORANGE, cut, make_figure, save_picture, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_ink"]

# Told apart on white also where red and green look alike; more strokes than these take them anew.
COLOURS = (BLUE, ORANGE, "#2a8c6a", "#b03a5b", "#7a5ba6", "#8a6a2f", "#3a9bc1", INK)
# Inches: the longer side of the box of the drawing; the least width that has room for what is written, and height.
SIDE, NARROWEST, LOWEST = 4.0, 3.4, 1.4
# More numbers than these hide what they number; so many groups find room in a legend.
NUMBERED, NAMED = 24, 12
LONGEST_NAME = 20


def draw_ink(drawing: Drawing, path: str | Path, colours: Sequence[object] | None = None, *, title: str = "") -> Path:
    """Write the picture of a drawing; the name's ending says which kind (.png, .svg, .pdf).

    One unit of x is as long as one of y; y grows downwards, as it does in drawings. Where each stroke begins stands its
    number in the order in which they were drawn, unless there are more than 24.

    drawing: at least one stroke. colours: a value for each stroke, such as the letter it belongs to: strokes of equal
    values have one colour, which a legend explains; None: each stroke has its own.

    Raises:
        DataError: it is no drawing, has no strokes, or there are other numbers of values than of strokes.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    strokes = [np.asarray(stroke, np.float64) for stroke in drawing]
    fault = fault_of(strokes)
    if fault is not None or not strokes:
        found = "none" if fault is None else f"{fault.found} in stroke {fault.stroke}"
        raise DataError(f"plot: expected {fault.expected if fault else 'at least one stroke'}, got {found}; mend it.")
    if colours is not None and len(colours) != len(strokes):
        raise DataError(f"plot: expected a colour for each of {len(strokes)} strokes, got {len(colours)}; give one.")
    groups = list(dict.fromkeys(range(len(strokes)) if colours is None else map(str, colours)))
    own = range(len(strokes)) if colours is None else [groups.index(str(value)) for value in colours]
    shown = boxed(strokes)
    width, height = (SIDE * float(side) for side in np.concatenate(shown).max(0))
    figure = make_figure(max(NARROWEST, width) + 0.6, max(LOWEST, height) + 1.1)
    axes = figure.add_subplot()
    for stroke, group in zip(shown, own, strict=True):
        _draw_stroke(axes, stroke, COLOURS[group % len(COLOURS)])
    numbered = len(strokes) <= NUMBERED
    if numbered:
        _number(axes, shown)
    if colours is not None and len(groups) <= NAMED:
        _explain(axes, groups)
    axes.set_aspect("equal")
    axes.margins(0.08)
    axes.invert_yaxis()
    axes.set_axis_off()
    points = sum(map(len, strokes))
    write_title(
        axes, title or "Drawing", f"strokes: {len(strokes)}, points: {points}{'; numbers: their order' * numbered}"
    )
    return save_picture(figure, path)


def _draw_stroke(axes: Axes, stroke: np.ndarray, colour: str) -> None:
    axes.plot(*stroke.T, color=colour, linewidth=2.4, solid_capstyle="round", solid_joinstyle="round")
    if len(stroke) == 1 or not np.ptp(stroke, axis=0).any():
        axes.plot(*stroke[:1].T, marker="o", markersize=4.5, color=colour, markeredgewidth=0)


def _number(axes: Axes, strokes: Drawing) -> None:
    """Each stroke's number beside its first point, away from where the stroke goes."""
    for number, stroke in enumerate(strokes, start=1):
        away = stroke[0] - stroke[: max(2, len(stroke) // 4)].mean(0)
        length = float(np.hypot(*away))
        x, y = away / length if length else (-0.7, -0.7)
        place = (9 * x, -9 * y)
        axes.annotate(
            str(number), stroke[0], place, textcoords="offset points", fontsize=8, color=GREY, ha="center", va="center"
        )


def _explain(axes: Axes, groups: Sequence[object]) -> None:
    for place, group in enumerate(groups):
        axes.plot([], [], color=COLOURS[place % len(COLOURS)], linewidth=2.4, label=cut(str(group), LONGEST_NAME))
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        ncols=6,
        handlelength=1.2,
    )
