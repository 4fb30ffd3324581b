"""Lines of text from files, folders, standard input and memory."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import pytest

from unrolled.data import read_lines, read_parallel
from unrolled.data.read.lines import lines_of
from unrolled.errors import DataError


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


LINES = ["first", "", "zwölf Boxkämpfer 🥊", "a\u2028b\x0bc\x85d\re", " last "]


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
@pytest.mark.parametrize("closed", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_file_gives_its_lines_however_it_was_written(
    tmp_path: Path, end: str, closed: bool, mark: bytes, name: str
) -> None:
    text = end.join(LINES) + (end if closed else "")
    assert list(read_lines(written(tmp_path / name, mark + text.encode()))) == LINES


def test_standard_input_and_memory_give_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    data = "\n".join(LINES).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert list(read_lines("-")) == LINES
    assert list(read_lines(f"{line}\n" for line in LINES)) == LINES


def test_a_folder_gives_its_files_in_order_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c/d.txt.gz", ".hidden", ".git/x.txt"):
        written(tmp_path / name, f"{name}\n".encode())
    assert list(read_lines(tmp_path)) == ["a.txt", "b.txt", "c/d.txt.gz"]
    assert list(read_lines(str(tmp_path))) == ["a.txt", "b.txt", "c/d.txt.gz"]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(written(tmp_path / "a.txt", b""))) == []


def test_a_line_of_a_megabyte_is_a_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.txt.gz", b"x" * 1_000_000 + b"\nshort\n")
    assert [len(line) for line in read_lines(path)] == [1_000_000, 5]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_what_is_no_utf8_is_refused_with_file_line_and_byte(tmp_path: Path, mark: bytes) -> None:
    data = mark + "täglich\n".encode() + "über".encode("latin-1")
    byte = data.index(b"\xfc")
    with pytest.raises(DataError, match=rf"a\.txt is not UTF-8 text \(.* at byte {byte}, in line 2\)"):
        list(read_lines(written(tmp_path / "a.txt", data)))


def test_a_gzip_file_cut_short_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(b"line\n" * 10_000)
    for data in (whole[:-20], whole[:20] + b"garbage" + whole[27:], b"no gzip"):
        path = tmp_path / "a.txt.gz"
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"a\.txt\.gz cannot be read"):
            list(read_lines(path))


def test_what_holds_no_lines_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "train.txt", b"x")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"Did you mean 'train\.txt'"):
        list(read_lines(tmp_path / "trian.txt"))
    with pytest.raises(DataError, match="holds no files"):
        list(read_lines(tmp_path / "empty"))
    with pytest.raises(DataError, match="got int"):
        read_lines(3)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="item 1 of the lines, but got int"):
        list(read_lines(["a", 3]))  # type: ignore[list-item]


def test_parallel_lines_come_in_pairs(tmp_path: Path) -> None:
    source = written(tmp_path / "a.de.gz", b"eins\nzwei\n")
    target = written(tmp_path / "a.en", b"one\r\n\r\n")
    assert list(read_parallel(source, target)) == [("eins", "one"), ("zwei", "")]
    assert list(read_parallel(["a"], ["b"])) == [("a", "b")]


@pytest.mark.parametrize(("more", "fewer"), [(5, 3), (3, 5), (1, 0)])
def test_parallel_files_of_different_lengths_are_both_counted(tmp_path: Path, more: int, fewer: int) -> None:
    source, target = written(tmp_path / "a.de", b"x\n" * more), written(tmp_path / "a.en", b"x\n" * fewer)
    with pytest.raises(DataError, match=rf"lines in a\.de as in a\.en, but got {more} and {fewer}"):
        list(read_parallel(source, target))


def test_standard_input_is_read_once_only() -> None:
    with pytest.raises(DataError, match="twice"):
        read_parallel("-", "-")


@pytest.mark.parametrize("data", [b"a\rb\r\rc", b"a\rb\r\rc\r", b"a\rb\r\rc\n", b"\xef\xbb\xbfa\rb\r\rc\r\n"])
@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_carriage_returns_end_the_lines_of_a_file_that_has_nothing_else(tmp_path: Path, data: bytes, name: str) -> None:
    assert list(read_lines(written(tmp_path / name, data))) == ["a", "b", "", "c"]


@pytest.mark.parametrize(
    "text", ["a\nb", "a\nb\n", "a\r\nb\r\n", "a\rb", "a\rb\r", "a\rb\n", "", "\n", "\n\n", "a\rb\nc"]
)
def test_a_text_in_memory_has_the_lines_of_its_file(tmp_path: Path, text: str) -> None:
    assert lines_of(text) == (list(read_lines(written(tmp_path / "a.txt", text.encode()))) or [""])
