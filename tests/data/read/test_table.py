import gc
import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from unrolled.data import Columns, build_panel, read_table, row_name
from unrolled.errors import DataError

FRAME = pd.DataFrame({"ds": pd.date_range("2020-01-01", periods=6), "y": [1.0, 2.0, np.nan, 4.0, 5.0, 6.0]})


def panel_of(source: object) -> np.ndarray:
    table = read_table(source)
    panel = build_panel(table, Columns.resolve(table))
    assert str(panel.step) == "D"
    assert panel.time[0] == np.datetime64("2020-01-01")
    return panel.target[:, 0]


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_every_kind_of_source_gives_the_same_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = FRAME.to_csv(index=False)
    FRAME.to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    sources = [
        written(tmp_path, "a.csv", text),
        written(tmp_path, "b.csv", text.replace(",", ";")),
        written(tmp_path, "c.csv", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()),
        written(tmp_path, "a.tsv", FRAME.to_csv(index=False, sep="\t")),
        written(tmp_path, "a.csv.gz", gzip.compress(text.encode())),
        str(tmp_path / "a.parquet"),
        "-",
        FRAME,
        FRAME.set_index("ds").reset_index(),
        pl.from_pandas(FRAME),
        pl.from_pandas(FRAME).lazy(),
        pa.Table.from_pandas(FRAME),
        {"ds": FRAME["ds"].to_numpy(), "y": FRAME["y"].to_numpy()},
        {"ds": [str(day.date()) for day in FRAME["ds"]], "y": [1, 2, None, 4, 5, 6]},
    ]
    for source in sources:
        np.testing.assert_array_equal(panel_of(source), FRAME["y"].to_numpy(), err_msg=str(type(source)))


def test_a_pandas_index_of_dates_serves_as_the_time_column() -> None:
    table = read_table(FRAME.set_index("ds"))
    assert Columns.resolve(table) == Columns("ds", ("y",))
    table = read_table(pd.DataFrame({"y": [1.0, 2.0]}, index=pd.DatetimeIndex(["2020-01-01", "2020-01-02"])))
    assert Columns.resolve(table) == Columns("index", ("y",))
    assert read_table(FRAME.iloc[::-1]).column_names == ["ds", "y"]


def test_an_id_with_leading_zeros_stays_text(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "unique_id,code,ds,y\n007,01,2020-01-01,1\n")
    assert read_table(path, text=["code"]).column("unique_id").to_pylist() == ["007"]
    assert read_table(path, text=["code"]).column("code").to_pylist() == ["01"]


def test_rows_are_named_as_a_text_editor_numbers_them(tmp_path: Path) -> None:
    table = read_table(written(tmp_path, "a.csv", "ds,y\n\n2020-01-01,1\r\n\r\n2020-01-02,2\n"))
    assert [row_name(table, i) for i in range(2)] == ["line 3", "line 5"]
    assert row_name(read_table(FRAME), 2) == "row 2"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "a.csv is empty"),
        ("a.csv", " \n\n", "a.csv is empty"),
        ("a.csv", "ds,y\n", "a.csv has a header but no rows"),
        ("a.csv", "ds,y\n2020-01-01,1,5\n", "a.csv is not a table of equal rows"),
        ("a.csv", b"ds,y\n2020-01-01,\xff\xfe\n", "UTF-8"),
        ("a.xlsx", "PK", "expected a .csv, .tsv or .parquet file"),
        ("a.parquet", "PAR1 but no more", "a.parquet is not a whole Parquet file"),
        ("a.csv.gz", "not gzip", "a.csv.gz cannot be read"),
        ("a.csv", "ds,ds,y\n2020-01-01,1,5\n", "several columns named 'ds': give each its own name"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    path = written(tmp_path, name, content)
    with pytest.raises(DataError, match=message):
        build_panel(path, Columns("ds", ("y",)))


def test_a_misspelt_file_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    written(tmp_path, "load.csv", "x")
    with pytest.raises(DataError, match=r"Did you mean 'load\.csv'"):
        read_table(tmp_path / "laod.csv")


@pytest.mark.parametrize(
    "source", [42, {"y": 3}, {"y": "abc"}, {"y": [1, "a"]}, {"a": [1], "b": [1, 2]}, pd.DataFrame({"y": [1, "a"]}), {}]
)
def test_what_is_no_table_is_refused(source: object) -> None:
    with pytest.raises(DataError):
        read_table(source)


def test_a_row_of_other_fields_that_is_no_text_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n1,2\n3,\xff,4\n# a comment \xfe\n5,6\n")
    with pytest.raises(DataError, match=r"a\.csv is not UTF-8 text \(invalid start byte at byte 10, in line 3\)"):
        read_table(path)
    # Whatever a library drops on the way would be told on standard error.
    gc.collect()
