"""Tables that are not long: a series in each row, with its steps in the columns; or no header."""

from __future__ import annotations

import re
from collections.abc import Sequence

from unrolled.data.read.table_layout import NO_HEADER, is_datum

__all__ = ["not_long"]

# So many columns that count or are dates are the steps of series.
STEPS = 6
_COUNTED = re.compile(r"(.*?)(\d+)")


def not_long(names: Sequence[str]) -> str:
    """What to do about a table of such columns, if it is not long; else nothing."""
    steps = _steps(names)
    if len(names) > 1 and all(map(is_datum, names)) and len(steps) < STEPS:
        return NO_HEADER
    if len(steps) < STEPS:
        return ""
    others = [name for name in names if name not in steps]
    if not others:
        # M4 counts the column of ids with the steps.
        others, steps = [steps[0]], steps[1:]
    ids = f"id_vars={others!r}, " if len(others) <= 3 else ""
    return (
        f"it seems to hold a series in each row, with its steps in the {len(steps):,} columns from {steps[0]!r} to "
        f"{steps[-1]!r}, so write it long, a row for each step with the series, the time and the value (pandas: "
        f"df.melt({ids}var_name='time', value_name='y'))."
    )


def _steps(names: Sequence[str]) -> list[str]:
    """The columns that are dates, or else the most that have one word and then a number that counts."""
    dates = [name for name in names if re.match(r"\d{4}\D?\d|\d{1,2}[-/.]\d", name) and is_datum(name)]
    counted: dict[str, list[str]] = {}
    for name in names:
        if parts := _COUNTED.fullmatch(name):
            counted.setdefault(parts[1], []).append(name)
    return max([dates, *counted.values()], key=len)
