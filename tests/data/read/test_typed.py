"""Columns that are nearly all numbers, in files and in memory."""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from unrolled.data import Columns, build_panel, read_table, row_name
from unrolled.data.panel.panel import Panel
from unrolled.data.read.table import as_read
from unrolled.errors import DataError

DAYS = [f"{day}" for day in np.datetime64("2023-01-01") + np.arange(60)]
TEMPERATURES = [f"{15 + i % 7}.25" for i in range(60)]
NUMBERS = [float(text) for text in TEMPERATURES]
ROLES = ("past", "future", "static", "target")


def with_one(value: str, at: int = 40) -> list[str]:
    return [value if row == at else text for row, text in enumerate(TEMPERATURES)]


def table_of(values: list[str], folder: Path, delimiter: str = ",") -> Path:
    rows = (delimiter.join([day, "1", value]) for day, value in zip(DAYS, values, strict=True))
    path = folder / "load.csv"
    path.write_text("\n".join([delimiter.join(["date", "load", "temp"]), *rows]) + "\n")
    return path


def panel_of(source: object, role: str = "past") -> Panel:
    if role == "target":
        return build_panel(source, Columns("date", ("temp",)))
    return build_panel(source, Columns("date", ("load",), **{role: ("temp",)}))


SOURCES: dict[str, Callable[[list[str], Path], Any]] = {
    "csv": table_of,
    "semicolons": lambda values, folder: table_of(values, folder, ";"),
    "pandas": lambda values, _: pd.DataFrame({"date": DAYS, "load": 1.0, "temp": values}),
    "mixed objects": lambda values, _: pd.DataFrame({"date": DAYS, "load": 1.0, "temp": _objects(values)}),
    "polars": lambda values, _: pl.DataFrame({"date": DAYS, "load": 1.0, "temp": values}),
    "arrow": lambda values, _: pa.table({"date": DAYS, "load": [1.0] * 60, "temp": values}),
    "dict": lambda values, _: {"date": DAYS, "load": [1.0] * 60, "temp": _objects(values)},
}


def _objects(values: list[str]) -> list[object]:
    return [float(value) if value[0].isdigit() else value for value in values]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("role", ["past", "future", "target"])
def test_one_mark_leaves_a_column_of_numbers_as_numbers_and_is_said(kind: str, role: str, tmp_path: Path) -> None:
    panel = panel_of(SOURCES[kind](with_one("-"), tmp_path), role)
    values = getattr(panel, role)[:, 0]
    assert np.flatnonzero(np.isnan(values)).tolist() == [40]
    assert values[0] == 15.25
    place = "line 42" if kind in ("csv", "semicolons") else "row 40"
    assert f"column 'temp': read as numbers; '-' in {place} counts as missing" in panel.remarks


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("role", ROLES)
def test_one_other_word_in_a_column_of_numbers_is_named_with_its_place(kind: str, role: str, tmp_path: Path) -> None:
    place = "line 42" if kind in ("csv", "semicolons") else "row 40"
    with pytest.raises(DataError, match=rf"'temp'.* 'closed' in {place} \(59 of 60 values are numbers\)"):
        panel_of(SOURCES[kind](with_one("closed"), tmp_path), role)


@pytest.mark.parametrize("mark", ["NA", "n/a", "None", "nan", "#N/A", "?", "NULL"])
def test_marks_that_the_file_reader_knows_are_said_too(mark: str, tmp_path: Path) -> None:
    panel = panel_of(table_of(with_one(mark), tmp_path))
    assert f"column 'temp': read as numbers; '{mark}' in line 42 counts as missing" in panel.remarks


def test_an_empty_field_is_missing_without_a_word(tmp_path: Path) -> None:
    panel = panel_of(table_of(with_one(""), tmp_path))
    assert panel.remarks[-2:] == ("target: load", "covariates as numbers: temp")
    assert np.isnan(panel.past[40, 0])


