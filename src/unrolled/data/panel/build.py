"""From a table to a panel, and a panel carried on over the horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unrolled.data.batch.runs import offsets_of
from unrolled.data.panel.columns import Columns
from unrolled.data.panel.panel import Panel, TextColumn, take_rows
from unrolled.data.panel.regular import Groups, regular_groups, show_time
from unrolled.data.panel.remarks import columns_said
from unrolled.data.panel.step import Step
from unrolled.data.panel.zones import read_later, settled_form
from unrolled.data.read.codes import COUNT
from unrolled.data.read.door import reader
from unrolled.data.read.table import read_table, require_columns, row_name, source_name
from unrolled.data.read.times import TimeForm, Times, read_times
from unrolled.data.read.values import id_column, is_text, number_column, text_column
from unrolled.errors import DataError, OptionError, listed

if TYPE_CHECKING:
    import pyarrow as pa


@reader
def build_panel(
    table: object, columns: Columns, *, step: str | Step | None = None, resample: str | None = None,
    day_first: bool | None = None, form: TimeForm | None = None, sparse: bool = False, merges: bool = True,
) -> Panel:  # fmt: skip
    """The table's rows as regular series, sorted by time within each, series in order of appearance.

    The step of time counts as known when it is given, or when nine in ten neighbouring timestamps agree on it. Rows
    that are then missing between others are put in as missing values, which the model sees masked; a timestamp off
    the grid, or one that occurs twice, is an error, unless `resample` says how the rows of one step become one value.
    Where the same hours or days are left out week after week, only the others are steps. Rows at the end of a series
    without a target are no history: with covariates known in the future they are kept as `ahead`.

    Args:
        table: anything `read_table` takes.
        columns: the parts of its columns.
        step: "h", "15min", "D", "MS", ... (see `Step.parse`); None: seen from the timestamps.
        resample: "mean", "sum", "last", "first", "max" or "min" of the rows that fall into one step, missing values
            left out; text columns take the last one (the first for "first").
        day_first: whether 01/02/2012 is in February; None: seen from the column.
        form: of an earlier table that this one belongs to; with it goes the earlier `step`.
        sparse: take series that have no value of a target at all, too.
        merges: whether whoever asks can pass `resample`, so that messages name it.

    Raises:
        DataError: a column is missing; a value is no number, infinite, or no date; a series has no target value at all;
            a timestamp is double or irregular; a static column changes within a series. Rows are named.
        OptionError: `step` or `resample` is unknown.
    """
    read = read_table(table)
    require_columns(read, columns.all)
    if form is None or not isinstance(step, Step):
        counts = step is not None and Step.parse(step).unit == "count"
        times = read_times(read, columns.time, TimeForm(day_first=day_first, code=COUNT if counts else None))
        panel = _regular(read, columns, times, step, resample, sparse, merges)
        panel = replace(panel, form=settled_form(times, panel.step))
    else:
        later = read_later(read, columns.time, form, step)
        panel = _regular(read, columns, later, step, resample, sparse, merges)
    return _timed(_without_planned(panel))


def _regular(
    table: pa.Table, columns: Columns, times: Times, step: str | Step | None, resample: str | None, sparse: bool,
    merges: bool,
) -> Panel:  # fmt: skip
    ids, series = _series(table, columns.id)
    groups = regular_groups(times, series, ids, step, resample, partial(row_name, table), merges=merges)
    _targets_are_numbers(table, columns)
    target = groups.numbers(_numbers(table, columns.target))
    offsets = offsets_of(groups.lengths)
    if not sparse:
        _every_series_has_values(table, target, offsets, ids, columns)
    static, static_text = _static(table, columns, series, ids)
    past, past_text = _covariates(table, columns.past, groups)
    future, future_text = _covariates(table, columns.future, groups)
    said = columns_said(table, columns, {**past_text, **future_text, **static_text})
    return Panel(
        ids=ids,
        offsets=offsets,
        time=groups.time,
        step=groups.step,
        columns=columns,
        target=target,
        past=past,
        future=future,
        static=static,
        past_text=past_text,
        future_text=future_text,
        static_text=static_text,
        remarks=(*times.remarks, *groups.remarks, *said),
        form=times.form,
    )


def _timed(panel: Panel) -> Panel:
    zone = "" if panel.form.zone is None else f", in the zone {panel.form.zone}"
    column = f"time: column {panel.columns.time!r}, a row every {panel.step}{zone}"
    return replace(panel, remarks=(column, *panel.remarks))


def _without_planned(panel: Panel) -> Panel:
    """The panel up to the last target of each series; what is known of the rows after it is kept as `ahead`."""
    present = ~np.isnan(panel.target).all(axis=1)
    rows = np.where(present, np.arange(len(present)) + 1, 0)
    ends = np.maximum.reduceat(rows, panel.offsets[:-1]) - panel.offsets[:-1]
    more = panel.lengths - ends
    if not more.any():
        return panel
    where = f" in {int((more > 0).sum())} series" if len(more) > 1 else ""
    first = show_time(panel.clocks(panel.time)[(panel.offsets[:-1] + ends)[more > 0]].min())
    kept = bool(panel.columns.future)
    how = f"the future, with what is known of {listed(panel.columns.future)}" if kept else "left out"
    last = "the last row has" if more.max() == 1 else f"the last {int(more.max()):,} rows have"
    said = f"target: {last} no target, from {first} on{where}: {how}"
    return replace(panel.head(ends), ahead=panel.after(ends) if kept else None, remarks=(*panel.remarks, said))


def extend_panel(panel: Panel, horizon: int, table: object = None) -> Panel:
    """The panel with `horizon` more rows for each series: target and past covariates missing, future ones from `table`.

    Args:
        panel: the history.
        horizon: rows to add, at least 1.
        table: anything `read_table` takes, with the time column, the id column where there are several series, and the
            future covariates; rows outside the horizon are left alone. Needed only where the panel has such covariates.

    Raises:
        DataError: the table is missing, or lacks a column, a series, or a date of the horizon, or holds a date twice.
    """
    if horizon < 1:
        raise OptionError(
            f"Expected horizon= as a whole number of 1 or more, but got {horizon}: pass the steps to forecast."
        )
    count = len(panel.ids)
    rows = np.concatenate(
        [part for i in range(count) for part in (np.arange(*_span(panel, i)), np.full(horizon, -1))]
        or [np.zeros(0, np.int64)]
    )
    extended = panel.take(rows, panel.lengths + horizon)
    times = extended.time.copy()
    ahead = rows < 0
    last = panel.time[panel.offsets[1:] - 1]
    times[ahead] = panel.step.range(last, horizon).ravel()
    extended = replace(extended, time=times)
    if not panel.columns.future:
        return extended
    table = panel_table(panel.ahead) if table is None and panel.ahead is not None else table
    if table is None:
        names = listed(panel.columns.future)
        raise DataError(
            f"Expected the covariates known in the future ({names}) for "
            f"{_horizon_dates(panel.clocks(times[ahead][:horizon]))}, but got none: "
            "pass a table that holds them."
        )
    return _with_future(extended, panel, np.flatnonzero(ahead), horizon, table)


def _span(panel: Panel, series: int) -> tuple[int, int]:
    return int(panel.offsets[series]), int(panel.offsets[series + 1])


def _horizon_dates(times: np.ndarray) -> str:
    return f"{show_time(times[0])} to {show_time(times[-1])}" if len(times) > 1 else show_time(times[0])


def _with_future(extended: Panel, panel: Panel, ahead: np.ndarray, horizon: int, source: object) -> Panel:
    """`extended` with its rows `ahead`, `horizon` for each series, taken from the future table."""
    columns = panel.columns
    table = read_table(source, text=[columns.id] if columns.id else [])
    several = columns.id is not None and (len(panel.ids) > 1 or columns.id in table.column_names)
    require_columns(table, [columns.time, *columns.future, *([columns.id] if several and columns.id else [])])
    times = read_later(table, columns.time, panel.form, panel.step)
    time = times.local if panel.step.wall else times.values
    series = _known_series(table, columns.id, panel) if several else np.zeros(table.num_rows, np.int64)
    keys = series, time.astype(np.int64)
    order = np.lexsort(keys[::-1])
    found = _find(keys, order, np.repeat(np.arange(len(panel.ids)), horizon), extended.time[ahead].astype(np.int64))
    missing = np.flatnonzero(found < 0)
    if len(missing):
        raise _missing_dates(table, panel, missing, extended.time[ahead], horizon)
    _once(table, keys, found)
    numeric = panel.numeric("future")
    future = extended.future.copy()
    future[ahead] = take_rows(_numbers(table, numeric), found)
    text = {name: _joined(column, table, name, ahead, found) for name, column in extended.future_text.items()}
    return replace(extended, future=future, future_text=text)


def _find(keys: tuple[np.ndarray, np.ndarray], order: np.ndarray, series: np.ndarray, time: np.ndarray) -> np.ndarray:
    """The row of the table that holds each (series, time), -1 where none does."""
    rows = {
        key: row for row, key in zip(order.tolist(), zip(*(k[order].tolist() for k in keys), strict=True), strict=True)
    }
    return np.array([rows.get(key, -1) for key in zip(series.tolist(), time.tolist(), strict=True)], np.int64)


def _once(table: pa.Table, keys: tuple[np.ndarray, np.ndarray], found: np.ndarray) -> None:
    used = set(zip(keys[0][found].tolist(), keys[1][found].tolist(), strict=True))
    seen: dict[tuple[int, int], int] = {}
    for row, key in enumerate(zip(keys[0].tolist(), keys[1].tolist(), strict=True)):
        if key in used and seen.setdefault(key, row) != row:
            raise DataError(
                f"Future covariates: {row_name(table, seen[key])} and {row_name(table, row)} of "
                f"{source_name(table)} hold the "
                "same series and date: keep one of them."
            )


def _missing_dates(table: pa.Table, panel: Panel, missing: np.ndarray, times: np.ndarray, horizon: int) -> DataError:
    series = int(missing[0]) // horizon
    dates = [show_time(panel.clocks(times)[i]) for i in missing if i // horizon == series]
    shown = listed(dates, 3)
    label = f" for series {panel.ids[series]!r}" if panel.ids[series] else ""
    return DataError(
        f"Future covariates ({listed(panel.columns.future)}) are missing{label} on {shown} in {source_name(table)}: "
        f"add the rows, one for each of the {horizon} steps after "
        f"{show_time(panel.clocks(panel.time)[panel.offsets[series + 1] - 1])}."
    )


def _joined(column: TextColumn, table: pa.Table, name: str, ahead: np.ndarray, found: np.ndarray) -> TextColumn:
    values, codes = text_column(table, name)
    known = {value: code for code, value in enumerate(column.values)}
    for value in values:
        known.setdefault(value, len(known))
    translation = np.array([*(known[value] for value in values), -1], np.int64)
    joined = column.codes.copy()
    joined[ahead] = translation[codes[found]]
    return TextColumn(tuple(known), joined)


def _known_series(table: pa.Table, name: str | None, panel: Panel) -> np.ndarray:
    """Each row's series of the panel, -1 for one that the panel does not have."""
    values, codes = text_column(table, name or "")
    number = {value: i for i, value in enumerate(panel.ids)}
    translation = np.array([*(number.get(value, -1) for value in values), -1], np.int64)
    series: np.ndarray = translation[codes]
    return series


