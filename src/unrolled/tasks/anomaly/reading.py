"""Tables and arrays as series of rows in the order of time, each row knowing where in its source it stood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.data.panel.build import build_panel
from unrolled.data.panel.columns import Columns
from unrolled.data.panel.panel import Panel
from unrolled.data.panel.step import Step
from unrolled.data.panel.zones import read_later
from unrolled.data.read.codes import COUNT
from unrolled.data.read.door import reader
from unrolled.data.read.table import read_table, require_columns, row_name, source_name
from unrolled.data.read.times import TimeForm, Times, read_times
from unrolled.data.read.usual import TIME_NAMES, usual_columns
from unrolled.data.read.values import is_text
from unrolled.errors import DataError, listed, said_by

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Observed", "Watched", "read_clock", "read_flags", "read_layout", "read_observed", "read_table_of"]

# Columns that are added to find rows again; no file has such names.
PLACE, ROW = "\N{NO-BREAK SPACE}place", "\N{NO-BREAK SPACE}row"


@dataclass(frozen=True)
class Watched:
    """Which columns are what: time and id may be missing; channels are what is watched.

    step: rows are a step apart, and those that are not there are missing; None: rows are what they are, in order. form:
    how times are written; None before the first reading.
    """

    channels: tuple[str, ...]
    time: str | None = None
    id: str | None = None
    step: Step | None = None
    form: TimeForm | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `Watched.from_json` gives it back."""
        step, form = self.step, self.form
        return {
            "channels": list(self.channels),
            "time": self.time,
            "id": self.id,
            "step": None if step is None else step.to_json(),
            "form": None if form is None else form.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Watched:
        """What `to_json` wrote."""
        step = None if data["step"] is None else Step.from_json(data["step"])
        form = None if data["form"] is None else TimeForm(**data["form"])
        return cls(tuple(data["channels"]), data["time"], data["id"], step, form)


@dataclass(frozen=True, eq=False)
class Observed:
    """N rows of D channels, one series after the other, in the order of time.

    ids: (S,) names, ("",) for one series without any. offsets: (S+1,). values: (N, D) float64, NaN where missing.
    clocks: (N,) datetime64[ns] as clocks on the spot show it, or int64 that counts; the place in the series where there
    is no time. source: (N,) the row of the table, -1 for rows that it lacks. height: rows of the table.
    """

    ids: tuple[str, ...]
    offsets: np.ndarray
    values: np.ndarray
    clocks: np.ndarray
    source: np.ndarray
    height: int
    layout: Watched
    remarks: tuple[str, ...] = ()

    @property
    def lengths(self) -> np.ndarray:
        """(S,) rows of each series."""
        return np.diff(self.offsets)

    @property
    def owner(self) -> np.ndarray:
        """(N,) the series of each row."""
        return np.repeat(np.arange(len(self.ids)), self.lengths)

    def rows(self, series: int) -> slice:
        """The rows of one series."""
        return slice(int(self.offsets[series]), int(self.offsets[series + 1]))

    def in_source(self, found: np.ndarray, missing: float = 0.0) -> np.ndarray:
        """Values (N, ...) in the order of the table's rows; `missing` for rows that are left out."""
        given = self.source >= 0
        whole = np.full((self.height, *found.shape[1:]), missing, found.dtype)
        whole[self.source[given]] = found[given]
        return whole


@reader
def read_layout(
    source: object, *, time: str | None, columns: str | Sequence[str] | None, id: str | None, step: str | None,
    but: Sequence[str] = (),
) -> tuple[pa.Table, Watched]:  # fmt: skip
    """The table, and its columns as named, the rest seen from it: a column of times, and all of numbers as channels.

    Raises:
        DataError: a column is not there or holds text, or none of numbers is left.
    """
    table = _table(source, [id] if id else [])
    named = (columns,) if isinstance(columns, str) else tuple(columns or ())
    require_columns(table, [name for name in (time, id, *named, *but) if name])
    time = time or _seen_time(table, (*named, id, *but))
    free = [name for name in table.column_names if name not in (time, id, *but)]
    texts = [] if named else [name for name in free if is_text(table, name)]
    if texts:
        raise DataError(
            f"fit: column {texts[0]!r} of {source_name(table)} holds text, but expected numbers to watch: name what it "
            "is with time= or id=, or name the columns of numbers with columns=."
        )
    channels = named or tuple(free)
    if not channels:
        raise DataError(
            f"fit: {source_name(table)} has no column of numbers to watch, only {listed(table.column_names)}."
        )
    if step is not None and time is None:
        raise DataError(f"fit: step={step!r} needs a column of times: name it with time=.")
    return table, Watched(channels, time, id, None if step is None else Step.parse(step))


def read_flags(table: pa.Table, name: str) -> np.ndarray:
    """What is known of the rows, (rows,) bool, from a column of 0 and 1. Raises DataError for any other value."""
    require_columns(table, [name])
    values = table[name].to_pylist()
    odd = next((row for row, value in enumerate(values) if value not in (0, 1)), None)
    if odd is not None:
        raise DataError(
            f"Column {name!r} of {source_name(table)}, the truth, expected 0 or 1 in every row, but holds "
            f"{values[odd]!r} in {row_name(table, odd)}: write 1 where an anomaly is, 0 elsewhere."
        )
    return np.array(values, bool)


@reader
def read_observed(table: pa.Table, layout: Watched, day_first: bool | None = None, *, sparse: bool = False) -> Observed:
    """The rows of a table whose columns are known, those of later tables as those of the first.

    sparse: take channels without any value, too, as later tables may have them.

    Raises:
        DataError: a value is no number or no time, a channel of a series has no value at all; with a step, times
            between the steps.
    """
    require_columns(table, [name for name in (layout.time, layout.id, *layout.channels) if name])
    height = table.num_rows
    table = _with(table, ROW, np.arange(height))
    if layout.step is not None:
        return _on_grid(table, layout, day_first, sparse)
    moments, clocks, form = np.arange(height), None, layout.form
    remarks: tuple[str, ...] = ()
    if layout.time is not None:
        times = _times(table, layout, day_first)
        moments, clocks, form, remarks = times.values, times.local, times.form, times.remarks
    place, said = _places(table, layout, moments)
    remarks = (*remarks, *said)
    table = _with(table, PLACE, place)
    panel = build_panel(table, Columns(PLACE, (*layout.channels, ROW), layout.id), step="1", sparse=sparse)
    source = panel.target[:, -1].astype(np.int64)
    shown = panel.time if clocks is None else clocks[source]
    settled = Watched(layout.channels, layout.time, layout.id, None, form)
    return _observed(panel, shown, source, height, settled, remarks)


def _on_grid(table: pa.Table, layout: Watched, day_first: bool | None, sparse: bool) -> Observed:
    columns = Columns(str(layout.time), (*layout.channels, ROW), layout.id)
    panel = build_panel(
        table, columns, step=layout.step, day_first=day_first, form=layout.form, sparse=sparse, merges=False
    )
    source = np.nan_to_num(panel.target[:, -1], nan=-1).astype(np.int64)
    settled = Watched(layout.channels, layout.time, layout.id, panel.step, panel.form)
    said = tuple(remark for remark in panel.remarks if ROW not in remark)
    return _observed(panel, panel.clocks(panel.time), source, table.num_rows, settled, said)


def _observed(
    panel: Panel, clocks: np.ndarray, source: np.ndarray, height: int, layout: Watched, remarks: tuple[str, ...]
) -> Observed:
    # With its number as a value a row is never without any: the last ones are no future that is left out.
    return Observed(panel.ids, panel.offsets, panel.target[:, :-1], clocks, source, height, layout, remarks)


def _table(source: object, text: Sequence[str], channels: Sequence[str] = ()) -> pa.Table:
    """Anything as a table; an array's columns have the names of the channels, x0, x1, ... where these have none."""
    if isinstance(source, np.ndarray | list | tuple):
        try:
            values = np.asarray(source, np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(
                f"Expected an array of numbers, a row for each step, got what is none ({said_by(error)})."
            ) from None
        if values.ndim not in (1, 2) or not values.size:
            raise DataError(
                f"Expected an array (rows, channels) with at least one row, got one of shape {values.shape}: give a "
                "row for each step."
            )
        values = values.reshape(len(values), -1)
        names = channels or tuple(f"x{i}" for i in range(values.shape[1]))
        if len(names) != values.shape[1]:
            raise DataError(
                f"Expected an array with rows of {len(names)} channels, as in the fit, got {values.shape[1]}: give the "
                "same ones in the same order."
            )
        source = {name: values[:, i] for i, name in enumerate(names)}
    if isinstance(source, Mapping):
        source = dict(source)
    return read_table(str(source) if isinstance(source, Path) else source, text=text)


def _with(table: pa.Table, name: str, values: np.ndarray) -> pa.Table:
    import pyarrow as pa

    return table.append_column(name, pa.array(values))


def _seen_time(table: pa.Table, taken: Sequence[str | None]) -> str | None:
    """The one column that is called like a time or holds dates; None where there is none or a choice."""
    import pyarrow as pa

    free = [name for name in table.column_names if name not in taken]
    typed = [name for name in free if pa.types.is_temporal(table.schema.field(name).type)]
    named = usual_columns(TIME_NAMES, free)
    return next((found[0] for found in (typed, named) if len(found) == 1), None)


def _places(table: pa.Table, layout: Watched, moments: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """(n,) the place of each row in its series by time, and what is said of rows out of order and of one time."""
    series = np.zeros(len(moments), np.int64)
    if layout.id is not None:
        series = table[layout.id].combine_chunks().dictionary_encode().indices.fill_null(-1).to_numpy()
    order = np.lexsort((moments, series))
    place = np.empty(len(order), np.int64)
    begins = np.flatnonzero(np.diff(series[order], prepend=-2))
    place[order] = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    by_source = np.argsort(series, kind="stable")
    behind = np.diff(moments[by_source].astype(np.int64)) < 0
    late = int((behind & (np.diff(series[by_source]) == 0)).sum())
    again = (np.diff(moments[order].astype(np.int64)) == 0) & (np.diff(series[order]) == 0)
    return place, (*_late_said(late), *_again_said(table, layout, order, again))


def _late_said(late: int) -> tuple[str, ...]:
    if not late:
        return ()
    stood = "1 row stood behind a later one" if late == 1 else f"{late:,} rows stood behind later ones"
    return (f"time: {stood}; rows are read in the order of time",)


def _again_said(table: pa.Table, layout: Watched, order: np.ndarray, again: np.ndarray) -> tuple[str, ...]:
    """Of rows that have the time of the row before them in `order`."""
    places = np.flatnonzero(again)
    if not len(places):
        return ()
    pairs = order[[places, places + 1]]
    # What is first in the table, where the order is one of series and times.
    first, second = pairs[:, pairs[1].argmin()].tolist()
    have = "1 row has" if len(places) == 1 else f"{len(places):,} rows have"
    own = " of its series" if len(places) == 1 else " of their series"
    which = f"the first is {row_name(table, second)} with that of {row_name(table, first)}"
    ask = "" if layout.id else ", and if they are of several series, say of which with id="
    return (
        f"time: {have} the time of another{own if layout.id else ''}, {which}; they are read in the order of the "
        f"table{ask}",
    )


def read_table_of(source: object, layout: Watched) -> pa.Table:
    """Another table or array like that of the fit."""
    return _table(source, [layout.id] if layout.id else [], layout.channels)


def read_clock(time: object, layout: Watched) -> np.ndarray:
    """(1,) one time, written as those of the fit, as clocks on the spot show it.

    Raises:
        DataError: it is none.
    """
    import pyarrow as pa

    name = str(layout.time)
    try:
        table = pa.table({name: pa.array([time], from_pandas=True)})
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"push: expected a time as in column {name!r}, got {time!r} ({said_by(error)}); give one."
        ) from None
    return _times(table, layout).local


def _times(table: pa.Table, layout: Watched, day_first: bool | None = None) -> Times:
    """The column of times; that of a later table in the zone of the fit."""
    name, form = str(layout.time), layout.form
    if form is None:
        return read_times(table, name, TimeForm(day_first=day_first))
    return read_later(table, name, form, Step.parse("1" if form.code == COUNT else "s"))
