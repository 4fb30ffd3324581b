from __future__ import annotations

import gzip
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from unrolled.errors import DataError
from unrolled.inputs import TextInput
from unrolled.inputs.columns import LabelColumns
from unrolled.tasks import Classifier
from unrolled.tasks.reading.labelled import read_examples

OPTIONS = Classifier().options
TEXTS, LABELS = ["a good film", "a bad film", "good"], ["1", "0", "1"]


def read(source: Any, labels: Any = None, labelled: bool = True, **columns: Any) -> Any:
    return read_examples(source, labels, LabelColumns(**columns), OPTIONS, labelled=labelled)


def written(folder: Path, kind: str) -> Any:
    rows = list(zip(TEXTS, LABELS, strict=True))
    if kind == "csv":
        (folder / "x.csv").write_text("text,label\n" + "".join(f"{t},{y}\n" for t, y in rows))
    elif kind == "tsv.gz":
        with gzip.open(folder / "x.tsv.gz", "wt") as file:
            file.write("label\ttext\n" + "".join(f"{y}\t{t}\n" for t, y in rows))
    elif kind == "jsonl":
        (folder / "x.jsonl").write_text("".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in rows))
    elif kind == "parquet":
        pd.DataFrame({"text": TEXTS, "label": LABELS}).to_parquet(folder / "x.parquet")
    return folder / f"x.{kind}"


@pytest.mark.parametrize("kind", ["csv", "tsv.gz", "jsonl", "parquet", "dict", "pandas", "polars", "rows"])
def test_every_table_gives_the_same_examples(kind: str, tmp_path: Path) -> None:
    table = {"text": TEXTS, "label": LABELS}
    source = {
        "dict": table, "pandas": pd.DataFrame(table), "polars": pl.DataFrame(table),
        "rows": [{"text": t, "label": y} for t, y in zip(TEXTS, LABELS, strict=True)],
    }.get(kind)  # fmt: skip
    found = read(written(tmp_path, kind) if source is None else source)
    assert found.labels == LABELS
    assert len(found) == 3
    assert (found.columns.text, found.columns.label) == ("text", "label")


@pytest.mark.parametrize("values", [[1, 0, 1], np.array([1, 0, 1]), pd.Series([1, 0, 1]), [1.0, 0.0, 1.0]])
def test_whole_numbers_are_one_kind_of_label_however_they_come(values: Any) -> None:
    in_memory, in_table = read(TEXTS, values), read({"text": TEXTS, "label": values})
    assert in_memory.labels == in_table.labels == ["1", "0", "1"]
    assert in_memory.label_kind == in_table.label_kind == "whole"


@pytest.mark.parametrize("values", [["1", "0", "1"], ["a", "b", "a"], ["1.5", "2", "x"]])
def test_texts_as_labels_stay_texts(values: list[str]) -> None:
    found = read(TEXTS, values)
    assert found.labels == values
    assert found.label_kind == "text"


def test_labels_may_stand_beside_a_table_of_texts() -> None:
    assert read(pd.DataFrame({"text": TEXTS}), [1, 0, 1]).labels == ["1", "0", "1"]
    assert read({"text": TEXTS, "stars": [3, 1, 3]}, LABELS).labels == LABELS
    with pytest.raises(DataError, match="3 inputs, got 2 labels"):
        read(pd.DataFrame({"text": TEXTS}), [1, 0])


@pytest.mark.parametrize("texts", [TEXTS, tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), pd.Series(TEXTS)])
def test_texts_in_memory_may_stand_in_anything(texts: Any) -> None:
    found = read(texts, LABELS)
    assert isinstance(found.inputs, TextInput)
    assert found.inputs.texts.interned.forms == ["a", "good", "film", "bad"]


def test_series_may_be_an_array_or_ragged() -> None:
    array = np.arange(12.0).reshape(2, 3, 2)
    ragged = np.empty(2, object)
    ragged[:] = [array[0], array[1, :2]]
    for source, lengths in ((array, [3, 3]), (list(ragged), [3, 2]), (ragged, [3, 2]), (array[:, :, 0], [3, 3])):
        found = read(source, ["x", "y"])
        assert [len(values) for values in found.inputs.values] == lengths


