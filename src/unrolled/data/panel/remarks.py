"""What is said of a table's columns once they have their parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from unrolled.data.panel.columns import Columns
from unrolled.data.panel.panel import TextColumn
from unrolled.data.read.table import table_remarks
from unrolled.errors import listed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["columns_said"]

# Categories of a column that are named.
SHOWN = 5


def columns_said(table: pa.Table, columns: Columns, texts: Mapping[str, TextColumn]) -> tuple[str, ...]:
    """What was understood of the columns without being told; `texts` are those that became categories."""
    numbers = [name for name in (*columns.past, *columns.future, *columns.static) if name not in texts]
    said = [*table_remarks(table, columns.all), f"target: {listed(columns.target)}"]
    said += [f"covariates as numbers: {listed(numbers)}"] if numbers else []
    for name, text in texts.items():
        said.append(f"column {name!r}: {len(text.values):,} categories ({listed(map(repr, text.values), SHOWN)})")
    alone = [name for name in table.column_names if name not in columns.all]
    said += [f"columns left alone: {listed(alone)}"] if alone else []
    return tuple(said)
