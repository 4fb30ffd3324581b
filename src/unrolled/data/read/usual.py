"""Columns that are seen from what they are called, and how they are named in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from unrolled.errors import listed

__all__ = ["TIME_NAMES", "said_columns", "usual_column", "usual_columns"]

# What columns of times are called, the likeliest first. What is a time in one kind of table alone stands where that is
# read: a "t" is a temperature elsewhere, and a "period" a measured length.
TIME_NAMES = ("ds", "date", "datetime", "timestamp", "time")


def usual_columns(names: Sequence[str], present: Iterable[str]) -> list[str]:
    """Of the columns that are present those called by one of the usual names, in any case, the first name's first.

    >>> usual_columns(("date", "time"), ["load", "Time", " DATE", "timer"])
    [' DATE', 'Time']
    """
    place = {name: i for i, name in enumerate(names)}
    return sorted((each for each in present if _plain(each) in place), key=lambda each: place[_plain(each)])


def usual_column(names: Sequence[str], present: Iterable[str]) -> str | None:
    """The likeliest of them, None where none is called so."""
    return next(iter(usual_columns(names, present)), None)


def _plain(name: str) -> str:
    return name.strip().lower()


def said_columns(names: Sequence[str]) -> str:
    """Columns in words.

    >>> said_columns(["a"]), said_columns(["a", "b"])
    ("column 'a'", "columns 'a', 'b'")
    """
    return f"column{'' if len(names) == 1 else 's'} {listed(map(repr, names))}"
