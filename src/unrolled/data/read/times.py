"""A time column of a table as timestamps or counts, with the row named where a value does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unrolled.data.read.table import row_name, source_name
from unrolled.data.read.values import is_text, plain_column
from unrolled.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

# Rewrites that bring the common ways to write a date to YYYY-MM-DD; each is tried on every value.
_REWRITES = (
    (r"^\s+|\s+$", ""),
    (r"^(\d{4})[/.](\d{1,2})([/.](\d{1,2}))?", r"\1-\2-\4"),
    (r"^(\d{4}-\d{1,2})-$", r"\1"),
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
    (r" ?([+-]\d{2})(\d{2})?$", r"\1\2"),
)
# Counters stay exact as float64, and their differences within int64.
_LARGEST = 2**53
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?$"
_ZONE = r":\d{2}.*( ?(Z|[+-]\d{2}:?\d{2}))$"
_NAMED_MONTHS = ("%b %d %Y", "%d %b %Y", "%b %d, %Y", "%d-%b-%Y", "%B %d %Y", "%d %B %Y")


def time_column(table: pa.Table, name: str) -> np.ndarray:
    """The column as datetime64[ns] (N,), or int64 for a column of plain counts; times with a zone come out in UTC.

    Text may be ISO 8601 ("2012-01-31", "2012-01-31 06:00", "2012-01", "2012-01-31T06:00Z"), with "/" or "." for "-",
    "20120131", "2012Q1", "31/01/2012" or "01/31/2012" (where the column itself tells which comes first), or "Jan 31
    2012". A column of integers that all read as YYYYMMDD is taken as dates, any other as a counter.

    Raises:
        DataError: a value is missing, is no date, or lies outside the years 1678 to 2261.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column = plain_column(table, name)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(
            f"Time column {name!r} of {source_name(table)} has no value in {row_name(table, row)}: "
            "fill it in or remove the row."
        )
    kind = column.type
    if pa.types.is_integer(kind):
        return _integer_times(table, name, column)
    if pa.types.is_floating(kind) and pc.all(pc.equal(pc.floor(column), column)).as_py():
        return _integer_times(table, name, column)
    if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
        return _nanoseconds(table, name, column.cast(pa.timestamp("ns") if pa.types.is_date(kind) else kind))
    if is_text(table, name):
        return _text_times(table, name, column)
    raise DataError(
        f"Time column {name!r} of {source_name(table)} holds {kind}, not dates or whole numbers: choose another."
    )


def _integer_times(table: pa.Table, name: str, column: pa.Array) -> np.ndarray:
    import pyarrow as pa

    counts: np.ndarray = column.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
    beyond = np.flatnonzero((counts > _LARGEST) | (counts < -_LARGEST))
    if len(beyond):
        row = int(beyond[0])
        raise DataError(
            f"Time column {name!r} of {source_name(table)} holds {column[row]} in {row_name(table, row)}: "
            "expected dates, or whole numbers below 2^53 that count."
        )
    year, month, day = counts // 10000, counts // 100 % 100, counts % 100
    if (
        len(counts)
        and ((year >= 1678) & (year <= 2261) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)).all()
    ):
        months = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (month - 1)
        days = months.astype("datetime64[D]") + (day - 1)
        if (days.astype("datetime64[M]") == months).all():
            dates: np.ndarray = days.astype("datetime64[ns]")
            return dates
    return counts


def _nanoseconds(table: pa.Table, name: str, column: pa.Array) -> np.ndarray:
    import pyarrow as pa

    try:
        # A zone changes only how an instant is shown; underneath the values are UTC.
        instants: np.ndarray = column.cast(pa.timestamp("ns", tz=column.type.tz)).cast(pa.int64()).to_numpy()
        return instants.astype("datetime64[ns]")
    except pa.ArrowInvalid as error:
        years = column.cast(pa.timestamp("s", tz=column.type.tz), safe=False).cast(pa.int64()).to_numpy()
        years = years.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
        row = int(np.flatnonzero((years < 1678) | (years > 2261))[0])
        raise _no_year(table, name, column, row) from error


