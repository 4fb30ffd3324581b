"""Drawings from files, folders and zips: what comes out of each, and the sentence about each fault."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.data.read import door
from unrolled.data.read.ink import Drawings, folder_label, omniglot_drawer, omniglot_label, read_drawings
from unrolled.errors import DataError, OptionError

OMNIGLOT = "START\n1.5,-2,0\n3,-4.25,16\nBREAK\n5,-6,500\nBREAK\n"
EXPECTED = [[[1.5, 2, 0], [3, 4.25, 0.016]], [[5, 6, 0.5]]]
INKML = '<ink xmlns="http://www.w3.org/2003/InkML"><trace>1.5 2 0, 3 4.25 16</trace><trace>5 6 500</trace></ink>'


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def plain(drawings: Drawings) -> list[list[Any]]:
    assert all(stroke.dtype == np.float64 for drawing in drawings.values for stroke in drawing)
    return [[stroke.tolist() for stroke in drawing] for drawing in drawings.values]


def quickdraw(*rows: dict[str, object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


RAW = {"word": "cat", "drawing": [[[1.5, 3], [2, 4.25], [0, 16]], [[5], [6], [500]]], "recognized": True}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", OMNIGLOT),
        ("a.txt.gz", OMNIGLOT),
        ("a.TXT", OMNIGLOT.replace("\n", "\r\n").removesuffix("\r\n")),
        ("a.inkml", INKML),
        ("a.inkml.gz", INKML),
        ("a.ndjson", quickdraw(RAW)),
        ("a.jsonl.gz", "\n" + quickdraw(RAW)),
    ],
)
def test_every_format_gives_the_same_strokes(tmp_path: Path, name: str, content: str) -> None:
    drawings = read_drawings(write(tmp_path / name, content))
    assert plain(drawings) == [EXPECTED]
    assert drawings.labels == (["cat"] if "json" in name else None)
    assert plain(read_drawings(str(tmp_path / name), times="none")) == [
        [[point[:2] for point in stroke] for stroke in EXPECTED]
    ]


def test_stroke_3_rows_are_moves_from_the_origin(tmp_path: Path) -> None:
    rows = np.array([[1, 2, 0], [3, -4, 1], [1, 1, 1], [7, 7, 0], [1, 0, 0]], np.int16)
    arrays = {
        "train": rows,
        "train_lengths": np.array([3, 2]),
        "test": rows[:3],
        "test_lengths": np.array([3], np.int8),
    }
    np.savez_compressed(tmp_path / "a.npz", **arrays)
    drawings = read_drawings(tmp_path / "a.npz", part="train")
    assert plain(drawings) == [[[[1, 2], [4, -2]], [[5, -1]]], [[[7, 7], [8, 7]]]]
    assert (drawings.labels, drawings.place(1), drawings.source) == (None, "drawing 1 of a.npz", "a.npz")
    assert len(read_drawings(tmp_path / "a.npz", part="test")) == 1
    with pytest.raises(OptionError, match=r"a\.npz has the parts train, test, but none is chosen"):
        read_drawings(tmp_path / "a.npz")
    with pytest.raises(OptionError, match=r"no part 'trian'. Did you mean 'train'"):
        read_drawings(tmp_path / "a.npz", part="trian")


def test_quick_draw_has_a_drawing_a_line(tmp_path: Path) -> None:
    simplified = {"word": "dot", "drawing": [[[7], [8]]]}
    drawings = read_drawings(write(tmp_path / "a.ndjson", quickdraw(RAW, simplified)))
    assert plain(drawings) == [EXPECTED, [[[7, 8]]]]
    assert drawings.labels == ["cat", "dot"]
    chosen = drawings.select([1])
    assert (len(chosen), chosen.labels, chosen.place(0)) == (1, ["dot"], "line 2 of a.ndjson")


@pytest.fixture
def alphabets(tmp_path: Path) -> Path:
    for name in ("Latin/character02/0002_17.txt", "Latin/character01/0001_02.txt", "Greek/character01/0009_01.txt"):
        write(tmp_path / "all" / name, OMNIGLOT)
    write(tmp_path / "all/.DS_Store", b"\0\xff")
    write(tmp_path / "all/Latin/.hidden/x.txt", "no")
    return tmp_path / "all"


def test_a_folder_and_its_zip_are_read_in_the_order_of_paths(alphabets: Path) -> None:
    packed = alphabets.parent / "all.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(alphabets.rglob("*"), reverse=True):
            archive.write(file, file.relative_to(alphabets.parent))
        archive.writestr("__MACOSX/all/Latin/._0001_02.txt", b"\0\5")
    found, unpacked = read_drawings(alphabets, label=omniglot_label), read_drawings(packed, label=omniglot_label)
    assert found.labels == ["Greek/character01", "Latin/character01", "Latin/character02"]
    assert plain(found) == plain(unpacked) == [EXPECTED] * 3
    assert unpacked.labels == found.labels
    assert found.place(2) == "Latin/character02/0002_17.txt"
    assert unpacked.place(2) == "all/Latin/character02/0002_17.txt"
    assert [omniglot_drawer(found.place(i)) for i in range(3)] == ["01", "02", "17"]
    assert read_drawings(alphabets).labels is None
    assert read_drawings(alphabets, label=folder_label).labels == ["character01", "character01", "character02"]
    assert read_drawings(alphabets, label=omniglot_drawer).labels == ["01", "02", "17"]


def test_names_that_say_nothing_are_named(alphabets: Path) -> None:
    with pytest.raises(DataError, match=r"folders of an alphabet and of a character above character01/0009_01\.txt"):
        read_drawings(alphabets / "Greek", label=omniglot_label)
    with pytest.raises(DataError, match=r"such as 0708_20\.txt.*got a\.txt"):
        omniglot_drawer("a.txt")
    with pytest.raises(DataError, match=r"a folder as the class of a\.txt"):
        read_drawings(write(alphabets / "a.txt", OMNIGLOT), label=folder_label)


def test_labels_of_some_drawings_alone_are_not_taken(tmp_path: Path) -> None:
    truth = INKML.replace("<trace>", '<annotation type="truth"> x^2 </annotation><trace>', 1)
    write(tmp_path / "a.inkml", truth)
    assert read_drawings(tmp_path).labels == ["x^2"]
    write(tmp_path / "b.inkml", INKML)
    with pytest.raises(DataError, match=r"or for none, but b\.inkml has none"):
        read_drawings(tmp_path)
    assert read_drawings(tmp_path, label=lambda name: name[:1]).labels == ["a", "b"]
    with pytest.raises(DataError, match=r"line 2 of a\.ndjson has none"):
        read_drawings(write(tmp_path / "a.ndjson", quickdraw(RAW, {"drawing": [[[7], [8]]]})))


def test_a_clock_that_runs_back_is_an_error_held_or_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", OMNIGLOT.replace("5,-6,500", "5,-6,10"))
    message = r"clock that never runs back in line 5 of a\.txt, but got 0\.01 s after 0\.016 s.*times='held' or"
    with pytest.raises(DataError, match=message):
        read_drawings(path)
    assert plain(read_drawings(path, times="held"))[0][1] == [[5, 6, 0.016]]
    assert plain(read_drawings(path, times="none"))[0][1] == [[5, 6]]
    with pytest.raises(OptionError, match="strict, held, none, got 'hold'"):
        read_drawings(path, times="hold")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "a.txt ends within a drawing"),
        ("START\n", "a.txt ends within a drawing"),
        (OMNIGLOT.removesuffix("BREAK\n"), "a.txt ends within a drawing, expected BREAK as its last line"),
        (OMNIGLOT.removesuffix("5,-6,500\nBREAK\n") + "5,-", r"'x,y,milliseconds'.*in line 5 of a\.txt.*got '5,-'"),
        (
            OMNIGLOT.removeprefix("START\n"),
            r"START once, as the first line of a\.txt, but line 1 is '1\.5,-2,0': get the whole",
        ),
        (OMNIGLOT + OMNIGLOT, "START once.*but line 7 is 'START'"),
        ("START\nBREAK\n", r"at least one point in line 2 of a\.txt"),
        ("START\n1,2,3\nBREAK\nBREAK\n", r"at least one point in line 4 of a\.txt, but got none"),
        ("START\n1,2,3\n1,2\nBREAK\n", r"in line 3 of a\.txt, but got '1,2'"),
        ("START\n1,2,3\n1,2,3,4\nBREAK\n", r"in line 3 of a\.txt"),
        ("START\n1,2,3\n\n1,2,x\nBREAK\n", r"in line 4 of a\.txt"),
        ("START\n1,2,3\n\n1,2,3\nBREAK\n", r"no empty line between points, in line 4"),
        ("START\n1,2,3\n1,nan,3\nBREAK\n", r"finite numbers in line 3 of a\.txt, but got nan"),
        ("START\n1,1e999,3\nBREAK\n", r"finite numbers in line 2 of a\.txt, but got -inf"),
        (b"START\n1,2,\xff\nBREAK\n", "a.txt is no text of numbers .byte 10"),
    ],
)
def test_faults_of_omniglots_text_are_named_with_their_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_drawings(write(tmp_path / "a.txt", content))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[1]", 'an object with "drawing"'),
        ('{"drawing": []}', 'an object with "drawing"'),
        ('{"drawing": 3}', 'an object with "drawing"'),
        ("{", r"Line 2 of a.ndjson is not JSON .* at character 1\)"),
        ("[" * 100_000, "Line 2 of a.ndjson is not JSON"),
        ('{"drawing": [[[' + "9" * 5000 + "], [1]]]}", "Line 2 of a.ndjson is not JSON|numbers below 1e308"),
        ('{"drawing": [[[' + "9" * 400 + "], [1]]]}", "numbers below 1e308 in stroke 0 in line 2"),
        ('{"drawing": [[[1], [2]], [[1, 2], [3]]]}', "equally many numbers, in stroke 1 in line 2 of a.ndjson"),
        ('{"drawing": [[[1], ["2"]]]}', "numbers, in stroke 0"),
        ('{"drawing": [[[1], [true]]]}', "numbers, in stroke 0"),
        ('{"drawing": [[[[1]], [[2]]]]}', "numbers, in stroke 0"),
        ('{"drawing": [[1, 2]]}', "numbers, in stroke 0"),
        ('{"drawing": [[[1], [2], [3], [4]]]}', "numbers, in stroke 0"),
        ('{"drawing": [[[], []]]}', "at least one point in stroke 0 in line 2"),
        ('{"drawing": [[[1, NaN], [1, 2]]]}', "finite numbers in point 1 of stroke 0 in line 2"),
        ('{"drawing": [[[1], [2], [3]], [[1], [2]]]}', "seconds in every stroke or in none"),
        ('{"drawing": [[[1], [2]]], "word": 3}', 'text as "word" in line 2 of a.ndjson, but got 3: write'),
    ],
)
def test_faults_of_quick_draw_are_named_with_their_line(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_drawings(write(tmp_path / "a.ndjson", quickdraw({"drawing": [[[1], [2]]]}) + row + "\n"))
    assert len(str(caught.value)) <= 600


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((3, 3))}, "no 'x_lengths'"),
        ({"x_lengths": [3]}, r"holds x_lengths, but no rows of drawings: save them"),
        ({"x": np.zeros((3, 2)), "x_lengths": [3]}, r"rows of dx, dy, pen lifted, but got float64 of shape \(3, 2\)"),
        ({"x": np.array([["a"] * 3]), "x_lengths": [1]}, "rows of dx, dy, .*: convert them"),
        ({"x": np.zeros((3, 3)), "x_lengths": [2, 2]}, "add up to its 3 rows, but got int64 of shape .* to 4"),
        ({"x": np.zeros((3, 3)), "x_lengths": [3, 0]}, "of at least 1"),
        ({"x": np.zeros((3, 3)), "x_lengths": [2**63 - 1, 2**63 - 1, 5]}, "of at least 1"),
        ({"x": np.zeros((3, 3)), "x_lengths": [3.0]}, "whole numbers"),
        ({"x": np.zeros((3, 3)), "x_lengths": np.zeros(0, int)}, "whole numbers"),
        ({"x": np.array([[1, 1, 0], [1, 1, 2]]), "x_lengths": [2]}, "0 or 1, in row 1 of 'x'"),
        ({"x": np.array([[np.inf, 1, 0]]), "x_lengths": [1]}, "finite dx and dy, and 0 or 1, in row 0 of 'x'"),
        ({"x": np.array([[1, 2, 1]], object), "x_lengths": [1]}, "holds an array of object"),
    ],
)
def test_faults_of_stroke_3_are_named_with_their_row(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=message):
        read_drawings(tmp_path / "a.npz")


def test_sums_of_moves_beyond_all_numbers_are_no_drawing(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.full((3, 3), 1.7e308) * [1, 1, 0], x_lengths=[3])
    with pytest.raises(DataError, match=r"finite numbers in .*drawing 0 of a\.npz"):
        read_drawings(tmp_path / "a.npz")


def test_sources_of_another_kind_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*b\.txt"):
        read_drawings(tmp_path / "b.txt")
    with pytest.raises(DataError, match=r"holds no drawings"):
        read_drawings(tmp_path)
    with pytest.raises(DataError, match=r"a\.csv: expected a folder, or a \.txt"):
        read_drawings(write(tmp_path / "a.csv", "1,2"))
    with pytest.raises(DataError, match=r"^a\.csv: expected a \.txt or \.inkml file"):
        read_drawings(tmp_path)
    with pytest.raises(DataError, match=r"a\.ndjson holds no drawings"):
        read_drawings(write(tmp_path / "a.ndjson", "\n"))
    with pytest.raises(OptionError, match=r"label= is for \.txt and \.inkml files, got a\.ndjson"):
        read_drawings(tmp_path / "a.ndjson", label=folder_label)
    with pytest.raises(OptionError, match=r"part= is for \.npz files"):
        read_drawings(tmp_path / "a.ndjson", part="train")


def zipped(path: Path, method: int = zipfile.ZIP_DEFLATED, size: int = 1) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("b/a.txt", OMNIGLOT + " " * size)
    return path


def test_a_zip_that_is_broken_or_grows_beyond_measure_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with pytest.raises(DataError, match=r"b/a\.txt in a\.zip is packed in another way"):
            read_drawings(zipped(tmp_path / "a.zip", method))
    with pytest.raises(DataError, match=r"a\.zip cannot be read"):
        read_drawings(write(tmp_path / "a.zip", b"PK and no more"))
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("README.md", "")
    with pytest.raises(DataError, match=r"README\.md: expected a \.txt or \.inkml"):
        read_drawings(tmp_path / "c.zip")
    data = zipped(tmp_path / "a.zip").read_bytes()
    for place in range(0, len(data), 3):
        write(tmp_path / "flipped.zip", data[:place] + bytes([data[place] ^ 0x81]) + data[place + 1 :])
        attempt(lambda: read_drawings(tmp_path / "flipped.zip"))
    for place in range(0, len(data), 7):
        write(tmp_path / "flipped.zip", data[:place])
        with pytest.raises(DataError):
            read_drawings(tmp_path / "flipped.zip")
    monkeypatch.setattr(door, "FREE", 1 << 20)
    with pytest.raises(DataError, match=r"a\.zip would take 4,000,"):
        read_drawings(zipped(tmp_path / "a.zip", size=4_000_000))


def attempt(read: Callable[[], Drawings]) -> None:
    """A drawing, or the sentence of a DataError; any other exception is a fault."""
    with suppress(DataError):
        read()


@pytest.mark.parametrize(("name", "content"), [("a.txt", OMNIGLOT), ("a.inkml", INKML), ("a.ndjson", quickdraw(RAW))])
def test_every_flip_and_cut_of_a_file_is_a_sentence_or_a_drawing(tmp_path: Path, name: str, content: str) -> None:
    data = content.encode()
    for place in range(len(data)):
        for bits in (0x01, 0x10, 0x80):
            path = write(tmp_path / name, data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :])
            attempt(lambda path=path: read_drawings(path))  # type: ignore[misc]
        # A file of whole strokes is whole.
        if place < len(data) - 6 and not data[:place].rstrip().endswith(b"BREAK"):
            with pytest.raises(DataError):
                read_drawings(write(tmp_path / name, data[:place]))
