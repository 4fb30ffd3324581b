"""Averaged weights: their numbers, where they are used, and what they leave alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_model import Data, Regressor, Stream, same_bits, weights
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn

from unrolled.errors import OptionError
from unrolled.train import Event, TrainOptions, fit
from unrolled.train.average import Average, averaging_begins

ULP = torch.finfo(torch.float64).eps


def with_warm_up(average: Tensor, now: Tensor, count: Tensor) -> Tensor:
    n = int(count)
    decay = min(0.999, (1 + n) / (10 + n))
    return decay * average + (1 - decay) * now


# A decay of 0.1 is below the warm-up's first, 2 / 11, so torch's own formula holds from the first step.
WAYS: dict[str, tuple[dict[str, Any], Callable[..., Tensor] | None, bool]] = {
    "ema": ({"average": "ema"}, with_warm_up, True),
    "ema of torch": ({"average": "ema", "average_decay": 0.1}, get_ema_avg_fn(0.1), True),
    "mean": ({"average": "asgd", "average_after": None}, None, False),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_average_is_that_of_torch(way: str) -> None:
    values, formula, from_the_start = WAYS[way]
    module = Regressor()
    expected = AveragedModel(module, avg_fn=formula)
    if from_the_start:
        expected.update_parameters(module)

    def follow(event: Event) -> None:
        if event.kind == "step":
            expected.update_parameters(module)

    history = fit(
        module, Data(), TrainOptions(epochs=4, batch_size=4, learning_rate=0.05, **values), callbacks=[follow]
    )
    for now, wanted in zip(module.parameters(), expected.module.parameters(), strict=True):
        torch.testing.assert_close(now, wanted, rtol=0, atol=4 * history.steps * ULP)
    raw = Regressor()
    fit(raw, Data(), TrainOptions(epochs=4, batch_size=4, learning_rate=0.05))
    assert (module.head.weight - raw.head.weight).abs().max() > 1e-3


def test_a_mean_over_float32_weights_is_not_lost_to_rounding() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = Average(module, TrainOptions(average="asgd", average_after=None), torch.float64)
    values = np.random.default_rng(0).uniform(1, 1.001, 30000).astype(np.float32)
    for value in values.tolist():
        module.weight.data.fill_(value)
        average.update()
    assert average.weights["weight"].item() == pytest.approx(values.astype(np.float64).mean(), rel=1e4 * ULP)


@pytest.mark.parametrize("values", [{"average": "ema"}, {"average": "asgd", "average_after": 1}])
def test_evaluation_leaves_the_weights_in_training_as_they_are(values: dict[str, Any]) -> None:
    seen: list[list[dict[str, Tensor]]] = []
    scores = []
    for more in ({}, values):
        module, steps = Regressor(dropout=0.3), []
        options = TrainOptions(epochs=4, learning_rate=0.2, batch_size=4, evaluate_every_steps=2, **more)
        follow = [lambda event, m=module, s=steps: s.append(weights(m))]
        history = fit(module, Data(), options, valid=Data(5, seed=3), callbacks=follow)
        scores.append([row.score for row in history.evaluations])
        seen.append(steps)
    assert scores[0] != scores[1]
    assert all(same_bits(one, two) for one, two in zip(*seen, strict=True))


def test_an_error_in_the_score_leaves_the_weights_in_training_as_they_are() -> None:
    module, last = Regressor(), []

    def score(scored: nn.Module) -> float:
        assert not same_bits(weights(scored), last[-1])
        raise LookupError

    with pytest.raises(LookupError):
        fit(module, Data(), TrainOptions(average="ema", batch_size=4), score=score,
            callbacks=[lambda event: last.append(weights(module))])  # fmt: skip
    assert same_bits(last[-1], last[-2])


def test_scores_are_those_of_the_average_and_the_best_weights_are_averaged() -> None:
    module = Regressor()
    expected = AveragedModel(module, avg_fn=with_warm_up)
    expected.update_parameters(module)
    scores, scored_weights = iter([3.0, 1.0, 2.0, 4.0]), []

    def follow(event: Event) -> None:
        if event.kind == "step":
            expected.update_parameters(module)

    def score(scored: nn.Module) -> float:
        scored_weights.append(weights(scored))
        for now, wanted in zip(scored.parameters(), expected.module.parameters(), strict=True):
            torch.testing.assert_close(now, wanted, rtol=0, atol=200 * ULP)
        return next(scores)

    options = TrainOptions(epochs=4, batch_size=4, learning_rate=0.05, average="ema")
    history = fit(module, Data(), options, score=score, callbacks=[follow])
    assert history.best_score == 1.0
    assert same_bits(weights(module), scored_weights[1])


def test_buffers_and_frozen_weights_are_left_alone() -> None:
    module = nn.BatchNorm1d(2, dtype=torch.float64)
    module.bias.requires_grad_(False)
    average = Average(module, TrainOptions(average="ema"), torch.float64)
    assert list(average.weights) == ["weight"]
    module.running_mean.fill_(7.0)
    module.weight.data.fill_(3.0)
    average.update()
    with average.in_place():
        assert module.running_mean.tolist() == [7.0, 7.0]
        assert module.weight.tolist() == pytest.approx([1 + 2 * 9 / 11] * 2)
    assert module.weight.tolist() == [3.0, 3.0]


def test_averaging_begins_as_in_algorithm_1_of_merity() -> None:
    random = np.random.default_rng(0)
    began = []
    for _ in range(300):
        after = int(random.integers(1, 5))
        scores = random.integers(0, 6, int(random.integers(1, 12))).astype(float).tolist()
        logs, trigger, t = [], None, 0
        for k, score in enumerate(scores):
            if trigger is None:
                if t > after and score > min(logs[i] for i in range(t - after)):
                    trigger = k
                logs.append(score)
                t += 1
        found = [k for k in range(len(scores)) if averaging_begins(scores[: k + 1], after)]
        assert (found[0] if found else None) == trigger
        began.append(trigger is not None)
    assert 50 < sum(began) < 250


def test_an_average_begun_by_the_scores_holds_the_weights_since_and_patience_is_counted_anew() -> None:
    module, steps = Regressor(), []
    mean: list[Tensor] = []

    def follow(event: Event) -> None:
        if event.kind == "step":
            steps.append(module.head.weight.detach().clone())

    def score(scored: nn.Module) -> float:
        mean.append(scored.head.weight.detach().clone())
        return next(scores)

    # The fourth score is worse than the first, two before it: averaging begins at step 4 (of one batch an epoch).
    scores = iter([2.0, 1.0, 1.5, 3.0, 4.0, 4.0, 4.0, 4.0, 4.0])
    options = TrainOptions(epochs=9, learning_rate=0.1, average="asgd", average_after=2, patience=3)
    history = fit(module, Data(), options, score=score, callbacks=[follow])
    assert (history.stopped, history.steps) == ("patience", 7)
    for i in range(7):
        wanted = steps[i] if i < 4 else torch.stack(steps[3 : i + 1]).mean(0)
        torch.testing.assert_close(mean[i], wanted, rtol=0, atol=8 * ULP)


KINDS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "ema": (Data, {"average": "ema"}),
    "scores": (Data, {"average": "asgd", "average_after": 1, "evaluate_every_steps": 2, "learning_rate": 0.2}),
    "at once": (Stream, {"average": "asgd", "average_after": None, "bptt": 2, "optimizer": "sgd"}),
    "plateau": (Data, {"schedule": "plateau", "decay": 0.5, "evaluate_every_steps": 2, "learning_rate": 0.2}),
}


class Killed(BaseException):
    """Stands for a kill."""


def kill_at(step: int) -> Callable[[Event], None]:
    def callback(event: Event) -> None:
        if event.step == step and event.kind == "step":
            raise Killed

    return callback


WATCHING = ("scores", "plateau")


@pytest.mark.parametrize(
    ("kind", "scored"), [(kind, scored) for kind in KINDS for scored in (True, False) if scored or kind not in WATCHING]
)
@pytest.mark.parametrize("step", [2, 15, 20])
def test_a_killed_and_resumed_run_ends_with_the_same_bits(tmp_path: Path, kind: str, step: int, scored: bool) -> None:
    make, values = KINDS[kind]
    options = TrainOptions(**{"epochs": 4, "batch_size": 4, "checkpoint_every_steps": 3, **values})
    valid = Data(7, seed=4) if scored else None
    alone, resumed, ends = Regressor(dropout=0.3), Regressor(dropout=0.3), []

    def at_the_end(module: nn.Module) -> Callable[[Event], None]:
        return lambda event: ends.append(weights(module)) if event.kind == "stop" else None

    expected = fit(alone, make(), options, valid=valid, callbacks=[at_the_end(alone)])
    with pytest.raises(Killed):
        fit(resumed, make(), options, valid=valid, run=tmp_path, callbacks=[kill_at(step)])
    resumed = Regressor(dropout=0.3)
    history = fit(resumed, make(), options, valid=valid, run=tmp_path, resume=True, callbacks=[at_the_end(resumed)])
    assert same_bits(*ends)
    assert same_bits(weights(alone), weights(resumed))
    assert [row[:-1] for row in history.evaluations] == [row[:-1] for row in expected.evaluations]
    if kind == "plateau":
        assert len({row.learning_rate for row in history.evaluations}) > 2
    again = Regressor()
    fit(again, make(), options, valid=valid, run=tmp_path, resume=True)
    assert same_bits(weights(alone), weights(again))


def test_the_rate_falls_after_each_plateau_and_not_below_its_floor() -> None:
    scores: Iterator[float] = iter([5.0, 5.0, 4.0, 6.0, 6.0, 3.0, 3.0])
    options = TrainOptions(
        epochs=7, learning_rate=1.0, optimizer="sgd", schedule="plateau", decay=0.5, final_factor=0.2
    )
    history = fit(Regressor(), Data(), options, score=lambda module: next(scores))
    assert [row.learning_rate for row in history.evaluations] == [1, 1, 0.5, 0.5, 0.25, 0.2, 0.2]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"average": "asgd"}, "average='asgd' needs a score"),
        ({"schedule": "plateau"}, "schedule='plateau' needs a score"),
    ],
)
def test_what_watches_a_score_is_refused_without_one(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        fit(Regressor(), Data(), TrainOptions(**values))


def test_a_patience_that_ends_the_run_before_averaging_is_refused() -> None:
    with pytest.raises(OptionError, match=r"patience=5 and average_after=5.*give patience=6 or more"):
        TrainOptions(average="asgd", patience=5)
    TrainOptions(average="ema", patience=5)
    TrainOptions(average="asgd", patience=6)
