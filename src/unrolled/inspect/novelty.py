"""The picture of a detector's work: the series, how strange each row is, alarms, and the truth where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unrolled.inspect.figure import BLUE, GREY, INK, ORANGE, RULE, make_figure, save_picture, tidy, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["NoveltyPicture", "draw_novelty"]

# More series than these are too small to read, and so are more channels of one.
SERIES, CHANNELS = 3, 4
# Anomalies are seldom wider than a line: they are drawn at least this part of the picture wide.
NARROW = 0.002


@dataclass(frozen=True, eq=False)
class NoveltyPicture:
    """One series. times: (T,). values: (T, D) with their names. scores: (T,). threshold: from which on rows are alarms.

    alarms, truth: windows (begin, end) in rows, the end behind the last; truth is None where nothing is known.
    """

    title: str
    note: str
    times: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]
    scores: np.ndarray
    threshold: float
    alarms: Sequence[tuple[int, int]]
    truth: Sequence[tuple[int, int]] | None = None


def draw_novelty(pictures: Sequence[NoveltyPicture], path: str | Path) -> Path:
    """Write the picture; the name's ending says which kind (.png, .svg, .pdf).

    Raises:
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    shown = pictures[:SERIES]
    heights: list[float] = []
    for each in shown:
        heights += [1.5] * min(each.values.shape[1], CHANNELS) + [1.1]
    figure = make_figure(12.0, 0.8 + 1.25 * sum(heights) / 1.2 * 0.9)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
    row = 0
    for each in shown:
        count = min(each.values.shape[1], CHANNELS)
        axes = [figure.add_subplot(grid[row + i, 0]) for i in range(count + 1)]
        row += count + 1
        _series(axes, each)
    hidden = [
        f"{len(pictures) - len(shown)} more series" if len(pictures) > len(shown) else "",
        f"{shown[0].values.shape[1] - CHANNELS} more channels" if shown[0].values.shape[1] > CHANNELS else "",
    ]
    if any(hidden):
        said = " and ".join(filter(None, hidden))
        figure.text(0.99, 0.005, f"{said} are not drawn", ha="right", fontsize=8, color=GREY)
    return save_picture(figure, path)


def _series(axes: Sequence[Axes], picture: NoveltyPicture) -> None:
    for d, (own, name) in enumerate(zip(axes[:-1], picture.names, strict=False)):
        own.plot(picture.times, picture.values[:, d], color=INK, linewidth=0.9, zorder=3)
        own.set_ylabel(name, fontsize=9, color=GREY, parse_math=False)
    last = axes[-1]
    last.plot(picture.times, picture.scores, color=BLUE, linewidth=0.9, zorder=3)
    last.set_ylabel("strangeness", fontsize=9, color=GREY)
    last.set_ylim(0, 1.15 * max(float(picture.scores.max(initial=0)), min(picture.threshold, 1e3), 1.0))
    if np.isfinite(picture.threshold):
        last.axhline(picture.threshold, color=GREY, linewidth=0.9, linestyle=(0, (4, 3)), zorder=2)
    for own in axes:
        _mark(own, picture)
        tidy(own, sides=("bottom",) if own is last else ())
        own.grid(axis="y", color=RULE, linewidth=0.6)
        own.margins(x=0.005)
        own.sharex(last) if own is not last else None
        if own is not last:
            own.tick_params(labelbottom=False)
    _dates(last, picture.times)
    write_title(axes[0], picture.title, picture.note)
    _explain(axes[0], picture)


def _mark(axes: Axes, picture: NoveltyPicture) -> None:
    times = picture.times
    least = (times[-1] - times[0]) * NARROW if len(times) > 1 else 0
    for begin, end in picture.truth or ():
        axes.axvspan(times[begin], max(times[end - 1], times[begin] + least), color=GREY, alpha=0.22, linewidth=0)
    for begin, end in picture.alarms:
        axes.axvspan(times[begin], max(times[end - 1], times[begin] + least), color=ORANGE, alpha=0.55, linewidth=0)


def _explain(axes: Axes, picture: NoveltyPicture) -> None:
    """What the colours mean, above the first panel at the right, where no data can be."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Line2D | Patch] = [Patch(color=ORANGE, alpha=0.55, linewidth=0)]
    labels = ["alarm"]
    if picture.truth is not None:
        handles.append(Patch(color=GREY, alpha=0.22, linewidth=0))
        labels.append("true anomaly")
    if np.isfinite(picture.threshold):
        handles.append(Line2D([], [], color=GREY, linewidth=0.9, linestyle=(0, (4, 3))))
        labels.append("threshold")
    axes.legend(
        handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9, labelcolor=INK,
        ncols=3, handlelength=1.6, borderaxespad=0.1,
    )  # fmt: skip


def _dates(axes: Axes, times: np.ndarray) -> None:
    if times.dtype.kind != "M":
        return
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.xaxis.get_offset_text().set_color(GREY)
