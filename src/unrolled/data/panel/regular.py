"""Sorting rows into regular series: duplicates and irregular timestamps are named, gaps filled, or rows resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from unrolled.data.batch.runs import offsets_of, rows_of_runs
from unrolled.data.panel.step import Step, infer_step
from unrolled.data.panel.week import WEEK, weekly_slots
from unrolled.data.read.times import Times
from unrolled.errors import DataError, OptionError, suggest

RESAMPLE = ("mean", "sum", "last", "first", "max", "min")

# Filling gaps may make a table this many times longer; beyond that one timestamp is far off, or the step is wrong.
LONGEST_FILL = 10

NameRow = Callable[[int], str]


@dataclass(frozen=True)
class Groups:
    """Rows in their final order: output row j of the panel gathers the sorted rows starts[j] to starts[j+1].

    Args:
        order: (n,) the table's rows, sorted by series and time.
        bounds: (M+1,) where each distinct (series, step) begins in `order`, and n.
        place: (M,) the panel row of each.
        lengths: (S,) panel rows of each series.
        time: (N,) the panel's timestamps.
        step: the distance of two rows.
        method: how several rows of one step become one.
        remarks: what was understood without being told.
    """

    order: np.ndarray
    bounds: np.ndarray
    place: np.ndarray
    lengths: np.ndarray
    time: np.ndarray
    step: Step
    method: str
    remarks: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        return len(self.time)

    def numbers(self, values: np.ndarray) -> np.ndarray:
        """The table's values (n, C) as the panel's (N, C), NaN in rows that the table lacks."""
        result = np.full((self.rows, values.shape[1]), np.nan)
        values = values[self.order]
        result[self.place] = values if len(self.place) == len(values) else _aggregate(values, self.bounds, self.method)
        return result

    def codes(self, codes: np.ndarray) -> np.ndarray:
        """The table's text codes (n,) as the panel's (N,), -1 in rows that the table lacks; of several the last."""
        result = np.full(self.rows, -1, np.int64)
        values = np.where(codes < 0, np.nan, codes)[self.order, None]
        last = _aggregate(values, self.bounds, "first" if self.method == "first" else "last")[:, 0]
        result[self.place] = np.where(np.isnan(last), -1, last).astype(np.int64)
        return result


@dataclass(frozen=True)
class _Sorted:
    """The table's rows by series and time, and the names they go by in messages."""

    order: np.ndarray
    time: np.ndarray
    series: np.ndarray
    ids: tuple[str, ...]
    name_row: NameRow
    merges: bool

    def where(self, row: int) -> str:
        """ "2012-01-03 in line 4"."""
        return f"{show_time(self.time[row])} in {self.name_row(int(self.order[row]))}"

    def label(self, row: int) -> str:
        """ " in series 'A'", or nothing for a table that is one series."""
        name = self.ids[self.series[row]]
        return f" in series {name!r}" if name else ""

    def again(self) -> np.ndarray:
        """(n,) whether the row has the series and timestamp of the row before it."""
        same = (self.time[1:] == self.time[:-1]) & (self.series[1:] == self.series[:-1])
        return np.concatenate([[False], same])


def regular_groups(
    times: Times, series: np.ndarray, ids: tuple[str, ...], step: str | Step | None, resample: str | None,
    name_row: NameRow, *, merges: bool = True,
) -> Groups:  # fmt: skip
    """Arranges the rows of a table as regular series; see `build_panel` for the rules.

    Args:
        times: (n,) as read.
        series: (n,) int64, each row's place in `ids`; every series has a row.
        ids: the names of the series.
        step, resample: as for `build_panel`.
        name_row: how a message names a row of the table.
        merges: whether messages may name `resample`.
    """
    _check_resample(resample)
    order = np.lexsort((times.values, series))
    rows = _Sorted(order, times.values[order], series[order], ids, name_row, merges)
    again = rows.again()
    if resample is None and again.any():
        raise _duplicates(rows, again)
    walls = times.local[order]
    found = _step(step, rows.time[~again], walls[~again], rows.series[~again], len(ids), learn=resample is None)
    rows = replace(rows, time=walls) if found.wall else rows
    if resample is not None:
        rows = replace(rows, time=found.floor(rows.time))
    again = rows.again()
    if resample is None and again.any():
        raise _duplicates(rows, again)
    starts = np.flatnonzero(~again)
    counts = np.bincount(rows.series[starts], minlength=len(ids))
    edges = offsets_of(counts)
    begin = rows.time[starts][edges[:-1]]
    position, exact = found.between(np.repeat(begin, counts), rows.time[starts])
    if not exact.all():
        raise _irregular(rows, int(starts[np.flatnonzero(~exact)[0]]), found)
    lengths = position[edges[1:] - 1] + 1
    remarks = _fill(rows, starts, position, lengths, found, seen=step is None)
    full = found.shift(np.repeat(begin, lengths), rows_of_runs(np.zeros(len(ids), np.int64), lengths))
    place = np.repeat(offsets_of(lengths)[:-1], counts) + position
    said = (*(_slots_said(found) if step is None else ()), *remarks)
    return Groups(order, np.append(starts, len(order)), place, lengths, full, found, resample or "last", said)


def _check_resample(resample: str | None) -> None:
    if resample is not None and resample not in RESAMPLE:
        raise OptionError(
            f"There is no resample={resample!r}.{suggest(resample, RESAMPLE)} Choose from {', '.join(RESAMPLE)}."
        )


