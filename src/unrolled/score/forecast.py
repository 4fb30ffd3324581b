"""Scores of a forecast, in float64. NaN in the target means unknown and is left out.

Arrays are of one shape, any shape: (horizon, targets), (windows, horizon, targets), ... Every score raises DataError
where no target is known, or where the forecast is NaN although the target is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError, OptionError

__all__ = [
    "check_levels",
    "coverage",
    "mae",
    "mase",
    "rmse",
    "scaled_error",
    "seasonal_error",
    "smape",
    "weighted_quantile_loss",
]

Array = NDArray[np.float64]


def check_levels(levels: Sequence[float]) -> tuple[float, ...]:
    """Quantile levels, each strictly between 0 and 1."""
    for level in levels:
        if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
            raise OptionError(f"forecast: a quantile level must lie between 0 and 1, got {level!r}; for 90 % give 0.9.")
    return tuple(float(level) for level in levels)


def mae(target: ArrayLike, forecast: ArrayLike) -> float:
    """Mean absolute error, in the target's unit.

    >>> mae([1, 2, float("nan")], [2, 4, 9])
    1.5
    """
    known, guess = _known("mae", target, forecast)
    return float(np.abs(known - guess).mean())


def rmse(target: ArrayLike, forecast: ArrayLike) -> float:
    """Root of the mean squared error, in the target's unit."""
    known, guess = _known("rmse", target, forecast)
    return float(np.sqrt(np.square(known - guess).mean()))


def smape(target: ArrayLike, forecast: ArrayLike) -> float:
    """Symmetric mean absolute percentage error: 100 mean(2 |y - f| / (|y| + |f|)), in [0, 200]; 0 where y = f = 0.

    Source: Makridakis et al. 2018 (M4 competition).
    """
    known, guess = _known("smape", target, forecast)
    size = np.abs(known) + np.abs(guess)
    parts = np.divide(2 * np.abs(known - guess), size, out=np.zeros_like(size), where=size > 0)
    return float(100 * parts.mean())


def mase(target: ArrayLike, forecast: ArrayLike, history: ArrayLike, season: int) -> float:
    """Mean absolute error over the error that the seasonal naive forecast makes one step ahead inside `history`.

    target, forecast: (..., horizon, targets) of one series; history: its training rows (time, targets). Single-target
    arrays may leave out the last dimension in all three. For several series use `seasonal_error` and `scaled_error`.
    Source: Hyndman and Koehler 2006; with `season` as in the M4 competition.
    """
    return scaled_error(target, forecast, seasonal_error(history, season))


def seasonal_error(history: ArrayLike, season: int) -> Array:
    """Mean |y_t - y_(t - season)| over the rows of history (time, targets) or (time,): (targets,) or ().

    A history not longer than one season is measured with season 1. NaN where no pair is known.
    """
    if isinstance(season, bool) or not isinstance(season, int | np.integer) or season < 1:
        raise OptionError(f"mase: season must be an integer of at least 1, got {season!r}.")
    values = np.asarray(history, np.float64)
    lag = season if season < len(values) else 1
    steps = np.abs(values[lag:] - values[:-lag])
    known = ~np.isnan(steps)
    count = known.sum(0)
    total = np.where(known, steps, 0).sum(0)
    return np.asarray(np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0))


def scaled_error(target: ArrayLike, forecast: ArrayLike, scale: ArrayLike) -> float:
    """Mean of |y - f| / scale, scale as from `seasonal_error`, broadcast to the target.

    Targets whose scale is 0 or NaN (a constant or unknown history) have no such error and are left out.
    """
    values = np.asarray(target, np.float64)
    unit = np.broadcast_to(np.asarray(scale, np.float64), values.shape)
    usable = unit > 0
    if not usable.any():
        raise DataError("mase: every history is constant or unknown, so there is nothing to scale by; use mae.")
    unit = np.where(usable, unit, np.nan)
    guess = np.asarray(forecast, np.float64)
    _check_shapes("mase", values, guess)
    return mae(values / unit, guess / np.where(usable, unit, 1))


def weighted_quantile_loss(target: ArrayLike, quantiles: ArrayLike, levels: Sequence[float]) -> float:
    """Mean over levels q of 2 sum(max(q e, (q - 1) e)) / sum |y|, e = y - quantile; without unit, lower is better.

    target: (...); quantiles: (..., levels). With the level 0.5 alone it is sum |y - f| / sum |y|. Raises DataError
    where all known targets are 0.
    """
    wanted = np.asarray(check_levels(levels))
    values, bands = np.asarray(target, np.float64), np.asarray(quantiles, np.float64)
    if bands.shape != (*values.shape, len(wanted)) or not len(wanted):
        raise DataError(
            f"weighted_quantile_loss: expected quantiles of shape {(*values.shape, len(wanted))}, got {bands.shape}."
        )
    known, guess = _known("weighted_quantile_loss", np.broadcast_to(values[..., None], bands.shape), bands)
    level = np.broadcast_to(wanted, bands.shape)[~np.isnan(np.broadcast_to(values[..., None], bands.shape))]
    error = known - guess
    size = np.abs(known).sum()
    if size == 0:
        raise DataError("weighted_quantile_loss: all known targets are 0, so there is nothing to weigh by; use mae.")
    return float(2 * np.maximum(level * error, (level - 1) * error).sum() / size)


def coverage(target: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> float:
    """The part of the targets within [lower, upper], in [0, 1]; an 80 % band should hold 0.8 of them."""
    known, low = _known("coverage", target, lower)
    _, high = _known("coverage", target, upper)
    return float(((known >= low) & (known <= high)).mean())


def _known(name: str, target: ArrayLike, forecast: ArrayLike) -> tuple[Array, Array]:
    """The known targets and the forecasts beside them, flat."""
    values, guess = np.asarray(target, np.float64), np.asarray(forecast, np.float64)
    _check_shapes(name, values, guess)
    known = ~np.isnan(values)
    if not known.any():
        raise DataError(f"{name}: expected at least one known target, got {values.size} that are all missing.")
    holes = int(np.isnan(guess[known]).sum())
    if holes:
        count = int(known.sum())
        raise DataError(f"{name}: the forecast is NaN at {holes} of {count} known targets; leave those rows out.")
    return values[known], guess[known]


def _check_shapes(name: str, target: Array, forecast: Array) -> None:
    if target.shape != forecast.shape:
        raise DataError(f"{name}: target and forecast must have one shape, got {target.shape} and {forecast.shape}.")
