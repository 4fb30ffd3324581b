"""Rows of scores as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from unrolled.score.rates import Rates

__all__ = ["rates_table", "score_table"]

# Longer labels are cut in the table, not in the report.
LABEL_WIDTH = 40

Score = str | float | None


def score_table(rows: Sequence[Mapping[str, Score]]) -> str:
    """Rows of the same columns as lines below one of their names, the first column on the left.

    Numbers are written in four digits, and "-" stands for None.

    >>> print(score_table([{"name": "model", "mae": 12.3456}, {"name": "naive", "mae": None}]))
    name     mae
    model  12.35
    naive      -
    """
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in cells]
    return "\n".join(lines)


def rates_table(rows: Sequence[tuple[str, Rates | None, float, int]]) -> str:
    """Lines of label, precision, recall, F1 and support. A row is (label, rates, f1, support); rates None: F1 alone."""
    names = [_cut(label) for label, *_ in rows]
    width = max(map(len, names), default=0)
    lines = [f"{'':{width}}  precision  recall     f1  support"]
    for name, (_, rates, f1, support) in zip(names, rows, strict=True):
        two = f"{'':9}  {'':6}" if rates is None else f"{rates.precision:9.3f}  {rates.recall:6.3f}"
        lines.append(f"{name:{width}}  {two}  {f1:5.3f}  {support:7d}")
    return "\n".join(lines)


def _cell(value: Score) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def _cut(label: str) -> str:
    return label if len(label) <= LABEL_WIDTH else f"{label[: LABEL_WIDTH - 1]}…"