def test_decimal_commas_are_read_and_said(tmp_path: Path) -> None:
    panel = panel_of(table_of([text.replace(".", ",") for text in TEMPERATURES], tmp_path, ";"))
    assert panel.past[:, 0].tolist() == NUMBERS
    assert "column 'temp': read as numbers with decimal commas ('15,25' is 15.25)" in panel.remarks


def test_points_part_thousands_in_a_file_with_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("date;a;b;c\n2023-01-01;5,25;1.234;1.5\n2023-01-02;6,5;2.345;2.25\n2023-01-03;7,5;3.456;3\n")
    table = read_table(path)
    assert table.column("a").to_pylist() == [5.25, 6.5, 7.5]
    assert table.column("b").to_pylist() == [1234, 2345, 3456]
    assert table.column("c").to_pylist() == [1.5, 2.25, 3.0]


def test_a_comma_that_can_be_read_in_two_ways_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds '1,234' in line 2, where the comma can part thousands or decimals"):
        panel_of(table_of(['"1,234"'] * 60, tmp_path))


def test_categories_are_counted_and_columns_without_a_part_are_named(tmp_path: Path) -> None:
    panel = panel_of(table_of(["wet", "dry", "hot"] * 20, tmp_path))
    assert panel.remarks[-2:] == ("target: load", "column 'temp': 3 categories ('wet', 'dry', 'hot')")
    alone = build_panel(table_of(TEMPERATURES, tmp_path), Columns("date", ("load",)))
    assert alone.remarks[-2:] == ("target: load", "columns left alone: temp")


def test_digits_that_a_table_in_memory_keeps_as_text_stay_categories() -> None:
    panel = panel_of(pd.DataFrame({"date": DAYS, "load": 1.0, "temp": ["1", "2", "3"] * 20}))
    assert panel.past_text["temp"].values == ("1", "2", "3")


def test_ids_stay_text_whatever_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("shop,date,y\n1 A,2023-01-01,5\n2 A,2023-01-01,6\n")
    assert read_table(path, text=["shop"]).column("shop").to_pylist() == ["1 A", "2 A"]


def test_comments_among_the_rows_are_left_out_and_lines_still_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("# a portal\n\ndate,y\n2023-01-01,5\n\n# stopped\n2023-01-02,6\n2023-01-03,7\n")
    table = read_table(path)
    assert table.column("y").to_pylist() == [5, 6, 7]
    assert [row_name(table, row) for row in range(3)] == ["line 4", "line 7", "line 8"]
    panel = build_panel(table, Columns("date", ("y",)))
    assert {"line 1, above the header: left out", "line 6, among the rows: left out as comments"} <= set(panel.remarks)


def test_a_row_of_other_fields_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("# a portal\ndate,y\n2023-01-01,5\n\n2023-01-02,6,5\n")
    with pytest.raises(DataError, match=r"line 5 has 3 fields where 2 are expected.*part the columns by ';'"):
        read_table(path)