def _step(
    step: str | Step | None, time: np.ndarray, walls: np.ndarray, series: np.ndarray, count: int, *, learn: bool
) -> Step:
    counter = time.dtype.kind == "i"
    if step is None:
        offsets = offsets_of(np.bincount(series, minlength=count))
        week = weekly_slots(walls, offsets) if learn and not counter else None
        if week is not None:
            return Step("nanosecond", week.size, slots=week.slots)
        return infer_step(walls if not counter and _one_clock(walls) else time, offsets)
    given = Step.parse(step).settle(walls)
    if counter != (given.unit == "count"):
        kind = (
            "whole numbers, whose step is a number like '1'"
            if counter
            else "dates, whose step is a name like 'D' or 'h'"
        )
        raise OptionError(f"step={str(step)!r} does not fit the time column: it holds {kind}.")
    return given


def _one_clock(walls: np.ndarray) -> bool:
    """Whether all rows have one time of day: they are days or longer, whatever summer time does to their instants."""
    clocks = walls - walls.astype("datetime64[D]").astype("datetime64[ns]")
    return bool((clocks == clocks[:1]).all())


def _slots_said(step: Step) -> tuple[str, ...]:
    if not step.slots:
        return ()
    plain = str(replace(step, slots=()))
    return (
        f"time: rows exist in {len(step.slots)} of the {WEEK // step.size} steps of {plain} in a week, and only such "
        f"steps are forecast; step={plain!r} (--step {plain}) counts them all",
    )


def _duplicates(rows: _Sorted, again: np.ndarray) -> DataError:
    at = int(np.flatnonzero(again)[0])
    same = np.flatnonzero((rows.time == rows.time[at]) & (rows.series == rows.series[at]))
    named = " and ".join(rows.name_row(int(row)) for row in np.sort(rows.order[same])[:4])
    more = int(again.sum()) - len(same) + 1
    others = f" ({more} more rows repeat others)" if more else ""
    way = "merge rows with resample='mean'" if rows.merges else "leave step= out"
    return DataError(
        f"Duplicate timestamp {show_time(rows.time[at])}{rows.label(at)}: {named} hold it{others}; "
        f"keep one row, name the column that tells series apart with id=, or {way}."
    )


def _irregular(rows: _Sorted, at: int, step: Step) -> DataError:
    first = at == 0 or rows.series[at - 1] != rows.series[at]
    why = (
        f"no step of {step} falls on it"
        if first
        else f"it is no whole number of steps of {step} after {rows.where(at - 1)}"
    )
    way = "resample='mean', with step= if another step is meant" if rows.merges else "another step=, or none"
    return DataError(f"Irregular timestamp {rows.where(at)}{rows.label(at)}: {why}; correct it, or pass {way}.")


def _fill(
    rows: _Sorted, starts: np.ndarray, position: np.ndarray, lengths: np.ndarray, step: Step, *, seen: bool
) -> tuple[str, ...]:
    """A remark on the rows that are filled in; an error where they are too many, for a step only seen in the data."""
    whole, present = int(lengths.sum()), len(position)
    if whole == present:
        return ()
    gaps = np.diff(position) * (np.diff(rows.series[starts]) == 0)
    at = int(gaps.argmax())
    between = f"between {rows.where(starts[at])} and {rows.where(starts[at + 1])}"
    most = whole > LONGEST_FILL * present + 1000
    if most or (seen and whole > 2 * present):
        other = "pass a longer step=" if most else f"pass step={str(step)!r} (--step {step}) to have it filled"
        raise DataError(
            f"Filling the gaps with steps of {step} would turn {present} rows into {whole}, the widest gap lying "
            f"{between}: correct the timestamp, or {other}."
        )
    return (
        f"time: {whole - present} rows that are not there are filled in as missing values; the widest gap, of "
        f"{gaps[at] - 1}, lies {between}",
    )


def show_time(time: object) -> str:
    """A timestamp as short as it can be written: no time of day at midnight, no fraction of a second without one."""
    text = str(time)
    if not isinstance(time, np.datetime64):
        return text
    text = text.rstrip("0").rstrip(".") if "." in text else text
    day, _, clock = text.partition("T")
    return day if clock in ("", "00:00:00") else f"{day} {clock}"


def _aggregate(values: np.ndarray, bounds: np.ndarray, method: str) -> np.ndarray:
    """One row for each run of rows between bounds; NaN is left out, and stays where a run has nothing else."""
    starts, present = bounds[:-1], ~np.isnan(values)
    if method in ("max", "min"):
        best: np.ndarray = (np.fmax if method == "max" else np.fmin).reduceat(values, starts)
        return best
    if method in ("first", "last"):
        index = np.arange(len(values))[:, None]
        if method == "last":
            chosen = np.maximum.reduceat(np.where(present, index, -1), starts)
        else:
            chosen = np.minimum.reduceat(np.where(present, index, len(values)), starts)
        usable = (chosen >= 0) & (chosen < len(values))
        taken = np.take_along_axis(values, np.where(usable, chosen, 0), axis=0)
        return np.where(usable, taken, np.nan)
    counts = np.add.reduceat(present.astype(np.int64), starts)
    sums = np.add.reduceat(np.where(present, values, 0.0), starts)
    whole = sums if method == "sum" else sums / np.maximum(counts, 1)
    return np.where(counts > 0, whole, np.nan)
