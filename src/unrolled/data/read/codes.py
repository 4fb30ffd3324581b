"""Whole numbers that are dates: 201501, 201553, 2015365, 20150131, 2015013106, seconds since 1970; told from counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["COUNT", "Coded", "decode", "looks_coded", "recognise"]

# Numbers that count, the one form that is no date.
COUNT = "count"
# So many of the numbers must be dates for the others to be mistakes.
MOST = 0.9
_LAST_OF_A_YEAR = (12, 52, 53)


class Coded(NamedTuple):
    """Numbers read as dates of one form: its name, the dates datetime64[ns] (N,), and which of them are dates."""

    form: str
    dates: np.ndarray
    valid: np.ndarray


def decode(counts: np.ndarray, form: str) -> Coded:
    """The numbers as dates of the form named: YYYYQ, YYYYMM, YYYYWW (ISO weeks), YYYYDDD, YYYYMMDD or with a clock, or
    what has gone by since 1970.
    """
    days, valid = _FORMS[form](counts)
    # A date outside nanoseconds must not wrap around: it is invalid, and what stands there does not matter.
    valid = valid & (days >= np.datetime64("1678-01-01")) & (days < np.datetime64("2262-01-01"))
    return Coded(form, np.where(valid, days, np.datetime64("1970-01-01")).astype("datetime64[ns]"), valid)


def recognise(counts: np.ndarray) -> Coded | None:
    """The numbers as dates where nearly all of them are; None where they count."""
    if len(counts) == 0 or counts.min() <= 0:
        return None
    digits = {len(str(int(counts.min()))), len(str(int(counts.max())))}
    found = [decode(counts, form) for form in _BY_DIGITS.get(digits.pop(), ())] if len(digits) == 1 else []
    if len(found) > 1 and not _end_in_december(counts):
        # Years that go beyond 12 are of weeks; with months, a single 13 is a mistake.
        found = found[1:]
    if found and found[0].valid.mean() >= (MOST if len(counts) >= 10 else 1):
        return found[0]
    return _whole_minutes(counts)


def _whole_minutes(counts: np.ndarray) -> Coded | None:
    """Numbers whole minutes apart that are all in the years 2000 to 2100, as seconds or as milliseconds since 1970."""
    gaps = np.diff(np.unique(counts))
    for form, second in _SINCE.items():
        if len(gaps) and counts.min() >= 946_684_800 * second and counts.max() < 4_102_444_800 * second:
            return decode(counts, form) if np.gcd.reduce(gaps) % (60 * second) == 0 else None
    return None


def _end_in_december(counts: np.ndarray) -> bool:
    """Whether a year that another follows ends at 12; where none is followed, whether nothing goes beyond."""
    years, places = np.unique(counts // 100), counts % 100
    ends = [int(places[counts // 100 == year].max()) for year in years[:-1]]
    return 12 in ends if ends else bool(places.max() <= 12)


def looks_coded(counts: np.ndarray) -> bool:
    """Whether every jump leads from 12, 52 or 53 at the end of a number to 01 of the next hundred: 11152, 11201."""
    distinct = np.unique(counts)
    gaps = np.diff(distinct)
    jumps = np.flatnonzero(gaps > 1)
    before, after = distinct[jumps], distinct[jumps + 1]
    yearly = (after % 100 == 1) & (after // 100 == before // 100 + 1) & np.isin(before % 100, _LAST_OF_A_YEAR)
    return bool(len(jumps) and distinct[0] >= 100 and yearly.all())


def _likely(years: np.ndarray) -> np.ndarray:
    likely: np.ndarray = (years >= 1800) & (years <= 2200)
    return likely


def _first_days(years: np.ndarray, months: np.ndarray | int = 1) -> np.ndarray:
    first: np.ndarray = ((years - 1970) * 12 + months - 1).astype("datetime64[M]").astype("datetime64[D]")
    return first


def _months(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    years, months = counts // 100, counts % 100
    return _first_days(years, months), _likely(years) & (months >= 1) & (months <= 12)


def _quarters(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    years, quarters = counts // 10, counts % 10
    return _first_days(years, 3 * quarters - 2), _likely(years) & (quarters >= 1) & (quarters <= 4)


def _weeks(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    years, weeks = counts // 100, counts % 100
    mondays = _first_monday(years) + 7 * (weeks - 1)
    return mondays, _likely(years) & (weeks >= 1) & (mondays < _first_monday(years + 1))


def _first_monday(years: np.ndarray) -> np.ndarray:
    """The Monday of the ISO week that holds January 4; 1970-01-05 was a Monday."""
    fourth = _first_days(years).astype(np.int64) + 3
    mondays: np.ndarray = ((fourth - 4) // 7 * 7 + 4).astype("datetime64[D]")
    return mondays


def _days_of_years(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    years, days = counts // 1000, counts % 1000
    dates = _first_days(years) + (days - 1)
    return dates, _likely(years) & (days >= 1) & (dates < _first_days(years + 1))


def _days(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    years, months, days = counts // 10000, counts // 100 % 100, counts % 100
    first = _first_days(years, months)
    dates = first + (days - 1)
    valid = (years >= 1678) & (years <= 2261) & (months >= 1) & (months <= 12) & (days >= 1)
    return dates, valid & (dates.astype("datetime64[M]") == first.astype("datetime64[M]"))


def _clock(parts: int) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Days followed by `parts` of hour, minute, second, two digits each."""

    def read(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        dates, valid = _days(counts // 100**parts)
        seconds = np.zeros(len(counts), np.int64)
        for place, (most, length) in enumerate(((24, 3600), (60, 60), (60, 1))[:parts]):
            value = counts // 100 ** (parts - 1 - place) % 100
            valid, seconds = valid & (value < most), seconds + value * length
        return dates.astype("datetime64[s]") + seconds, valid & _likely(counts // 100 ** (parts + 2))

    return read


def _since(second: int) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """What has gone by since 1970, `second` of it in a second."""

    def read(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (counts * (1000 // second)).astype("datetime64[ms]"), np.abs(counts) < 2**33 * second

    return read


# How many of what has gone by since 1970 are in a second.
_SINCE = {"in seconds since 1970": 1, "in milliseconds since 1970": 1000}
_FORMS: dict[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {
    "YYYYQ": _quarters,
    "YYYYMM": _months,
    "YYYYWW": _weeks,
    "YYYYDDD": _days_of_years,
    "YYYYMMDD": _days,
    "YYYYMMDDHH": _clock(1),
    "YYYYMMDDHHMM": _clock(2),
    "YYYYMMDDHHMMSS": _clock(3),
    **{form: _since(second) for form, second in _SINCE.items()},
}
_BY_DIGITS = {digits: [form for form in _FORMS if len(form) == digits] for digits in {len(form) for form in _FORMS}}
