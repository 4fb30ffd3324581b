"""What a forecaster may be asked for, and what its open choices become once the data are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, JsonValue, field_validator

from unrolled.align.forecast.options import AutoregressiveOptions, DirectOptions
from unrolled.check import check_choice
from unrolled.data.panel.step import Step
from unrolled.errors import OptionError
from unrolled.fields.number import SCALINGS
from unrolled.heads.number.likelihood import LIKELIHOODS
from unrolled.nn.build import EncoderOptions, ForwardOptions
from unrolled.options import Options
from unrolled.tasks.options import TaskOptions
from unrolled.train import BatchedOptions, TrainOptions

__all__ = ["ForecasterOptions", "direct_or_next", "pick_lookback", "pick_scaling", "pick_training"]

LEVELS = (80.0, 95.0)
# More windows than this in an epoch teach little more than every second, third, ... of them (see `stride`).
WINDOWS = 20_000
# Options of the direct decoder alone, and what they are where nobody asks for them.
DIRECT_ALONE = {"segment": None, "static_inputs": "both", "bidirectional": False}
# Days in a row of which sub-daily data show a weekly rhythm.
WEEK = 7


class WindowOptions(Options):
    """How series are cut into windows.

    horizon: steps ahead. lookback: steps the model sees. season: in steps; baselines, MASE and the choice of lookback
    use it. stride: steps between the windows trained on; None: 1, or as many as keep an epoch within 20,000 windows.
    """

    horizon: int = Field(ge=1, description="Steps to forecast.")
    lookback: int | None = Field(default=None, ge=1, description="Past steps that a forecast sees.")
    season: int | None = Field(default=None, ge=1, description="Steps of a season.")
    stride: int | None = Field(default=None, ge=1, description="Steps between the windows that are learned from.")


class TargetOptions(Options):
    """How series become numbers that a network reads.

    scaling: a kind of `unrolled.fields.Number`; None is "standard", or "log" for series that swing wider the higher
    they stand, "none" for counts. level ("last", "mean", "none"): what is taken off each window. channels ("separate":
    several targets share one model; "joint": they are forecast together). calendar: features of the date.
    """

    scaling: str | None = Field(default=None, description="How the numbers are scaled.")
    level: Literal["last", "mean", "none"] | None = Field(default=None, description="What is taken off each window.")
    channels: Literal["separate", "joint"] = Field(
        default="separate", description="Forecast several targets each alone, or together."
    )
    calendar: bool = Field(default=True, description="Read the date: hour, weekday, month.")


class DistributionOptions(Options):
    """How a forecast is told.

    decoder ("direct": the whole horizon at once; "autoregressive": step by step, its own forecast fed back). Of the
    direct one: segment (steps folded into one), static_inputs ("both": encoder and decoder are told which series it is
    and what is constant in it; "decoder" alone, as in SegRNN). Of the autoregressive one: samples (paths drawn).

    levels: central bands in percent. likelihood: a name of `unrolled.heads.number.likelihood.LIKELIHOODS`, with its
    likelihood_options; None is "quantile", or "student-t" for the autoregressive decoder.
    """

    decoder: Literal["direct", "autoregressive"] = Field(
        default="direct", description="Forecast the whole horizon at once, or step by step."
    )
    segment: int | None = Field(default=None, ge=1, description="Steps folded into one (direct).")
    static_inputs: Literal["both", "decoder"] = Field(
        default="both", description="Who is told which series it is (direct)."
    )
    levels: tuple[float, ...] | None = Field(default=None, description="Central bands, in percent.")
    likelihood: str | None = Field(default=None, description="The distribution of a value.")
    likelihood_options: dict[str, JsonValue] = Field(default_factory=dict, description="Options of the likelihood.")
    samples: int = Field(default=200, ge=2, description="Paths that are drawn (autoregressive).")

    @field_validator("levels", mode="before")
    @classmethod
    def _one_level(cls, value: object) -> object:
        return (value,) if isinstance(value, int | float) else value


class ForecasterOptions(TaskOptions):
    """Every option of a `Forecaster`, in groups; None is chosen from the data when `fit` sees them.

    window: `WindowOptions`. target: `TargetOptions`. encoder: `EncoderOptions` (bidirectional: with the direct decoder
    alone; dropout also acts before the head). head: `DistributionOptions`. train: `BatchedOptions`.
    """

    owner = "Forecaster"
    completed = frozenset({"train"})

    window: WindowOptions
    target: TargetOptions = TargetOptions()
    head: DistributionOptions = DistributionOptions()
    encoder: EncoderOptions = EncoderOptions(cell="gru", hidden_size=64, dropout=0.1)
    train: BatchedOptions = BatchedOptions()

    def check(self) -> None:
        """What can be said before the data are there, said now."""
        super().check()
        head = self.head
        if head.likelihood is not None:
            check_choice("Forecaster", "likelihood", head.likelihood, LIKELIHOODS)
        if self.target.scaling is not None:
            check_choice("Forecaster", "scaling", self.target.scaling, SCALINGS)
        for level in head.levels or ():
            if not 0 < level < 100:
                raise OptionError(
                    f"Forecaster: levels must lie between 0 and 100 (percent), got {level:g}; for instance 80 95."
                )
        direct_or_next(self, self.window.lookback or 2 * self.horizon, 1)

    @property
    def horizon(self) -> int:
        """Steps ahead."""
        return self.window.horizon

    @property
    def chosen_likelihood(self) -> str:
        """The likelihood, its default filled in."""
        return self.head.likelihood or ("quantile" if self.head.decoder == "direct" else "student-t")

    @property
    def chosen_levels(self) -> tuple[float, ...]:
        """The bands in percent, narrow to wide; none for a point forecast."""
        given = self.head.levels
        levels = given if given is not None else (() if self.chosen_likelihood == "point" else LEVELS)
        return tuple(sorted(set(levels)))

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The levels of all quantiles, rising: 0.5 and the two ends of each band."""
        sides = [round(side * level / 200, 9) for level in self.chosen_levels for side in (-1, 1)]
        return tuple(sorted(0.5 + side for side in [0.0, *sides]))


