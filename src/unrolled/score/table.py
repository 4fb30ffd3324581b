"""Rows of scores as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["score_lines"]

Score = str | float | None


def score_lines(rows: Sequence[Mapping[str, Score]]) -> list[str]:
    """Rows of the same columns as lines of text below a line of their names; the first column to the left.

    Numbers are written in four digits, and "-" stands for None.

    >>> print("\\n".join(score_lines([{"name": "model", "mae": 12.3456}, {"name": "naive", "mae": None}])))
    name     mae
    model  12.35
    naive      -
    """
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in cells]


def _cell(value: Score) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.4g}"
