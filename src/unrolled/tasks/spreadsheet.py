"""Results as CSV that a spreadsheet shows and never runs."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence

__all__ = ["csv_text"]

_END = "\r\n"
# What makes a spreadsheet take a cell for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv_text(rows: Iterable[Sequence[object]], *, raw: bool = False) -> str:
    """The rows as CSV; a text that a spreadsheet would run as a formula gets an apostrophe before it, unless `raw`."""
    lines = _Lines()
    csv.writer(lines, lineterminator=_END).writerows(
        rows if raw else ([_defused(cell) for cell in row] for row in rows)
    )
    return "".join(lines)


class _Lines(list[str]):
    """Takes lines that end in both characters, so that either is quoted inside of a cell, and ends them in one."""

    def write(self, line: str) -> None:
        self.append(f"{line.removesuffix(_END)}\n")


def _defused(cell: object) -> object:
    if not isinstance(cell, str) or not cell.startswith(_FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    # Tabs and ends of lines around a number are no part of it.
    return cell if cell == cell.strip() else f"'{cell}"
