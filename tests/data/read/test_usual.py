"""Columns are seen from their names: what is a time in one kind of table is a measurement in another."""

from __future__ import annotations

from typing import Any

import pytest

from unrolled.data import Columns, read_table
from unrolled.data.panel.steps import AS_SEEN, read_steps
from unrolled.data.read.usual import TIME_NAMES, usual_columns
from unrolled.tasks.anomaly.reading import Watched, read_layout


def test_the_likeliest_name_comes_first_and_of_one_name_the_first_column() -> None:
    assert usual_columns(("date", "time"), ["Time", "x", "time", "DATE "]) == ["DATE ", "Time", "time"]
    assert usual_columns((), ["a"]) == usual_columns(("a",), []) == []


def watched(table: dict[str, Any]) -> Watched:
    return read_layout(table, time=None, columns=None, id=None, step=None)[1]


def stepped(table: dict[str, Any]) -> str | None:
    given = {"id": ["a", "a"], **table}
    return read_steps(given, AS_SEEN, None, (), option="label", labelled=False).columns.time


@pytest.mark.parametrize("name", [*TIME_NAMES, "Timestamp", " Date"])
def test_times_have_the_same_names_in_every_table(name: str) -> None:
    table = {"load": [1.0, 2.0], name: [1, 2]}
    assert Columns.resolve(read_table(table), target="load").time == name
    assert watched(table) == Watched(("load",), name)
    assert stepped(table) == name


@pytest.mark.parametrize("name", ["t", "step", "frame"])
def test_counters_of_steps_are_times_only_where_series_have_a_row_for_each_step(name: str) -> None:
    table = {"x": [1.0, 2.0], name: [1, 2]}
    assert stepped(table) == name
    assert watched(table) == Watched(("x", name))
    assert Columns.resolve(read_table({**table, "time": [1, 2]}), target="x").time == "time"


def test_periods_are_times_only_of_forecasts() -> None:
    table = {"load": [1.0, 2.0], "period": [1, 2]}
    assert Columns.resolve(read_table(table), target="load").time == "period"
    assert watched(table) == Watched(("load", "period"))
    assert watched({"date": ["2020-01-01", "2020-01-02"], **table}) == Watched(("load", "period"), "date")
    assert stepped(table) is None
