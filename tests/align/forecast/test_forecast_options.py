from __future__ import annotations

import json

import pytest

from unrolled.align.forecast import AutoregressiveOptions, DirectOptions
from unrolled.align.forecast.options import ForecastOptions
from unrolled.errors import OptionError

BOTH = pytest.mark.parametrize("kind", [DirectOptions, AutoregressiveOptions])


@BOTH
def test_options_survive_json(kind: type[ForecastOptions]) -> None:
    own = {"cell": "lstm", "cell_options": {"peephole": True}, "likelihood": "gaussian", "level": "mean"}
    options = kind(lookback=24, horizon=6, **own)
    assert kind(**json.loads(json.dumps(options.to_json()))) == options


@BOTH
def test_defaults_follow_the_likelihood(kind: type[ForecastOptions]) -> None:
    counts = kind(lookback=24, horizon=6, likelihood="negative-binomial")
    point = kind(lookback=24, horizon=6, likelihood="point", quantiles=None)
    assert (counts.level, counts.quantiles) == ("none", (0.1, 0.5, 0.9))
    assert (point.level, point.quantiles) == ("last", (0.5,))


def test_the_options_can_say_segrnn() -> None:
    options = DirectOptions(
        lookback=720, horizon=96, segment=48, cell="gru", hidden_size=128, dropout=0.3, likelihood="point",
        likelihood_options={"loss": "l1"}, level="last", static_inputs="decoder",
    )  # fmt: skip
    assert options.to_json()["segment"] == 48


@BOTH
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lookbak": 3}, "no option 'lookbak'. Did you mean 'lookback'"),
        ({"lookback": 0}, "lookback=0"),
        ({"dropout": 1.0}, "dropout=1.0"),
        ({"level": "first"}, "level='first'"),
        ({"likelihood": "gausian"}, "Did you mean 'gaussian'"),
        ({"likelihood": "point", "quantiles": (0.1, 0.5)}, "no quantile but 0.5"),
        ({"likelihood": "negative-binomial", "level": "last"}, "level='last' does not go with counts"),
        ({"level_steps": 3}, "needs level='mean'"),
        ({"level": "mean", "level_steps": 25}, "at most lookback=24"),
        ({"likelihood": "gaussian", "likelihood_options": {"loss": "l1"}}, "option 'loss' is unknown"),
    ],
)
def test_a_wrong_option_is_one_sentence(kind: type[ForecastOptions], wrong: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError) as caught:
        kind(**{"lookback": 24, "horizon": 6, **wrong})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_option_is_named() -> None:
    with pytest.raises(OptionError, match="'horizon' is missing"):
        DirectOptions(lookback=3)


def test_a_segment_fits_into_the_lookback() -> None:
    with pytest.raises(OptionError, match="segment=25 must not exceed lookback=24"):
        DirectOptions(lookback=24, horizon=6, segment=25)


def test_only_what_can_be_fed_back_is_autoregressive() -> None:
    with pytest.raises(OptionError, match="cannot be fed back; an autoregressive forecast takes point, gaussian"):
        AutoregressiveOptions(lookback=24, horizon=6, likelihood="quantile")
