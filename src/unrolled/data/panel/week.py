"""The week of a shop or an exchange: the slots of a week in which rows exist at all, learned from the timestamps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Week", "numbers_of", "times_of", "weekly_slots"]

DAY = 24 * 3600 * 10**9
WEEK = 7 * DAY
# 1970-01-05 was the first Monday of the epoch.
_MONDAY = 4 * DAY
_SHORTEST = 60 * 10**9

# A plain step must leave this part of its rows missing before anything is learned; slots must explain most of them.
_SPARSE, _EXPLAINED, _FULL = 0.9, 0.6, 0.85
# A slot of the week that three weeks lack, or an hour that three days lack, does not exist.
_REPEATS = 3


class Week(NamedTuple):
    """size: the length of a slot in nanoseconds. slots: where those that exist begin, from Monday 0:00, rising."""

    size: int
    slots: tuple[int, ...]


def numbers_of(times: np.ndarray, slots: tuple[int, ...]) -> np.ndarray:
    """The number of the slot that each datetime64[ns] falls into or comes after, counted through all weeks."""
    weeks, inside = np.divmod(times.astype("datetime64[ns]").astype(np.int64) - _MONDAY, WEEK)
    numbers: np.ndarray = weeks * len(slots) + np.searchsorted(np.array(slots), inside, side="right") - 1
    return numbers


def times_of(numbers: np.ndarray, slots: tuple[int, ...]) -> np.ndarray:
    """Where the slots of these numbers begin, datetime64[ns]."""
    weeks, place = np.divmod(numbers, len(slots))
    begins: np.ndarray = weeks * WEEK + np.array(slots)[place] + _MONDAY
    return begins.astype("datetime64[ns]")


def weekly_slots(times: np.ndarray, offsets: np.ndarray) -> Week | None:
    """The slots that exist, where rows of a fixed step leave out the same hours or days again and again; else None.

    Args:
        times: (N,) datetime64[ns] as clocks on the spot show them, sorted and distinct within each series.
        offsets: (S+1,) int64, where each series begins, and N.
    """
    first, last = times[offsets[:-1]].astype(np.int64), times[offsets[1:] - 1].astype(np.int64)
    size = _slot_size(times, offsets)
    if size is None:
        return None
    plain = int(((last - first) // size + 1).sum())
    if len(times) > _SPARSE * plain:
        return None
    slots = _seen(times, size, int((last - first).max()))
    if slots is None:
        return None
    begin, end = (numbers_of(edge.astype("datetime64[ns]"), slots) for edge in (first, last))
    rows = int((end - begin + 1).sum())
    fits = len(times) >= _FULL * rows and plain - rows >= _EXPLAINED * (plain - len(times))
    return Week(size, slots) if fits else None


def _slot_size(times: np.ndarray, offsets: np.ndarray) -> int | None:
    """The longest step on whose grid all rows lie, where it divides the day."""
    inside = np.ones(max(len(times) - 1, 0), bool)
    inside[offsets[1:-1] - 1] = False
    gaps = np.diff(times.astype(np.int64))[inside]
    if len(gaps) == 0:
        return None
    size = int(np.gcd.reduce(np.append(gaps, DAY)))
    between = times[offsets[:-1]].astype(np.int64) % size
    return size if size >= _SHORTEST and (between == between[0]).all() else None


def _seen(times: np.ndarray, size: int, span: int) -> tuple[int, ...] | None:
    inside = (times.astype(np.int64) - _MONDAY) % WEEK
    if span >= _REPEATS * WEEK:
        slots = np.unique(inside)
    elif span >= _REPEATS * DAY and size < DAY:
        # Too short to tell of each slot of the week: the same hours on all days that have any.
        days = np.unique(inside // DAY) if span >= WEEK else np.arange(7)
        slots = (days[:, None] * DAY + np.unique(inside % DAY)).ravel()
    else:
        return None
    # Weeks, and Monday to Friday, are steps of their own, with names.
    weekdays = size == DAY and len(slots) == 5 and slots[-1] < 5 * DAY
    return None if weekdays or len(slots) == 1 else tuple(slots.tolist())
