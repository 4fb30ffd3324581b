import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from unrolled.data.read.table import read_table
from unrolled.data.read.times import TimeForm, instants, read_times, wall_times
from unrolled.errors import DataError


def times(values: list[Any]) -> list[str]:
    return [str(time)[:16] for time in read_times(read_table({"t": values}), "t").values]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012-01-31", "2012-01-31T00:00"),
        ("2012/01/31", "2012-01-31T00:00"),
        ("2012/1/5", "2012-01-05T00:00"),
        ("2012.01.31", "2012-01-31T00:00"),
        (" 2012-01-31 ", "2012-01-31T00:00"),
        ("2012-01", "2012-01-01T00:00"),
        ("2012/1", "2012-01-01T00:00"),
        ("2012", "2012-01-01T00:00"),
        ("20120131", "2012-01-31T00:00"),
        ("2012Q3", "2012-07-01T00:00"),
        ("2012-Q4", "2012-10-01T00:00"),
        ("2012-W05", "2012-01-30T00:00"),
        ("2009W53", "2009-12-28T00:00"),
        ("2012-W05-3", "2012-02-01T00:00"),
        ("2012W057", "2012-02-05T00:00"),
        ("2012-01-30/2012-02-05", "2012-01-30T00:00"),
        ("2012-01-31 06:15", "2012-01-31T06:15"),
        ("2012-01-31T06:15:30", "2012-01-31T06:15"),
        ("2012/01/31 6:15", "2012-01-31T06:15"),
        ("2012-01-31 06:15:30.125", "2012-01-31T06:15"),
        ("2012-01-31 06", "2012-01-31T06:00"),
        ("2012-01-31T06:15Z", "2012-01-31T06:15"),
        ("2012-01-31 06:15:00+02:00", "2012-01-31T04:15"),
        ("2012-01-31 06:15:00 -0330", "2012-01-31T09:45"),
        ("31/01/2012", "2012-01-31T00:00"),
        ("01/31/2012 06:15", "2012-01-31T06:15"),
        ("31.1.2012", "2012-01-31T00:00"),
        ("Jan 31 2012", "2012-01-31T00:00"),
        ("31 January 2012", "2012-01-31T00:00"),
        ("January 2015", "2015-01-01T00:00"),
        ("SEPT 2015", "2015-09-01T00:00"),
        ("May-2015", "2015-05-01T00:00"),
        ("Jan-15", "2015-01-01T00:00"),
        ("2015 Jan", "2015-01-01T00:00"),
        ("01/2015", "2015-01-01T00:00"),
        ("31-Jan-12", "2012-01-31T00:00"),
        ("Tue, 31st Jan. 2012 06:15", "2012-01-31T06:15"),
        ("31/01/99", "1999-01-31T00:00"),
        ("1/31/2012 12:15 AM", "2012-01-31T00:15"),
        ("1/31/2012 6:15 p.m.", "2012-01-31T18:15"),
        ("2012-01-31 06:15 UTC", "2012-01-31T06:15"),
    ],
)
def test_common_ways_to_write_a_date_are_read(text: str, expected: str) -> None:
    assert times([text]) == [expected]


