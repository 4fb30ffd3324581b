"""The picture of a forecast: history, forecast, bands, and what came, if it is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unrolled.inspect.figure import BLUE, GREY, INK, RULE, make_figure, require_matplotlib, save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Band", "ForecastPicture", "draw_forecast", "require_matplotlib"]

# More panels than this are too small to read; the rest is left to the table.
PANELS = 6


@dataclass(frozen=True, eq=False)
class Band:
    """A central band: label ("80 %"), lower and upper (H,)."""

    label: str
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, eq=False)
class ForecastPicture:
    """One panel: past and future times with their values; bands from narrow to wide; note goes under the title."""

    title: str
    time: np.ndarray
    values: np.ndarray
    future: np.ndarray
    forecast: np.ndarray
    bands: tuple[Band, ...]
    note: str = ""


def draw_forecast(pictures: Sequence[ForecastPicture], path: str | Path) -> Path:
    """Write the picture; the name's ending says which kind (.png, .svg, .pdf).

    Raises:
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    shown = pictures[:PANELS]
    figure = _figure(len(shown))
    for axes, picture in zip(figure.axes, shown, strict=True):
        _panel(axes, picture)
    hidden = len(pictures) - len(shown)
    _legend(figure.axes[0])
    if hidden:
        figure.text(0.99, 0.005, f"{hidden} more series are in the table", ha="right", fontsize=8, color=GREY)
    return save_picture(figure, path)


def _figure(panels: int) -> Figure:
    columns = 1 if panels < 4 else 2
    rows = -(-panels // columns)
    figure = make_figure(10.0 if columns == 1 else 14.0, 1.1 + (4.4 if rows == 1 else 3.1 * rows))
    for i in range(panels):
        figure.add_subplot(rows, columns, i + 1)
    return figure


def _legend(axes: Axes) -> None:
    """Above the first panel at the right, where no data can be."""
    handles, labels = axes.get_legend_handles_labels()
    # Drawn back to front, read front to back.
    order = [0, len(labels) - 1, *range(len(labels) - 2, 0, -1)]
    axes.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        ncols=len(labels),
        handlelength=1.6,
        borderaxespad=0.1,
    )


def _panel(axes: Axes, picture: ForecastPicture) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axes.plot(picture.time, picture.values, color=INK, linewidth=1.3, label="history", zorder=3)
    last = np.flatnonzero(~np.isnan(picture.values))[-1:]
    # The forecast begins at the last known value, so that the line does not break at the present.
    times = np.concatenate([picture.time[last], picture.future])
    start = picture.values[last]
    for i, band in reversed(list(enumerate(picture.bands))):
        lower, upper = (np.concatenate([start, edge]) for edge in (band.lower, band.upper))
        axes.fill_between(
            times,
            lower,
            upper,
            color=BLUE,
            alpha=0.30 if i == 0 else 0.15,
            linewidth=0,
            label=band.label,
            zorder=1,
        )
    axes.plot(times, np.concatenate([start, picture.forecast]), color=BLUE, linewidth=1.9, label="forecast", zorder=4)
    axes.axvline(picture.time[-1], color=GREY, linewidth=0.8, linestyle=(0, (3, 3)), zorder=2)
    axes.set_title(picture.title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=25 if picture.note else 8)
    if picture.note:
        axes.text(0, 1.025, picture.note, transform=axes.transAxes, fontsize=9, color=GREY, va="bottom")
    axes.grid(axis="y", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(x=0.01, y=0.14)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(RULE)
    axes.tick_params(length=0, labelsize=9, labelcolor=GREY)
    if picture.time.dtype.kind == "M":
        locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        axes.xaxis.get_offset_text().set_color(GREY)