def _text_times(table: pa.Table, name: str, column: pa.Array) -> np.ndarray:
    import pyarrow as pa
    import pyarrow.compute as pc

    text = _day_first(table, name, column.cast(pa.string()))
    for pattern, replacement in _REWRITES:
        text = pc.replace_substring_regex(text, pattern, replacement)
    iso = pc.match_substring_regex(text, _ISO)
    if not pc.any(iso).as_py() and len(text):
        return _named_months(table, name, column)
    if not pc.all(iso).as_py():
        raise _no_date(table, name, column, int(pc.index(iso, False).as_py()))
    zoned = pc.match_substring_regex(text, _ZONE)
    if pc.any(zoned).as_py() and not pc.all(zoned).as_py():
        row = int(pc.index(zoned, not zoned[0].as_py()).as_py())
        raise DataError(
            f"Time column {name!r} of {source_name(table)} mixes times with and without a zone, first in "
            f"{row_name(table, row)}: write all of them in one way."
        )
    zone = "UTC" if pc.any(zoned).as_py() else None
    try:
        seconds = text.cast(pa.timestamp("ns", tz=zone))
    except pa.ArrowInvalid as error:
        row = _first_failure(text, zone)
        if not 1678 <= int(text[row].as_py()[:4]) <= 2261:
            raise _no_year(table, name, column, row) from error
        raise _no_date(table, name, column, row) from error
    return _nanoseconds(table, name, seconds)


def _day_first(table: pa.Table, name: str, text: pa.Array) -> pa.Array:
    """Dates like 31/01/2012 as 2012-01-31, the order of day and month seen from the whole column."""
    import pyarrow.compute as pc

    parts = pc.extract_regex(text, r"^\s*(?P<a>\d{1,2})[/.-](?P<b>\d{1,2})[/.-](?P<year>\d{4})")
    if parts.null_count:
        return text
    first, second = (np.array(pc.struct_field(parts, i).to_pylist(), np.int64) for i in (0, 1))
    if first.max() > 12 and second.max() > 12:
        row = int(np.argmax(first > 12)) if second[0] > 12 else int(np.argmax(second > 12))
        raise _no_date(table, name, text, row)
    if first.max() <= 12 and second.max() <= 12:
        raise DataError(
            f"Time column {name!r} of {source_name(table)} holds dates like {text[0].as_py()!r}, "
            "where day and month cannot "
            "be told apart: write them as YYYY-MM-DD."
        )
    order = r"\3-\2-\1" if first.max() > 12 else r"\3-\1-\2"
    return pc.replace_substring_regex(text, r"^\s*(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", order)


def _named_months(table: pa.Table, name: str, column: pa.Array) -> np.ndarray:
    import pyarrow.compute as pc

    best = max(
        (pc.strptime(column, layout, "s", error_is_null=True) for layout in _NAMED_MONTHS),
        key=lambda parsed: len(parsed) - parsed.null_count,
    )
    if best.null_count:
        raise _no_date(table, name, column, int(np.flatnonzero(best.is_null().to_numpy(zero_copy_only=False))[0]))
    return _nanoseconds(table, name, best)


def _first_failure(text: pa.Array, zone: str | None) -> int:
    import pyarrow as pa

    low, high = 0, len(text)
    # The first row whose prefix does not parse: halving finds it in a few casts.
    while high - low > 1:
        middle = (low + high) // 2
        try:
            text[low:middle].cast(pa.timestamp("ns", tz=zone))
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _no_date(table: pa.Table, name: str, column: pa.Array, row: int) -> DataError:
    return DataError(
        f"Time column {name!r} of {source_name(table)} expected a date but holds {column[row].as_py()!r} in "
        f"{row_name(table, row)}: write it as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS."
    )


def _no_year(table: pa.Table, name: str, column: pa.Array, row: int) -> DataError:
    return DataError(
        f"Time column {name!r} of {source_name(table)} holds {column[row]} in {row_name(table, row)}: "
        "expected a year from 1678 to 2261, so use whole numbers as a counter instead."
    )
