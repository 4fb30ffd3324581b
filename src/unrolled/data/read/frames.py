"""Tables in memory: pandas, polars and Arrow tables and dicts of columns as one pyarrow.Table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.data.read.numerals import read_numerals
from unrolled.errors import DataError, listed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["arrow_table", "one_line"]

# What stands for a missing value among objects, as text.
_ABSENT = ("nan", "<NA>", "NaT")


def arrow_table(source: Any) -> pa.Table:
    """The columns of a dataframe or of a dict. Raises DataError where it is none, or a column mixes kinds of values."""
    import narwhals as nw
    import pyarrow as pa
    from narwhals.dependencies import is_pandas_series

    if isinstance(source, Mapping):
        return _from_dict(source)
    if is_pandas_series(source):
        source = source.to_frame("y" if source.name is None else source.name)
    _each_named_once(_names(source))
    try:
        frame = nw.from_native(source, allow_series=False)
    except TypeError as error:
        raise DataError(
            f"Expected a path, a pandas, polars or Arrow table, or a dict of columns, but got {type(source).__name__}: "
            "pass one of these."
        ) from error
    collected = frame.collect() if isinstance(frame, nw.LazyFrame) else frame
    if collected.implementation.is_pandas():
        return _without_row_numbers(_from_pandas(collected.to_native()))
    try:
        return collected.to_arrow()
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(f"A column mixes kinds of values ({one_line(error)}): give it one kind.") from error


def one_line(error: Exception) -> str:
    """What an error says, on one line, cut where it is long."""
    return " ".join(str(error).split())[:200]


def _names(source: Any) -> list[str]:
    """The names of the columns of a table whose kind lets one stand twice."""
    from narwhals.dependencies import is_pandas_dataframe, is_pyarrow_table

    if is_pandas_dataframe(source):
        return [str(name) for name in source.columns]
    return list(source.column_names) if is_pyarrow_table(source) else []


def _each_named_once(names: Sequence[str]) -> None:
    """Raises DataError for the first name that stands twice."""
    seen = set[str]()
    for name in names:
        if name in seen:
            raise DataError(f"The table has several columns named {name!r}: give each its own name.")
        seen.add(name)


def _from_dict(source: Mapping[Any, object]) -> pa.Table:
    import pyarrow as pa

    _each_named_once([str(name) for name in source])
    columns = {str(name): _dict_column(str(name), values) for name, values in source.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = listed(f"{name!r}: {length}" for name, length in lengths.items())
        raise DataError(f"Expected columns of one length, but got {{{shown}}}: give every column the same rows.")
    return pa.table(columns)


def _dict_column(name: str, values: object) -> pa.Array:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DataError(f"Expected column {name!r} as a list or array, but got {type(values).__name__}: give its rows.")
    # An array is taken as it is; anything else goes through a list, so that None in it means missing.
    return _one_kind(name, values if isinstance(values, np.ndarray) else list(values))


def _from_pandas(frame: Any) -> pa.Table:
    """A pandas table, sparse columns filled in, periods as the time when they begin, columns of mixed kinds made one
    kind where they are numbers.
    """
    import pandas as pd
    import pyarrow as pa

    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    plain = {name: frame[name].sparse.to_dense() for name in frame if isinstance(frame[name].dtype, pd.SparseDtype)}
    periods = [name for name in frame if isinstance(frame[name].dtype, pd.PeriodDtype)]
    plain |= {name: frame[name].dt.to_timestamp() for name in periods}
    frame = frame.assign(**plain) if plain else frame
    frame = frame.set_axis(frame.index.to_timestamp()) if isinstance(frame.index, pd.PeriodIndex) else frame
    try:
        return pa.Table.from_pandas(frame)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        mixed = {name: _one_kind(name, frame[name].tolist()) for name in frame if frame[name].dtype == object}
    try:
        table = pa.Table.from_pandas(frame.drop(columns=list(mixed)))
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(f"A column holds no numbers, texts or dates ({one_line(error)}): leave it out.") from error
    for name, column in mixed.items():
        table = table.append_column(name, column)
    return table.select([*frame.columns, *(name for name in table.column_names if name not in frame.columns)])


def _one_kind(name: str, values: Sequence[object] | np.ndarray) -> pa.Array:
    """The values as one array; numbers beside marks of missing ones, or beside texts of numbers, as text."""
    import pyarrow as pa

    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        texts = [None if value is None or str(value) in _ABSENT else str(value) for value in values]
        if not all(isinstance(value, str | Number) for value, text in zip(values, texts, strict=True) if text):
            raise _mixed(name, error) from error
        column = pa.array(texts, pa.large_string())
        found = read_numerals(column)
        if len(found.odd) and not found.nearly_all:
            raise _mixed(name, error) from error
        return column


def _mixed(name: str, error: Exception) -> DataError:
    return DataError(f"Column {name!r} mixes kinds of values ({one_line(error)}): give it one kind.")


def _without_row_numbers(table: pa.Table) -> pa.Table:
    """pandas hands over its index as a column; an unnamed one is worth keeping only where it holds the time."""
    import pyarrow as pa

    name = "__index_level_0__"
    if name not in table.column_names:
        return table
    if not pa.types.is_timestamp(table.schema.field(name).type):
        return table.drop_columns([name])
    return table.rename_columns(["index" if column == name else column for column in table.column_names])
