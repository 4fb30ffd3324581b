"""The ways people write dates, brought to ISO 8601 by rewriting the whole column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unrolled.data.read.codes import decode
from unrolled.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Dates", "iso_dates"]

# Rewrites that bring the common ways to write a date to YYYY-MM-DD; each is tried on every value.
_REWRITES = (
    (r"^\s+|\s+$", ""),
    (r"^(\d{4}-\d{2}-\d{2})/\d{4}-\d{2}-\d{2}$", r"\1"),
    (r"^(\d{4})[/.](\d{1,2})([/.](\d{1,2}))?", r"\1-\2-\4"),
    (r"^(\d{4}-\d{1,2})-$", r"\1"),
    (r"^(\d{1,2})[/.-](\d{4})$", r"\2-\1"),
    (r"^(\d{4})[Mm](\d{2})$", r"\1-\2"),
    (r"^(\d{4})(\d{2})(\d{2})$", r"\1-\2-\3"),
    (r"^(\d{4})$", r"\1-01"),
    (r"^(\d{4})-(\d)(\D|$)", r"\1-0\2\3"),
    (r"^(\d{4}-\d{2})-(\d)(\D|$)", r"\1-0\2\3"),
    (r"^(\d{4}-\d{2})$", r"\1-01"),
    (r"^(\d{4})[- ]?[Qq]1$", r"\1-01-01"),
    (r"^(\d{4})[- ]?[Qq]2$", r"\1-04-01"),
    (r"^(\d{4})[- ]?[Qq]3$", r"\1-07-01"),
    (r"^(\d{4})[- ]?[Qq]4$", r"\1-10-01"),
    (r"^(\d{4}-\d{2}-\d{2})[T ]+(\d):", r"\1 0\2:"),
    (r"^(\d{4}-\d{2}-\d{2})[T ]+(\d{2})$", r"\1 \2:00"),
    (r"(\d{2}:\d{2}(:\d{2}([.,]\d+)?)?) ?(UTC|GMT|z)$", r"\1Z"),
    (r" ?([+-]\d{2})(\d{2})?$", r"\1\2"),
)
_MONTHS = (
    "jan(uary)?", "feb(ruary)?", "mar(ch)?", "apr(il)?", "may", "june?", "july?", "aug(ust)?", "sep(t(ember)?)?",
    "oct(ober)?", "nov(ember)?", "dec(ember)?",
)  # fmt: skip
# What stands where once months are numbers behind an "m"; two digits of a year are of 1970 to 2069.
_DAY, _GAP = r"(\d{1,2})(?:st|nd|rd|th)?", r"[ ,./-]*"
_NAMED = (
    (r"^m(\d\d)[ ,./'-]*(\d{4})$", r"\2-\1-01"),
    (r"^m(\d\d)[ /'-]+([0-6]\d)$", r"20\2-\1-01"),
    (r"^m(\d\d)[ /'-]+([7-9]\d)$", r"19\2-\1-01"),
    (r"^(\d{4})[ ,./-]*m(\d\d)$", r"\1-\2-01"),
    (rf"^m(\d\d)[ .-]*{_DAY}[ ,.-]+(\d{{4}})", r"\3-\1-\2"),
    (rf"^{_DAY}{_GAP}m(\d\d){_GAP}(\d{{4}})", r"\3-\2-\1"),
    (rf"^{_DAY}{_GAP}m(\d\d)[ /-]([0-6]\d)(\D|$)", r"20\3-\2-\1\4"),
    (rf"^{_DAY}{_GAP}m(\d\d)[ /-]([7-9]\d)(\D|$)", r"19\3-\2-\1\4"),
    (rf"^(\d{{4}}){_GAP}m(\d\d){_GAP}(\d{{1,2}})", r"\1-\2-\3"),
)
# Nothing is to be rewritten where every value is written so.
_PLAIN = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?Z?)?$"
# Weeks of ISO 8601, with or without a day.
_WEEK = r"^\s*(?P<year>\d{4})[- ]?[Ww](?P<week>\d{1,2})(?:-?(?P<day>[1-7]))?\s*$"
_WEEKDAY = r"(?i)^\s*(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*[ ,.]+"
_NOON = r"(?i)\d ?[ap]\.?m\.?$"
_NUMERIC = r"^\s*(?P<a>\d{1,2})[/.-](?P<b>\d{1,2})[/.-](?P<year>\d{4})"
_SHORT = re.compile(r"\s*\d{1,2}[/.]\d{1,2}[/.]\d{2}(\D|$)")
_SHORT_YEARS = (
    (r"^(\s*\d{1,2}[/.]\d{1,2}[/.])([0-6]\d)(\D|$)", r"\120\2\3"),
    (r"^(\s*\d{1,2}[/.]\d{1,2}[/.])([7-9]\d)(\D|$)", r"\119\2\3"),
)


class Dates(NamedTuple):
    """A column near ISO 8601; whether days came before months (None: not asked), and if so, who said it."""

    text: pa.Array
    day_first: bool | None
    guessed: bool


def iso_dates(text: pa.Array, day_first: bool | None, name: str) -> Dates:
    """The column with every common way to write a date as YYYY-MM-DD; what is no date stays as it is.

    Args:
        text: strings (N,), none missing.
        day_first: how to read 01/02/2012; None: as the column itself shows.
        name: the column's, for the message.

    Raises:
        DataError: day and month cannot be told apart.
    """
    import pyarrow.compute as pc

    if pc.all(pc.match_substring_regex(text, _PLAIN)).as_py():
        return Dates(text, day_first, guessed=False)
    if len(text) and pc.all(pc.match_substring_regex(text, _WEEK)).as_py():
        return Dates(_days_of_weeks(text), day_first, guessed=False)
    if pc.any(pc.match_substring_regex(text, r"[A-Za-z]{3}")).as_py():
        text = _numbered_months(text)
    if pc.any(pc.match_substring_regex(text, _NOON)).as_py():
        text = _whole_day(text)
    if len(text) and _SHORT.match(text[0].as_py()):
        text = _replaced(text, _SHORT_YEARS)
    text, day_first, guessed = _ordered(text, day_first, name)
    if pc.all(pc.match_substring_regex(text, _PLAIN)).as_py():
        return Dates(text, day_first, guessed)
    return Dates(_replaced(text, _REWRITES), day_first, guessed)


def _replaced(text: pa.Array, rewrites: tuple[tuple[str, str], ...]) -> pa.Array:
    import pyarrow.compute as pc

    for pattern, replacement in rewrites:
        text = pc.replace_substring_regex(text, pattern, replacement)
    return text


def _numbered_months(text: pa.Array) -> pa.Array:
    numbers = tuple((rf"(?i){month}\.?", f"m{number:02d}") for number, month in enumerate(_MONTHS, start=1))
    return _replaced(text, ((_WEEKDAY, ""), (r"^\s+|\s+$", ""), *numbers, *_NAMED))


def _days_of_weeks(text: pa.Array) -> pa.Array:
    """The Monday of each week, or the day that it names; a week that its year has not stays as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = pc.extract_regex(text, _WEEK)
    year, week, day = (
        pc.replace_substring_regex(parts.field(name), "^$", "1").cast(pa.int64()).to_numpy()
        for name in ("year", "week", "day")
    )
    coded = decode(100 * year + week, "YYYYWW")
    written = np.datetime_as_string(coded.dates.astype("datetime64[D]") + (day - 1))
    return pc.if_else(pa.array(coded.valid), pa.array(written), text)