def test_a_column_is_seen_from_its_name_or_from_being_the_other_one() -> None:
    assert read({"x": TEXTS, "label": LABELS}).columns.text == "x"
    assert read({"text": TEXTS, "stars": LABELS}).columns.label == "stars"
    assert read({"review": TEXTS, "sentiment": LABELS, "id": [1, 2, 3]}).labels == LABELS
    with pytest.raises(DataError, match=r"which with text=, or name all .* It has: a, b, label"):
        read({"a": TEXTS, "b": TEXTS, "label": LABELS})
    with pytest.raises(DataError, match=r"Column 'lable' is not in the table\. Did you mean 'label'"):
        read({"text": TEXTS, "label": LABELS}, label="lable")
    with pytest.raises(DataError, match="Did you mean 'text'"):
        read({"text": TEXTS, "label": LABELS}, text="txt")


def test_texts_alone_are_found_without_their_labels() -> None:
    for table in ({"text": TEXTS}, {"text": TEXTS, "label": LABELS}, {"text": TEXTS, "stars": LABELS, "id": LABELS}):
        assert read(table, labelled=False).labels is None
        assert len(read(table, labelled=False)) == 3
    assert len(read({"only": TEXTS}, labelled=False, text="review", label="stars")) == 3
    with pytest.raises(DataError, match="text="):
        read({"a": TEXTS, "b": TEXTS}, labelled=False)


def test_a_missing_label_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text,label\na,1\nb,\n")
    with pytest.raises(DataError, match=r"line 3 of x\.csv has no label"):
        read(tmp_path / "x.csv")
    for labels in (["a", None, "b"], ["a", float("nan"), "b"], np.array([1.0, np.nan, 2.0])):
        with pytest.raises(DataError, match="row 1 of the texts has no label"):
            read(TEXTS, labels)
        with pytest.raises(DataError, match="row 1 of the arrays has no label"):
            read(np.zeros((3, 2, 1)), labels)


@pytest.mark.parametrize("missing", [None, float("nan"), 3])
def test_a_text_that_is_none_is_named_with_its_place(missing: Any) -> None:
    for texts in (["a", missing], [missing, "a"]):
        row = texts.index(missing)
        with pytest.raises(DataError, match=f"row {row} of the texts"):
            read(texts, ["x", "y"])


def test_labels_that_are_no_labels_are_refused() -> None:
    with pytest.raises(DataError, match="one label for each of the 3 inputs, got 2 labels"):
        read(TEXTS, ["a", "b"])
    with pytest.raises(DataError, match="one value"):
        read(TEXTS, np.eye(3))
    with pytest.raises(DataError, match="label"):
        read(TEXTS)


def test_a_folder_of_classes_gives_texts_or_series(tmp_path: Path) -> None:
    for name in ("neg", "pos"):
        (tmp_path / "texts" / name).mkdir(parents=True)
        (tmp_path / "texts" / name / "1.txt").write_text(f"{name} text")
        (tmp_path / "series" / name).mkdir(parents=True)
        np.save(tmp_path / "series" / name / "1.npy", np.zeros((3, 2)))
    assert read(tmp_path / "texts").labels == ["neg", "pos"]
    assert read(tmp_path / "series").inputs.values[0].shape == (3, 2)
    with pytest.raises(DataError, match="labels"):
        read(tmp_path / "texts", ["a", "b"])


def test_a_file_of_series_brings_its_labels(tmp_path: Path, toys: SimpleNamespace) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 4, 2)), y=np.array([2, 1, 2]))
    assert read(tmp_path / "x.npz").labels == ["2", "1", "2"]
    (tmp_path / "x.ts").write_text("@univariate true\n@classLabel true a b\n@data\n1,2,3:a\n4,5,6:b\n")
    assert read(tmp_path / "x.ts").labels == ["a", "b"]


def test_a_file_without_a_header_is_read_under_its_names_then_and_later(tmp_path: Path, toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(20)
    (tmp_path / "x.tsv").write_text("".join(f"{y}\t{t}\n" for t, y in zip(texts, labels, strict=True)))
    model = Classifier(**toys.quick, epochs=2)
    model.fit(tmp_path / "x.tsv", names=["stars", "review"], label="stars", valid=tmp_path / "x.tsv")
    assert len(model.predict(tmp_path / "x.tsv")) == 20
    assert model.evaluate(tmp_path / "x.tsv").accuracy == model.score(texts, labels)
    # Other sources have names of their own.
    assert len(model.predict(pd.DataFrame({"review": texts, "stars": labels}))) == 20
