"""A time column of a table as timestamps or counts, with the row named where a value does not fit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from unrolled.data.read.codes import COUNT, Coded, decode, looks_coded, recognise
from unrolled.data.read.dates import iso_dates
from unrolled.data.read.table import row_name, source_name
from unrolled.data.read.typed import is_text_type
from unrolled.data.read.values import plain_column
from unrolled.errors import DataError, listed
from unrolled.types import Json

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["TimeForm", "Times", "instants", "offset_name", "read_times", "wall_times"]

# Counters stay exact as float64, and their differences within int64.
_LARGEST = 2**53
_ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?( ?(Z|[+-]\d{2}:?\d{2}))?)?$"
_ZONE = r":\d{2}.*( ?(Z|[+-]\d{2}:?\d{2}))$"
_STRIPPED = r" ?(Z|[+-]\d{2}:?\d{2})$"
_DIGITS = r"^\s*(\d{5,7}|\d{10}|\d{12,14})\s*$"
_MINUTE = 60 * 10**9


@dataclass(frozen=True)
class TimeForm:
    """How a time column is written, so that later tables are read alike.

    Args:
        zone: "Europe/Berlin", "UTC", "+02:00", or None for times without one.
        day_first: whether 01/02/2012 is in February; None where no date is written so.
        code: the form of whole numbers: "YYYYMM" and alike, or "count"; None for other dates.
        shown: False for models of before zones were kept: times of a zone are read and shown as UTC.
    """

    zone: str | None = None
    day_first: bool | None = None
    code: str | None = None
    shown: bool = True

    def to_json(self) -> Json:
        """Plain JSON; `TimeForm(**data)` gives the form back."""
        return {"zone": self.zone, "day_first": self.day_first, "code": self.code, "shown": self.shown}


@dataclass(frozen=True, eq=False)
class Times:
    """A time column as read.

    Args:
        values: (N,) datetime64[ns], UTC where the column has a zone, or int64 for a counter.
        local: (N,) the same as clocks on the spot show them.
        form: how they were written.
        remarks: what was understood without being told, a fact each.
    """

    values: np.ndarray
    local: np.ndarray
    form: TimeForm
    remarks: tuple[str, ...] = ()


def read_times(table: pa.Table, name: str, form: TimeForm | None = None) -> Times:
    """The column as timestamps, or as counts for whole numbers that are no dates.

    Text may be ISO 8601 ("2012-01-31", "2012-01-31 06:00", "2012-01", "2012-01-31T06:00Z"), with "/" or "." for "-",
    "20120131", "2012Q1", "2012-W05", "31/01/2012" or "01/31/2012" (where the column itself or `form` tells which comes
    first), "Jan 31 2012", "31-Jan-12", "January 2012", "1/31/2012 6:15 PM". Whole numbers, as numbers or as text, that
    nearly all read as YYYYMM, YYYYWW (ISO weeks), YYYYDDD, YYYYMMDD or with hours, or as seconds or milliseconds since
    1970 whole minutes apart, are dates, any other a counter.

    Args:
        form: how an earlier table of the same data was written, or what the user said of it.

    Raises:
        DataError: a value is missing, is no date, or lies outside the years 1678 to 2261.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    form = TimeForm() if form is None else form
    column = plain_column(table, name)
    if column.null_count:
        row = int(np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0])
        raise DataError(
            f"Time column {name!r} of {source_name(table)} has no value in {row_name(table, row)}: "
            "fill it in or remove the row."
        )
    kind = column.type
    if pa.types.is_integer(kind):
        return _integer_times(table, name, column, form)
    if pa.types.is_floating(kind) and pc.all(pc.equal(pc.floor(column), column)).as_py():
        return _integer_times(table, name, column, form)
    if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
        column = column.cast(pa.timestamp("ns")) if pa.types.is_date(kind) else column
        values = _nanoseconds(table, name, column)
        zone = column.type.tz
        return Times(values, wall_times(values, zone), TimeForm(zone=zone))
    if is_text_type(kind):
        return _text_times(table, name, column.cast(pa.string()), form)
    raise DataError(
        f"Time column {name!r} of {source_name(table)} holds {kind}, not dates or whole numbers: choose another."
    )


def wall_times(values: np.ndarray, zone: str | None) -> np.ndarray:
    """UTC instants as clocks in the zone show them, both datetime64[ns]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if zone is None or zone == "UTC":
        return values
    if (offset := _offset(zone)) is not None:
        return values + offset

    def clocks(times: np.ndarray) -> np.ndarray:
        zoned = pa.array(times.astype("datetime64[ns]")).cast(pa.timestamp("ns", zone))
        shown: np.ndarray = pc.local_timestamp(zoned).cast(pa.int64()).to_numpy().astype("datetime64[ns]")
        return shown

    # Where clocks go forward at midnight, the day begins at 1:00: its label is midnight all the same.
    moment = np.timedelta64(1, "ns")
    walls: np.ndarray = np.minimum(clocks(values), clocks(values - moment) + moment)
    return walls


def instants(local: np.ndarray, zone: str | None) -> np.ndarray:
    """What clocks in the zone show as UTC instants; an hour that occurs twice is its first, one left out the next."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if zone is None or zone == "UTC":
        return local
    if (offset := _offset(zone)) is not None:
        return local - offset
    array = pa.array(local.astype("datetime64[ns]"))
    zoned = pc.assume_timezone(array, zone, ambiguous="earliest", nonexistent="latest")
    values: np.ndarray = zoned.cast(pa.int64()).to_numpy().astype("datetime64[ns]")
    return values


