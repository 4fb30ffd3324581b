"""What a forecaster may be asked for, and what its open choices become once the data are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field, JsonValue, field_validator

from unrolled.align.forecast.likelihood import LIKELIHOODS
from unrolled.align.forecast.options import DirectOptions, NextOptions
from unrolled.check import check_choice
from unrolled.data.panel.step import Step
from unrolled.errors import OptionError
from unrolled.fields.number import SCALINGS
from unrolled.nn import CELLS
from unrolled.tasks.options import TaskOptions
from unrolled.train import TrainOptions

__all__ = ["ForecasterOptions", "direct_or_next", "pick_lookback", "pick_scaling", "pick_training"]

LEVELS = (80.0, 95.0)
# More windows than this in an epoch teach little more than every second, third, ... of them (see `stride`).
WINDOWS = 20_000
# Days in a row of which sub-daily data show a weekly rhythm.
WEEK = 7


class ForecasterOptions(TaskOptions):
    """Every option of a `Forecaster`; None is chosen from the data when `fit` sees them.

    Forecast: horizon (steps ahead), levels (central bands in percent), lookback (steps the model sees), season (steps;
    baselines, MASE and the choice of lookback use it).

    Network: cell (a name of `unrolled.nn.CELLS`), cell_options, hidden_size, layers, dropout, decoder ("direct": the
    whole horizon at once; "autoregressive": step by step, its own forecast fed back), segment (steps folded into one,
    direct only), static_inputs ("both": encoder and decoder are told which series it is and what is constant in it;
    "decoder" alone, as in SegRNN; direct only).

    Target: likelihood (a name of `unrolled.align.forecast.LIKELIHOODS`; None is "quantile", or "student-t" for the
    autoregressive decoder), likelihood_options, scaling (a kind of `unrolled.fields.Number`; None is "standard",
    or "log" for series that swing wider the higher they stand, "none" for counts), level ("last", "mean",
    "none": what is taken off each window), channels ("separate": several targets share one model; "joint": they are
    forecast together), calendar (features of the date), samples (paths drawn by the autoregressive decoder).

    Training: stride (steps between the windows trained on; None: 1, or as many as keep an epoch within 20,000 windows),
    and every option of `unrolled.train.TrainOptions` (epochs, max_minutes, learning_rate, batch_size, ...).
    """

    owner = "Forecaster"

    horizon: int = Field(ge=1)
    levels: tuple[float, ...] | None = None
    lookback: int | None = Field(default=None, ge=1)
    season: int | None = Field(default=None, ge=1)

    cell: str = "gru"
    cell_options: dict[str, JsonValue] = Field(default_factory=dict)
    hidden_size: int = Field(default=64, ge=1)
    layers: int = Field(default=1, ge=1)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    decoder: Literal["direct", "autoregressive"] = "direct"
    segment: int | None = Field(default=None, ge=1)
    static_inputs: Literal["both", "decoder"] = "both"

    likelihood: str | None = None
    likelihood_options: dict[str, JsonValue] = Field(default_factory=dict)
    scaling: str | None = None
    level: Literal["last", "mean", "none"] | None = None
    channels: Literal["separate", "joint"] = "separate"
    calendar: bool = True
    samples: int = Field(default=200, ge=2)

    stride: int | None = Field(default=None, ge=1)

    @field_validator("levels", mode="before")
    @classmethod
    def _one_level(cls, value: Any) -> Any:
        return (value,) if isinstance(value, int | float) else value

    def check(self) -> None:
        """What can be said before the data are there, said now."""
        check_choice("Forecaster", "cell", self.cell, CELLS)
        if self.likelihood is not None:
            check_choice("Forecaster", "likelihood", self.likelihood, LIKELIHOODS)
        if self.scaling is not None:
            check_choice("Forecaster", "scaling", self.scaling, SCALINGS)
        for level in self.levels or ():
            if not 0 < level < 100:
                raise OptionError(
                    f"Forecaster: levels must lie between 0 and 100 (percent), got {level:g}; for instance 80 95."
                )
        super().check()
        direct_or_next(self, self.lookback or 2 * self.horizon, 1)

    @property
    def chosen_likelihood(self) -> str:
        """The likelihood, its default filled in."""
        return self.likelihood or ("quantile" if self.decoder == "direct" else "student-t")

    @property
    def chosen_levels(self) -> tuple[float, ...]:
        """The bands in percent, narrow to wide; none for a point forecast."""
        levels = self.levels if self.levels is not None else (() if self.chosen_likelihood == "point" else LEVELS)
        return tuple(sorted(set(levels)))

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The levels of all quantiles, rising: 0.5 and the two ends of each band."""
        sides = [round(side * level / 200, 9) for level in self.chosen_levels for side in (-1, 1)]
        return tuple(sorted(0.5 + side for side in [0.0, *sides]))


