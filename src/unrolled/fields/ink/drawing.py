"""Drawings: lists of strokes, what can be wrong with one, and how large it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from unrolled.errors import DataError

__all__ = ["Drawing", "Fault", "boxed", "checked", "fault_of", "held_clock", "measured", "without_times"]

Drawing: TypeAlias = list[np.ndarray]
"""Strokes in the order in which they were drawn: (N, 2) float64, x and y, or (N, 3) with seconds; N is 1 for a dot.

y grows downwards, as on screens. The seconds never run back, from one stroke to the next neither; where they begin is
free.
"""


class Fault(NamedTuple):
    """What is wrong with a drawing. stroke, point: where, from 0; no point where the stroke as a whole is meant."""

    stroke: int
    point: int | None
    expected: str
    found: str
    advice: str


def fault_of(drawing: Sequence[np.ndarray]) -> Fault | None:
    """The first fault of a drawing of float64 arrays, None if there is none."""
    clock = -math.inf
    for number, stroke in enumerate(drawing):
        if stroke.ndim != 2 or stroke.shape[1] not in (2, 3):
            found = f"an array of shape {stroke.shape}"
            return Fault(number, None, "points of x and y, or of x, y and seconds", found, "give (points, 2 or 3)")
        if stroke.shape[1] != drawing[0].shape[1]:
            return Fault(number, None, "seconds in every stroke or in none", "both", "leave them out")
        if not len(stroke):
            return Fault(number, None, "at least one point", "none", "remove the stroke")
        odd = np.argwhere(~np.isfinite(stroke))
        if len(odd):
            point, column = odd[0].tolist()
            return Fault(number, point, "finite numbers", str(stroke[point, column]), "correct or remove the point")
        if stroke.shape[1] == 3:
            times = np.concatenate([[clock], stroke[:, 2]])
            back = np.flatnonzero(times[1:] < times[:-1])
            if len(back):
                point = int(back[0])
                found = f"{times[point + 1]:.15g} s after {times[point]:.15g} s"
                return Fault(number, point, "a clock that never runs back", found, "hold it or leave the times out")
            clock = float(stroke[-1, 2])
    return None


def checked(value: Sequence[np.ndarray], owner: str) -> Drawing:
    """The drawing with float64 strokes; raises DataError in the owner's name where it is none."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise DataError(f"{owner}: expected a drawing as a list of strokes, got {type(value).__name__}: pass a list.")
    try:
        drawing = [np.asarray(stroke, np.float64) for stroke in value]
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{owner}: expected strokes of numbers ({error}): give arrays (points, 2 or 3).") from error
    fault = fault_of(drawing)
    if fault is not None:
        place = f"stroke {fault.stroke}" + ("" if fault.point is None else f", point {fault.point}")
        raise DataError(f"{owner}: expected {fault.expected}, got {fault.found} in {place}: {fault.advice}.")
    return drawing


def measured(drawing: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """The corner (2,) of the smallest x and y, and the longer side of the box around all points; 0 for a dot."""
    points = np.concatenate([stroke[:, :2] for stroke in drawing])
    corner = points.min(0)
    with np.errstate(over="ignore"):
        return corner, float((points.max(0) - corner).max())


def boxed(drawing: Sequence[np.ndarray]) -> Drawing:
    """x and y of the strokes in a box at (0, 0) whose longer side is 1; a dot is at (0, 0)."""
    # Halves, because a side may be twice as long as any number that float64 holds.
    halves = [stroke[:, :2] / 2 for stroke in drawing]
    corner, size = measured(halves)
    return [(stroke - corner) / (size or 1.0) for stroke in halves]


def held_clock(drawing: Sequence[np.ndarray]) -> Drawing:
    """The drawing with each time that runs back held at the latest before it; without times as it is."""
    if not drawing or drawing[0].shape[1:] != (3,):
        return list(drawing)
    found, clock = [], -math.inf
    for stroke in drawing:
        times = np.maximum(np.maximum.accumulate(stroke[:, 2]), clock)
        found.append(np.column_stack([stroke[:, :2], times]))
        clock = float(times[-1]) if len(times) else clock
    return found


def without_times(drawing: Sequence[np.ndarray]) -> Drawing:
    """The drawing as x and y alone."""
    return [stroke[:, :2].copy() for stroke in drawing]
