"""Lines of text: one sentence a line, from a file, standard input, a folder of files, or memory; and pairs of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from unrolled.data.read.door import reader, require_file
from unrolled.data.read.files import file_name, iterate_text
from unrolled.errors import DataError

__all__ = ["lines_of", "read_lines", "read_parallel", "visible_files"]


def read_lines(source: str | Path | Iterable[str]) -> Iterator[str]:
    r"""The lines of a text, one by one; nothing is kept, so a file larger than memory streams.

    A file is UTF-8 (a byte order mark is dropped), plain or .gz; its lines end in "\n" or "\r\n", or in "\r" in a file
    without any "\n", and no other character ends a line. Empty lines are lines.

    Args:
        source: a path; "-" for standard input; a folder, of which every file is read in the order of its path, hidden
            ones left out; or lines in memory.

    Raises:
        DataError: no such file, a folder without files, bytes that are no UTF-8 (file and byte named), no text.
    """
    if isinstance(source, str | Path):
        return _from_path(source)
    if not isinstance(source, Iterable):
        raise DataError(
            f"Expected a path, '-', a folder or lines of text, but got {type(source).__name__}: pass one of these."
        )
    return _from_memory(source)


def read_parallel(source: str | Path | Iterable[str], target: str | Path | Iterable[str]) -> Iterator[tuple[str, str]]:
    """The pairs (line i of source, line i of target); each of the two is anything that `read_lines` takes.

    Raises:
        DataError: the two have different numbers of lines; both are named, once all pairs have been handed out.
    """
    if str(source) == "-" and str(target) == "-":
        raise DataError("Expected two files, but got standard input ('-') twice: write one of them to a file.")
    return _pairs(source, target)


def lines_of(text: str) -> list[str]:
    """The lines of a text in memory, as those of a file are read: what ends the last one begins no other."""
    whole = text.removesuffix("\n")
    if "\n" not in whole and "\r" in whole.removesuffix("\r"):
        return whole.removesuffix("\r").split("\r")
    return [line.removesuffix("\r") for line in whole.split("\n")]


def visible_files(folder: Path) -> list[Path]:
    """All files under a folder, sorted by path; hidden files and folders (".name") are left out."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


@reader
def _from_path(source: str | Path) -> Iterator[str]:
    if str(source) == "-" or not require_file(source).is_dir():
        yield from iterate_text(source)
        return
    files = visible_files(Path(source))
    if not files:
        raise DataError(f"The folder {str(source)!r} holds no files: put text files there, or pass another folder.")
    for path in files:
        yield from iterate_text(path)


def _from_memory(lines: Iterable[object]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if not isinstance(line, str):
            raise DataError(
                f"Expected text as item {number} of the lines, but got {type(line).__name__}: pass strings."
            )
        yield line.removesuffix("\n").removesuffix("\r")


def _pairs(source: str | Path | Iterable[str], target: str | Path | Iterable[str]) -> Iterator[tuple[str, str]]:
    counts = [0, 0]
    for pair in zip_longest(read_lines(source), read_lines(target)):
        counts = [count + (line is not None) for count, line in zip(counts, pair, strict=True)]
        first, second = pair
        if first is not None and second is not None:
            yield first, second
    if counts[0] != counts[1]:
        raise DataError(
            f"Expected as many lines in {_called(source, 'the source')} as in {_called(target, 'the target')}, but got "
            f"{counts[0]} and {counts[1]}: line i of one must belong to line i of the other."
        )


def _called(source: str | Path | Iterable[str], otherwise: str) -> str:
    return file_name(source) if isinstance(source, str | Path) else otherwise