def direct_or_next(options: ForecasterOptions, lookback: int, season: int) -> DirectOptions | NextOptions:
    """The options of the network, everything decided."""
    counts = LIKELIHOODS[options.chosen_likelihood].counts
    shared: dict[str, Any] = {
        "lookback": lookback,
        "horizon": options.horizon,
        "cell": options.cell,
        "cell_options": options.cell_options,
        "hidden_size": options.hidden_size,
        "layers": options.layers,
        "dropout": options.dropout,
        "likelihood": options.chosen_likelihood,
        "likelihood_options": options.likelihood_options,
        "quantiles": options.quantiles,
        "level": options.level or ("none" if counts else "last"),
    }
    if options.decoder == "autoregressive":
        for name in ("segment", "static_inputs"):
            if getattr(options, name) != ForecasterOptions.model_fields[name].default:
                raise OptionError(
                    f"Forecaster: {name} belongs to decoder='direct', got decoder='autoregressive'; leave it out."
                )
        return NextOptions(**shared)
    segment = options.segment or pick_segment(lookback, options.horizon, season)
    return DirectOptions(**shared, segment=segment, static_inputs=options.static_inputs)


def pick_lookback(horizon: int, step: Step, season: int, rows: np.ndarray) -> int:
    """Two seasons or three horizons, a week of sub-daily data, and no more than leaves windows to train on.

    rows: (S,) training rows of each series.
    """
    wanted = max(2 * season, 3 * horizon, 8)
    middle = int(np.median(rows))
    if step.unit == "nanosecond" and season >= 24 and middle >= 8 * WEEK * season:
        wanted = max(wanted, WEEK * season)
    room = max(1, min(2 * (middle - horizon) // 3, middle - horizon - 1))
    return min(wanted, room, 1024)


def pick_scaling(options: ForecasterOptions, series: Sequence[np.ndarray], season: int) -> str:
    """The scaling given; else counts stay counts, and series that swing wider the higher they stand take the logarithm.

    series: the training rows of each, (time, targets), NaN where missing.
    """
    if options.scaling is not None:
        return options.scaling
    if LIKELIHOODS[options.chosen_likelihood].counts:
        return "none"
    swings = [_swings_with_level(values[:, d], season) for values in series for d in range(values.shape[1])]
    return "log" if np.mean(swings) > 0.5 else "standard"


def _swings_with_level(values: np.ndarray, season: int) -> bool:
    """Whether a positive series changes its level by half, and its relative swings are steadier than its swings."""
    values = values[~np.isnan(values)]
    size = max(season, len(values) // 12, 4)
    blocks = len(values) // size
    if blocks < 5 or values.min() <= 0:
        return False
    block = values[len(values) - blocks * size :].reshape(blocks, size)
    level, swing = block.mean(1), np.abs(np.diff(block, axis=1)).mean(1)
    relative = swing / level
    changes = level.max() > 1.5 * level.min() and swing.mean() > 0
    return bool(changes and relative.std() / relative.mean() < swing.std() / swing.mean())


def pick_segment(lookback: int, horizon: int, season: int) -> int:
    """Steps folded into one: so short that the encoder takes several, a divisor of the season where there is one."""
    longest = max(1, min(lookback // 4, horizon // 2, 48))
    if season > 1:
        return max(p for p in range(1, season + 1) if season % p == 0 and (p <= longest or p == 1))
    return min(longest, 8)


def pick_training(options: ForecasterOptions, windows: int, *, scored: bool) -> TrainOptions:
    """The training options given, the rest so that few windows take seconds and many take minutes."""
    given: dict[str, Any] = dict(options.train)
    batch = 1 << int(np.clip(np.log2(max(windows, 1) / 24), 4, 7))
    values: dict[str, Any] = {"learning_rate": 2e-3, "seed": options.seed, "checkpoint_every_minutes": 0.5}
    if given.get("token_budget") is None:
        values["batch_size"] = batch
    size = given.get("batch_size") or batch
    an_epoch = max(1, -(-windows // int(size)))
    if not {"epochs", "max_steps", "max_minutes"} & given.keys():
        values |= {"epochs": None, "max_steps": max(2000, 12 * an_epoch)}
    elif "epochs" not in given:
        values["epochs"] = None
    if scored:
        values |= {"patience": 12, "evaluate_every_steps": int(np.clip(an_epoch, 25, 250))}
    else:
        given.pop("patience", None)
    return TrainOptions(**{**values, **given})