def _offset(zone: str) -> np.timedelta64 | None:
    """ "+02:00" as a duration; None for a zone with a name."""
    if zone[:1] not in "+-":
        return None
    hours, _, minutes = zone[1:].partition(":")
    size = 60 * int(hours) + int(minutes or 0)
    return np.timedelta64((-size if zone[0] == "-" else size) * _MINUTE, "ns")


def _integer_times(table: pa.Table, name: str, column: pa.Array, form: TimeForm) -> Times:
    import pyarrow as pa

    counts: np.ndarray = column.cast(pa.int64(), safe=False).to_numpy(zero_copy_only=False)
    beyond = np.flatnonzero((counts > _LARGEST) | (counts < -_LARGEST))
    if len(beyond):
        row = int(beyond[0])
        raise DataError(
            f"Time column {name!r} of {source_name(table)} holds {column[row]} in {row_name(table, row)}: "
            "expected dates, or whole numbers below 2^53 that count."
        )
    if form.code == COUNT:
        return Times(counts, counts, TimeForm(code=COUNT))
    coded = recognise(counts) if form.code is None else decode(counts, form.code)
    if coded is None:
        _check_counter(table, name, counts)
        return Times(counts, counts, TimeForm(code=COUNT))
    _check_coded(table, name, column, coded)
    said = (
        f"time: the whole numbers of column {name!r} are dates {_written(coded.form)}; step='1' (--step 1) counts them"
    )
    return Times(coded.dates, coded.dates, TimeForm(code=coded.form), (said,))


def _written(form: str) -> str:
    return form if form.startswith("in ") else f"written {form}"


def _check_coded(table: pa.Table, name: str, column: pa.Array, coded: Coded) -> None:
    wrong = np.flatnonzero(~coded.valid)
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            f"Time column {name!r} of {source_name(table)} looks like dates {_written(coded.form)}, but holds "
            f"{column[row]} in {row_name(table, row)}: correct it, or pass step='1' (--step 1) if the numbers count."
        )


def _check_counter(table: pa.Table, name: str, counts: np.ndarray) -> None:
    if looks_coded(counts):
        raise DataError(
            f"Time column {name!r} of {source_name(table)} looks like dates written as numbers of an unknown form "
            f"({counts[0]}, ...): write dates as YYYY-MM-DD, or pass step='1' (--step 1) if the numbers count."
        )


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


def _text_times(table: pa.Table, name: str, column: pa.Array, form: TimeForm) -> Times:
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(column) and pc.all(pc.match_substring_regex(column, _DIGITS)).as_py():
        numbers = pc.utf8_trim_whitespace(column).cast(pa.int64())
        read = _integer_times(table, name, numbers, form)
        if read.form.code == COUNT and form.code != COUNT:
            raise _no_date(table, name, column, 0)
        return read
    text, day_first, guessed = iso_dates(column, form.day_first, name)
    iso = pc.match_substring_regex(text, _ISO)
    if not pc.all(iso).as_py():
        raise _no_date(table, name, column, int(pc.index(iso, False).as_py()))
    zoned = pc.match_substring_regex(text, _ZONE)
    if pc.any(zoned).as_py() and not pc.all(zoned).as_py():
        row = int(pc.index(zoned, not zoned[0].as_py()).as_py())
        raise DataError(
            f"Time column {name!r} of {source_name(table)} mixes times with and without a zone, first in "
            f"{row_name(table, row)}: write all of them in one way."
        )
    said = (f"time: dates like {column[0].as_py()!r} have the {'day' if day_first else 'month'} first",)
    remarks = said if guessed else ()
    if pc.any(zoned).as_py():
        return _with_offsets(table, name, column, text, TimeForm(day_first=day_first), remarks)
    values = _cast(table, name, column, text, None)
    return Times(values, values, TimeForm(day_first=day_first), remarks)


def _with_offsets(
    table: pa.Table, name: str, column: pa.Array, text: pa.Array, form: TimeForm, said: tuple[str, ...]
) -> Times:
    import pyarrow.compute as pc

    values = _cast(table, name, column, text, "UTC")
    local = _cast(table, name, column, pc.replace_substring_regex(text, _STRIPPED, ""), None)
    offsets = (local - values).astype(np.int64) // _MINUTE
    zone, different = offset_name(int(offsets[-1])), np.unique(offsets)
    if len(different) > 1:
        names = listed(offset_name(int(offset)) for offset in different)
        said = (
            *said,
            f"time: offsets change ({names}): days are the dates as written, hours are given back at the last, {zone}",
        )
    return Times(values, local, replace(form, zone=zone), said)


def offset_name(minutes: int) -> str:
    """120 -> "+02:00", 0 -> "UTC"."""
    size = abs(minutes)
    return f"{'-' if minutes < 0 else '+'}{size // 60:02d}:{size % 60:02d}" if minutes else "UTC"


def _cast(table: pa.Table, name: str, column: pa.Array, text: pa.Array, zone: str | None) -> np.ndarray:
    """ISO text as UTC instants, or as times without a zone."""
    import pyarrow as pa

    try:
        seconds = text.cast(pa.timestamp("ns", tz=zone))
    except pa.ArrowInvalid as error:
        row = _first_failure(text, zone)
        if not 1678 <= int(text[row].as_py()[:4]) <= 2261:
            raise _no_year(table, name, column, row) from error
        raise _no_date(table, name, column, row) from error
    return _nanoseconds(table, name, seconds)


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
    try:
        shown = str(column[row])
    except (OverflowError, ValueError):
        # A year that Python's dates do not have.
        shown = f"{column[row].value} {column.type.unit} since 1970"
    return DataError(
        f"Time column {name!r} of {source_name(table)} holds {shown} in {row_name(table, row)}: "
        "expected a year from 1678 to 2261, so use whole numbers as a counter instead."
    )
