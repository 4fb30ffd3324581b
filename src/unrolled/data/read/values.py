"""One column of a table as numbers or text, with the row named where a value does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from unrolled.data.read.numerals import read_numerals
from unrolled.data.read.table import has_decimal_commas, odd_row, row_name, source_name
from unrolled.data.read.typed import is_text_type
from unrolled.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa


def is_text(table: pa.Table, name: str) -> bool:
    """Whether the column holds text: its values are categories, not numbers, nor numbers but for a few."""
    import pyarrow as pa

    kind = table.schema.field(name).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_text_type(kind) and odd_row(table, name) is None


def number_column(table: pa.Table, name: str) -> np.ndarray:
    """The column as float64 (N,), NaN where missing.

    Raises:
        DataError: a value is no number, or infinite; its row and the value are named.
    """
    import pyarrow as pa

    column = plain_column(table, name)
    kind = column.type
    if is_text_type(kind):
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


def id_column(table: pa.Table, name: str) -> tuple[tuple[str, ...], np.ndarray]:
    """A column that names the series of each row, as (names in order of appearance, codes int64 (N,)).

    Raises:
        DataError: a row has no name.
    """
    values, codes = text_column(table, name)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise DataError(
            f"Id column {name!r} of {source_name(table)} has no value in "
            f"{row_name(table, int(missing[0]))}: name the series there."
        )
    return values, codes


def plain_column(table: pa.Table, name: str) -> pa.Array:
    """The column in one piece, without dictionary or view."""
    import pyarrow as pa

    column = table.column(name).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column


def _text_numbers(table: pa.Table, name: str, column: pa.Array) -> np.ndarray:
    found = read_numerals(column, commas=has_decimal_commas(table))
    if found.either is not None:
        raise DataError(
            f"Column {name!r} of {source_name(table)} holds {column[found.either].as_py()!r} in "
            f"{row_name(table, found.either)}, where the comma can part thousands or decimals, and no value tells "
            "which: write it without the comma, or with a point before the decimals."
        )
    if len(found.odd):
        row = int(found.odd[0])
        others = f" ({found.present - len(found.odd):,} of {found.present:,} values are numbers)"
        raise DataError(
            f"Column {name!r} of {source_name(table)} expected a number but holds {column[row].as_py()!r} in "
            f"{row_name(table, row)}{others if found.nearly_all else ''}: "
            "write a number there, or leave it empty if it is missing."
        )
    return found.values
