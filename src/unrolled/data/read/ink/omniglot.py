"""Omniglot's text: START, then lines of x, y and milliseconds, and BREAK at the end of each stroke."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np

from unrolled.data.read.files import iterate_text
from unrolled.data.read.ink.clock import Times, settled
from unrolled.data.read.table_layout import is_datum
from unrolled.errors import DataError
from unrolled.fields.ink import Drawing

__all__ = ["begins_omniglot", "parse_omniglot"]

# Its y grows upwards, its times are milliseconds.
_UNITS = np.array([1.0, -1.0, 1e-3])


def parse_omniglot(data: bytes, name: str, times: Times) -> Drawing:
    """The drawing of a file, y downwards, with seconds.

    Raises:
        DataError: what is no such text, ends within a stroke, or holds a point that does not fit; the line is named.
    """
    strokes, lines, last = _strokes(data, name)
    if last != "BREAK" or not strokes:
        raise DataError(f"{name} ends within a drawing, expected BREAK as its last line: get the whole file.")

    def place(stroke: int, point: int | None) -> str:
        number = lines[stroke][0] if point is None else lines[stroke][1] + point
        return f"line {number} of {name}"

    return settled([np.array(stroke, np.float64).reshape(-1, 3) * _UNITS + 0.0 for stroke in strokes], times, place)


def begins_omniglot(source: str | Path) -> bool:
    """Whether a file begins as one of Omniglot's does: START, then numbers, or the end of an empty stroke."""
    lines = [line.strip() for line in islice((line for line in iterate_text(source) if line.strip()), 2)]
    if lines[:1] != ["START"]:
        return False
    return len(lines) < 2 or lines[1] == "BREAK" or all(map(is_datum, lines[1].split(",")))


def _strokes(data: bytes, name: str) -> tuple[list[list[list[float]]], list[tuple[int, int]], str]:
    """The points of each stroke, the lines of its BREAK and of its first point, and the last line."""
    strokes, lines, points, begun, last = list[list[list[float]]](), list[tuple[int, int]](), list[list[float]](), 0, ""
    for number, line in enumerate(_text(data, name).splitlines(), start=1):
        line = line.strip()
        if not line:
            continue
        if (line == "START") != (not last):
            raise DataError(
                f"Expected START once, as the first line of {name}, but line {number} is {line[:40]!r}: get the whole "
                "file of one drawing."
            )
        if line == "BREAK":
            strokes.append(points)
            lines.append((number, begun))
            points = []
        elif line != "START":
            begun = begun if points else number
            points.append(_point(line, number - begun == len(points), number, name))
        last = line
    return strokes, lines, last


def _point(line: str, joined: bool, number: int, name: str) -> list[float]:
    try:
        values = [float(field) for field in line.split(",")]
    except ValueError:
        values = []
    if len(values) != 3 or not joined:
        raise DataError(
            f"Expected 'x,y,milliseconds', BREAK, and no empty line between points, in line {number} of {name}, but "
            f"got {line[:40]!r}: mend the file."
        )
    return values


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError as error:
        raise DataError(f"{name} is no text of numbers (byte {error.start} is no letter): give a drawing.") from error