def _whole_day(text: pa.Array) -> pa.Array:
    """Hours of am and pm as hours from 0 to 23."""
    hours = []
    for half, begin in (("a", 0), ("p", 12)):
        for hour in range(1, 13):
            clock = rf"(?i)([T ])0?{hour}(:\d\d(?::\d\d)?)? ?{half}\.?m\.?$"
            hours.append((clock, rf"\1{begin + hour % 12:02d}\2"))
    return _replaced(text, tuple(hours))


def _ordered(text: pa.Array, day_first: bool | None, name: str) -> Dates:
    """Dates like 31/01/2012 as 2012-01-31, the order of day and month given or seen from the whole column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    parts = pc.extract_regex(text, _NUMERIC)
    if parts.null_count or len(text) == 0:
        return Dates(text, day_first, guessed=False)
    first, second = (pc.max(pc.struct_field(parts, i).cast(pa.int64())).as_py() for i in (0, 1))
    given = day_first is not None
    if day_first is None and max(first, second) > 12:
        day_first = first > 12
    if day_first is None and pc.all(pc.match_substring_regex(text, r"^\s*\d+\.\d+\.")).as_py():
        # Dots are written where the day comes first.
        day_first = True
    if day_first is None:
        raise DataError(
            f"Time column {name!r} holds dates like {text[0].as_py()!r}, where day and month cannot be told apart: "
            "pass day_first=True or day_first=False (--day-first or --month-first), or write them as YYYY-MM-DD."
        )
    order = r"\3-\2-\1" if day_first else r"\3-\1-\2"
    rewritten = pc.replace_substring_regex(text, r"^\s*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", order)
    return Dates(rewritten, day_first, guessed=not given)
