"""Tables with a row for each step: series of any length, and the label of every row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import narwhals as nw
import numpy as np
from narwhals.dependencies import is_into_dataframe

from unrolled.data.batch.runs import offsets_of
from unrolled.data.read.door import reader
from unrolled.data.read.files import Places, require_names, suffix
from unrolled.data.read.numerals import read_numerals
from unrolled.data.read.records import Records, Values, iterate_records, read_records
from unrolled.data.read.sources import holds_columns, is_path
from unrolled.data.read.table import (
    DELIMITERS,
    PARQUET,
    read_table,
    row_name,
    source_name,
    table_of_rows,
    table_remarks,
)
from unrolled.data.read.table_layout import is_datum
from unrolled.data.read.times import read_times
from unrolled.data.read.usual import TIME_NAMES, said_columns, usual_column
from unrolled.data.read.values import id_column, is_text, number_column, plain_column
from unrolled.errors import DataError, OptionError, listed
from unrolled.types import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["AS_SEEN", "StepColumns", "StepTable", "is_table", "names_series", "read_steps"]

# What the columns are called that say which series a row belongs to, and when it was.
IDS = ("unique_id", "series_id", "sequence_id", "session_id", "id", "series", "sequence", "session")
TIMES = (*TIME_NAMES, "t", "step", "frame")
# Rows that are looked at to see whether a column names series.
ROWS = 1000


@dataclass(frozen=True)
class StepColumns:
    """Which columns of a table tell the series of a row, its time, and what was measured; None: as seen."""

    id: str | None = None
    time: str | None = None
    channels: tuple[str, ...] | None = None

    def check_used(self, found: StepColumns) -> None:
        """Raises `OptionError` where columns were named, but what was `found` is no table of steps."""
        if found.channels is None and (self.id or self.time):
            raise OptionError(
                f"fit: id={self.id!r} and time={self.time!r} are columns of a table with a row for each step of "
                "series, but the source is none; leave them out."
            )


AS_SEEN = StepColumns()


@dataclass(frozen=True, eq=False)
class StepTable:
    """Series in the order of their first rows, the steps of each in the order of time.

    values: (T_i, D) float64, NaN where missing. labels: of the steps of each, None where there is no such column.
    rows: of each, those of the table. columns, label: as they were seen.
    """

    values: list[np.ndarray]
    labels: list[Values] | None
    ids: tuple[str, ...]
    rows: list[np.ndarray]
    table: pa.Table
    columns: StepColumns
    label: str | None
    remarks: tuple[str, ...]

    @property
    def places(self) -> Places:
        """Each series by its name."""
        source = source_name(self.table)
        names = tuple(f"series {name!r} of {source}" for name in self.ids)
        return Places(source, "file", np.arange(len(names)), names)

    def row(self, series: int, step: int) -> str:
        """Where a step stands: "line 4 of x.csv"."""
        return f"{row_name(self.table, int(self.rows[series][step]))} of {source_name(self.table)}"


def is_table(source: object) -> bool:
    """Whether it is a table in memory or the name of one."""
    return holds_columns(source) or (is_path(source) and suffix(source) in (*DELIMITERS, *TABLES))


def names_series(source: object, names: Sequence[str] | None, but: Sequence[str]) -> bool:
    """Whether a table has numbers, a column of a usual name that tells series apart, and none called as one of `but`.

    What stands in that column must come again in the first rows.
    """
    # What comes on standard input can be read once alone.
    if not is_table(source) or str(source) == "-":
        return False
    if is_into_dataframe(source):
        # The rest of a large table is not to be converted for it.
        source = nw.from_native(source).head(ROWS).to_native()
    try:
        rows = list(islice(iterate_records(source, names=names), ROWS))
    except DataError:
        return False
    present = list(map(str, rows[0])) if rows else []
    name = usual_column(IDS, present)
    if name is None or not {each.lower() for each in present}.isdisjoint(but):
        return False
    found = [row.get(name) for row in rows]
    numbers = any(is_datum(str(value)) for each, value in rows[0].items() if each != name)
    return numbers and len(set(map(str, found))) < len(found)


@reader
def read_steps(
    source: object, columns: StepColumns, label: str | int | None, usual: Sequence[str], *, option: str,
    labelled: bool, names: Sequence[str] | None = None, more: Sequence[str] = (),
) -> StepTable:  # fmt: skip
    """The series of a table with a row for each step, sorted by time where there is such a column.

    Args:
        source: anything that `read_table` or `read_records` takes.
        columns: what is known of them. Channels are all other columns but those that hold words alone.
        label: the column of the labels; None: one of a `usual` name, or the only one of words.
        option: what a message calls the choice of that column. labelled: whether labels are looked for.
        names: of all columns, where a file has no header.
        more: columns of further labels; those of a step are then a list, None where one of them is missing.

    Raises:
        DataError: a column is missing or cannot be told; a value is no number (column, row and value are named); a row
            has no series or no time, or the time of another row of its series; each series has one row alone.
    """
    table = _table(source, names, [name for name in (columns.id, label, *IDS, *usual) if isinstance(name, str)])
    settled, label = _settled(table, columns, label, usual, option, labelled, more)
    ids, chosen = str(settled.id), settled.channels or ()
    found, series = id_column(table, ids)
    order, said = _order(table, settled.time, found, series)
    if len(found) == table.num_rows > 1:
        raise DataError(
            f"Column {ids!r} of {source_name(table)} names another series in every row, but a row for each step of a "
            "series is expected: choose the column that the rows of one series have in common with id=."
        )
    ends = offsets_of(np.bincount(series, minlength=len(found)))[1:-1]
    rows = np.split(order, ends)
    numbers = np.stack([number_column(table, name) for name in chosen], axis=1)
    known = () if label is None else (label, *more)
    told = _told(table, known) if known else None
    labels = None if told is None else [[told[row] for row in some.tolist()] for some in rows]
    alone = [name for name in table.column_names if name not in (ids, settled.time, *known, *chosen)]
    remarks = (
        *table_remarks(table, [ids, *chosen]),
        f"series: {len(found):,} by column {ids!r}, a row for each step",
        *said,
        f"channels: {listed(chosen)}",
        *([f"labels: {said_columns(known)}"] if known else []),
        *([f"columns left alone: {listed(alone)}"] if alone else []),
    )
    return StepTable([numbers[some] for some in rows], labels, found, rows, table, settled, label, remarks)


def _settled(
    table: pa.Table, columns: StepColumns, label: str | int | None, usual: Sequence[str], option: str, labelled: bool,
    more: Sequence[str],
) -> tuple[StepColumns, str | None]:  # fmt: skip
    """Which columns say what, and the column of labels where they are looked for: as named, or as they are called."""
    present = list(table.column_names)
    ids = columns.id or usual_column(IDS, present)
    if ids is None:
        raise DataError(
            f"{source_name(table)}: expected a column that names the series of each row, but none has a usual name; "
            f"say which with id=. It has: {listed(present)}."
        )
    free = [name for name in present if name != ids]
    time = columns.time or (None if columns.channels else usual_column(TIMES, free))
    wanted = (ids, time, *(columns.channels or ()), *(more if labelled else ()))
    require_names([name for name in wanted if name], present, source_name(table))
    words = [name for name in free if name != time and _holds_words(table, name)]
    found = _label(table, label, usual, [ids, time], words, option) if labelled else None
    chosen = columns.channels or tuple(name for name in free if name not in (time, found, *words, *more))
    if not chosen:
        raise DataError(
            f"{source_name(table)}: expected columns of numbers beside {ids!r}, but got none: give at least one."
        )
    return StepColumns(ids, time, chosen), found


def _table(source: object, names: Sequence[str] | None, text: Sequence[str]) -> pa.Table:
    rows = isinstance(source, Records | list) or (is_path(source) and suffix(source) not in (*DELIMITERS, *PARQUET))
    if names is None and not rows:
        return read_table(source, text)
    records = read_records(source, names=names)
    lines = records.places.numbers if records.places.kind == "line" else None
    return table_of_rows(records.columns, records.source, lines, text)


def _told(table: pa.Table, names: Sequence[str]) -> Values:
    """What stands in a column, row by row; of several a list, where all of it is there."""
    columns = [plain_column(table, name).to_pylist() for name in names]
    return columns[0] if len(columns) == 1 else [None if None in row else [*row] for row in zip(*columns, strict=True)]


def _holds_words(table: pa.Table, name: str) -> bool:
    """Whether a column holds words alone, or times: one number among them, and they are mistakes."""
    import pyarrow as pa

    if pa.types.is_temporal(table.schema.field(name).type):
        return True
    if not is_text(table, name):
        return False
    found = read_numerals(plain_column(table, name).cast(pa.large_string()))
    return len(found.odd) == found.present


def _holds_numbers(table: pa.Table, name: str) -> bool:
    """Whether a column holds numbers alone, or texts that are numbers, as those of rows without a header are."""
    import pyarrow as pa

    if not is_text(table, name):
        return not pa.types.is_temporal(table.schema.field(name).type)
    found = read_numerals(plain_column(table, name).cast(pa.large_string()))
    return found.present > 0 and not len(found.odd)


def _label(
    table: pa.Table, label: str | int | None, usual: Sequence[str], taken: Sequence[str | None], words: Sequence[str],
    option: str,
) -> str:  # fmt: skip
    present = list(table.column_names)
    if isinstance(label, int):
        if not -len(present) <= label < len(present):
            raise DataError(
                f"There is no column {label} in {source_name(table)}: give a number from 0 to {len(present) - 1}."
            )
        return str(present[label])
    if label is not None:
        require_names([label], present, source_name(table))
        return label
    free = [name for name in present if name not in taken]
    found = usual_column([name for name in usual if len(name) > 1], free) or (words[0] if len(words) == 1 else None)
    if found is None:
        raise DataError(
            f"{source_name(table)}: expected a column of labels beside the numbers, but none has a usual name; say "
            f"which with {option}=. It has: {listed(present)}."
        )
    return found


def _order(
    table: pa.Table, time: str | None, ids: tuple[str, ...], series: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...]]:
    """The rows series by series, in each by time, and what is said of that."""
    if time is None:
        return np.argsort(series, kind="stable"), ("time: steps in the order of the rows",)
    clock = _clock(table, time)
    came = np.argsort(series, kind="stable")
    same = series[came][1:] == series[came][:-1]
    back = np.unique(series[came][1:][same & (clock[came][1:] < clock[came][:-1])])
    order = np.lexsort((clock, series))
    again = np.flatnonzero((series[order][1:] == series[order][:-1]) & (clock[order][1:] == clock[order][:-1]))
    if len(again):
        first, second = order[again[0]], order[again[0] + 1]
        raise DataError(
            f"Time column {time!r} of {source_name(table)} has the same value in {row_name(table, int(first))} and "
            f"{row_name(table, int(second))}, both of series {ids[series[first]]!r}: keep one of them, or name another "
            "column with id=."
        )
    how = "" if not len(back) else f"; the rows of {len(back):,} series came in another order and were sorted"
    return order, (f"time: column {time!r}{how}",)


def _clock(table: pa.Table, name: str) -> np.ndarray:
    """A column of times, or of numbers that rise with time."""
    if not _holds_numbers(table, name):
        return read_times(table, name).values
    values = number_column(table, name)
    missing = np.flatnonzero(np.isnan(values))
    if len(missing):
        raise DataError(
            f"Time column {name!r} of {source_name(table)} has no value in {row_name(table, int(missing[0]))}: "
            "fill it in or remove the row."
        )
    return values
