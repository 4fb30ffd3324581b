"""What all pictures share: colours, the empty figure, labels, and the file it is written to."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from unrolled.errors import OptionError, SaveError
from unrolled.model import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    from matplotlib.transforms import Transform

__all__ = [
    "BLUE",
    "GREY",
    "INK",
    "ORANGE",
    "RULE",
    "cut",
    "draw_map",
    "label_ticks",
    "make_figure",
    "require_matplotlib",
    "save_picture",
    "shades",
    "tidy",
    "write_legend",
    "write_title",
]

INK, BLUE, GREY, RULE, ORANGE = "#22303c", "#1f6fb2", "#6b7a88", "#d9dfe4", "#d9822b"

# Scripts that matplotlib's own font lacks are drawn with the first of these that is installed and has them.
FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "WenQuanYi Micro Hei",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)


def require_matplotlib() -> None:
    """Raises `OptionError` if no picture can be drawn here."""
    if find_spec("matplotlib") is None:
        raise OptionError("plot: expected matplotlib for pictures, but it is not installed; install unrolled[report].")


def make_figure(width: float, height: float) -> Figure:
    """An empty figure, in inches. Raises `OptionError` without matplotlib."""
    require_matplotlib()
    # The figure is made without pyplot, so no window system and no global state are touched.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12, hspace=0.04, wspace=0.02)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save_picture(figure: Figure, path: str | Path) -> Path:
    """Write the picture; the name's ending says which kind (.png, .svg, .pdf).

    Raises:
        OptionError: there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in figure.canvas.get_supported_filetypes():
        raise OptionError(f"plot: expected a name that ends in .png, .svg or .pdf, got {path.name!r}; rename it.")
    _write_as_it_is(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=150, facecolor="white")
    try:
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        raise SaveError(f"plot: cannot write {path}: {error.strerror or error}; choose another place.") from error
    return path


def _write_as_it_is(figure: Figure) -> None:
    """No text of a picture is mathematics: a name may hold a "$". The ticks of scales write their own numbers."""
    from matplotlib.text import Text

    numbers = {label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) for label in _numbered(axis)}
    for text in figure.findobj(Text):
        if text not in numbers:
            text.set_parse_math(False)


def _numbered(axis: Axis) -> list[Text]:
    from matplotlib.ticker import FixedFormatter, FuncFormatter

    given = isinstance(axis.get_major_formatter(), FixedFormatter | FuncFormatter)
    return [] if given else [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True), axis.get_offset_text()]


def tidy(axes: Axes, *, sides: Sequence[str] = ("bottom",)) -> None:
    """Take away what is not needed to read the data: the frame but for `sides`, tick marks."""
    for side, spine in axes.spines.items():
        spine.set_visible(side in sides)
        spine.set_color(RULE)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, which="both", labelsize=9, labelcolor=GREY)


def draw_map(
    figure: Figure,
    axes: Axes,
    table: NDArray[np.float64],
    *,
    cell: float,
    norm: Normalize,
    ticks: Sequence[float] | None = None,
) -> None:
    """A table of numbers as coloured cells with thin lines between them, and a bar that explains the colours.

    cell: the side of a cell in inches, by which the bar is kept short. norm: numbers to [0, 1].
    """
    image = axes.imshow(table, cmap=shades(), norm=norm, aspect="equal")
    rows, columns = table.shape
    axes.set_xticks(np.arange(1, columns) - 0.5, minor=True)
    axes.set_yticks(np.arange(1, rows) - 0.5, minor=True)
    axes.grid(which="minor", color=RULE, linewidth=0.5)
    for spine in axes.spines.values():
        spine.set(color=RULE, linewidth=0.8)
    shrink = min(0.8, 2.6 / (rows * cell))
    written = None if ticks is None else "{x:.0%}"
    bar = figure.colorbar(image, ax=axes, shrink=shrink, aspect=16, pad=0.02, ticks=ticks, format=written)
    bar.outline.set_visible(False)
    bar.ax.minorticks_off()
    bar.ax.tick_params(length=0, labelsize=8, labelcolor=GREY)


def write_legend(axes: Axes) -> None:
    """Above the axes at the right, where no data can be."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
        ncols=4,
        handlelength=1.6,
        borderaxespad=0.1,
    )


def write_title(axes: Axes, title: str, note: str = "") -> None:
    """A title at the left, and a note in small grey letters under it."""
    pad = 25 if note else 8
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=INK, pad=pad, parse_math=False)
    if note:
        axes.text(0, 1, note, transform=_above(axes), fontsize=9, color=GREY, va="bottom", parse_math=False)


def label_ticks(axis: Axis, labels: Sequence[str], *, size: float, rotation: float = 0.0) -> None:
    """One label a tick at 0, 1, 2, ...; what they hold is never read as mathematics."""
    axis.set_ticks(range(len(labels)), labels=list(labels))
    for text in axis.get_ticklabels():
        text.set(parse_math=False, fontsize=size, rotation=rotation, color=INK, fontfamily=_families())


def cut(label: str, longest: int) -> str:
    """The label on one line, shortened in its middle to at most `longest` characters."""
    line = " ".join(label.split()) or "␣"
    if len(line) <= longest:
        return line
    head = (longest - 1) * 2 // 3
    return f"{line[:head]}…{line[len(line) - (longest - 1 - head) :]}"


def shades() -> Colormap:
    """Colours from white (0) through blue to nearly black (1)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", ["#ffffff", "#c6dcef", BLUE, "#0c3558"])


def _above(axes: Axes) -> Transform:
    """Axes coordinates, a few points higher, whatever the size of the axes."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, 7 / 72, axes.figure.dpi_scale_trans)


@cache
def _families() -> list[str]:
    from matplotlib import rcParams
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [*rcParams["font.family"], *(name for name in FONTS if name in installed)]
