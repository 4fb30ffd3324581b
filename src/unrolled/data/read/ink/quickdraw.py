"""Quick Draw's ndjson: an object a line, its "drawing" a list of strokes, each a list of x, of y and, raw, of times."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from unrolled.data.read.files import file_name, iterate_text
from unrolled.data.read.ink.clock import Times, settled
from unrolled.errors import DataError, said_by
from unrolled.fields.ink import Drawing

__all__ = ["begins_quickdraw", "iterate_quickdraw"]


def iterate_quickdraw(
    source: str | Path, times: Times, names: Sequence[str] = ("word",)
) -> Iterator[tuple[int, Drawing, str | None]]:
    """(line, drawing, its label or None) of each line; milliseconds become seconds.

    names: what labels may be called; the first of them that stands in some line is what all are called from there on.

    Raises:
        DataError: a line that does not fit; it is named.
    """
    name, called = file_name(source), ""
    for number, line in enumerate(iterate_text(source), start=1):
        if not line.strip():
            continue
        row = _parsed(line, number, name)
        strokes = row.get("drawing")
        if not isinstance(strokes, list) or not strokes:
            raise DataError(
                f'Expected an object with "drawing", a list of strokes, in line {number} of {name}, but got '
                f"{line[:40]!r}: write one whole drawing a line."
            )
        called = called or next((label for label in names if label in row), "")
        word = row.get(called)
        if word is not None and not isinstance(word, str):
            raise DataError(
                f'Expected text as "{called}" in line {number} of {name}, but got {str(word)[:40]}: write it as text.'
            )

        def place(stroke: int, point: int | None, line: int = number) -> str:
            return f"{'' if point is None else f'point {point} of '}stroke {stroke} in line {line} of {name}"

        found = [_stroke(stroke, place(i, None)) for i, stroke in enumerate(strokes)]
        yield number, settled(found, times, place), word


def begins_quickdraw(source: str | Path) -> bool:
    """Whether the first line that is not empty is an object with a drawing."""
    line = next((line for line in iterate_text(source) if line.strip()), "")
    try:
        return isinstance(_parsed(line, 1, "").get("drawing"), list)
    except DataError:
        # What is wrong with it is told by whoever reads it.
        return False


def _parsed(line: str, number: int, name: str) -> dict[str, object]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"Line {number} of {name} is not JSON ({said_by(error)}): write one whole object a line."
        ) from error
    return row if isinstance(row, dict) else {}


def _stroke(stroke: object, place: str) -> np.ndarray:
    columns = stroke if isinstance(stroke, list) else []
    alike = all(isinstance(column, list) for column in columns) and len({len(column) for column in columns}) == 1
    # True is 1 for Python, and "1" for numpy, but a file that holds them is of another kind.
    if len(columns) not in (2, 3) or not alike or {type(v) for column in columns for v in column} - {int, float}:
        raise DataError(
            f"Expected [x, y] or [x, y, milliseconds], lists of equally many numbers, in {place}: mend that line."
        )
    try:
        points = np.array(columns, np.float64).T
    except OverflowError as error:
        raise DataError(f"Expected numbers below 1e308 in {place}, but got a larger one: mend that line.") from error
    return np.ascontiguousarray(points / ([1, 1, 1e3] if len(columns) == 3 else 1))
