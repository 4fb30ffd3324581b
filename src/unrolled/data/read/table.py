"""Tables: files, dataframes and dicts become one pyarrow.Table that still knows its source and its line numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from unrolled.data.read.door import reader
from unrolled.data.read.files import file_name, read_bytes, require_names, suffix
from unrolled.data.read.frames import arrow_table, one_line
from unrolled.data.read.table_layout import COMMENTS_AMONG_ROWS, TableLayout, see_layout
from unrolled.data.read.typed import typed_columns
from unrolled.errors import DataError, said_by
from unrolled.types import Json

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import csv

DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",), ".txt": (",", ";", "\t"), "-": (",", ";", "\t")}
PARQUET = (".parquet", ".pq")
_MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "-NaN", "NULL", "Null", "null", "None", "#N/A", "<NA>", "?")
# One of these stands in each of those but the empty one.
_LETTERS = (b"N", b"n", b"?")

# Nixtla's id column is text whatever its values look like: "007" is not 7.
_ALWAYS_TEXT = ("unique_id",)


@reader
def read_table(source: object, text: Sequence[str] = ()) -> pa.Table:
    """The table that `source` holds.

    Args:
        source: a path to .csv, .tsv, .txt (delimiter seen from the header) or .parquet, each also with .gz; "-" for
            delimited text on standard input; a pandas, polars or Arrow table; or a dict of columns.
        text: columns of a delimited file to keep as text, for an id like "007".

    Returns:
        pyarrow.Table; its schema metadata hold the source's name and, for a text file, where its lines are.

    Raises:
        DataError: no such file, an unknown kind of file, an empty one, a header without rows, or lines that do not fit.
    """
    import pyarrow as pa

    if isinstance(source, pa.Table) and source.schema.metadata and b"unrolled" in source.schema.metadata:
        return source
    return _filled(_from_path(source, text) if isinstance(source, str | Path) else _from_memory(source, text))


def table_of_rows(
    columns: Mapping[str, object], source: str, lines: np.ndarray | None, text: Sequence[str] = ()
) -> pa.Table:
    """The columns of a file that was read row by row; messages name it, and the lines of its rows where there are any.

    Raises:
        DataError: there are no columns or no rows, or a column holds several kinds of values.
    """
    numbers = np.empty(0, np.int64) if lines is None else lines
    first = int(numbers[0]) if len(numbers) else 0
    left_out = np.setdiff1d(np.arange(first, first + int(np.ptp(numbers))), numbers).tolist() if first else []
    try:
        table = arrow_table(columns)
    except DataError as error:
        raise DataError(f"{source}: {error}") from error
    return _filled(_typed(table, {**_fresh(source), "lines": first, "blank": left_out}, text))


def _filled(table: pa.Table) -> pa.Table:
    if table.num_columns == 0:
        raise DataError(f"{source_name(table)} has no columns: give a table with a header and rows.")
    if table.num_rows == 0:
        raise DataError(f"{source_name(table)} has a header but no rows: give at least one row under it.")
    return table


def as_read(table: pa.Table) -> pa.Table:
    """A table made of what was read before: `read_table` takes its columns for what they are."""
    return _noted(table, _fresh("the table"))


def source_name(table: pa.Table) -> str:
    """The file's name, or "the table", for messages."""
    return str(_note(table)["source"])


def row_name(table: pa.Table, index: int) -> str:
    """Where row `index` stands: "line 4" of a text file, other lines counted as well, or "row 2", from 0."""
    return _row_said(_note(table), index)


def table_remarks(table: pa.Table, names: Sequence[str]) -> tuple[str, ...]:
    """What was understood of the table and of these columns without being told."""
    note = _note(table)
    return (*note["remarks"], *(note["said"][name] for name in names if name in note["said"]))


def odd_row(table: pa.Table, name: str) -> int | None:
    """The first row of a column of numbers that holds none, though a value stands there; None for any other column."""
    row = _note(table)["odd"].get(name)
    return None if row is None else int(row)


def has_decimal_commas(table: pa.Table) -> bool:
    """Whether the file parts its columns by what leaves the comma to decimals."""
    return bool(_note(table)["commas"])


def require_columns(table: pa.Table, names: Sequence[str]) -> None:
    """Raises DataError naming the first column that the table does not have, with the nearest one it has."""
    require_names(names, table.column_names, source_name(table))


