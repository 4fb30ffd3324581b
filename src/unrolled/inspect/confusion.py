"""The picture of a confusion matrix: how often each class was taken for each, coloured by the share of its row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError
from unrolled.inspect.figure import GREY, INK, cut, draw_map, label_ticks, make_figure, save_picture, write_title

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_confusion"]

# More classes are too small to read: the rarest are drawn as one.
CLASSES = 60
LONGEST_LABEL = 28
# The shade is the root of the share, so that rare confusions show. Beyond this share a cell's number is white.
DARK = 0.3
# Points; numbers that would be smaller are shortened to thousands.
SMALLEST = 6.0

Counts = NDArray[np.int64]


def draw_confusion(counts: ArrayLike, labels: Sequence[str], path: str | Path, *, title: str = "") -> Path:
    """Write the picture of a confusion matrix; the name's ending says which kind (.png, .svg, .pdf).

    counts: (K, K), [i, j] is how often class i was taken for class j. labels: the names of the K classes. Of more than
    60 classes the 59 that occur most often are drawn, the others as one.

    Raises:
        DataError: counts and labels do not fit together.
        OptionError: matplotlib is not installed, or there is no such kind of picture.
        SaveError: the place cannot be written.
    """
    table = np.asarray(counts)
    if table.shape != (len(labels), len(labels)) or not len(labels) or table.min() < 0:
        raise DataError(
            f"plot: expected counts of shape {(len(labels),) * 2} for {len(labels)} labels, none below 0, got "
            f"{table.shape}; give the matrix of confusion_matrix() and its labels."
        )
    table, names = _fold(table, labels)
    size = len(table)
    names = [cut(name, LONGEST_LABEL) for name in names]
    cell = float(np.interp(size, [2, 12, 60], [0.85, 0.5, 0.27]))
    room = 0.075 * max(map(len, names)) + 0.5
    figure = make_figure(max(4.8, size * cell + room + 1.1), max(3.4, size * cell + room + 0.8))
    from matplotlib.colors import PowerNorm

    axes = figure.add_subplot()
    draw_map(figure, axes, _shares(table), cell=cell, norm=PowerNorm(0.5, 0, 1), ticks=[0, 0.05, 0.25, 0.5, 1])
    _write_counts(axes, table, 72 * cell)
    _label(axes, names, min(10.0, 72 * cell * 0.46))
    total = int(table.sum())
    right = int(np.trace(table)) / total if total else 0.0
    write_title(axes, title or "Confusion matrix", f"{right:.1%} of {total} right; colour: share of the row")
    return save_picture(figure, path)


def _fold(table: Counts, labels: Sequence[str]) -> tuple[Counts, list[str]]:
    """At most `CLASSES` classes, in their order; the rarest together as the last."""
    if len(labels) <= CLASSES:
        return table, list(labels)
    often = np.argsort(-table.sum(1), kind="stable")[: CLASSES - 1]
    place = np.full(len(labels), CLASSES - 1)
    kept = np.sort(often)
    place[kept] = np.arange(CLASSES - 1)
    folded = np.zeros((CLASSES, CLASSES), table.dtype)
    np.add.at(folded, (place[:, None], place[None]), table)
    return folded, [*(labels[i] for i in kept), f"({len(labels) - CLASSES + 1} other classes)"]


def _shares(table: Counts) -> NDArray[np.float64]:
    rows = table.sum(1, keepdims=True)
    return np.asarray(np.divide(table, rows, out=np.zeros(table.shape), where=rows > 0))


def _write_counts(axes: Axes, table: Counts, cell: float) -> None:
    """The count of each cell that is not empty; `cell` is its side in points."""
    texts = {(i, j): str(table[i, j]) for i, j in zip(*np.nonzero(table), strict=True)}
    size = _size(texts.values(), cell)
    if size < SMALLEST:
        texts = {place: _short(int(text)) for place, text in texts.items()}
        size = _size(texts.values(), cell)
    shares = _shares(table)
    for (i, j), text in texts.items():
        color = "white" if shares[i, j] > DARK else INK
        axes.text(j, i, text, ha="center", va="center", fontsize=size, color=color)


def _size(texts: Collection[str], cell: float) -> float:
    """The size of letters in points at which the longest text fits into its cell."""
    return min(11.0, cell * 0.42, cell * 0.92 / (0.62 * max(map(len, texts), default=1)))


def _short(count: int) -> str:
    if count < 10_000:
        return str(count)
    return f"{count / 1e3:.0f}k" if count < 999_500 else f"{count / 1e6:.1f}M"


def _label(axes: Axes, names: Sequence[str], size: float) -> None:
    turned = len(names) > 6 or max(map(len, names)) > 9
    label_ticks(axes.xaxis, names, size=size, rotation=90 if turned else 0)
    label_ticks(axes.yaxis, names, size=size)
    axes.tick_params(length=0, which="both")
    axes.set_xlabel("predicted", color=GREY, fontsize=10)
    axes.set_ylabel("truth", color=GREY, fontsize=10)
