"""Drawings as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

import numpy as np

from unrolled.errors import DataError, OptionError
from unrolled.fields.ink.drawing import Drawing, boxed, checked

__all__ = ["to_svg"]


def to_svg(drawing: Drawing, *, side: float = 256.0, colours: Sequence[str] | str = "black") -> str:
    """The drawing as the text of an SVG file, y downwards, a path a stroke; a dot is a round point.

    Args:
        drawing: it may be empty.
        side: the longer side of the box around the points, in pixels; lines are a fiftieth of it wide.
        colours: one for all strokes, or one for each, as CSS has them.

    Raises:
        DataError: it is no drawing, or there are other numbers of colours than of strokes.
        OptionError: the side is not positive.
    """
    drawing = checked(drawing, "to_svg")
    if not 0 < side < float("inf"):
        raise OptionError(f"to_svg: side must be a positive number of pixels, got {side!r}.")
    several = [colours] * len(drawing) if isinstance(colours, str) else list(colours)
    if len(several) != len(drawing):
        raise DataError(f"to_svg: expected a colour for each of {len(drawing)} strokes, got {len(several)}: give one.")
    line = side / 50
    points = [stroke * side + 2 * line for stroke in boxed(drawing)] if drawing else []
    width, height = (np.concatenate(points).max(0) if points else np.zeros(2)) + 2 * line
    paths = [_path(stroke, colour) for stroke, colour in zip(points, several, strict=True)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.2f}" height="{height:.2f}" '
            f'viewBox="0 0 {width:.2f} {height:.2f}">',
            f'<g fill="none" stroke-width="{line:.2f}" stroke-linecap="round" stroke-linejoin="round">',
            *paths,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _path(points: np.ndarray, colour: str) -> str:
    # A line to where it begins is what a round cap makes a point of.
    whole = points if len(points) > 1 else np.repeat(points, 2, axis=0)
    way = " L".join(f"{x:.2f} {y:.2f}" for x, y in whole.tolist())
    return f'<path d="M{way}" stroke={quoteattr(colour)}/>'
