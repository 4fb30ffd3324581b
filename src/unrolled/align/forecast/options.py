"""The options of the two forecast nets: typed, plain JSON, checked at the door."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue, model_validator

from unrolled.heads.number.likelihood import LIKELIHOODS, make_likelihood
from unrolled.nn.build import EncoderOptions, ForwardOptions

__all__ = ["DirectOptions", "ForecastOptions", "AutoregressiveOptions"]

MEDIAN = (0.5,)
BAND = (0.1, 0.5, 0.9)


class ForecastOptions(ForwardOptions):
    """What both forecast nets share.

    lookback, horizon: steps seen and steps forecast. The encoder's options are those of `ForwardOptions`, where
    `dropout` acts between layers and before the head. likelihood, likelihood_options: a name of `LIKELIHOODS` and its
    own options. quantiles: the levels to learn (or, for a distribution, the levels that will be asked for); left out it
    is 0.1, 0.5, 0.9, and 0.5 for "point".

    level: what is taken off each window and target before the net sees it, and added back to the forecast: "last" (the
    last observed value), "mean" (of the observed values in the last `level_steps` steps of the look-back, None: in all
    of it) or "none". Left out it is "last", but "none" for counts, which are divided by 1 + mean |history| instead.
    """

    lookback: int = Field(ge=1)
    horizon: int = Field(ge=1)
    cell: str = "gru"
    hidden_size: int = Field(default=64, ge=2)
    likelihood: str = "quantile"
    likelihood_options: dict[str, JsonValue] = Field(default_factory=dict)
    quantiles: tuple[float, ...] = BAND
    level: Literal["last", "mean", "none"] = "last"
    level_steps: int | None = Field(default=None, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, values: object) -> object:
        """Defaults that hang on the likelihood."""
        if not isinstance(values, dict):
            return values
        likelihood = values.get("likelihood", cls.model_fields["likelihood"].default)
        counts = likelihood in LIKELIHOODS and LIKELIHOODS[likelihood].counts
        filled = {"level": "none" if counts else "last", "quantiles": MEDIAN if likelihood == "point" else BAND}
        return filled | {name: value for name, value in values.items() if name not in filled or value is not None}

    @model_validator(mode="after")
    def _agree(self) -> ForecastOptions:
        make_likelihood(self.likelihood, self.quantiles, **self.likelihood_options)
        if LIKELIHOODS[self.likelihood].counts and self.level != "none":
            raise ValueError(f"level={self.level!r} does not go with counts, as {self.likelihood!r} takes; use 'none'")
        if self.level_steps is not None and (self.level != "mean" or self.level_steps > self.lookback):
            raise ValueError(
                f"level_steps={self.level_steps} needs level='mean' and at most lookback={self.lookback} steps, "
                f"got level={self.level!r}"
            )
        return self


class DirectOptions(ForecastOptions):
    """Options of `DirectForecast`: the whole horizon at once.

    segment: p consecutive steps are folded into one vector, in the look-back and in the horizon (SegRNN); 1 = none.
    static_inputs: "both" (encoder and decoder see static values and codes) or "decoder". bidirectional: each layer of
    the encoder reads the look-back both ways.
    """

    bidirectional: bool = False
    segment: int = Field(default=1, ge=1)
    static_inputs: Literal["both", "decoder"] = "both"

    @property
    def encoder(self) -> EncoderOptions:
        """The options of the encoder among these."""
        return EncoderOptions(**{name: getattr(self, name) for name in EncoderOptions.model_fields})

    @model_validator(mode="after")
    def _fold(self) -> DirectOptions:
        if self.segment > self.lookback:
            raise ValueError(f"segment={self.segment} must not exceed lookback={self.lookback}")
        return self


class AutoregressiveOptions(ForecastOptions):
    """Options of `AutoregressiveForecast`: one step ahead, fed back.

    loss_on: "horizon" (the steps after the look-back) or "all" (every step of the window; more terms a window, but the
    level that was taken off is known only at the end of the look-back, so earlier steps see a little of their future).
    """

    likelihood: str = "student-t"
    loss_on: Literal["horizon", "all"] = "horizon"

    @model_validator(mode="after")
    def _drawable(self) -> AutoregressiveOptions:
        able = [name for name, kind in LIKELIHOODS.items() if kind.noise]
        if self.likelihood != "point" and self.likelihood not in able:
            raise ValueError(
                f"likelihood {self.likelihood!r} cannot be fed back; an autoregressive forecast takes "
                f"point, {', '.join(able)}"
            )
        return self
