"""Files that are broken, that lie about their sizes, or that are no files end in one sentence, and soon."""

from __future__ import annotations

import gzip
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.lib import format as numpy_format
from pyarrow import parquet

from unrolled.data import (
    Columns,
    build_panel,
    iterate_records,
    read_conll,
    read_folders,
    read_lines,
    read_records,
    read_series,
    read_table,
    read_vectors,
)
from unrolled.data.read import door
from unrolled.data.read.captions import CaptionColumns, read_captions
from unrolled.data.read.ink import read_drawings
from unrolled.errors import DataError

READERS: dict[str, Callable[[Path], object]] = {
    "table.csv": read_table,
    "panel.csv": lambda path: build_panel(path, Columns("t", "v")),
    "records.jsonl": read_records,
    "one-by-one.jsonl": lambda path: list(iterate_records(path)),
    "tags.conllu": read_conll,
    "text.txt": lambda path: list(read_lines(path)),
    "series.npy": read_series,
    "series.ts": read_series,
    "vectors.vec": read_vectors,
    "table.parquet": read_table,
    "records.parquet": read_records,
    "captions.json": lambda path: read_captions(path, CaptionColumns()),
    "captions.csv": lambda path: read_captions(path, CaptionColumns()),
}


def claimed(path: Path, shape: tuple[int, ...]) -> Path:
    """An .npy file whose header says this shape, with eight bytes behind it."""
    with path.open("wb") as file:
        numpy_format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
        file.write(bytes(8))
    return path


@pytest.mark.parametrize("shape", [(1 << 37,), (10**30, 2), (10**12, 0), (3, 3)])
def test_a_numpy_header_that_claims_more_than_is_there_takes_no_memory(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"a\.npy claims an array of shape"):
        read_series(claimed(tmp_path / "a.npy", shape))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(claimed(tmp_path / "x.npy", shape), "x.npy")
    with pytest.raises(DataError, match=r"a\.npz claims an array of shape"):
        read_series(tmp_path / "a.npz")


@pytest.mark.parametrize("cut", [0, 5, 11, 40, 90])
def test_a_numpy_file_cut_short_is_a_sentence(tmp_path: Path, cut: int) -> None:
    for name, save in (("a.npy", np.save), ("a.npz", np.savez)):
        save(tmp_path / name, np.ones((3, 4)))
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:cut])
        with pytest.raises(DataError, match=name):
            read_series(tmp_path / name)


def test_numpy_files_keep_their_order_and_labels(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(12.0).reshape(2, 3, 2))
    np.savez_compressed(tmp_path / "a.npz", x=x, y=np.array(["a", "b"]))
    series = read_series(tmp_path / "a.npz")
    assert np.array_equal(np.stack(series.values), x)
    assert series.labels == ["a", "b"]


def test_a_zip_that_grows_beyond_measure_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=np.zeros((10, 100_000)))
    assert len(read_series(tmp_path / "a.npz")) == 10
    monkeypatch.setattr(door, "FREE", 1 << 20)
    with pytest.raises(DataError, match=r"a\.npz would take 8,000,128 bytes"):
        read_series(tmp_path / "a.npz")


def test_a_zip_that_claims_more_packed_bytes_than_it_has_takes_no_memory(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("START\n1,2,3\nBREAK\n")
    np.save(tmp_path / "x.npy", np.ones((3, 4)))
    for name, member, read in (("a.zip", "a.txt", read_drawings), ("a.npz", "x.npy", read_series)):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(tmp_path / member, member)
        assert len(read(path)) > 0
        data = bytearray(path.read_bytes())
        # The size of what is packed stands 20 bytes into an entry of the directory.
        place = data.find(b"PK\x01\x02") + 20
        data[place : place + 4] = struct.pack("<I", 0xFF000000)
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"{name} claims to hold 4,278,190,080 packed bytes, but has"):
            read(path)


def test_a_gzip_that_grows_beyond_measure_is_refused_on_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"x\n" + b"1\n" * 2_000_000))
    assert read_table(path).num_rows == 2_000_000
    monkeypatch.setattr(door, "FREE", 1 << 20)
    with pytest.raises(DataError, match=r"a\.csv\.gz would take"):
        read_table(path)


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_in_a_folder_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="is a named pipe, but expected a file"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_a_device_is_refused_unread(tmp_path: Path, name: str) -> None:
    try:
        # The numbers of a device that gives zeros without an end; the node is this test's own.
        os.mknod(tmp_path / name, 0o20600, os.makedev(1, 5))
    except OSError:
        pytest.skip("this system lets nobody make a device")
    with pytest.raises(DataError, match="is a device, but expected a file"):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("name_of", [lambda ending: "n" * 5000 + ending, lambda ending: f"\ud800{ending}"])
def test_a_name_that_no_file_can_have_is_a_sentence(name: str, name_of: Callable[[str], str]) -> None:
    with pytest.raises(DataError) as caught:
        READERS[name](Path(name_of(Path(name).suffix)))
    assert len(str(caught.value)) <= 600


@pytest.mark.parametrize("line", ["[" * 100_000, '{"a":' * 50_000, '{"a": ' + "9" * 5000 + "}", '{"a": "\\ud800"}'])
def test_json_that_python_cannot_hold_is_a_sentence_or_a_value(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(line + "\n")
    if "ud800" in line:
        assert read_records(path, ["a"]).columns["a"] == ["\ud800"]
        return
    with pytest.raises(DataError, match=r"a\.jsonl"):
        read_records(path)


def test_every_flip_of_a_byte_in_parquet_is_a_sentence_or_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"t": ["2024-01-01", "2024-01-02"], "v": [1.0, 2.0]}), path)
    data, said = path.read_bytes(), list[str]()
    for place in range(4, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x81]) + data[place + 1 :])
        for read in (read_table, read_records):
            try:
                read(path)
            except DataError as error:
                said.append(str(error))
    assert len(said) > 20
    assert not any("\n" in sentence for sentence in said)


def test_a_folder_of_broken_arrays_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "a.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", 60) + b"{'descr': " + b" " * 50)
    with pytest.raises(DataError, match=r"up/a\.npy is not a file of numpy arrays"):
        read_folders(tmp_path)
