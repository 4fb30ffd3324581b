"""Series with labels from .ts files, numpy files and memory."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data import Series, read_series
from unrolled.data.read.arrays import read_arrays
from unrolled.data.read.series import read_stepped
from unrolled.errors import DataError

HEADER = """\
# a comment: with, marks
@problemName Small
@timeStamps false
@univariate false
@dimensions 2
@equalLength false
@classLabel true up down

@data
"""
BODY = "1,2.5,?:4,-5e1,6:up\n\n1:NaN:down\n"
VALUES = [[[1, 4], [2.5, -50], [np.nan, 6]], [[1, np.nan]]]


def written(folder: Path, text: str, name: str = "a.ts") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def same(got: list[np.ndarray], expected: Any) -> None:
    assert all(value.dtype == np.float64 for value in got)
    for value, wanted in zip(got, expected, strict=True):
        np.testing.assert_array_equal(value, wanted)


@pytest.mark.parametrize("name", ["a.ts", "a.ts.gz"])
def test_a_ts_file_gives_series_and_labels(tmp_path: Path, name: str) -> None:
    series = read_series(written(tmp_path, HEADER + BODY, name))
    same(series.values, VALUES)
    assert series.labels == ["up", "down"]
    assert [series.place(i) for i in range(2)] == [f"line 10 of {name}", f"line 12 of {name}"]
    assert series.select([1]).labels == ["down"]
    assert series.select([1]).place(0) == f"line 12 of {name}"
    same(series.select([1]).values, VALUES[1:])


def test_a_ts_file_may_have_no_labels(tmp_path: Path) -> None:
    text = HEADER.replace("true up down", "false") + BODY.replace(":up", "").replace(":down", "")
    series = read_series(written(tmp_path, text))
    assert series.labels is None
    same(series.values, VALUES)
    assert read_series(written(tmp_path, text), labels=[1, 0]).labels == ["1", "0"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@timeStamps false", "@timeStamps true", "has timestamps in its series, expected values alone"),
        (
            "@timeStamps false",
            "@timeStamps maybe",
            "true or false after @timestamps in line 3 of a.ts, but got 'maybe': mend that line",
        ),
        ("@dimensions 2", "@dimensions 3", "Line 10 of a.ts has 2 channels where 3 are expected"),
        ("@dimensions 2", "@dimensions two", "at least 1 after @dimensions in line 5 of a.ts, but got 'two': mend"),
        ("@univariate false\n@dimensions 2", "@univariate true", "has 2 channels where 1"),
        ("@equalLength false", "@equalLength true", "Line 12 of a.ts has 1 steps where @equalLength promises 3"),
        ("@equalLength false", "@equalLength true\n@seriesLength 4", "has 3 steps where @equalLength promises 4"),
        ("@problemName Small", "@dimensions 2", "says @dimensions twice, again in line 5"),
        ("up down", "up town", "ends in the label 'down', but @classLabel lists up, town. Did you mean 'town'"),
        ("true up down", "true", None),
        ("@data", "", "Expected '@data' before the series in a.ts, but line 10"),
        (BODY, "", "holds no series"),
        ("@data\n" + BODY, "", "has no '@data' line"),
        ("4,-5e1,6", "4,-5e1", "Line 10 of a.ts has 3 values in channel 1 but 2 in channel 2"),
        ("-5e1", "fifty", "Line 10 of a.ts, channel 2: .*'fifty'"),
        ("-5e1", "inf", "Expected finite numbers in line 10 of a.ts"),
        ("4,-5e1,6", "(0,4)", "Line 10 of a.ts, channel 2"),
        (":down", ":?", None),
    ],
)
def test_a_ts_file_that_does_not_fit_is_refused(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    text = (HEADER + BODY).replace(old, new)
    assert text != HEADER + BODY
    if new == "true":
        assert read_series(written(tmp_path, text)).labels == ["up", "down"]
        return
    with pytest.raises(DataError, match=message):
        read_series(written(tmp_path, text))


def test_arrays_and_lists_in_memory_give_series() -> None:
    block = np.arange(12).reshape(2, 3, 2)
    same(read_series(block).values, block)
    same(read_series(block[:, :, 0]).values, block[:, :, :1])
    same(read_series([[1, 2], np.array([3.0])]).values, [[[1], [2]], [[3]]])
    series = read_series([block[0], block[1, :1]], labels=np.array([3, 4]))
    assert isinstance(series, Series)
    assert (len(series), series.labels, series.place(1)) == (2, ["3", "4"], "row 1 of the arrays")
    assert read_series(block, labels=["up", "down"]).labels == ["up", "down"]
    assert read_series(block, labels=[1.0, 2.0]).labels == ["1", "2"]


def test_numpy_files_give_series(tmp_path: Path) -> None:
    block = np.arange(12.0).reshape(2, 3, 2)
    np.save(tmp_path / "a.npy", block)
    same(read_series(tmp_path / "a.npy").values, block)
    np.savez(tmp_path / "one.npz", block)
    same(read_series(tmp_path / "one.npz").values, block)
    np.savez(tmp_path / "a.npz", x=block, y=np.array(["up", "down"]), lengths=np.array([3, 1]))
    series = read_series(tmp_path / "a.npz")
    same(series.values, [block[0], block[1, :1]])
    assert series.labels == ["up", "down"]
    assert series.place(1) == "row 1 of a.npz"
    with pytest.raises(DataError, match="labels of its own"):
        read_series(tmp_path / "a.npz", labels=["a", "b"])


def test_an_array_without_values_is_read_as_it_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 7, 3)), none=np.zeros((0, 3)))
    assert read_arrays(tmp_path / "a.npz", "a.npz")["none"].shape == (0, 3)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros((2, 3)), "b": np.zeros(2)}, "holds the arrays a, b, but expected 'x'"),
        ({"x": np.zeros((2, 3)), "lengths": np.array([1, 4])}, "'lengths' of a.npz as 2 integers from 1 to 3"),
        ({"x": np.zeros((2, 3)), "lengths": np.array([1, -1])}, "'lengths' of a.npz as 2 integers from 1 to 3"),
        ({"x": np.zeros((2, 3)), "y": np.array([1])}, "a label for each of the 2 series of a.npz, but got 1"),
        ({"x": np.zeros((2, 3, 1, 1))}, r"as \(N, T, D\) or \(N, T\), but got"),
        ({"x": np.array([{}])}, "holds an array of object"),
        ({}, "holds no arrays"),
        ({"x": np.zeros((1 << 17, 0))}, "claims an array of shape"),
    ],
)
def test_a_numpy_file_that_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_series(tmp_path / "a.npz")


@pytest.mark.parametrize(
    ("source", "labels", "message"),
    [
        ([[1, 2], [[1, 2]]], None, "Expected 1 channels as in row 0 .* got 2 in row 1"),
        ([[1], []], None, "at least one step and channel in row 1"),
        ([[1], ["x"]], None, "Expected numbers in row 1 of the arrays"),
        ([[1], [np.inf]], None, "finite numbers in row 1"),
        ([3], None, r"Expected \(T, D\) or \(T,\) in row 0"),
        ([], None, "holds no series"),
        (7, None, "but got int"),
        ([[1], [2]], ["a"], "each of the 2 series"),
        ([[1], [2]], ["a", None], "one is missing"),
        ("a.csv", None, r"expected a \.ts, \.arff, \.npy or \.npz file, but it ends in '\.csv'"),
        ("missing.npy", None, "There is no file"),
    ],
)
def test_what_holds_no_series_is_refused(source: Any, labels: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_series(source, labels)


def test_series_may_stand_one_after_another(tmp_path: Path) -> None:
    features = np.arange(20.0).reshape(10, 2)
    np.savez(tmp_path / "a.npz", features=features, lengths=np.array([3, 7]), text=np.array(["x", "y z"]))
    found = read_series(tmp_path / "a.npz", names=("text", "y"))
    assert [value.shape for value in found.values] == [(3, 2), (7, 2)]
    assert np.array_equal(np.concatenate(found.values), features)
    assert (found.labels, read_series(tmp_path / "a.npz").labels) == (["x", "y z"], None)
    # Of as many lengths as rows each row is a series of its own.
    np.savez(tmp_path / "b.npz", x=np.ones((2, 3)), lengths=np.array([1, 1]))
    assert [value.shape for value in read_series(tmp_path / "b.npz").values] == [(1, 1), (1, 1)]


@pytest.mark.parametrize("kind", ["S", "U"])
def test_labels_of_an_array_are_the_texts_that_were_saved_as_bytes_or_as_text(tmp_path: Path, kind: str) -> None:
    labels = np.char.encode(["a", "b c", "\u00e9"], "utf-8") if kind == "S" else np.array(["a", "b c", "\u00e9"])
    np.savez(tmp_path / "a.npz", x=np.ones((3, 4)), y=labels)
    assert read_series(tmp_path / "a.npz").labels == ["a", "b c", "\u00e9"]
    np.savez(tmp_path / "b.npz", x=np.ones((0, 4)), y=labels[:0])
    with pytest.raises(DataError, match=r"b\.npz holds no series"):
        read_series(tmp_path / "b.npz")


@pytest.mark.parametrize("labels", [np.array([b"a", b"\xff"]), np.array([0x110000, 0x61], np.uint32).view("U1")])
def test_labels_that_are_no_text_are_a_sentence(tmp_path: Path, labels: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((2, 4)), y=labels)
    with pytest.raises(DataError, match=r"a\.npz holds an array of .* that is no text in value"):
        read_series(tmp_path / "a.npz")


def test_lengths_that_do_not_add_up_are_told_with_both_numbers(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.ones((9, 4)), lengths=np.array([4, 6]))
    with pytest.raises(DataError, match=r"'lengths' of a\.npz .* 9 rows, .* add up to 10: get the whole file"):
        read_series(tmp_path / "a.npz")


def test_a_nan_that_asks_for_a_signal_is_a_missing_value(tmp_path: Path) -> None:
    bits = np.array([[0x3F800000, 0x7F800001, 0x40000000]], np.uint32)
    np.savez(tmp_path / "a.npz", x=bits.view(np.float32))
    (series,) = read_series(tmp_path / "a.npz").values
    np.testing.assert_array_equal(series, [[1], [np.nan], [2]])


STEPS = HEADER.replace("true up down", "true a b") + "1,2.5,?:4,-5e1,6:a,b, b\n\n1:NaN:b\n"


@pytest.mark.parametrize("name", ["a.ts", "a.ts.gz"])
def test_a_ts_file_may_have_a_label_for_each_step(tmp_path: Path, name: str) -> None:
    series = read_stepped(written(tmp_path, STEPS, name))
    same(series.values, VALUES)
    assert series.labels == [["a", "b", "b"], ["b"]]
    assert series.places.of(1) == f"line 12 of {name}"
    for labels in (STEPS, HEADER + BODY):
        unlabelled = read_stepped(written(tmp_path, labels, name), labelled=False)
        same(unlabelled.values, VALUES)
        assert unlabelled.labels is None


@pytest.mark.parametrize("form", ["whole", "one channel", "cut", "one after another"])
def test_an_npz_file_may_have_a_label_for_each_step(tmp_path: Path, form: str) -> None:
    random = np.random.default_rng(0)
    x, y, lengths = random.normal(size=(3, 4, 2)), random.integers(0, 3, (3, 4)), np.array([4, 1, 2])
    if form == "one channel":
        x = x[..., 0]
    elif form == "whole":
        lengths = np.array([4, 4, 4])
    expected = [values[:n].reshape(n, -1) for values, n in zip(x, lengths, strict=True)]
    labels = [own[:n].tolist() for own, n in zip(y, lengths, strict=True)]
    arrays: dict[str, Any] = {"x": x, "tags": y, "lengths": lengths}
    if form == "one after another":
        arrays = {"x": np.concatenate(expected), "tags": np.concatenate(labels), "lengths": lengths}
    elif form == "one channel":
        del arrays["lengths"]
        expected, labels = list(x[..., None]), y.tolist()
    np.savez(tmp_path / "a.npz", **arrays)
    series = read_stepped(tmp_path / "a.npz")
    same(series.values, expected)
    assert series.labels == labels
    assert series.places.of(2) == "row 2 of a.npz"
    assert read_stepped(tmp_path / "a.npz", labelled=False).labels is None


def test_labels_of_steps_that_do_not_fit_are_told(tmp_path: Path) -> None:
    x = np.zeros((3, 4, 2))
    for text, message in (
        (HEADER + BODY, "Line 10 of a.ts has 3 steps, but 1 label in its last part: a Classifier learns one"),
        (STEPS.replace("a,b, b", "a,b"), "Line 10 of a.ts has 3 steps, but 2 labels in its last part: give one a step"),
        (STEPS.replace("a,b, b", "a,c,b"), "ends in the label 'c', but @classLabel lists a, b"),
        (STEPS.replace("a,b, b", "a,,b"), "Line 10 of a.ts has no label|ends in the label ''"),
        (
            STEPS.replace("true a b", "false").replace(":a,b, b", "").replace(":b", ""),
            "a.ts has no labels: expected one",
        ),
    ):
        with pytest.raises(DataError, match=message):
            read_stepped(written(tmp_path, text))
    for arrays, message in (
        ({"x": x, "y": np.zeros(3)}, r"Expected labels of steps, \(3, 4\), as 'y'.*\(3,\): a Classifier learns one"),
        ({"x": x, "y": np.zeros((3, 3))}, r"Expected labels of steps, \(3, 4\).*got an array of shape \(3, 3\)"),
        ({"x": x[:, :, 0].ravel()[:, None], "y": np.zeros(11), "lengths": np.array([4, 4, 4])}, r"steps, \(12,\)"),
        ({"x": x, "z": np.zeros((3, 4))}, "a.npz has no labels: expected one for each step, an array of them"),
        ({"y": np.zeros((3, 4))}, "expected 'x' among them"),
    ):
        np.savez(tmp_path / "a.npz", **arrays)
        with pytest.raises(DataError, match=message):
            read_stepped(tmp_path / "a.npz")
    with pytest.raises(DataError, match=r"a\.csv: expected a \.ts or \.npz file"):
        read_stepped(written(tmp_path, "1,2", "a.csv"))
