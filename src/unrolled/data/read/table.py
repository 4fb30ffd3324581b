"""Tables: files, dataframes and dicts become one pyarrow.Table that still knows its source and its line numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.data.read.door import reader
from unrolled.data.read.files import file_name, read_bytes, require_names, suffix
from unrolled.errors import DataError
from unrolled.types import Json

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = {".csv": (",", ";", "\t"), ".tsv": ("\t",), ".txt": (",", ";", "\t"), "-": (",", ";", "\t")}
PARQUET = (".parquet", ".pq")
_MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "-NaN", "NULL", "Null", "null", "None", "#N/A", "<NA>", "?")

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
    table = _from_path(source, text) if isinstance(source, str | Path) else _noted(_from_memory(source), "the table")
    if table.num_columns == 0:
        raise DataError(f"{source_name(table)} has no columns: give a table with a header and rows.")
    if table.num_rows == 0:
        raise DataError(f"{source_name(table)} has a header but no rows: give at least one row under it.")
    return table


def source_name(table: pa.Table) -> str:
    """The file's name, or "the table", for messages."""
    return str(_note(table)["source"])


def row_name(table: pa.Table, index: int) -> str:
    """Where row `index` stands: "line 4" of a text file, header and blank lines counted, or "row 2", from 0."""
    note = _note(table)
    if not note["lines"]:
        return f"row {index}"
    line = int(index) + 2
    for blank in note["blank"]:
        line += blank <= line
    return f"line {line}"


def require_columns(table: pa.Table, names: Sequence[str]) -> None:
    """Raises DataError naming the first column that the table does not have, with the nearest one it has."""
    require_names(names, table.column_names, source_name(table))


def _note(table: pa.Table) -> Json:
    metadata = table.schema.metadata or {}
    note = metadata.get(b"unrolled")
    return json.loads(note) if note else {"source": "the table", "lines": False, "blank": []}


def _noted(table: pa.Table, name: str, lines: bool = False, blank: Sequence[int] = ()) -> pa.Table:
    note = json.dumps({"source": name, "lines": lines, "blank": list(blank)})
    return table.replace_schema_metadata({"unrolled": note})


def _from_memory(source: Any) -> pa.Table:
    import narwhals as nw
    import pyarrow as pa

    if isinstance(source, Mapping):
        columns = {str(name): _dict_column(str(name), values) for name, values in source.items()}
        lengths = {name: len(column) for name, column in columns.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"Expected columns of one length, but got {lengths}: give every column the same rows.")
        return pa.table(columns)
    try:
        frame = nw.from_native(source, allow_series=False)
    except TypeError as error:
        raise DataError(
            f"Expected a path, a pandas, polars or Arrow table, or a dict of columns, but got {type(source).__name__}: "
            "pass one of these."
        ) from error
    try:
        table = (frame.collect() if isinstance(frame, nw.LazyFrame) else frame).to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(f"A column mixes kinds of values ({_one_line(error)}): give it one kind.") from error
    return _without_row_numbers(table)


def _without_row_numbers(table: pa.Table) -> pa.Table:
    """pandas hands over its index as a column; an unnamed one is worth keeping only where it holds the time."""
    import pyarrow as pa

    name = "__index_level_0__"
    if name not in table.column_names:
        return table
    if not pa.types.is_timestamp(table.schema.field(name).type):
        return table.drop_columns([name])
    return table.rename_columns(["index" if column == name else column for column in table.column_names])


def _dict_column(name: str, values: object) -> pa.Array:
    import pyarrow as pa

    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DataError(f"Expected column {name!r} as a list or array, but got {type(values).__name__}: give its rows.")
    try:
        # An array is taken as it is; anything else goes through a list, so that None in it means missing.
        return pa.array(values if isinstance(values, np.ndarray) else list(values), from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(f"Column {name!r} mixes kinds of values ({_one_line(error)}): give it one kind.") from error


def _from_path(source: str | Path, text: Sequence[str]) -> pa.Table:
    name, ending = file_name(source), suffix(source)
    if ending not in DELIMITERS and ending not in PARQUET:
        raise DataError(
            f"{name}: expected a .csv, .tsv or .parquet file, but it ends in {Path(source).suffix!r}: "
            "convert or rename it."
        )
    data = read_bytes(source)
    if not data.strip():
        raise DataError(f"{name} is empty: give a file with a header and rows.")
    if ending in PARQUET:
        return _parquet(data, name)
    return _delimited(data, name, DELIMITERS[ending], text)


def _parquet(data: bytes, name: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        return _noted(parquet.read_table(pa.BufferReader(data), use_threads=False), name)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{name} is not a whole Parquet file ({error}): write it again.") from error


def _delimited(data: bytes, name: str, delimiters: Sequence[str], text: Sequence[str]) -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    try:
        header = data[:65536].lstrip().split(b"\n", 1)[0].decode("utf-8-sig")
        options = csv.ConvertOptions(
            null_values=list(_MISSING),
            strings_can_be_null=True,
            column_types={column: pa.string() for column in (*text, *_ALWAYS_TEXT)},
        )
        parse = csv.ParseOptions(delimiter=max(delimiters, key=header.count))
        # One block for the whole file: the type of a column then follows from all its rows, not from the first block.
        # One thread for one block; Arrow's own pool beside torch's aborts a process that ends soon after a read.
        read = csv.ReadOptions(use_threads=False, block_size=max(len(data) + 1, 1 << 16))
        table = csv.read_csv(pa.BufferReader(data), read_options=read, parse_options=parse, convert_options=options)
        if any(pa.types.is_binary(field.type) for field in table.schema):
            # The reader gives bytes where a column is no UTF-8: decoding says where.
            data.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name} is not UTF-8 text ({error.reason} at byte {error.start}): save it as UTF-8."
        ) from error
    except pa.ArrowInvalid as error:
        raise DataError(f"{name} is not a table of equal rows ({_one_line(error)}): mend that line.") from error
    table = table.rename_columns([column.strip().lstrip("\ufeff") for column in table.column_names])
    return _noted(table, name, lines=True, blank=_blank_lines(data))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _blank_lines(data: bytes) -> list[int]:
    """The numbers, from 1, of the blank lines before the last row: the reader leaves them out."""
    body = data.rstrip()
    if b"\n\n" not in body and b"\n\r" not in body and body[:1] not in b"\r\n":
        return []
    return [number for number, line in enumerate(body.split(b"\n"), start=1) if not line.strip(b"\r")]
