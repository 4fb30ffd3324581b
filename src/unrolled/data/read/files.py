"""Files of text: opened plain, gzipped or from standard input, decoded strictly, and named in every error."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from unrolled.data.batch.batching import Rows
from unrolled.data.read.door import Unpacked, require_file
from unrolled.data.read.table_layout import NO_HEADER, is_datum
from unrolled.errors import DataError, listed, said_by, suggest

__all__ = ["Places", "file_name", "iterate_text", "open_bytes", "read_bytes", "require_file", "require_names", "suffix"]

_PIECE = 1 << 17
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, eq=False)
class Places:
    """Where items came from, for messages: line or row numbers of a source, or the names of files.

    Args:
        source: the file's name, or words for what is in memory.
        kind: "line" (numbers from 1), "row" (numbers from 0) or "file" (numbers into `files`).
        numbers: (n,) integers, one an item.
        files: their names, for kind "file".
    """

    source: str
    kind: str
    numbers: np.ndarray
    files: tuple[str, ...] = ()

    def of(self, index: int) -> str:
        """The place of one item: "line 4 of x.tsv", "row 2 of the table" or "positive/17.txt"."""
        number = int(self.numbers[index])
        return self.files[number] if self.kind == "file" else f"{self.kind} {number} of {self.source}"

    def select(self, rows: Sequence[int] | Rows) -> Places:
        """The places of the items given, in that order."""
        return Places(self.source, self.kind, self.numbers[np.asarray(rows, np.int64)], self.files)


def file_name(source: str | Path) -> str:
    """The file's name without its folder, or "standard input" for "-"."""
    return "standard input" if str(source) == "-" else Path(source).name


def suffix(source: str | Path) -> str:
    """The ending in lower case, that of gzip left out: ".csv" for "A.CSV.gz"; "-" for standard input."""
    if str(source) == "-":
        return "-"
    suffixes = [part.lower() for part in Path(source).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def require_names(wanted: Sequence[str], present: Sequence[str], source: str) -> None:
    """Raises DataError for the first wanted column that is not present exactly once, with the nearest one."""
    for name in wanted:
        if name not in present:
            raise DataError(f"Column {name!r} is not in {source}.{suggest(name, present)} It has: {listed(present)}.")
        if present.count(name) > 1:
            advice = NO_HEADER if all(map(is_datum, present)) else "give each its own name."
            raise DataError(f"{source} has several columns named {name!r}: {advice}")


@contextmanager
def open_bytes(source: str | Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it ends in .gz, or of standard input for "-"; read inside the `with`.

    Raises DataError, also for what goes wrong while reading: no such file, no permission, gzip data cut short.
    """
    if str(source) == "-":
        yield sys.stdin.buffer
        return
    path = require_file(source)
    try:
        if path.suffix.lower() == ".gz":
            size, name = path.stat().st_size, path.name
            with gzip.open(path) as packed, io.BufferedReader(Unpacked(packed, size, name), _PIECE) as stream:
                yield cast(BinaryIO, stream)
        else:
            with path.open("rb") as plain:
                yield plain
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path.name} cannot be read ({said_by(error)}): check that it is a whole, readable file."
        ) from error


def read_bytes(source: str | Path) -> bytes:
    """All bytes of a file, unpacked where it ends in .gz, or of standard input for "-"."""
    with open_bytes(source) as stream:
        return stream.read()


def iterate_text(source: str | Path) -> Iterator[str]:
    r"""The lines of a UTF-8 file one by one, without their ends ("\n" or "\r\n") and without a byte order mark.

    In a file without any "\n" before its end, lines end in "\r" alone, as on the first Macs.

    Raises DataError for bytes that are no UTF-8: file, line and byte are named.
    """
    with open_bytes(source) as stream:
        yield from _decoded(_parted(stream), file_name(source))


def _parted(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of bytes; a first one that is the only one, and holds bare carriage returns, is parted at them."""
    lines = iter(stream)
    first = next(lines, None)
    if first is None:
        return lines
    if b"\r" not in first.removesuffix(b"\n").removesuffix(b"\r"):
        return chain([first], lines)
    second = next(lines, b"")
    return chain([first, second], lines) if second else iter(first.splitlines(keepends=True))


def _decoded(stream: Iterable[bytes], name: str) -> Iterator[str]:
    start = 0
    for number, raw in enumerate(stream, start=1):
        line = raw.removeprefix(_BOM) if number == 1 else raw
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            byte = start + len(raw) - len(line) + error.start
            raise DataError(
                f"{name} is not UTF-8 text ({error.reason} at byte {byte}, in line {number}): save it as UTF-8."
            ) from error
        start += len(raw)
        yield text.removesuffix("\n").removesuffix("\r")
