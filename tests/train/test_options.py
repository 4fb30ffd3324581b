"""Training options: checked at the door, told in one sentence, round trip through JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unrolled.errors import OptionError
from unrolled.train import TrainOptions


def test_options_round_trip_through_json() -> None:
    options = TrainOptions(epochs=3, token_budget=100, betas=(0.8, 0.9), schedule="step", clip_value=0.5)
    assert TrainOptions.from_json(options.to_json()) == options
    assert TrainOptions.from_json(json.dumps(options.to_json())) == options
    assert TrainOptions.model_validate(options.to_json()) == options


def test_the_default_batch_is_thirty_two_rows_unless_a_budget_is_given() -> None:
    assert TrainOptions().batch_size == 32
    assert TrainOptions(token_budget=100).batch_size is None


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"learning_rat": 0.1}, "no option 'learning_rat'. Did you mean 'learning_rate'"),
        ({"learning_rate": -1}, "learning_rate=-1: Input should be greater than 0"),
        ({"epochs": 0}, "epochs=0"),
        ({"schedule": "cosin"}, "schedule='cosin'"),
        ({"batch_size": 3, "token_budget": 4}, "give one of them"),
        ({"epochs": None}, "no end of the run"),
        ({"learning_rate": float("nan")}, "learning_rate=nan"),
    ],
)
def test_a_wrong_option_is_told_in_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError) as caught:
        TrainOptions(**values)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_only_options_that_change_the_result_count_as_different() -> None:
    options = TrainOptions(learning_rate=0.1)
    assert options.differs_from(TrainOptions(learning_rate=0.1, max_minutes=3, log_every=2).to_json()) is None
    older = {name: value for name, value in options.to_json().items() if not name.startswith("average")}
    assert options.differs_from(older) is None
    assert "average='ema'" in str(TrainOptions(learning_rate=0.1, average="ema").differs_from(older))
    assert "learning_rate=0.1" in str(options.differs_from(TrainOptions(learning_rate=0.2).to_json()))