def test_the_order_of_day_and_month_is_seen_from_the_whole_column() -> None:
    assert times(["02/01/2012", "13/01/2012"])[0] == "2012-01-02T00:00"
    assert times(["02/01/2012", "01/13/2012"])[0] == "2012-02-01T00:00"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2012-01-01", "tomorrow"], "'tomorrow' in row 1"),
        (["2012-01-01", "2012-02-30", "2012-03-01"], "'2012-02-30' in row 1"),
        (["2012-01-01", None], "no value in row 1"),
        (["02/01/2012", "03/01/2012"], "cannot be told apart"),
        (["13/01/2012", "01/13/2012"], "'01/13/2012' in row 1"),
        (["2012-01-01 00:00Z", "2012-01-01 01:00"], "mixes times with and without a zone, first in row 1"),
        (["Jan 1 2012", "Jam 2 2012"], "'Jam 2 2012' in row 1"),
        (["1500-01-01"], "year from 1678"),
        ([0.5, 1.5], "not dates"),
        ([True, False], "not dates"),
        (["Jan 2015 x"], "'Jan 2015 x' in row 0"),
        (["2012-W52", "2012-W53"], "'2012-W53' in row 1"),
        (["2012-W05", "next"], "'2012-W05' in row 0"),
        (["Foo 2015"], "'Foo 2015' in row 0"),
        ([1, 2**60], r"1152921504606846976 in row 1: expected dates, or whole numbers below"),
    ],
)
def test_a_time_that_cannot_be_read_is_named_with_its_row(values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        times(values)


def test_whole_numbers_count_unless_all_are_dates() -> None:
    assert np.array_equal(read_times(read_table({"t": [1700, 1701]}), "t").values, [1700, 1701])
    assert np.array_equal(read_times(read_table({"t": [1.0, 2.0]}), "t").values, [1, 2])
    assert times([20120131, 20120201])[1] == "2012-02-01T00:00"
    assert read_times(read_table({"t": [20120131, 20120132]}), "t").values.dtype == np.int64


def test_zoned_dataframe_times_come_out_in_utc() -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2020-07-01 12:00"]).tz_localize("Europe/Berlin")})
    assert str(read_times(read_table(frame), "t").values[0])[:16] == "2020-07-01T10:00"


@pytest.mark.parametrize(("unit", "value"), [("us", 436243966993930496), ("us", -(10**18)), ("s", 10**15)])
def test_a_year_that_python_does_not_have_is_named(unit: str, value: int) -> None:
    column = pa.array([0, value], pa.timestamp(unit))
    with pytest.raises(DataError, match=f"'ds' of the table holds {value} {unit} since 1970 in row 1: expected a year"):
        read_times(read_table(pa.table({"ds": column})), "ds")


def test_a_year_beyond_nanoseconds_is_named() -> None:
    frame = pd.DataFrame({"t": np.array(["2020-01-01", "9999-01-01"], "datetime64[s]")})
    with pytest.raises(DataError, match="row 1"):
        read_times(read_table(frame), "t")


def weeks(count: int) -> list[int]:
    dates = [datetime.date(2015, 1, 5) + datetime.timedelta(7 * i) for i in range(count)]
    return [date.isocalendar()[0] * 100 + date.isocalendar()[1] for date in dates]


MONTHS = [year * 100 + month for year in (2015, 2016) for month in range(1, 13)]


@pytest.mark.parametrize(
    ("values", "code", "first", "last"),
    [
        (MONTHS, "YYYYMM", "2015-01-01T00:00", "2016-12-01T00:00"),
        (weeks(60), "YYYYWW", "2015-01-05T00:00", "2016-02-22T00:00"),
        ([20151, 20152, 20153, 20154, 20161], "YYYYQ", "2015-01-01T00:00", "2016-01-01T00:00"),
        ([2015364, 2015365, 2016001], "YYYYDDD", "2015-12-30T00:00", "2016-01-01T00:00"),
        ([2022050122, 2022050123, 2022050200], "YYYYMMDDHH", "2022-05-01T22:00", "2022-05-02T00:00"),
        ([202205012359, 202205020000], "YYYYMMDDHHMM", "2022-05-01T23:59", "2022-05-02T00:00"),
    ],
)
def test_whole_numbers_that_are_dates_are_read_as_dates(values: list[int], code: str, first: str, last: str) -> None:
    for written in (values, [float(value) for value in values], [str(value) for value in values]):
        assert (times(written)[0], times(written)[-1]) == (first, last)
        read = read_times(read_table({"t": written}), "t")
        assert read.form.code == code
        assert f"dates written {code}" in read.remarks[0]


@pytest.mark.parametrize(("second", "form"), [(1, "in seconds since 1970"), (1000, "in milliseconds since 1970")])
def test_whole_minutes_since_1970_are_dates_and_other_such_numbers_count(second: int, form: str) -> None:
    hours = [(1_700_000_000 + 3600 * hour) * second for hour in range(30)]
    for written in (hours, [str(value) for value in hours]):
        read = read_times(read_table({"t": written}), "t")
        assert str(read.values[1]) == "2023-11-14T23:13:20.000000000"
        assert read.form.code == form
        assert f"are dates {form}; step='1'" in read.remarks[0]
    later = read_times(read_table({"t": [hours[0] + second]}), "t", read.form)
    assert str(later.values[0])[:19] == "2023-11-14T22:13:21"
    uneven = read_times(read_table({"t": [hours[0], hours[1] + 1]}), "t")
    assert uneven.form.code == "count"


def test_the_user_may_say_that_numbers_count() -> None:
    read = read_times(read_table({"t": MONTHS}), "t", TimeForm(code="count"))
    assert np.array_equal(read.values, MONTHS)


@pytest.mark.parametrize(
    "counts",
    [range(1, 40), range(1000, 1100), range(1990, 2020), range(100_000, 100_200), range(1_650_000_000, 1_650_000_020)],
)
def test_numbers_that_count_stay_a_counter(counts: range) -> None:
    read = read_times(read_table({"t": list(counts)}), "t")
    assert np.array_equal(read.values, counts)
    assert read.remarks == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([*MONTHS[:-1], 201613], "written YYYYMM, but holds 201613 in row 23"),
        ([*range(11140, 11153), *range(11201, 11210)], "looks like dates written as numbers of an unknown form"),
        ([str(value) for value in range(100_000, 100_020)], "expected a date but holds '100000' in row 0"),
    ],
)
def test_numbers_that_only_look_like_dates_are_refused(values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        times(values)


def test_a_few_weeks_of_a_later_table_are_read_like_the_first() -> None:
    read = read_times(read_table({"t": [201601, 201602]}), "t", TimeForm(code="YYYYWW"))
    assert str(read.values[0])[:10] == "2016-01-04"


def test_the_order_of_day_and_month_may_be_told() -> None:
    table = read_table({"t": ["01/02/2012", "01/03/2012"]})
    for day_first, expected in ((True, "2012-02-01"), (False, "2012-01-02")):
        assert str(read_times(table, "t", TimeForm(day_first=day_first)).values[0])[:10] == expected
    with pytest.raises(DataError, match="--day-first or --month-first"):
        times(["01/02/2012", "01/03/2012"])


def test_dates_with_dots_have_the_day_first() -> None:
    read = read_times(read_table({"t": ["01.02.2012", "01.03.2012"]}), "t")
    assert str(read.values[0])[:10] == "2012-02-01"
    assert "day first" in read.remarks[0]


def test_offsets_are_kept_and_a_change_of_them_is_said() -> None:
    read = read_times(read_table({"t": ["2023-03-26T00:00+01:00", "2023-03-27T00:00+02:00"]}), "t")
    assert [str(time)[:16] for time in read.values] == ["2023-03-25T23:00", "2023-03-26T22:00"]
    assert [str(time)[:16] for time in read.local] == ["2023-03-26T00:00", "2023-03-27T00:00"]
    assert read.form.zone == "+02:00"
    assert "offsets change (+01:00, +02:00)" in read.remarks[0]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "UTC", "+02:00", "-03:30"])
def test_clocks_of_a_zone_and_instants_are_two_ways_to_say_one_time(zone: str) -> None:
    walls = np.datetime64("2023-01-01T00:00", "ns") + np.arange(400) * np.timedelta64(86_400, "s")
    assert np.array_equal(wall_times(instants(walls, zone), zone), walls)


def test_a_day_without_midnight_is_labelled_midnight() -> None:
    first = pd.Timestamp("2018-11-04").tz_localize("America/Sao_Paulo", nonexistent="shift_forward")
    frame = pd.DataFrame({"t": [first]})
    assert str(read_times(read_table(frame), "t").local[0])[:16] == "2018-11-04T00:00"
