"""Records: rows of texts, labels and other values from files, tables and memory, each with its place for messages."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from shutil import copyfileobj
from typing import IO, TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from unrolled.data.batch.batching import Rows
from unrolled.data.read.delimited import choose_delimiter, iterate_rows
from unrolled.data.read.door import reader, require_file
from unrolled.data.read.files import Places, file_name, iterate_text, open_bytes, require_names, suffix
from unrolled.data.read.table import DELIMITERS, PARQUET, read_table, source_name
from unrolled.data.read.table_layout import COMMENTS_AMONG_ROWS, LINES, above_said
from unrolled.errors import DataError, OptionError, listed, said_by
from unrolled.types import Json

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

__all__ = ["Records", "comments_above", "iterate_records", "read_records"]

_JSON_LINES = (".jsonl", ".ndjson")
# Rows of a Parquet file or a table that become Python values at a time.
_ROWS = 1024
# A column of JSON lines must appear in one of this many objects.
_PATIENCE = 1000

# A row's number and its values, in the order of the columns.
Values: TypeAlias = list[Any]
"""A row or a column of a table, of whatever kinds of values the source has."""

_Numbered: TypeAlias = tuple[int, Values]


@dataclass(frozen=True, eq=False)
class Records:
    """Rows by column; None where a value is missing.

    Args:
        columns: name -> the value of every row.
        source: the file's name, or words for what is in memory.
        places: where each row came from.
    """

    columns: dict[str, Values]
    source: str
    places: Places

    def __len__(self) -> int:
        return len(self.places.numbers)

    def place(self, index: int) -> str:
        """Where row `index` came from, for messages: "line 4 of x.tsv", "row 2 of the table"."""
        return self.places.of(index)

    def select(self, rows: Sequence[int] | Rows) -> Records:
        """The rows given, in that order; each keeps its place."""
        chosen = np.asarray(rows, np.int64).tolist()
        columns = {name: [values[i] for i in chosen] for name, values in self.columns.items()}
        return Records(columns, self.source, self.places.select(rows))

    def texts(self, name: str) -> list[str | None]:
        """A column as text, so that a label 3 in one file and "3" in another are the same; None where missing."""
        require_names([name], list(self.columns), self.source)
        return [None if value is None else _as_text(value) for value in self.columns[name]]


class _Source(NamedTuple):
    """A source opened: what its rows are called, its columns (None: they differ from row to row), its rows."""

    name: str
    kind: str
    columns: list[str] | None
    rows: Iterator[_Numbered]


@reader
def read_records(
    source: object, columns: Sequence[str] | None = None, *, names: Sequence[str] | None = None
) -> Records:
    """All rows that `source` holds.

    Args:
        source: a path to .csv, .tsv, .txt (delimited, the delimiter seen from the first line), .jsonl (one object a
            line) or .parquet, each also with .gz; "-" for delimited text or JSON lines on standard input; a pandas,
            polars or Arrow table; a dict of columns; a list of dicts; or Records.
        columns: those to keep; None: all.
        names: the columns of delimited text that has no header.

    Delimited text knows no types: its values are str, None where a field is empty. Between tabs quotation marks are
    plain characters. Lines above the header that begin with "#", "//" or "%" and have other numbers of fields are left
    out. Every other source keeps its values: numbers, and lists such as the turns of a dialogue.

    Raises:
        DataError: no such file, an unknown kind, no rows, a column that is not there, a line that does not fit.
    """
    if isinstance(source, Records):
        kept = list(source.columns if columns is None else columns)
        require_names(kept, list(source.columns), source.source)
        return Records({name: source.columns[name] for name in kept}, source.source, source.places)
    with _opened(source, columns, names) as found:
        table, numbers = _gathered(found)
        if not numbers:
            raise DataError(f"{found.name} has no rows: give at least one.")
        return Records(table, found.name, Places(found.name, found.kind, np.array(numbers, np.int64)))


@reader
def iterate_records(
    source: object, columns: Sequence[str] | None = None, *, names: Sequence[str] | None = None
) -> Iterator[Json]:
    """The rows of `read_records` one by one, column -> value, for files larger than memory; the arguments are its."""
    if isinstance(source, Records):
        kept = read_records(source, columns).columns
        yield from (dict(zip(kept, row, strict=True)) for row in zip(*kept.values(), strict=True))
        return
    with _opened(source, columns, names) as found:
        for _, values in found.rows:
            if found.columns is None:
                yield values[0]
            else:
                yield dict(zip(found.columns, values, strict=True))


def _gathered(found: _Source) -> tuple[dict[str, Values], list[int]]:
    """The columns, and the number of each row."""
    numbers = list[int]()
    if found.columns is not None:
        gathered: list[Values] = [[] for _ in found.columns]
        appends: list[Callable[[object], None]] = [values.append for values in gathered]
        for number, values in found.rows:
            numbers.append(number)
            for append, value in zip(appends, values, strict=True):
                append(value)
        return dict(zip(found.columns, gathered, strict=True)), numbers
    table: dict[str, Values] = {}
    for number, (row,) in found.rows:
        for name in row:
            if name not in table:
                table[name] = [None] * len(numbers)
        for name, column in table.items():
            column.append(row.get(name))
        numbers.append(number)
    return table, numbers


def _as_text(value: object) -> str:
    # A column of whole numbers with a missing one arrives as floats: 3.0 is the label "3".
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@contextmanager
def _opened(source: object, columns: Sequence[str] | None, names: Sequence[str] | None) -> Iterator[_Source]:
    if isinstance(columns, str):
        raise OptionError(f"columns must be a list of names, got the text {columns!r}; write columns=[{columns!r}].")
    if isinstance(source, str | Path):
        ending = suffix(source)
        if names is not None and ending not in DELIMITERS:
            raise OptionError(f"names= is for delimited text without a header, got {file_name(source)}; leave it out.")
        if ending in PARQUET:
            with _parquet_file(source) as file:
                yield _parquet(file, file_name(source), columns)
        elif ending in _JSON_LINES:
            yield _json_lines(iterate_text(source), file_name(source), columns)
        elif ending in DELIMITERS:
            yield _text(source, ending, columns, names)
        else:
            raise DataError(
                f"{file_name(source)}: expected a .csv, .tsv, .jsonl or .parquet file, but it ends in "
                f"{Path(source).suffix!r}: convert or rename it."
            )
    elif isinstance(source, Sequence):
        kept = None if columns is None else list(columns)
        yield _Source("the rows", "row", kept, _objects(enumerate(source), "the rows", columns))
    else:
        yield _table(source, columns)


def _text(source: str | Path, ending: str, columns: Sequence[str] | None, names: Sequence[str] | None) -> _Source:
    name, lines = file_name(source), iterate_text(source)
    begun, _ = _begin(lines, DELIMITERS[ending], headed=names is None)
    first = next(filter(str.strip, begun), None)
    if first is None:
        raise DataError(f"{name} is empty: give a file with a header and rows.")
    everything = chain(begun, lines)
    if ending == "-" and first.lstrip().startswith("{"):
        return _json_lines(everything, name, columns)
    delimiter = choose_delimiter(first, DELIMITERS[ending], None if names is None else len(names))
    rows = iterate_rows(everything, name, delimiter)
    header = list(names) if names is not None else [column.strip() for column in next(rows).fields]
    kept = header if columns is None else list(columns)
    require_names(kept, header, name)
    where = [header.index(column) for column in kept]

    def values() -> Iterator[_Numbered]:
        for line, fields in rows:
            if len(fields) != len(header):
                raise DataError(
                    f"Line {line} of {name} has {len(fields)} fields where {len(header)} are expected "
                    f"({listed(header)}): mend that line."
                )
            yield line, [fields[i] or None for i in where]

    return _Source(name, "line", kept, values())


def _begin(lines: Iterator[str], delimiters: Sequence[str], *, headed: bool) -> tuple[list[str], list[int]]:
    """The first lines, up to one that is no comment, and the numbers of the comments above the header, emptied there.

    headed: the text has a header; a mark of comments in a first row may be text.
    """
    begun = list[str]()
    for line in lines:
        begun.append(line)
        if line.strip() and not (headed and len(begun) < LINES and line.lstrip().startswith(COMMENTS_AMONG_ROWS)):
            break
    else:
        return begun, []
    delimiter = choose_delimiter(begun[-1], delimiters)
    # A comment of as many fields as what stands under it is the header.
    width = begun[-1].count(delimiter)
    header = next(at for at, line in enumerate(begun) if line.strip() and line.count(delimiter) == width)
    return [""] * header + begun[header:], [at + 1 for at, line in enumerate(begun[:header]) if line.strip()]


def comments_above(source: object) -> tuple[str, ...]:
    """What is to be said of the comments above the header of delimited text, which `read_records` leaves out."""
    if not isinstance(source, str | Path) or suffix(source) not in DELIMITERS or str(source) == "-":
        return ()
    _, comments = _begin(iterate_text(source), DELIMITERS[suffix(source)], headed=True)
    return above_said(comments)


def _json_lines(lines: Iterator[str], name: str, columns: Sequence[str] | None) -> _Source:
    def objects() -> Iterator[tuple[int, object]]:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parsed(line, number, name)

    kept = None if columns is None else list(columns)
    return _Source(name, "line", kept, _objects(objects(), name, columns))


def _parsed(line: str, number: int, name: str) -> object:
    try:
        return json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(
            f"Line {number} of {name} is not JSON ({said_by(error)}): write one whole object a line."
        ) from error


def _objects(found: Iterator[tuple[int, object]], name: str, columns: Sequence[str] | None) -> Iterator[_Numbered]:
    """Rows from dicts: the values of the columns, or the whole dict where no columns are named."""
    missing = set(columns or ())
    kind, seen, count = "row" if name == "the rows" else "line", dict[str, None](), 0
    for number, row in found:
        if not isinstance(row, Mapping):
            raise DataError(
                f"Expected an object of columns in {kind} {number} of {name}, but got {type(row).__name__}: "
                "give every row as names and values."
            )
        if columns is None:
            yield number, [dict(row)]
            continue
        count += 1
        if missing:
            missing -= row.keys()
            seen |= dict.fromkeys(map(str, row))
            if missing and count == _PATIENCE:
                break
        yield number, [row.get(column) for column in columns]
    if missing and count:
        require_names([column for column in columns or () if column in missing], list(seen), name)


@contextmanager
def _parquet_file(source: str | Path) -> Iterator[parquet.ParquetFile]:
    """The file opened; a gzipped one is unpacked to a temporary file, for Parquet is read from its end."""
    if Path(source).suffix.lower() != ".gz":
        yield _whole_parquet(require_file(source), file_name(source))
        return
    with tempfile.TemporaryFile(prefix="unrolled-") as unpacked:
        with open_bytes(source) as packed:
            copyfileobj(packed, unpacked)
        yield _whole_parquet(unpacked, file_name(source))


def _whole_parquet(file: Path | IO[bytes], name: str) -> parquet.ParquetFile:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name} is not a whole Parquet file ({said_by(error)}): write it again.") from error


def _parquet(file: parquet.ParquetFile, name: str, columns: Sequence[str] | None) -> _Source:
    present = list(file.schema_arrow.names)
    kept = present if columns is None else list(columns)
    require_names(kept, present, name)
    batches = file.iter_batches(batch_size=_ROWS, columns=kept, use_threads=False)
    return _Source(name, "row", kept, _batched(batches, kept))


def _table(source: object, columns: Sequence[str] | None) -> _Source:
    table = read_table(source)
    kept = list(table.column_names if columns is None else columns)
    require_names(kept, table.column_names, source_name(table))
    batches = table.select(kept).to_batches(max_chunksize=_ROWS)
    return _Source(source_name(table), "row", kept, _batched(iter(batches), kept))


def _batched(batches: Iterator[pa.RecordBatch], kept: Sequence[str]) -> Iterator[_Numbered]:
    start = 0
    for batch in batches:
        lists = [batch.column(name).to_pylist() for name in kept]
        for i in range(batch.num_rows):
            yield start + i, [values[i] for values in lists]
        start += batch.num_rows
