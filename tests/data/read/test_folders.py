"""A folder for each class: texts or series, in a fixed order."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from unrolled.data import read_folders
from unrolled.errors import DataError


def laid_out(root: Path, files: dict[str, bytes | np.ndarray]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, np.ndarray):
            np.save(path, content)
        else:
            path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return root


def test_texts_come_in_the_order_of_classes_and_files(tmp_path: Path) -> None:
    files: dict[str, bytes | np.ndarray] = {
        "pos/b.txt": b"good\r\nvery\n",
        "pos/a.txt": b"\xef\xbb\xbffine",
        "neg/z.txt.gz": "schön schlecht".encode(),
        "neg/.hidden.txt": b"no",
        ".git/x.txt": b"no",
        "README.md": b"no",
    }
    records = read_folders(laid_out(tmp_path, files))
    assert records.columns == {"text": ["schön schlecht", "fine", "good\nvery"], "label": ["neg", "pos", "pos"]}
    assert [records.place(i) for i in range(3)] == ["neg/z.txt.gz", "pos/a.txt", "pos/b.txt"]
    assert records.select([2]).place(0) == "pos/b.txt"


def test_series_come_as_numbers(tmp_path: Path) -> None:
    files: dict[str, bytes | np.ndarray] = {
        "a/1.csv": b"x,y\n1,2\n3,\n",
        "a/2.tsv.gz": b"1\t?\n",
        "b/3.npy": np.array([[1, 2], [3, 4], [5, 6]]),
    }
    records = read_folders(laid_out(tmp_path, files))
    expected = [[[1, 2], [3, np.nan]], [[1, np.nan]], [[1, 2], [3, 4], [5, 6]]]
    for got, wanted in zip(records.columns["series"], expected, strict=True):
        assert got.dtype == np.float64
        np.testing.assert_array_equal(got, wanted)
    assert records.columns["label"] == ["a", "a", "b"]


def test_a_row_of_numbers_is_one_channel(tmp_path: Path) -> None:
    records = read_folders(laid_out(tmp_path, {"a/1.npy": np.arange(3), "b/2.csv": b"1\n2\n"}))
    assert [value.shape for value in records.columns["series"]] == [(3, 1), (2, 1)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.txt": b"x"}, "holds no folders"),
        ({"pos/a.txt": b"x", "neg/.keep": b""}, "The class folder 'neg' is empty"),
        ({"pos/a.docx": b"x"}, r"pos/a\.docx: expected a \.txt, \.csv, \.tsv or \.npy file"),
        ({"pos/a.npy.gz": b"x"}, r"pos/a\.npy\.gz: expected"),
        ({"pos/in/a.txt": b"x"}, "holds the folder 'in'"),
        ({"pos/a.txt": b"x", "neg/b.csv": b"1\n"}, r"texts \(a\.txt\) and series \(b\.csv\)"),
        ({"pos/a.csv": b"1,2\n3,4\n", "pos/b.csv": b"1\n"}, r"2 channels as in pos/a\.csv, but pos/b\.csv has 1"),
        ({"pos/a.csv": b"1,2\n3\n"}, r"pos/a\.csv has 1 numbers in line 2 after 2 before"),
        ({"pos/a.csv": b"x\n1\noops\n"}, r"pos/a\.csv: .*'oops' in line 3"),
        ({"pos/a.csv": b""}, r"pos/a\.csv: expected finite numbers .* at least one step"),
        ({"pos/a.csv": b"inf\n"}, r"pos/a\.csv: expected finite numbers .* some infinite"),
        ({"pos/a.npy": np.zeros((2, 2, 2))}, r"pos/a\.npy: expected .* but got shape \(2, 2, 2\)"),
        ({"pos/a.npy": b"x"}, r"pos/a\.npy is not a file of numpy arrays"),
        ({"pos/a.txt": b"\xff"}, r"a\.txt is not UTF-8"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    tmp_path: Path, files: dict[str, bytes | np.ndarray], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_folders(laid_out(tmp_path, files))


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    laid_out(tmp_path, {"train/a/b.txt": b"x", "file": b"x"})
    with pytest.raises(DataError, match="Did you mean 'train'"):
        read_folders(tmp_path / "trian")
    with pytest.raises(DataError, match="'file' is a file"):
        read_folders(tmp_path / "file")
