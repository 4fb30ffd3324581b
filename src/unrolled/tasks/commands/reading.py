"""Files of the command line as tasks take them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from unrolled.errors import DataError
from unrolled.model.describe import Call, Request
from unrolled.tasks.commands.words import column_names, is_table
from unrolled.tasks.spreadsheet import csv_text

if TYPE_CHECKING:
    from unrolled.data.read.records import Records

__all__ = [
    "csv_row", "files_of", "header_of", "holds_lines", "inputs_of", "read_files", "table_of", "together", "under_names",
]  # fmt: skip

T = TypeVar("T")

# Lines that are read before the first of them is answered: each at once where somebody types them.
TOGETHER = 1000
LINES = (".txt", ".text")
# What a column of a table may be for.
COLUMNS = ("text", "label", "source", "target", "turns")


def under_names(path: str, header: Sequence[str] | None) -> str | Records:
    """The path, or the rows of the file under the names given, for a table without a header."""
    if header is None:
        return path
    from unrolled.data.read.records import read_records

    return read_records(path, names=header)


def header_of(call: Call[Any], file: str, given: str | None) -> tuple[str, ...] | None:
    """The names of all columns of a table without a header: those given, or those that the run was fitted with."""
    from unrolled.data.read.files import suffix
    from unrolled.data.read.table import DELIMITERS

    if given is not None:
        return column_names(given)
    # Other files than delimited text name their own columns.
    request = call.request() if suffix(file) in DELIMITERS else None
    return None if request is None else header_in(request)


def header_in(request: Request) -> tuple[str, ...] | None:
    """The names of all columns that a run was fitted with."""
    kept = request.reading.get("names")
    return tuple(map(str, kept)) if isinstance(kept, list | tuple) else None


def table_of(path: str, request: Request) -> str | Records:
    """A table with the columns that were asked for; a folder or a file of series as it is."""
    header = header_in(request)
    if Path(path).is_dir() or not (is_table(path) or header):
        return path
    from unrolled.data.read.files import require_names
    from unrolled.data.read.records import read_records

    records = read_records(path, names=header)
    asked = [request.reading[what] for what in COLUMNS if request.reading.get(what)]
    wanted = [str(name) for names in asked for name in (names if isinstance(names, list) else [names])]
    require_names(wanted, list(records.columns), records.source)
    return records


def holds_lines(file: str) -> bool:
    """Does a file for a prediction hold a text a line?"""
    if file == "-":
        return True
    endings = [ending.lower() for ending in Path(file).suffixes if ending.lower() != ".gz"]
    return bool(endings) and endings[-1] in LINES and not Path(file).is_dir()


def together(items: Iterable[T], file: str) -> Iterator[list[T]]:
    """So many at once as are worth a prediction; what somebody types is answered line by line."""
    rest, typed = iter(items), file == "-" and sys.stdin.isatty()
    while some := list(islice(rest, 1 if typed else TOGETHER)):
        yield some


def inputs_of(call: Call[Any], file: str, names: str | None) -> Iterator[object]:
    """What a model of inputs of any kind is asked about: texts a line each, some at once, or a whole file or folder."""
    kind = call.model.kind
    if not kind.lines and file == "-":
        raise DataError(f"predict: expected a file or folder of {kind.kind}, got standard input; name the file.")
    if not kind.lines or not holds_lines(file):
        header = header_of(call, file, names)
        yield read_files(call, file) if header is None else under_names(file, header)
        return
    from unrolled.data.read.lines import read_lines

    yield from together(read_lines(file), file)


def read_files(call: Call[Any], file: str) -> object:
    """A folder, or a zip, of what the model learned from, read once for all that is asked; any other path as it is."""
    from unrolled.data.read.files import suffix
    from unrolled.inputs.columns import LabelColumns
    from unrolled.tasks.reading.labelled import recognised

    kind, columns = call.model.kind, LabelColumns()
    several = file != "-" and (Path(file).is_dir() or suffix(file) == ".zip")
    if not several or recognised(file, columns, False)[0] is not kind:
        return file
    return kind.read(file, columns, call.model.options, labelled=False)


def files_of(source: object, count: int) -> list[dict[str, str]]:
    """For each of so many answers the name of its file, as {"file": name}, where several were read; else {}."""
    from unrolled.inputs.input import ReadSource

    if isinstance(source, ReadSource) and source.places.kind == "file":
        return [{"file": source.places.of(row)} for row in range(count)]
    return [{} for _ in range(count)]


def csv_row(call: Call[Any], *fields: object) -> str:
    """One line of CSV; a text that is like a formula as the call wants it."""
    return csv_text([fields], raw=call.raw)