def _series(table: pa.Table, name: str | None) -> tuple[tuple[str, ...], np.ndarray]:
    if name is None:
        return ("",), np.zeros(table.num_rows, np.int64)
    return id_column(table, name)


def _targets_are_numbers(table: pa.Table, columns: Columns) -> None:
    """A target of words alone is the wrong column rather than one with a wrong value."""
    for name in columns.target:
        if not is_text(table, name):
            continue
        values, _ = text_column(table, name)
        if values and not any(_is_number(value) for value in values):
            raise DataError(
                f"Target {name!r} of {source_name(table)} holds text ({row_name(table, 0)}: "
                f"{values[0]!r}), not numbers: "
                "choose a column of numbers to forecast."
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    if not names:
        return np.zeros((table.num_rows, 0))
    return np.stack([number_column(table, name) for name in names], axis=1)


def _covariates(table: pa.Table, names: Sequence[str], groups: Groups) -> tuple[np.ndarray, dict[str, TextColumn]]:
    text = {}
    for name in names:
        if is_text(table, name):
            values, codes = text_column(table, name)
            text[name] = TextColumn(values, groups.codes(codes))
    numeric = [name for name in names if name not in text]
    return groups.numbers(_numbers(table, numeric)), text


def _static(
    table: pa.Table, columns: Columns, series: np.ndarray, ids: tuple[str, ...]
) -> tuple[np.ndarray, dict[str, TextColumn]]:
    numbers, text = [], {}
    for name in columns.static:
        if is_text(table, name):
            values, codes = text_column(table, name)
            constant = _constant(table, name, np.where(codes < 0, np.nan, codes), series, ids)
            text[name] = TextColumn(values, np.where(np.isnan(constant), -1, constant).astype(np.int64))
        else:
            numbers.append(_constant(table, name, number_column(table, name), series, ids))
    return (np.stack(numbers, axis=1) if numbers else np.zeros((len(ids), 0))), text


def _constant(table: pa.Table, name: str, values: np.ndarray, series: np.ndarray, ids: tuple[str, ...]) -> np.ndarray:
    """(S,) the one value each series has; a missing value agrees with any."""
    result = np.full(len(ids), np.nan)
    present = np.flatnonzero(~np.isnan(values))
    result[series[present][::-1]] = values[present][::-1]
    other = present[values[present] != result[series[present]]]
    if len(other):
        row = int(other[0])
        raise DataError(
            f"Static column {name!r} of {source_name(table)} changes within series {ids[series[row]]!r} in "
            f"{row_name(table, row)}: name it as a future or past covariate instead."
        )
    return result


def _every_series_has_values(
    table: pa.Table, target: np.ndarray, offsets: np.ndarray, ids: tuple[str, ...], columns: Columns
) -> None:
    present = np.add.reduceat((~np.isnan(target)).astype(np.int64), offsets[:-1])
    empty = np.argwhere(present == 0)
    if len(empty) == 0:
        return
    which, column = (int(i) for i in empty[0])
    label = f" for series {ids[which]!r}" if ids[which] else ""
    more = len({int(i) for i, _ in empty}) - 1
    others = f" (and {more} more series)" if more else ""
    raise DataError(
        f"Target {columns.target[column]!r} of {source_name(table)} has no value at all{label}{others}: "
        "fill it in or leave the series out."
    )


def panel_table(panel: Panel) -> pa.Table:
    """A panel as a long table, its times in the zone of its source."""
    import pyarrow as pa

    owner = np.repeat(np.arange(len(panel.ids)), panel.lengths)
    columns: dict[str, Any] = {panel.columns.time: panel.stamps(panel.time)}
    if panel.columns.id is not None:
        columns[panel.columns.id] = pa.array([panel.ids[i] for i in owner], pa.string())
    columns |= {name: panel.target[:, i] for i, name in enumerate(panel.columns.target)}
    for part, values in (("past", panel.past), ("future", panel.future), ("static", panel.static[owner])):
        columns |= {name: values[:, i] for i, name in enumerate(panel.numeric(part))}
    for texts, rows in ((panel.past_text, None), (panel.future_text, None), (panel.static_text, owner)):
        for name, text in texts.items():
            codes = text.codes if rows is None else text.codes[rows]
            columns[name] = pa.array([text.values[code] if code >= 0 else None for code in codes], pa.string())
    return pa.table(
        {
            name: pa.array(values, from_pandas=True) if isinstance(values, np.ndarray) else values
            for name, values in columns.items()
        }
    )
