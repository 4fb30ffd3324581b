"""A series a row, its label first, as in the UCR archive."""

from pathlib import Path

import numpy as np
import pytest

from unrolled.data.read.label_first import read_label_first
from unrolled.errors import DataError

ROWS = [[1, 0.5, -1.5, 2.25], [2, 1.5, 0.25, 1], [1, 0.75, 3, -4.5], [2, 1, 2, 3.5]]


def written(folder: Path, name: str, rows: list[list[float]], delimiter: str, form: str = "{}") -> Path:
    path = folder / name
    path.write_text("".join(delimiter.join(form.format(value) for value in row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "delimiter", "form"),
    [("a.tsv", "\t", "{}"), ("a.txt", ",", "{}"), ("a.txt", "   ", "{:.7e}"), ("a.csv", ",", "{}")],
)
def test_the_first_value_is_the_label(tmp_path: Path, name: str, delimiter: str, form: str) -> None:
    series = read_label_first(written(tmp_path, name, ROWS, delimiter, form))
    assert series is not None
    assert series.labels == ["1", "2", "1", "2"]
    np.testing.assert_allclose(np.stack(series.values)[:, :, 0], np.array(ROWS)[:, 1:])
    assert series.place(2) == f"line 3 of {name}"


def test_a_series_filled_up_with_nan_ends_where_its_values_end(tmp_path: Path) -> None:
    nan = float("nan")
    series = read_label_first(written(tmp_path, "a.tsv", [[1, 2, nan, nan], [2, nan, 4, 5], [1, 1, 2, 3]], "\t"))
    assert series is not None
    assert [len(values) for values in series.values] == [1, 3, 3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.tsv", "label\ta\tb\n1\t2\t3\n"),
        ("a.tsv", "good film\tp\nbad film\tn\n"),
        ("a.tsv", "1.5\t2\t3\n2.5\t3\t4\n"),
        ("a.csv", "1,0.5,1\n2,0.7,1\n1,0.6,2\n"),
        ("a.tsv", "1\t2\n1\t3\n"),
        ("a.jsonl", "1\t2\t3\n1\t2\t3\n"),
    ],
)
def test_other_tables_are_left_to_other_readers(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_label_first(tmp_path / name) is None


def test_a_later_row_of_another_kind_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", ROWS * 50, "\t")
    path.write_text(path.read_text() + "x\t1\t2\t3\n")
    with pytest.raises(DataError, match=r"Line 201 of a.tsv is not a whole number, the label"):
        read_label_first(path)
