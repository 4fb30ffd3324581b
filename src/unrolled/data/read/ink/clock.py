"""What is done with the times of a drawing that was read, and the sentence about what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from unrolled.errors import DataError
from unrolled.fields.ink import Drawing, fault_of, held_clock, without_times

__all__ = ["TIMES", "Place", "Times", "settled"]

Times: TypeAlias = Literal["strict", "held", "none"]
"""What is done with times: taken as they are, held where they run back, left out."""

TIMES: tuple[Times, ...] = ("strict", "held", "none")

Place: TypeAlias = Callable[[int, int | None], str]
"""Where a stroke, or a point of it, stands in the source, for messages."""


def settled(strokes: Sequence[np.ndarray], times: Times, place: Place) -> Drawing:
    """The drawing with its times as asked for. Raises DataError where something is wrong with it."""
    if times == "none":
        strokes = without_times(strokes)
    elif times == "held":
        strokes = held_clock(strokes)
    fault = fault_of(strokes)
    if fault is None:
        return list(strokes)
    advice = "read it with times='held' or times='none'" if "clock" in fault.expected else fault.advice
    raise DataError(
        f"Expected {fault.expected} in {place(fault.stroke, fault.point)}, but got {fault.found}: {advice}."
    )
