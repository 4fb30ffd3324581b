"""Areas under the curves of a score that tells two kinds of rows apart: average precision and the ROC.

Scores are higher where a row is likelier to have the label; labels are bool or 0 and 1. Equal scores are one threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError

__all__ = [
    "average_precision",
    "check_flags",
    "check_labelled",
    "check_scores",
    "ranked",
    "roc_area",
    "trapezoids",
]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]


def average_precision(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the steps of precision over recall, in [0, 1]; scores: (rows,), labels: (rows,).

    Raises:
        DataError: different lengths, scores that are not finite, or no row with the label.

    >>> average_precision([3, 2, 1], [True, False, True]) == (1 + 2 / 3) / 2
    True
    """
    values, truth = check_labelled("average_precision", scores, labels, both=False)
    order, last = ranked(values)
    hits = np.cumsum(truth[order])[last]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (last + 1)) / hits[-1])


def roc_area(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a row with the label scores above one without, ties counted half.

    Arguments and errors as `average_precision`; there must also be a row without the label.

    >>> roc_area([3, 2, 1], [True, False, True])
    0.5
    """
    values, truth = check_labelled("roc_area", scores, labels)
    order, last = ranked(values)
    hits = np.append(0, np.cumsum(truth[order])[last])
    return trapezoids(np.append(0, last + 1) - hits, hits) / float(hits[-1] * (len(truth) - hits[-1]))


def trapezoids(x: NDArray[np.number], y: NDArray[np.number]) -> float:
    """The area under the lines between the points (x, y)."""
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1])) / 2)


def ranked(values: Array) -> tuple[Places, Places]:
    """The rows from the highest score down, and the places in that order after which the score changes."""
    order = np.argsort(-values, kind="stable")
    down = values[order]
    return order, np.flatnonzero(np.append(down[1:] != down[:-1], True))


def check_labelled(
    name: str, scores: ArrayLike, labels: ArrayLike, *, both: bool = True, of: str = "row"
) -> tuple[Array, Flags]:
    """Scores and labels of one length, of which one has the label and, if `both`, another one has not."""
    values, truth = check_scores(name, scores, of), check_flags(name, "labels", labels, of)
    if values.shape != truth.shape:
        raise DataError(f"{name}: expected a label for each score, got {len(truth)} for {len(values)}.")
    if not truth.any() or (both and truth.all()):
        raise DataError(
            f"{name}: expected {of}s with the label{' and without' if both else ''}, got {int(truth.sum())} of "
            f"{len(truth)} with it; there is nothing to tell apart."
        )
    return values, truth


def check_scores(name: str, scores: ArrayLike, of: str = "row") -> Array:
    """Finite scores, (rows,) float64."""
    values = np.asarray(scores, np.float64)
    if values.ndim != 1 or not len(values):
        raise DataError(f"{name}: expected one score a {of}, got scores of shape {values.shape}.")
    count = int((~np.isfinite(values)).sum())
    if count:
        raise DataError(
            f"{name}: expected finite scores, got {count} of {len(values)} that are not; leave those {of}s out or give "
            "them a score."
        )
    return values


def check_flags(name: str, what: str, values: ArrayLike, of: str = "row") -> Flags:
    """Flags, (rows,) bool, from bool or 0 and 1."""
    flags = np.asarray(values)
    if flags.shape == (0,):
        return flags.astype(bool)
    if flags.ndim != 1 or flags.dtype.kind not in "biu" or flags.min() < 0 or flags.max() > 1:
        raise DataError(
            f"{name}: expected {what} as bool or 0 and 1, one a {of}, got {flags.dtype} of shape {flags.shape}; say "
            "for each whether it is one."
        )
    return flags.astype(bool)
