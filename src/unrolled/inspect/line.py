"""The picture of a line of print, and of the letters that were read at their columns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unrolled.errors import DataError
from unrolled.inspect.figure import BLUE, GREY, INK, ORANGE, cut, make_figure, save_picture, write_title
from unrolled.inspect.recognition import UNSURE, TimedWord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_line"]

# Inches: the height of a line, the least and the largest width of the picture.
HIGH, NARROWEST, WIDEST = 0.62, 5.0, 26.0


def draw_line(line: np.ndarray, letters: Sequence[TimedWord], path: str | Path, *, title: str = "") -> Path:
    """Write a line of print, and above each of its columns the letter that was read there; one that is less sure than
    not is orange. The name's ending says which kind of picture.

    line: (height, width) or (height, width, 3) uint8. letters: in columns of it.

    Raises:
        DataError: there is nothing to draw.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    pixels = np.asarray(line)
    if pixels.ndim not in (2, 3) or not pixels.size:
        raise DataError(f"plot: expected a line (height, width) or (height, width, 3), got {pixels.shape}; give one.")
    height, width = pixels.shape[:2]
    inches = min(WIDEST, max(NARROWEST, HIGH * width / height))
    figure = make_figure(inches + 0.4, inches * height / width + 1.2)
    above, axes = figure.subplots(2, 1, sharex=True, height_ratios=(0.5, max(0.6, inches * height / width)))
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, aspect="auto", extent=(0.0, width, height, 0.0))
    axes.set_axis_off()
    _write_letters(above, axes, letters)
    axes.set_xlim(0.0, max([width, *(letter.end for letter in letters)]))
    unsure = sum(letter.confidence < UNSURE for letter in letters)
    note = f"letters: {len(letters)}" + (f", unsure: {unsure} (orange)" if unsure else "")
    shown = cut(title, max(24, int(9 * inches))) if title.strip() else "Line"
    write_title(above, shown, note if letters else "nothing is written")
    return save_picture(figure, path)


def _write_letters(above: Axes, axes: Axes, letters: Sequence[TimedWord]) -> None:
    """Each letter over the middle of its columns, with a thin line down into the print."""
    above.set_axis_off()
    above.set_ylim(0, 1)
    for letter in letters:
        middle, sure = (letter.begin + letter.end) / 2, letter.confidence >= UNSURE
        axes.axvline(middle, color=BLUE if sure else ORANGE, linewidth=0.6, alpha=0.5)
        above.text(
            middle, 0.1, letter.text if letter.text.strip() else "␣", ha="center", va="bottom", fontsize=11,
            color=(INK if letter.text.strip() else GREY) if sure else ORANGE, parse_math=False,
        )  # fmt: skip
