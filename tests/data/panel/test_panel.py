import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unrolled.data import Columns, Panel, build_panel, extend_panel, read_table, split_ends
from unrolled.errors import DataError, OptionError

COLUMNS = Columns("ds", ("y",), "unique_id", ("holiday", "tariff"), ("wind", "sky"), ("size", "region"))


def frame() -> pd.DataFrame:
    """Two daily series of 10 and 7 rows with every kind of covariate."""
    parts = []
    for name, rows, start in (("b", 10, "2020-01-01"), ("a", 7, "2020-02-01")):
        count = np.arange(rows)
        parts.append(
            pd.DataFrame(
                {
                    "unique_id": name,
                    "ds": pd.date_range(start, periods=rows),
                    "y": count + (100.0 if name == "a" else 0.0),
                    "holiday": count % 2,
                    "tariff": np.where(count % 3, "low", "high"),
                    "wind": count * 0.5,
                    "sky": np.where(count % 4, "clear", None),
                    "size": 3.0 if name == "a" else np.nan,
                    "region": "north" if name == "a" else "south",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def same(a: Panel, b: Panel) -> None:
    assert (a.ids, a.step, a.columns) == (b.ids, b.step, b.columns)
    for name in ("offsets", "time", "target", "past", "future", "static"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    for part in ("past_text", "future_text", "static_text"):
        left, right = getattr(a, part), getattr(b, part)
        assert list(left) == list(right)
        for name, text in left.items():
            words = [[None if code < 0 else t.values[code] for code in t.codes] for t in (text, right[name])]
            assert words[0] == words[1], name


def test_shuffled_rows_give_the_same_panel() -> None:
    panel = build_panel(frame(), COLUMNS)
    assert panel.ids == ("b", "a")
    assert np.array_equal(panel.lengths, [10, 7])
    assert np.array_equal(panel.target[panel.rows(1), 0], 100.0 + np.arange(7))
    shuffled = frame().sample(frac=1, random_state=1).sort_values("unique_id", ascending=False, kind="stable")
    same(build_panel(shuffled, COLUMNS), panel)


def test_missing_rows_are_put_in_as_missing_values() -> None:
    panel = build_panel(frame().drop([4, 5]), COLUMNS, step="D")
    whole = build_panel(frame(), COLUMNS)
    assert np.array_equal(panel.time, whole.time)
    assert np.isnan(panel.target[4:6]).all()
    assert np.isnan(panel.past[4:6]).all()
    assert (panel.past_text["sky"].codes[4:6] == -1).all()
    assert np.isnan(panel.target).sum() == 2


def test_a_panel_survives_being_taken_apart() -> None:
    panel = build_panel(frame(), COLUMNS)
    data, arrays = panel.to_parts()
    same(Panel.from_parts(json.loads(json.dumps(data)), arrays), panel)
    counter = build_panel({"t": [1, 2, 4], "y": [1.0, 2.0, 3.0]}, Columns("t", ("y",)), step="1")
    same(Panel.from_parts(*counter.to_parts()), counter)


def test_parts_of_a_panel_hold_the_rows_they_name() -> None:
    panel = build_panel(frame(), COLUMNS)
    head = panel.head(np.array([3, 5]))
    assert np.array_equal(head.target[:, 0], [0, 1, 2, 100, 101, 102, 103, 104])
    assert np.array_equal(panel.tail(2).target[:, 0], [8, 9, 105, 106])
    same(panel.select([1, 0]).select([1, 0]), panel)
    assert panel.select([1]).static[0, 0] == 3.0


def test_whole_numbers_serve_as_time() -> None:
    panel = build_panel({"year": [1700, 1701, 1703], "y": [1.0, 2.0, 4.0]}, Columns("year", ("y",)), step=1)
    assert np.array_equal(panel.time, [1700, 1701, 1702, 1703])
    assert np.array_equal(extend_panel(panel, 2).time[-2:], [1704, 1705])


def csv(folder: Path, text: str) -> Path:
    path = folder / "load.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "ds,y\n2020-01-01,1\n2020-01-02,2\n2020-01-01,3\n",
            "2020-01-01: line 2 and line 4 hold it; .* resample='mean'",
        ),
        (
            "ds,y\n2020-01-01,1\n2020-01-02,two\n2020-01-03,3\n",
            "'y' of load.csv expected a number but holds 'two' in line 3",
        ),
        ("ds,y\n2020-01-01,dry\n2020-01-02,wet\n", "'y' of load.csv holds text"),
        ("ds,y\n2020-01-01,\n2020-01-02,\n", "Target 'y' of load.csv has no value at all"),
        ("ds,y\n2020-01-01,1\n", "pass step="),
        ("unique_id,ds,y\n,2020-01-01,1\n", "'unique_id' of load.csv has no value in line 2"),
        ("unique_id,ds,y\na,2020-01-01,1\na,2020-01-02,1\nb,2020-01-01,\n", "no value at all for series 'b'"),
        ("unique_id,ds,y\na,2020-01-01,1\na,2020-01-01,1\n", "2020-01-01 in series 'a': line 2 and line 3 hold it"),
        ("ds,z\n2020-01-01,1\n", "'y' is not in load.csv"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    columns = Columns("ds", ("y",), "unique_id" if text.startswith("unique_id") else None)
    with pytest.raises(DataError, match=message):
        build_panel(csv(tmp_path, text), columns)


def irregular(tmp_path: Path) -> Path:
    days = [f"2020-01-{day:02d} 00:00" for day in range(1, 21)]
    days[10] = "2020-01-11 05:30"
    return csv(tmp_path, "ds,y\n" + "".join(f"{day},{i}\n" for i, day in enumerate(days)))


def test_an_irregular_timestamp_is_named_and_may_be_resampled(tmp_path: Path) -> None:
    columns = Columns("ds", ("y",))
    path = irregular(tmp_path)
    with pytest.raises(DataError, match=r"2020-01-11 05:30:00 in line 12: .* after 2020-01-10 in line 11"):
        build_panel(path, columns, step="D")
    panel = build_panel(path, columns, step="D", resample="mean")
    assert np.array_equal(panel.target[:, 0], np.arange(20))
    assert panel.time[10] == np.datetime64("2020-01-11")


def test_a_first_timestamp_off_the_grid_is_named(tmp_path: Path) -> None:
    path = csv(tmp_path, "ds,y\n2020-01-05,1\n2020-02-01,2\n")
    with pytest.raises(DataError, match="2020-01-05 in line 2: no step of MS falls on it"):
        build_panel(path, Columns("ds", ("y",)), step="MS")


def test_one_timestamp_far_off_does_not_fill_the_memory() -> None:
    days = [*pd.date_range("2020-01-01", periods=50), pd.Timestamp("2220-01-01")]
    with pytest.raises(DataError, match="the widest gap lying between 2020-02-19 in row 49 and 2220-01-01 in row 50"):
        build_panel({"ds": days, "y": np.ones(51)}, Columns("ds", ("y",)))


@pytest.mark.parametrize("method", ["mean", "sum", "first", "last", "max", "min"])
@pytest.mark.parametrize("step", ["D", "W", "MS", "ME"])
def test_resampling_agrees_with_pandas(method: str, step: str) -> None:
    random = np.random.default_rng(0)
    hours = np.sort(random.choice(24 * 100, 700, replace=False))
    time = pd.Timestamp("2020-01-01") + pd.to_timedelta(hours, "h")
    values = random.normal(size=700)
    values[random.random(700) < 0.2] = np.nan
    panel = build_panel({"ds": time, "y": values}, Columns("ds", ("y",)), step=step, resample=method)
    rule = {"W": "W-MON"}.get(step, step)
    options = {"label": "left", "closed": "left"} if step == "W" else {}
    resampler = pd.Series(values, time).resample(rule, **options)
    expected = resampler.sum(min_count=1) if method == "sum" else resampler.agg(method)
    np.testing.assert_allclose(panel.target[:, 0], expected.to_numpy(), rtol=1e-12)
    assert np.array_equal(panel.time, expected.index.to_numpy("datetime64[ns]"))


def test_resampling_keeps_the_last_word_of_a_step() -> None:
    table = {"ds": pd.date_range("2020-01-01", periods=4, freq="12h"), "y": np.ones(4), "sky": ["a", "b", "c", None]}
    panel = build_panel(table, Columns("ds", ("y",), past=("sky",)), step="D", resample="sum")
    sky = panel.past_text["sky"]
    assert [sky.values[code] for code in sky.codes] == ["b", "c"]


def test_a_static_column_must_not_change() -> None:
    table = frame()
    table.loc[3, "region"] = "west"
    with pytest.raises(DataError, match="'region' of the table changes within series 'b' in row 3"):
        build_panel(table, COLUMNS)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(OptionError, match="Did you mean 'mean'"):
        build_panel(frame(), COLUMNS, resample="means")
    with pytest.raises(OptionError, match="does not fit the time column"):
        build_panel(frame(), COLUMNS, step="1")


def ahead(**changes: Any) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range(start, periods=3), "holiday": 7.0, "tariff": "peak"})
        for name, start in (("a", "2020-02-08"), ("b", "2020-01-11"))
    ]
    return pd.concat(parts, ignore_index=True).assign(**changes)


def test_the_horizon_holds_what_is_known_in_the_future_and_nothing_else() -> None:
    panel = build_panel(frame(), COLUMNS)
    extended = extend_panel(panel, 3, ahead())
    same(extended.head(panel.lengths), panel)
    last = extended.tail(3)
    assert np.isnan(last.target).all()
    assert np.isnan(last.past).all()
    assert (last.past_text["sky"].codes == -1).all()
    assert (last.future == 7.0).all()
    assert last.future_text["tariff"].used() == ["peak"]
    assert last.time[0] == np.datetime64("2020-01-11")
    assert last.time[3] == np.datetime64("2020-02-08")


def test_the_horizon_needs_no_table_without_future_covariates() -> None:
    panel = build_panel(frame(), Columns("ds", ("y",), "unique_id"))
    assert np.array_equal(extend_panel(panel, 4).lengths, panel.lengths + 4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "holiday, tariff\\) for 2020-01-11 to 2020-01-13, but got none"),
        (ahead().drop(1), "missing for series 'a' on 2020-02-09 in the table"),
        (ahead().iloc[:3], "missing for series 'b' on 2020-01-11, 2020-01-12, 2020-01-13 in the table"),
        (ahead().drop(columns="tariff"), "'tariff' is not in the table"),
        (pd.concat([ahead(), ahead().iloc[[4]]]), "row 4 and row 6 of the table hold the same series and date"),
        (ahead(holiday="x"), "expected a number but holds 'x'"),
    ],
)
def test_a_future_that_is_not_all_there_is_named(table: pd.DataFrame | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        extend_panel(build_panel(frame(), COLUMNS), 3, table)


def test_parts_of_the_series_follow_one_another_in_time() -> None:
    ends = split_ends(np.array([100, 50]), 0.2, 10)
    assert np.array_equal(ends.train, [70, 30])
    assert np.array_equal(ends.valid, [90, 40])
    assert np.array_equal(ends.test, [100, 50])


def test_a_series_too_short_to_split_is_named() -> None:
    with pytest.raises(DataError, match="Series 'a' has 7 rows, which leaves 1 to train on where 4 are needed"):
        split_ends(build_panel(frame(), COLUMNS), 3, 3, smallest=4)
    with pytest.raises(OptionError, match="fraction below 1"):
        split_ends(np.array([5]), 1.5)


@pytest.mark.parametrize(
    ("name", "options", "step"),
    [
        ("air_passengers.csv", {}, "MS"),
        ("co2_weekly_maunaloa.csv", {}, "W"),
        ("daily-min-temperatures.csv", {}, "D"),
        ("gb_solar_power_halfhourly.csv", {}, "30min"),
        ("seattle-temps.csv", {}, "h"),
        ("seattle-weather.csv", {"target": "temp_max", "past": ["weather", "wind"]}, "D"),
        ("stocks.csv", {"id": "symbol"}, "MS"),
        ("sunspots_yearly.csv", {"time": "YEAR"}, "1"),
    ],
)
def test_real_files_are_read_with_their_step(shared_data: Path, name: str, options: dict[str, Any], step: str) -> None:
    table = read_table(shared_data / "classic_series" / name)
    assert str(build_panel(table, Columns.resolve(table, **options)).step) == step


def planned() -> dict[str, Any]:
    days = pd.date_range("2024-01-01", periods=12)
    return {
        "ds": [*days, *days],
        "y": [1.0] * 9 + [None] * 3 + [2.0] * 12,
        "holiday": np.arange(24.0),
        "id": ["a"] * 12 + ["b"] * 12,
    }


def test_rows_without_a_target_at_the_end_are_the_future() -> None:
    found = build_panel(planned(), Columns("ds", ("y",), "id", future=("holiday",)))
    assert np.array_equal(found.lengths, [9, 12])
    assert found.ahead is not None
    assert np.array_equal(found.ahead.lengths, [3, 0])
    assert any("the last 3 rows have no target, from 2024-01-10 on in 1 series" in remark for remark in found.remarks)
    alone = found.select([0])
    assert np.array_equal(extend_panel(alone, 3).future[-3:, 0], [9, 10, 11])
    back = Panel.from_parts(*alone.to_parts())
    assert np.array_equal(extend_panel(back, 3).future, extend_panel(alone, 3).future)
    with pytest.raises(DataError, match="missing for series 'a' on 2024-01-13"):
        extend_panel(alone, 4)


def test_rows_without_a_target_or_covariates_at_the_end_are_left_out() -> None:
    found = build_panel(planned(), Columns("ds", ("y",), "id"))
    assert np.array_equal(found.lengths, [9, 12])
    assert found.ahead is None
    assert any("have no target, from" in remark for remark in found.remarks)


def test_rows_that_are_filled_in_are_said_and_refused_where_most_would_be() -> None:
    days = pd.date_range("2020-01-01", periods=60).delete([30, 31, 40])
    found = build_panel({"ds": days, "y": np.ones(57)}, Columns("ds", ("y",)))
    assert any("3 rows that are not there are filled in" in remark for remark in found.remarks)
    mistyped = [*days[:-1], days[-1] - pd.DateOffset(years=1)]
    with pytest.raises(DataError, match=r"turn 57 rows into .*, the widest gap lying between 2019-02-28 .*--step D"):
        build_panel({"ds": mistyped, "y": np.ones(57)}, Columns("ds", ("y",)))
    assert len(build_panel({"ds": mistyped, "y": np.ones(57)}, Columns("ds", ("y",)), step="D").time) > 300


def test_steps_over_more_than_292_years_are_counted_and_none_wraps_around() -> None:
    for times in (
        pd.date_range("1700-01-01", "2200-01-01", freq="30D"),
        pd.date_range("1678-01-01", "2261-12-01", freq="MS"),
    ):
        found = build_panel({"ds": times, "y": np.ones(len(times))}, Columns("ds", ("y",)))
        assert np.array_equal(found.time, times.to_numpy("datetime64[ns]"))
    with pytest.raises(DataError, match="beyond the years 1678 to 2261"):
        extend_panel(found, 1)
