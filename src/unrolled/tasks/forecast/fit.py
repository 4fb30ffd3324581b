"""Fitting a forecaster: where the parts end, and which windows there are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unrolled.data.panel.arrays import PanelFields
from unrolled.data.panel.panel import Ends, Panel, split_ends
from unrolled.data.panel.windows import Windows
from unrolled.errors import DataError
from unrolled.score.forecast import seasonal_error
from unrolled.tasks.forecast.constant import constants
from unrolled.tasks.forecast.fitted import Fitted, kept_rows
from unrolled.tasks.forecast.options import (
    WINDOWS,
    ForecasterOptions,
    direct_or_next,
    pick_lookback,
    pick_scaling,
    pick_training,
)
from unrolled.tasks.forecast.windows import encode_panel, sliding
from unrolled.train import TrainOptions

__all__ = ["Plan", "Prepared", "make_plan", "prepare", "seasonal"]

VALID = 0.1
TEST, MOST_TESTS = 0.2, 8


@dataclass(frozen=True, eq=False)
class Plan:
    """What the data decide: where the parts end (S,), the season in steps, the look-back, the scaling."""

    ends: Ends
    season: int
    lookback: int
    scaling: str


@dataclass(frozen=True, eq=False)
class Prepared:
    """What one stage of the training is about: what it is fitted to, its windows, its options."""

    fitted: Fitted
    train: Windows
    valid: Windows | None
    options: TrainOptions


def make_plan(panel: Panel, options: ForecasterOptions, valid: int | float | None, test: int | float | None) -> Plan:
    """Raises `DataError` naming a series that is too short to learn from."""
    least = options.horizon + (options.window.lookback or 2)
    short = np.flatnonzero(panel.lengths < least)
    if len(short):
        i = int(short[0])
        name = f"series {panel.ids[i]!r}" if panel.ids[i] else "the series"
        more = f" (and {len(short) - 1} more series)" if len(short) > 1 else ""
        parts = f"{options.window.lookback or 'at least 2'} rows to look back on and the horizon of {options.horizon}"
        raise DataError(
            f"fit: {name} has {panel.lengths[i]} rows, shorter than one window of {least} ({parts}){more}; choose a "
            "smaller horizon or lookback, or give it more rows."
        )
    ends = _ends(panel, options, valid, test, least)
    _check_scorable(panel, ends)
    middle = int(np.median(ends.train))
    season = options.window.season or panel.step.season
    season = season if options.window.season or 2 * season <= middle else 1
    series = [panel.target[panel.rows(i)][:end] for i, end in enumerate(ends.train)]
    lookback = options.window.lookback or pick_lookback(options.horizon, panel.step, season, ends.train)
    return Plan(ends, season, lookback, pick_scaling(options, series, season))


def seasonal(panel: Panel, season: int) -> tuple[str, ...]:
    """What is said of the season."""
    return (f"season: {season} steps of {panel.step}; season= (--set season=N) sets another",) if season > 1 else ()


def _ends(
    panel: Panel, options: ForecasterOptions, valid: int | float | None, test: int | float | None, least: int
) -> Ends:
    if test is None:
        # Whole horizons from about the last fifth; a series with few horizons spares none.
        spare = (TEST * panel.lengths // options.horizon).astype(np.int64).clip(0, MOST_TESTS) * options.horizon
        before = np.where(panel.lengths - spare >= least + options.horizon, panel.lengths - spare, panel.lengths)
    else:
        before = split_ends(panel, 0, test, least).train
    if valid is not None:
        train = split_ends(before, valid, 0, least).train
        return Ends(train, before, panel.lengths)
    wanted = np.maximum(options.horizon, (VALID * before).astype(np.int64))
    # A series that cannot spare its last rows is trained on whole: the others decide when to stop.
    train = np.where(before - wanted >= least, before - wanted, before)
    return Ends(train, before, panel.lengths)


def _check_scorable(panel: Panel, ends: Ends) -> None:
    """What is held out must hold a value to score by: said before the training rather than after it."""
    held = [panel.target[panel.rows(i)][a:b] for i, (a, b) in enumerate(zip(ends.valid, ends.test, strict=True))]
    if sum(len(rows) for rows in held) and all(np.isnan(rows).all() for rows in held):
        raise DataError(
            f"fit: the last {max(len(rows) for rows in held)} rows, which are held out to score by, have no target: "
            "fill it in, or hold out more or none with test= (--test)."
        )


def prepare(
    panel: Panel, options: ForecasterOptions, plan: Plan, train: np.ndarray, valid: np.ndarray, resample: str | None
) -> Prepared:
    """Fields fitted on the rows before `train`, windows of those rows, and of the rows up to `valid` to stop by."""
    fields = PanelFields.fit(panel, train, scaling=plan.scaling, calendar=options.target.calendar)
    arrays = encode_panel(fields, panel, options.target.channels, train)
    lookback, horizon = plan.lookback, options.horizon
    whole = lookback if options.window.lookback else np.clip(train - 2 * horizon, 1, lookback)
    first = np.broadcast_to(whole, train.shape)
    count = int(np.maximum(train - horizon - first + 1, 0).sum()) * (len(arrays.lengths) // len(train))
    stride = options.window.stride or max(1, -(-count // WINDOWS))
    windows = sliding(arrays, lookback, horizon, first, train, stride)
    later = sliding(arrays, lookback, horizon, train, valid, max(1, horizon // 8)) if (valid > train).any() else None
    scored = later is not None and len(later) > 0
    kept = kept_rows(options, lookback, plan.season)
    fitted = Fitted(
        fields=fields,
        net=direct_or_next(options, lookback, plan.season),
        season=plan.season,
        tail=panel.tail(kept),
        seen=panel.time[panel.offsets[:-1] + valid - 1].astype(np.int64),
        scales=np.stack([seasonal_error(panel.target[panel.rows(i)][:n], plan.season) for i, n in enumerate(train)]),
        channels=options.target.channels,
        resample=resample,
        constants=constants(panel, train),
    )
    return Prepared(fitted, windows, later if scored else None, pick_training(options, len(windows), scored=scored))