def test_names_in_a_comment_and_units_shift_no_line(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("# a portal\n# date,y\n\n2023-01-01,5\n2023-01-02,six\n2023-01-03,7\n2023-01-04,8\n")
    with pytest.raises(DataError, match="'six' in line 5"):
        build_panel(path, Columns("date", ("y",)))
    path.write_text("title\ndate,y\n,kWh\n2023-01-01,5\n2023-01-02,six\n2023-01-03,7\n2023-01-04,8\n")
    with pytest.raises(DataError, match="'six' in line 5"):
        build_panel(path, Columns("date", ("y",)))


def test_columns_without_a_name_and_a_value_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("date,y,,\n2023-01-01,5,,\n2023-01-02,6,,\n")
    assert read_table(path).column_names == ["date", "y"]


DATES = pd.to_datetime(DAYS)


@pytest.mark.parametrize(
    "column",
    [
        pd.arrays.SparseArray(NUMBERS),
        [Decimal(text) for text in TEMPERATURES],
        pd.array(NUMBERS, dtype="Float64"),
        pd.array(NUMBERS, dtype="double[pyarrow]"),
        pd.Categorical(NUMBERS),
        pd.array(TEMPERATURES, dtype="string"),
    ],
    ids=["sparse", "decimal", "Float64", "ArrowDtype", "category", "string"],
)
def test_extension_types_of_pandas_are_read_as_the_numbers_they_hold(column: Any) -> None:
    frame = pd.DataFrame({"date": DATES, "temp": column})
    np.testing.assert_array_equal(panel_of(frame, "target").target[:, 0], NUMBERS)


def test_periods_of_pandas_are_the_times_when_they_begin() -> None:
    months = pd.period_range("2023-01", periods=60, freq="M")
    wanted = months.to_timestamp().to_numpy().astype("datetime64[ns]")
    for frame in (
        pd.DataFrame({"date": months, "temp": NUMBERS}),
        pd.DataFrame({"temp": NUMBERS}, index=months.rename("date")),
        pd.Series(NUMBERS, index=months.rename("date"), name="temp"),
    ):
        panel = panel_of(frame, "target")
        np.testing.assert_array_equal(panel.time.astype("datetime64[ns]"), wanted)
        np.testing.assert_array_equal(panel.target[:, 0], NUMBERS)


def test_sparse_columns_whose_names_are_numbers_are_read() -> None:
    found = read_table(pd.DataFrame({0: pd.arrays.SparseArray(NUMBERS), 1: NUMBERS}))
    assert found.column_names == ["0", "1"]


def test_missing_values_of_extension_types_are_missing() -> None:
    for column in (pd.array([None, 1] * 30, dtype="Int64"), pd.array([None, True] * 30, dtype="boolean")):
        target = panel_of(pd.DataFrame({"date": DATES, "temp": column}), "target").target[:, 0]
        np.testing.assert_array_equal(target, [np.nan, 1] * 30)


def test_a_column_of_no_numbers_texts_or_dates_is_refused() -> None:
    with pytest.raises(DataError, match="no numbers, texts or dates"):
        read_table(pd.DataFrame({"date": DATES, "temp": [1 + 2j] * 60}))


def _doubled() -> dict[str, Any]:
    pandas = pd.DataFrame({"date": DATES, "y": 1.0, "z": 2.0})
    arrow = pa.Table.from_arrays([pa.array(DAYS), pa.array(NUMBERS), pa.array(NUMBERS)], names=["date", "y", "y"])
    mapping: dict[object, object] = {1: NUMBERS, "1": NUMBERS}
    return {"pandas": pandas.set_axis(["date", "y", "y"], axis=1), "arrow": arrow, "dict": mapping}


@pytest.mark.parametrize("kind", ["pandas", "arrow", "dict"])
def test_two_columns_of_one_name_are_refused_by_name(kind: str) -> None:
    with pytest.raises(DataError, match=r"several columns named '[1y]'"):
        read_table(_doubled()[kind])


@pytest.mark.parametrize("header", ["date,y,y", "date,date,y"])
def test_two_columns_of_one_name_in_a_file_are_refused_where_columns_are_guessed(header: str, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{header}\n2023-01-01,1,2\n2023-01-02,1,2\n")
    with pytest.raises(DataError, match="several columns named"):
        Columns.resolve(read_table(path))


def test_two_columns_of_one_number_are_a_row_of_data(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("0,0\n1,2\n2,4\n")
    with pytest.raises(DataError, match="several columns named '0': its first line seems to be a row of data"):
        Columns.resolve(read_table(path))


def test_what_was_read_before_is_not_read_anew() -> None:
    texts = pa.table({"date": DAYS, "load": [1.0] * 60, "temp": with_one("-")})
    assert panel_of(as_read(texts)).past_text["temp"].values[-1] == "-"