def direct_or_next(options: ForecasterOptions, lookback: int, season: int) -> DirectOptions | AutoregressiveOptions:
    """The options of the network, everything decided."""
    head, counts = options.head, LIKELIHOODS[options.chosen_likelihood].counts
    shared: dict[str, object] = {
        **{name: getattr(options.encoder, name) for name in ForwardOptions.model_fields},
        "lookback": lookback,
        "horizon": options.horizon,
        "likelihood": options.chosen_likelihood,
        "likelihood_options": head.likelihood_options,
        "quantiles": options.quantiles,
        "level": options.target.level or ("none" if counts else "last"),
    }
    direct: dict[str, object] = {"static_inputs": head.static_inputs, "bidirectional": options.encoder.bidirectional}
    if head.decoder == "direct":
        segment = head.segment or pick_segment(lookback, options.horizon, season)
        return DirectOptions.signed(options.owner, {**shared, **direct, "segment": segment})
    for name, value in {**direct, "segment": head.segment}.items():
        if value != DIRECT_ALONE[name]:
            raise OptionError(
                f"Forecaster: {name} belongs to decoder='direct', got decoder='autoregressive'; leave it out."
            )
    return AutoregressiveOptions.signed(options.owner, shared)


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
    if options.target.scaling is not None:
        return options.target.scaling
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
    given = options.train.given()
    batch = 1 << int(np.clip(np.log2(max(windows, 1) / 24), 4, 7))
    usual: dict[str, object] = {"learning_rate": 2e-3, "checkpoint_every_minutes": 0.5}
    if given.get("token_budget") is None:
        usual["batch_size"] = batch
    size = given.get("batch_size") or batch
    an_epoch = max(1, -(-windows // int(size)))
    if not {"epochs", "max_steps", "max_minutes"} & given.keys():
        usual |= {"epochs": None, "max_steps": max(2000, 12 * an_epoch)}
    elif "epochs" not in given:
        usual["epochs"] = None
    if scored:
        usual |= {"patience": 12, "evaluate_every_steps": int(np.clip(an_epoch, 25, 250))}
    elif given.get("patience") is not None:
        options = options.replaced(patience=None)
    return options.training(**usual)
