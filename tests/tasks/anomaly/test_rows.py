from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, UnrolledError
from unrolled.tasks.anomaly.reading import Observed, Watched, read_layout, read_observed
from unrolled.tasks.anomaly.rows import RowFields


def observed(source: object, **how: Any) -> Observed:
    given = {"time": None, "columns": None, "id": None, "step": None, **how}
    return read_observed(*read_layout(source, **given))


def table(rows: int = 40, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    times = np.datetime64("2024-01-01", "s") + np.arange(rows) * np.timedelta64(1, "h")
    return {"timestamp": times, "a": random.normal(size=rows), "b": random.normal(size=rows)}


def test_an_array_is_a_table_without_times() -> None:
    rows = observed(np.arange(6.0).reshape(3, 2))
    assert rows.layout == Watched(("x0", "x1"), form=None)
    np.testing.assert_array_equal(rows.values, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(observed([1.0, 2.0]).values, [[1], [2]])


def test_rows_are_read_in_the_order_of_time_and_found_again() -> None:
    given = table(12)
    order = np.random.default_rng(1).permutation(12)
    rows = observed({name: values[order] for name, values in given.items()})
    np.testing.assert_array_equal(rows.values[:, 0], given["a"])
    np.testing.assert_array_equal(rows.in_source(rows.values[:, 0]), given["a"][order])
    assert "stood behind later ones" in rows.remarks[-1]


def lines(path: Path, *rows: str) -> str:
    path.write_text("\n".join(["machine,timestamp,load", *rows]))
    return str(path)


def test_rows_of_one_time_are_said_by_their_lines(tmp_path: Path) -> None:
    twice = lines(tmp_path / "x.csv", "1,2024-01-01,4", "1,2024-01-02,5", "2,2024-01-01,6", "1,2024-01-02,7")
    rows = observed(twice, columns="load")
    np.testing.assert_array_equal(rows.values[:, 0], [4, 6, 5, 7])
    assert rows.remarks == (
        "time: 1 row stood behind a later one; rows are read in the order of time",
        "time: 2 rows have the time of another, the first is line 4 with that of line 2; they are read in the order of "
        "the table, and if they are of several series, say of which with id=",
    )
    [said] = observed(twice, columns="load", id="machine").remarks
    assert said == (
        "time: 1 row has the time of another of its series, the first is line 5 with that of line 3; they are read in "
        "the order of the table"
    )
    assert observed(lines(tmp_path / "y.csv", "1,2024-01-01,4", "2,2024-01-01,5"), id="machine").remarks == ()


def test_a_grid_has_no_place_for_two_rows_of_one_time(tmp_path: Path) -> None:
    day = ["2024-01-01", "2024-01-02", "2024-01-02", "2024-01-04"]
    path = lines(tmp_path / "x.csv", *(f"1,{time},{i}" for i, time in enumerate(day)))
    with pytest.raises(
        DataError, match="Duplicate timestamp 2024-01-02: line 3 and line 4 hold it; keep one"
    ) as caught:
        observed(path, step="D", columns="load")
    # A detector merges no rows.
    assert "resample" not in str(caught.value)
    day[2] = "2024-01-02T05:00"
    path = lines(tmp_path / "x.csv", *(f"1,{time},{i}" for i, time in enumerate(day)))
    with pytest.raises(DataError, match="Irregular timestamp 2024-01-02 05:00:00 in line 4") as caught:
        observed(path, step="D", columns="load")
    assert "resample" not in str(caught.value)


def test_series_are_told_apart_by_their_names() -> None:
    given = {"id": ["x", "y"] * 5, "value": np.arange(10.0)}
    rows = observed(given, id="id")
    assert rows.ids == ("x", "y")
    np.testing.assert_array_equal(rows.values[:, 0], [0, 2, 4, 6, 8, 1, 3, 5, 7, 9])
    np.testing.assert_array_equal(rows.in_source(rows.values[:, 0]), np.arange(10))


def test_rows_that_a_grid_lacks_are_missing() -> None:
    given = {name: np.delete(values, 5) for name, values in table(12).items()}
    assert len(observed(given).values) == 11
    rows = observed(given, step="h")
    assert np.isnan(rows.values[5]).all()
    assert rows.source[5] == -1
    np.testing.assert_array_equal(rows.in_source(rows.values[:, 0]), given["a"])


@pytest.mark.parametrize(("minute", "sentence"), [
    (0, "hold it; keep one row, name the column that tells series apart with id=, or leave step= out."),
    (7, "after 2024-01-01 in row 0; correct it, or pass another step=, or none."),
])  # fmt: skip
def test_what_is_off_the_steps_is_told_with_what_a_detector_can_be_asked_for(minute: int, sentence: str) -> None:
    given = table(12)
    given["timestamp"][1] = given["timestamp"][0] + np.timedelta64(minute, "m")
    assert len(observed(given).values) == 12
    with pytest.raises(DataError) as caught:
        observed(given, step="h")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(("source", "how", "sentence"), [
    ({"a": [1.0, 2.0], "word": ["x", "y"]}, {}, "column 'word' of the table holds text"),
    ({"a": ["1", "2", "x"]}, {"columns": "a"}, "'x'"),
    ({"timestamp": ["2024-01-01", "2024-01-02"]}, {}, "no column of numbers"),
    ({"a": [1.0]}, {"step": "h"}, "needs a column of times"),
    (np.zeros((0, 2)), {}, "at least one row"),
    (np.zeros((2, 2, 2)), {}, "shape (2, 2, 2)"),
    ({"a": []}, {}, "no rows"),
    ({"a": [1.0, np.inf]}, {}, "inf"),
    ({"a": [np.nan, np.nan]}, {}, "no "),
    ({"a": [1.0, 2.0]}, {"columns": "b"}, "'b'"),
])  # fmt: skip
def test_what_cannot_be_watched_is_said_in_a_sentence(source: object, how: dict[str, Any], sentence: str) -> None:
    with pytest.raises(DataError) as caught:
        observed(source, **how)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) <= 600
    assert isinstance(caught.value, UnrolledError)


def fields(rows: Observed, ends: int, **options: Any) -> RowFields:
    how = {"scaling": "robust", "calendar": True, "ahead": (1, 4), **options}
    return RowFields.fit(rows, np.array([ends]), **how)


def test_inputs_hold_what_is_known_before_the_row() -> None:
    rows = observed(table(80))
    fitted = fields(rows, 60)
    assert fitted.calendar.features == ("hour_of_day",)
    scale = fitted.scale("")
    whole, _ = fitted.encode(scale, rows.values, rows.clocks, fitted.begin())
    assert whole.inputs.shape == (80, 2 * 2 + 2)
    other = rows.values.copy()
    other[50:] += 100
    changed, _ = fitted.encode(scale, other, rows.clocks, fitted.begin())
    np.testing.assert_array_equal(changed.inputs[:51], whole.inputs[:51])
    assert (changed.inputs[51] != whole.inputs[51]).any()


def test_later_rows_change_no_field() -> None:
    given = table(80)
    later = {**given, "a": np.where(np.arange(80) < 60, given["a"], 1e9)}
    assert fields(observed(given), 60).to_json() == fields(observed(later), 60).to_json()


@pytest.mark.parametrize("seed", range(5))
def test_pieces_are_encoded_as_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = observed(table(80, seed))
    values = np.where(random.random(rows.values.shape) < 0.3, np.nan, rows.values)
    fitted = fields(rows, 60)
    scale, memory = fitted.scale(""), fitted.begin()
    whole, _ = fitted.encode(scale, values, rows.clocks, memory)
    cuts = np.sort(random.choice(np.arange(1, 80), 5, replace=False))
    pieces = []
    for part in np.split(np.arange(80), cuts):
        piece, memory = fitted.encode(scale, values[part], rows.clocks[part], memory)
        pieces.append(piece)
    for name in whole._fields:
        np.testing.assert_array_equal(np.concatenate([getattr(piece, name) for piece in pieces]), getattr(whole, name))


def test_fields_survive_json() -> None:
    rows = observed({**table(80), "c": np.full(80, 3.0)})
    fitted = fields(rows, 60)
    again = RowFields.from_json(fitted.to_json())
    assert again.to_json() == fitted.to_json()
    np.testing.assert_array_equal(again.constant, fitted.constant)
    assert fitted.constant[0, 2] == 3.0


def test_a_constant_channel_moves_once_it_changes() -> None:
    rows = observed({"a": np.append(np.full(40, 5.0), [5.0, 6.0, 6.0])})
    fitted = fields(rows, 40)
    found, _ = fitted.encode(fitted.scale(""), rows.values, rows.clocks, fitted.begin())
    assert np.isfinite(found.moves[4:]).all()
    np.testing.assert_array_equal(np.flatnonzero(found.changed), [41, 42])


@pytest.mark.parametrize("scaling", ["robust", "standard"])
@pytest.mark.parametrize("huge", [1e308, -1.7e308, 1e200])
def test_a_value_near_the_end_of_what_numbers_hold_is_far_and_blinds_no_channel(huge: float, scaling: str) -> None:
    given = table(60)
    given["a"][20], given["a"][40] = huge, -huge
    rows = observed(given)
    fields = RowFields.fit(rows, rows.lengths, scaling=scaling, calendar=False, ahead=(1, 3))
    for field in (fields.values, fields.moves):
        assert np.isfinite(field.center).all()
        assert np.isfinite(field.scale).all()
    encoded, memory = fields.encode(fields.scale(""), rows.values, rows.clocks, fields.begin())
    assert np.isfinite(encoded.inputs[2:, :4]).all()
    assert np.isfinite(encoded.moves[3:]).all()
    assert np.isfinite(encoded.levels).all()
    # Two equal ones of sixty are sqrt(60 / 2) deviations from the mean at most, and their moves hardly less.
    assert np.abs(encoded.moves[20, 0]) > (1e5 if scaling == "robust" else 3)
    assert np.isfinite(memory.level).all()
    if scaling == "robust":
        # Quartiles do not see two of sixty values: the others move as they would without them.
        plain = observed(table(60))
        alone = RowFields.fit(plain, plain.lengths, scaling=scaling, calendar=False, ahead=(1, 3))
        assert fields.moves.scale[0, 0] == pytest.approx(alone.moves.scale[0, 0], rel=0.5)
        assert fields.values.scale[0, 0] == pytest.approx(alone.values.scale[0, 0], rel=0.5)
