"""Forecasts that need no training: what a model has to beat. NaN in the history means unknown.

Each takes history (..., time, targets), or (time,) for a single series, and gives (..., horizon, targets), or
(horizon,), in float64. A history without any known value gives NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.check import check_size
from unrolled.errors import DataError

__all__ = ["BASELINES", "drift", "last_value", "seasonal_naive"]

Array = NDArray[np.float64]


def seasonal_naive(history: ArrayLike, horizon: int, season: int) -> Array:
    """The last season over and over: y(T + h) = y at the latest known row of the same place in the season.

    A place that no season knows takes the last known value, as does a history shorter than one season.

    >>> seasonal_naive([1, 2, 3, 4, 5, 6], horizon=4, season=3)
    array([4., 5., 6., 4.])
    """
    check_size("seasonal_naive", "season", season)
    values = _columns("seasonal_naive", history, horizon)
    time = values.shape[-2]
    # No row of a longer season is known in time, and its places would only take memory.
    season = min(season, time + horizon)
    seasons = -(-time // season)
    room = np.full((*values.shape[:-2], seasons * season - time, values.shape[-1]), np.nan)
    # Padded on the left, so that the last row stands at the last place of the last season.
    places = np.concatenate([room, values], -2).reshape(*values.shape[:-2], seasons, season, values.shape[-1])
    latest = _latest(np.moveaxis(places, -3, -2))
    last = np.expand_dims(_latest(values), -2)
    cycle = np.where(np.isnan(latest), last, latest)
    return _shaped(np.take(cycle, np.arange(horizon) % season, axis=-2), history)


def last_value(history: ArrayLike, horizon: int, season: int = 1) -> Array:
    """The last known value, repeated; `season` is not used.

    >>> last_value([1, 2, float("nan")], horizon=2)
    array([2., 2.])
    """
    values = _columns("last_value", history, horizon)
    return _shaped(np.repeat(np.expand_dims(_latest(values), -2), horizon, -2), history)


def drift(history: ArrayLike, horizon: int, season: int = 1) -> Array:
    """The line through the first and the last known value, carried on; flat with one value; `season` is not used.

    >>> drift([1, 2, 4, 7], horizon=2)
    array([ 9., 11.])
    """
    values = _columns("drift", history, horizon)
    known = ~np.isnan(values)
    first = known.argmax(-2)
    last = values.shape[-2] - 1 - np.flip(known, -2).argmax(-2)
    start = np.take_along_axis(values, first[..., None, :], -2)
    end = np.take_along_axis(values, last[..., None, :], -2)
    slope = (end - start) / np.maximum(last - first, 1)[..., None, :]
    # The last known value may lie some rows before the end.
    ahead = np.arange(1, horizon + 1)[:, None] + (values.shape[-2] - 1 - last)[..., None, :]
    return _shaped(end + slope * ahead, history)


BASELINES: dict[str, Callable[[ArrayLike, int, int], Array]] = {
    "seasonal-naive": seasonal_naive,
    "drift": drift,
    "last-value": last_value,
}


def _latest(values: Array) -> Array:
    """The latest known value along the second to last axis; NaN where there is none."""
    place = np.flip(~np.isnan(values), -2).argmax(-2)[..., None, :]
    return np.take_along_axis(np.flip(values, -2), place, -2)[..., 0, :]


def _columns(name: str, history: ArrayLike, horizon: int) -> Array:
    check_size(name, "horizon", horizon)
    values = np.asarray(history, np.float64)
    if values.ndim == 0 or values.shape[0 if values.ndim == 1 else -2] == 0:
        raise DataError(f"{name}: expected a history of at least one row, got shape {values.shape}.")
    return values[:, None] if values.ndim == 1 else values


def _shaped(forecast: Array, history: ArrayLike) -> Array:
    return forecast[:, 0] if np.ndim(history) == 1 else forecast
