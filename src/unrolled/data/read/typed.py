"""Columns of text that hold numbers, as people write them: read as numbers, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from unrolled.data.read.numerals import Numerals, looks_numeric, marks_of, read_numerals

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Typed", "is_text_type", "typed_columns"]

# Whole numbers beyond this are no longer exact as float64.
_EXACT = 2**53

Again: TypeAlias = Callable[[Sequence[str]], "pa.Table"]
"""Reads columns of a file a second time, as the text that stands there."""


@dataclass(frozen=True)
class Typed:
    """said: of a column, what was understood of it. odd: a row of a column of numbers that holds none."""

    table: pa.Table
    said: dict[str, str] = field(default_factory=dict)
    odd: dict[str, int] = field(default_factory=dict)


def typed_columns(
    table: pa.Table,
    row: Callable[[int], str],
    *,
    text: Collection[str] = (),
    commas: bool = False,
    again: Again | None = None,
    marked: bool = False,
) -> Typed:
    """The table with numbers for every column of text that is nearly all numbers.

    Args:
        table: as it was read.
        row: the name of a row, for what is said.
        text: columns that stay text.
        commas: decimal commas are likely here.
        again: reads columns of a file as text; None for a table in memory, whose plain digits stay the text they are.
        marked: marks of missing values may have been left out of the table's columns of numbers.
    """
    typed = Typed(table)
    names = [name for name in table.column_names if table.column_names.count(name) == 1 and name not in text]
    found = {name: numerals for name in names if (numerals := _numerals(table, name, commas, again is None))}
    if again is not None:
        found |= _read_otherwise(table, names, found, again, marked=marked)
    for name, numerals in found.items():
        typed = _with(typed, name, numerals, row)
    return typed


def is_text_type(kind: pa.DataType) -> bool:
    """Whether a type is text, in any of the ways in which tables keep it."""
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _numerals(table: pa.Table, name: str, commas: bool, in_memory: bool) -> Numerals | None:
    import pyarrow as pa

    kind = table.schema.field(name).type
    if not is_text_type(kind):
        return None
    column = table.column(name)
    if not looks_numeric(column):
        return None
    column = column.cast(pa.large_string()).combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found = read_numerals(column, commas=commas)
    plain = not (found.marks or found.ways or len(found.odd) or found.either is not None)
    return None if in_memory and plain else found


def _read_otherwise(
    table: pa.Table, names: Sequence[str], found: dict[str, Numerals], again: Again, *, marked: bool
) -> dict[str, Numerals]:
    """Columns that the file's reader took for numbers, or emptied, seen as the text that stands there."""
    import pyarrow as pa

    commas = any(numerals.commas for numerals in found.values())
    decimals = [name for name in names if commas and pa.types.is_floating(table.schema.field(name).type)]
    emptied = [name for name in names if marked and _may_have_marks(table, name, name in found)]
    if not decimals and not emptied:
        return {}
    raw = again([*decimals, *(name for name in emptied if name not in decimals)])
    result: dict[str, Numerals] = {}
    for name in raw.column_names:
        column = raw.column(name).combine_chunks()
        if name in decimals:
            numerals = read_numerals(column, commas=True)
            result |= {name: numerals} if numerals.commas and not len(numerals.odd) and numerals.ways else {}
        if name in emptied and name not in result:
            marks = marks_of(column, np.flatnonzero(table.column(name).is_null().to_numpy()))
            known = found.get(name) or Numerals(np.zeros(0), np.zeros(0, np.int64), 0, {})
            result |= {name: known._replace(marks={**known.marks, **marks})} if marks else {}
    return result


def _may_have_marks(table: pa.Table, name: str, is_number: bool) -> bool:
    import pyarrow as pa

    kind = table.schema.field(name).type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(table.column(name).null_count) and (is_number or bool(number) or bool(pa.types.is_null(kind)))


def _with(typed: Typed, name: str, numerals: Numerals, row: Callable[[int], str]) -> Typed:
    """With the column as numbers, or with the row that keeps it from being all numbers, or as it is."""
    if numerals.either is not None:
        return Typed(typed.table, typed.said, {**typed.odd, name: numerals.either})
    if len(numerals.odd):
        if not numerals.nearly_all or numerals.are_names:
            return typed
        return Typed(typed.table, typed.said, {**typed.odd, name: int(numerals.odd[0])})
    table = typed.table
    if len(numerals.values):
        table = table.set_column(table.column_names.index(name), name, _array(numerals.values))
    said = " with ".join(["read as numbers", *([" and ".join(numerals.ways)] if numerals.ways else [])])
    marks = "".join(f"; {_mark_said(mark, *place, row)}" for mark, place in numerals.marks.items())
    return Typed(table, {**typed.said, name: f"column {name!r}: {said}{marks}"}, typed.odd)


def _array(values: np.ndarray) -> pa.Array:
    import pyarrow as pa

    missing = np.isnan(values)
    whole = np.where(missing, 0, values)
    if np.isfinite(whole).all() and (np.floor(whole) == whole).all() and (np.abs(whole) < _EXACT).all():
        return pa.array(whole.astype(np.int64), mask=missing)
    return pa.array(values, mask=missing)


def _mark_said(mark: str, count: int, first: int, row: Callable[[int], str]) -> str:
    if count == 1:
        return f"{mark!r} in {row(first)} counts as missing"
    return f"{mark!r} counts as missing ({count:,} values, first in {row(first)})"
