"""Several numbers for each input, from tables and from arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unrolled.data.panel.steps import StepColumns
from unrolled.errors import DataError
from unrolled.inputs import SeriesInput, TextInput
from unrolled.inputs.columns import LabelColumns
from unrolled.tasks import Classifier, Regressor
from unrolled.tasks.reading.measured import MeasuredExamples, read_measured

OPTIONS = Regressor().options


def read(source: object, columns: LabelColumns, *, labelled: bool = True) -> MeasuredExamples:
    return read_measured(source, None, columns, OPTIONS, labelled=labelled)


ROWS = pd.DataFrame({"a": [1.5, 2], "words": ["one two", "three"], "b": [3, 4.0], "c": [0, 1]})


@pytest.mark.parametrize("form", ["table", "csv", "jsonl"])
def test_columns_of_a_table_of_texts_are_the_targets_in_the_order_given(form: str, tmp_path: Path) -> None:
    source: Any = ROWS
    if form != "table":
        source = tmp_path / f"x.{form}"
        ROWS.to_csv(source, index=False) if form == "csv" else ROWS.to_json(source, orient="records", lines=True)
    found = read(source, LabelColumns("words", "b", more=("a",)))
    assert found.several
    assert found.targets is not None
    assert found.targets.tolist() == [[3, 1.5], [4, 2]]
    assert isinstance(found.inputs, TextInput)
    assert (found.columns.label, found.columns.more) == ("b", ("a",))
    # The one column that is left holds the texts.
    guessed = read(source, LabelColumns(None, "c", more=("b", "a")))
    assert guessed.columns.text == "words"
    assert guessed.remarks[-1] == "texts: column 'words'; labels: columns 'c', 'b', 'a'"
    assert read(source, LabelColumns("words", "b", more=("a",)), labelled=False).targets is None
    with pytest.raises(DataError, match="Column 'd' is not in"):
        read(source, LabelColumns("words", "b", more=("d",)))


def steps() -> pd.DataFrame:
    """Three series of four steps, with two numbers each that all of its rows have in common."""
    return pd.DataFrame(
        [
            {"who": f"n{i}", "at": step, "x": step * i, "dose": i / 2, "age": 10 * i}
            for i in range(3)
            for step in range(4)
        ]
    )


def test_columns_of_a_table_of_steps_are_targets_and_no_channels() -> None:
    columns = LabelColumns(None, "age", steps=StepColumns("who", "at"), more=("dose",))
    found = read(steps(), columns)
    assert found.targets is not None
    assert found.targets.tolist() == [[0, 0], [10, 0.5], [20, 1]]
    assert isinstance(found.inputs, SeriesInput)
    assert [values.shape for values in found.inputs.values] == [(4, 1)] * 3
    assert found.columns.steps.channels == ("x",)
    assert found.remarks[-1] == "labels: columns 'age', 'dose'"
    # Without them, as for a prediction: the channels are known, and the targets need not be there.
    later = read(steps().drop(columns=["age", "dose"]), found.columns, labelled=False)
    assert isinstance(later.inputs, SeriesInput)
    assert [values.tolist() for values in later.inputs.values] == [values.tolist() for values in found.inputs.values]
    for name, value, message in (
        ("dose", 7.0, "changes within series 'n0'.* one label is learned for each"),
        ("dose", np.nan, "series 'n0'.*has no target"),
    ):  # fmt: skip
        rows = steps()
        rows.loc[rows["who"].eq("n0") if value != value else [0], name] = value
        with pytest.raises(DataError, match=message):
            read(rows, columns)


@pytest.mark.parametrize("form", ["one array", "two arrays", "one column"])
def test_arrays_are_the_targets_of_series(form: str, tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).normal(size=(5, 4, 2)), np.arange(10.0).reshape(5, 2)
    arrays = {
        "one array": {"y": y},
        "two arrays": {"first": y[:, 0], "second": y[:, 1]},
        "one column": {"y": y[:, :1]},
    }[form]
    np.savez(tmp_path / "x.npz", x=x, **arrays)
    columns = LabelColumns(None, "first", more=("second",)) if form == "two arrays" else LabelColumns()
    found = read(tmp_path / "x.npz", columns)
    assert found.targets is not None
    assert found.targets.tolist() == y[:, : found.targets.shape[1]].tolist()
    assert found.several == (form != "one column")
    if form == "one array":
        # Whoever learned from columns of a table reads them as one array, too.
        named = read(tmp_path / "x.npz", LabelColumns(None, "first", more=("second",)))
        assert named.targets is not None
        assert named.targets.tolist() == y.tolist()
    assert len(read(tmp_path / "x.npz", columns, labelled=False)) == 5


def test_arrays_of_targets_that_do_not_fit_are_told(tmp_path: Path) -> None:
    x, path = np.zeros((5, 4, 2)), tmp_path / "x.npz"
    both = LabelColumns(None, "a", more=("b",))
    for arrays, columns, message in (
        ({"y": np.zeros((4, 2))}, LabelColumns(), "numbers for each of the 5 series of x.npz, but got them for 4"),
        ({"a": np.zeros(5)}, both, "Expected 'a', 'b' of x.npz as a number each for every series, but there is no 'b'"),
        ({"a": np.zeros(5), "b": np.zeros(4)}, both, "but got arrays of shape"),
        ({"y": np.array([[0, np.nan]] * 5)}, LabelColumns(), "row 0 of x.npz has no target"),
    ):
        np.savez(path, x=x, **arrays)
        with pytest.raises(DataError, match=message):
            read(path, columns)
    np.savez(path, x=x, y=np.zeros((5, 3)))
    with pytest.raises(DataError, match=r"Expected one value as the label of row 0 of x\.npz"):
        Classifier().fit(path)
