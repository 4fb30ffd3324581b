"""One column of a table as numbers or text, with the row named where a value does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unrolled.data.read.table import row_name, source_name
from unrolled.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def is_text(table: pa.Table, name: str) -> bool:
    """Whether the column holds text: its values are categories, not numbers."""
    import pyarrow as pa

    kind = table.schema.field(name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def number_column(table: pa.Table, name: str) -> np.ndarray:
    """The column as float64 (N,), NaN where missing.

    Raises:
        DataError: a value is no number, or infinite; its row and the value are named.
    """
    import pyarrow as pa

    column = plain_column(table, name)
    kind = column.type
    if is_text(table, name):
        values = _text_numbers(table, name, column)
    elif pa.types.is_null(kind):
        values = np.full(len(column), np.nan)
    elif (
        pa.types.is_floating(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    ):
        whole = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
        values = whole.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float64)
    else:
        raise DataError(
            f"Column {name!r} of {source_name(table)} holds {kind}, not numbers: choose a column of numbers."
        )
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        row = int(infinite[0])
        raise DataError(
            f"Column {name!r} of {source_name(table)} holds an infinite value in {row_name(table, row)}: "
            "leave the field empty if the value is missing."
        )
    return values


def text_column(table: pa.Table, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """The column as (distinct values in order of appearance, codes int64 (N,), -1 where missing)."""
    import pyarrow as pa

    column = plain_column(table, name)
    encoded = column.cast(pa.large_string()).dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return tuple(encoded.dictionary.to_pylist()), codes


def plain_column(table: pa.Table, name: str) -> pa.Array:
    """The column in one piece, without dictionary or view."""
    import pyarrow as pa

    column = table.column(name).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column


def _text_numbers(table: pa.Table, name: str, column: pa.Array) -> np.ndarray:
    values = np.full(len(column), np.nan)
    for row, value in enumerate(column.to_pylist()):
        if value is None or value.strip() == "":
            continue
        try:
            values[row] = float(value)
        except ValueError as error:
            raise DataError(
                f"Column {name!r} of {source_name(table)} expected a number but holds {value!r} in "
                f"{row_name(table, row)}: "
                "write a number there, or leave it empty if it is missing."
            ) from error
    return values