def _note(table: pa.Table) -> Json:
    note = (table.schema.metadata or {}).get(b"unrolled")
    return json.loads(note) if note else _fresh("the table")


def _fresh(name: str) -> Json:
    """What is known of a table of which nothing is known. lines: the number of its first row's line, 0 for none."""
    return {"source": name, "lines": 0, "blank": [], "remarks": [], "said": {}, "odd": {}, "commas": False}


def _row_said(note: Json, index: int) -> str:
    if not note["lines"]:
        return f"row {index}"
    return f"line {_past(int(index) + int(note['lines']), note['blank'])}"


def _past(line: int, left_out: Sequence[int]) -> int:
    """The number of a line, of those that were counted without those left out."""
    for number in left_out:
        line += number <= line
    return line


def _noted(table: pa.Table, note: Mapping[str, object]) -> pa.Table:
    return table.replace_schema_metadata({"unrolled": json.dumps(note)})


def _from_memory(source: object, text: Sequence[str]) -> pa.Table:
    return _typed(arrow_table(source), _fresh("the table"), text)


def _typed(table: pa.Table, note: Json, text: Sequence[str]) -> pa.Table:
    typed = typed_columns(table, partial(_row_said, note), text=(*text, *_ALWAYS_TEXT))
    return _noted(typed.table, {**note, "said": typed.said, "odd": typed.odd})


def _from_path(source: str | Path, text: Sequence[str]) -> pa.Table:
    name, ending = file_name(source), suffix(source)
    if ending not in DELIMITERS and ending not in PARQUET:
        raise DataError(
            f"{name}: expected a .csv, .tsv or .parquet file, but it ends in {Path(source).suffix!r}: "
            "convert or rename it."
        )
    data = read_bytes(source)
    if not data[:4096].strip() and not data.strip():
        raise DataError(f"{name} is empty: give a file with a header and rows.")
    if ending in PARQUET:
        return _typed(_parquet(data, name), _fresh(name), text)
    return _delimited(data, name, DELIMITERS[ending], text)


