"""What a classifier says of tables of numbers."""

from pathlib import Path

import pandas as pd
import pytest

from unrolled.errors import DataError
from unrolled.inputs import SeriesInput
from unrolled.inputs.columns import LabelColumns
from unrolled.tasks import Classifier
from unrolled.tasks.reading.labelled import read_examples

OPTIONS = Classifier().options


def read(source: object, columns: LabelColumns = LabelColumns()) -> object:  # noqa: B008
    return read_examples(source, None, columns, OPTIONS, labelled=True)


@pytest.mark.parametrize("header", ["f0,f1,f2,label", "sepal,petal,width,species", "item,d_0,d_1,d_2"])
def test_a_table_of_numbers_is_pointed_to_the_files_that_hold_series(tmp_path: Path, header: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{header}\n" + ("a,1,2,3\n" if header.startswith("item") else "1.5,2,3,a\n") * 3)
    with pytest.raises(DataError, match=r"is a table of numbers.*\.ts, \.arff and \.npz"):
        read(path)
    with pytest.raises(DataError, match="is a table of numbers"):
        read(pd.read_csv(path))


def test_two_columns_of_which_the_text_would_be_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("value,label\n1.5,a\n2.5,b\n")
    with pytest.raises(DataError, match=r"Column 'value' of x\.csv holds numbers"):
        read(path)
    # Who names the column has said so.
    assert len(read(path, LabelColumns("value", "label")).inputs) == 2  # type: ignore[attr-defined]


def test_two_columns_of_any_names_are_told_apart_by_their_values(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("spam,comment\n" + "".join(f"{'yes' if i % 2 else 'no'},comment number {i}\n" for i in range(20)))
    found = read_examples(path, None, LabelColumns(), OPTIONS, labelled=True)
    assert found.labels == ["no", "yes"] * 10
    assert found.remarks[0] == "texts: column 'comment'; labels: column 'spam'"


@pytest.mark.parametrize(
    "lines",
    [
        ["good,a"] + [f"text {i},{'ab'[i % 2]}" for i in range(20)],
        ["comment,spam"] + [f"text {i},{'ab'[i % 2]}" for i in range(6)],
        ["comment,spam"] + [f"text {i},label {i % 7}" for i in range(20)],
    ],
)
def test_two_columns_that_values_do_not_tell_apart_are_refused(lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match="expected a column of texts, but none has a usual name"):
        read(tmp_path / "x.csv")


def test_a_file_of_the_archive_is_read_as_series_and_said(tmp_path: Path) -> None:
    path = tmp_path / "Italy_TRAIN.tsv"
    path.write_text("1\t0.5\t1.5\n2\t1.5\t2.5\n" * 3)
    found = read_examples(path, None, LabelColumns(), OPTIONS, labelled=True)
    assert isinstance(found.inputs, SeriesInput)
    assert found.labels == ["1", "2"] * 3
    assert found.remarks[0].startswith("Italy_TRAIN.tsv: a series a row, its label first")
    with pytest.raises(DataError, match="has labels of its own: leave y out"):
        read_examples(path, ["1"] * 6, LabelColumns(), OPTIONS, labelled=True)
