from typing import Any

import numpy as np
import pandas as pd
import pytest

from unrolled.data.read.table import read_table
from unrolled.data.read.times import time_column
from unrolled.errors import DataError


def times(values: list[Any]) -> list[str]:
    return [str(time)[:16] for time in time_column(read_table({"t": values}), "t")]


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
        ([1, 2**60], r"1152921504606846976 in row 1: expected dates, or whole numbers below"),
    ],
)
def test_a_time_that_cannot_be_read_is_named_with_its_row(values: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        times(values)


def test_whole_numbers_count_unless_all_are_dates() -> None:
    assert np.array_equal(time_column(read_table({"t": [1700, 1701]}), "t"), [1700, 1701])
    assert np.array_equal(time_column(read_table({"t": [1.0, 2.0]}), "t"), [1, 2])
    assert times([20120131, 20120201])[1] == "2012-02-01T00:00"
    assert time_column(read_table({"t": [20120131, 20120132]}), "t").dtype == np.int64


def test_zoned_dataframe_times_come_out_in_utc() -> None:
    frame = pd.DataFrame({"t": pd.to_datetime(["2020-07-01 12:00"]).tz_localize("Europe/Berlin")})
    assert str(time_column(read_table(frame), "t")[0])[:16] == "2020-07-01T10:00"


def test_a_year_beyond_nanoseconds_is_named() -> None:
    frame = pd.DataFrame({"t": np.array(["2020-01-01", "9999-01-01"], "datetime64[s]")})
    with pytest.raises(DataError, match="row 1"):
        time_column(read_table(frame), "t")