def _parquet(data: bytes, name: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return parquet.read_table(pa.BufferReader(data), use_threads=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name} is not a whole Parquet file ({said_by(error)}): write it again.") from error


def _delimited(data: bytes, name: str, delimiters: Sequence[str], text: Sequence[str]) -> pa.Table:
    text = (*text, *_ALWAYS_TEXT)
    try:
        layout = see_layout(data, delimiters)
        file = _File(data, name, layout)
        table = file.read(text)
    except UnicodeDecodeError as error:
        raise _no_text(data, name, error) from error
    commas = layout.delimiter == ";"
    note = {**_fresh(name), "lines": 2, "commas": commas, "blank": file.left_out}
    note["remarks"] = [*layout.remarks, *_comments_said(file.comments)]
    body = data.find(b"\n", layout.start)
    typed = typed_columns(
        _without_empty_columns(table),
        partial(_row_said, note),
        text=text,
        commas=commas,
        again=file.read_again,
        marked=any(data.find(letter, body) >= 0 for letter in _LETTERS),
    )
    return _noted(typed.table, {**note, "said": typed.said, "odd": typed.odd})


def _no_text(data: bytes, name: str, error: UnicodeDecodeError) -> DataError:
    """What to tell of bytes that are no UTF-8; error: of some line of them."""
    try:
        data.decode()
    except UnicodeDecodeError as whole:
        error = whole
    line = data.count(b"\n", 0, error.start) + 1
    return DataError(
        f"{name} is not UTF-8 text ({error.reason} at byte {error.start}, in line {line}): save it as UTF-8."
    )


class _File:
    """A delimited file in memory, and what reading it shows: comments among its rows, a row that does not fit."""

    def __init__(self, data: bytes, name: str, layout: TableLayout) -> None:
        self.data, self.name, self.layout = data, name, layout
        self.blank = _blank_lines(data)
        self.comments, self.names, self.unfit = dict[int, None](), list[str](), ""

    @property
    def left_out(self) -> list[int]:
        """The lines that are neither header nor row, up to the last row."""
        return sorted({*self.layout.above, *self.layout.units, *self.blank, *self.comments})

    def read(self, text: Sequence[str]) -> pa.Table:
        """The rows, each column as the type that all its values have; those of `text` stay text."""
        import pyarrow as pa
        from pyarrow import csv

        options = csv.ConvertOptions(
            null_values=list(_MISSING),
            strings_can_be_null=True,
            column_types={column: pa.string() for column in text},
        )
        table = self._rows(options)
        if any(pa.types.is_binary(field.type) for field in table.schema):
            # The reader gives bytes where a column is no UTF-8: decoding says where.
            self.data.decode()
        self.names = table.column_names
        return table.rename_columns([_plain_name(column) for column in self.names])

    def read_again(self, names: Sequence[str]) -> pa.Table:
        """Some columns as the text that stands there."""
        import pyarrow as pa
        from pyarrow import csv

        wanted = [column for column in self.names if _plain_name(column) in names]
        options = csv.ConvertOptions(
            null_values=[""],
            strings_can_be_null=True,
            column_types={name: pa.string() for name in wanted},
            include_columns=wanted,
        )
        table = self._rows(options)
        return table.rename_columns([_plain_name(column) for column in table.column_names])

    def _rows(self, options: csv.ConvertOptions) -> pa.Table:
        import pyarrow as pa

        try:
            return self._parsed(options, None)
        except (pa.ArrowInvalid, UnicodeDecodeError):
            # Arrow hands over rows of other fields as text, and tells standard error alone where they are none.
            self.data.decode()
        try:
            return self._parsed(options, self._comment_or_unfit)
        except pa.ArrowInvalid as error:
            said = self.unfit or f"({one_line(error)}): mend that line"
            raise DataError(f"{self.name} is not a table of equal rows {said}.") from error

    def _parsed(self, options: csv.ConvertOptions, unfit: Callable[[csv.InvalidRow], str] | None) -> pa.Table:
        import pyarrow as pa
        from pyarrow import csv

        parse = csv.ParseOptions(delimiter=self.layout.delimiter, invalid_row_handler=unfit)
        rows = pa.py_buffer(self.data).slice(self.layout.start)
        # One block for the whole file: the type of a column then follows from all its rows, not from the first block.
        # One thread for one block; Arrow's own pool beside torch's aborts a process that ends soon after a read.
        read = csv.ReadOptions(
            use_threads=False,
            block_size=max(len(rows) + 1, 1 << 16),
            column_names=self.layout.names,
            skip_rows_after_names=len(self.layout.units),
        )
        return csv.read_csv(pa.BufferReader(rows), read_options=read, parse_options=parse, convert_options=options)

    def _comment_or_unfit(self, row: csv.InvalidRow) -> str:
        """What is to become of a row of other fields than the header: "skip" or "error"."""
        above = self.data.count(b"\n", 0, self.layout.start)
        line = _past((row.number or 0) + above, [number for number in self.blank if number > above])
        if row.text.lstrip().startswith(COMMENTS_AMONG_ROWS):
            self.comments[line] = None
            return "skip"
        commas = self.layout.delimiter == "," and row.actual_columns > row.expected_columns
        hint = "; where a comma parts decimals or stands in a text, part the columns by ';'" if commas else ""
        counts = f"has {row.actual_columns} fields where {row.expected_columns} are expected"
        self.unfit = f"(line {line} {counts}): mend that line{hint}"
        return "error"


def _plain_name(column: str) -> str:
    return column.strip().lstrip("\ufeff")


def _without_empty_columns(table: pa.Table) -> pa.Table:
    """Without what a delimiter at the end of each line makes: columns that have neither a name nor a value."""
    kept = [i for i, name in enumerate(table.column_names) if name or table.column(i).null_count < table.num_rows]
    return table if len(kept) == table.num_columns else table.select(kept)


def _comments_said(lines: Mapping[int, None]) -> tuple[str, ...]:
    if not lines:
        return ()
    first, more = next(iter(lines)), f" and {len(lines) - 1:,} more" if len(lines) > 1 else ""
    return (f"line {first}{more}, among the rows: left out as comments",)


def _blank_lines(data: bytes) -> list[int]:
    """The numbers, from 1, of the blank lines before the last row: the reader leaves them out."""
    tail = data[-4096:]
    end = len(data) - len(tail) + len(tail.rstrip()) if tail.strip() else len(data.rstrip())
    doubled = data.find(b"\n\n", 0, end) >= 0 or (b"\r" in data and data.find(b"\n\r", 0, end) >= 0)
    if not doubled and data[:1] not in (b"\r", b"\n"):
        return []
    return [number for number, line in enumerate(data[:end].split(b"\n"), start=1) if not line.strip(b"\r")]
