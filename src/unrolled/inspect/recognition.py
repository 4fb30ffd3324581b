"""The picture of a recording: what was read of it, and the words at their times."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unrolled.errors import DataError
from unrolled.inspect.figure import BLUE, GREY, INK, ORANGE, cut, make_figure, save_picture, shades, tidy, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["TimedWord", "draw_recognition"]

# Inches: the width of a second and of a step where nobody knows seconds, the least and the largest width, the height.
SECOND, STEP, NARROWEST, WIDEST, HIGH = 2.4, 0.03, 6.0, 30.0, 3.6
# Rows of words one above the other, so that neighbours have room.
ROWS = 2
# A word is unsure below this, and drawn in another colour.
UNSURE = 0.5
LONGEST_WORD = 24


class TimedWord(NamedTuple):
    """A word, from where to where it lasts, and how sure it is, in [0, 1]."""

    text: str
    begin: float
    end: float
    confidence: float


def draw_recognition(
    features: ArrayLike,
    words: Sequence[TimedWord],
    path: str | Path,
    *,
    step: float | None = None,
    title: str = "",
) -> Path:
    """Write the features of a recording over time, and its words above them; the name's ending says which kind.

    Each word stands over the time that it takes, with a line from its begin to its end; one that is less sure than not
    is orange.

    features: (steps, width), at least one of each, finite: of sound a spectrogram, low frequencies at the bottom.
    words: in the unit of `step`. step: how far apart the steps are in seconds; None: times are steps.

    Raises:
        DataError: there is nothing to draw.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    table = np.asarray(features, np.float64)
    if table.ndim != 2 or not table.size or not np.isfinite(table).all():
        raise DataError(
            f"plot: expected finite features of shape (steps, width), at least one step, got {table.shape}; give a "
            "recording that is not empty."
        )
    end = len(table) * (1.0 if step is None else step)
    width = len(table) * STEP if step is None else end * SECOND
    figure = make_figure(min(WIDEST, max(NARROWEST, width)), HIGH)
    above, axes = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2.6))
    # A few loud or odd values must not make all the others pale.
    low, high = np.quantile(table, (0.02, 0.98))
    axes.imshow(
        table.T, origin="lower", aspect="auto", cmap=shades(), vmin=low, vmax=max(high, low + 1e-9),
        extent=(0.0, end, -0.5, table.shape[1] - 0.5), interpolation="nearest",
    )  # fmt: skip
    tidy(axes)
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("steps" if step is None else "seconds", color=GREY, fontsize=9)
    axes.set_ylabel("features", color=GREY, fontsize=9)
    _write_words(above, words)
    # What is said last may be written after the end.
    axes.set_xlim(0.0, max([end, *(word.end for word in words)]))
    said = " ".join(word.text for word in words)
    unsure = sum(word.confidence < UNSURE for word in words)
    note = f"words: {len(words)}" + (f", unsure: {unsure} (orange)" if unsure else "") if words else "nothing is said"
    write_title(above, title or cut(said or "Recording", max(24, int(9 * figure.get_figwidth()))), note)
    return save_picture(figure, path)


def _write_words(axes: Axes, words: Sequence[TimedWord]) -> None:
    """The words in rows in turn, each over a line as long as it lasts."""
    axes.set_axis_off()
    axes.set_ylim(-0.2, ROWS)
    for place, word in enumerate(words):
        row, colour = place % ROWS, BLUE if word.confidence >= UNSURE else ORANGE
        axes.plot([word.begin, word.end], [row, row], color=colour, linewidth=3, solid_capstyle="butt")
        axes.text(
            (word.begin + word.end) / 2, row + 0.12, cut(word.text, LONGEST_WORD), ha="center", va="bottom", fontsize=9,
            color=INK, parse_math=False,
        )  # fmt: skip
