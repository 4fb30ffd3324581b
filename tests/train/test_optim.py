"""Which parameters decay, and the learning rate at each step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from unrolled.errors import OptionError
from unrolled.train.optim import decayed_names, learning_rate, make_optimizer, plateaus
from unrolled.train.options import TrainOptions


class Parts(nn.Module):
    """One of each kind of parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5, 4)
        self.rnn = nn.GRU(4, 3)
        self.norm = nn.LayerNorm([2, 3])
        self.initial_state = nn.Parameter(torch.zeros(1, 3))
        self.bias_of_gates = nn.Parameter(torch.zeros(2, 9))
        self.head = nn.Linear(3, 2)


def test_weight_decay_acts_on_matrices_only() -> None:
    matrices = {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "head.weight"}
    assert decayed_names(Parts(), embeddings=False) == matrices
    assert decayed_names(Parts(), embeddings=True) == matrices | {"embedding.weight"}


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_the_optimizer_holds_every_parameter_once(name: Any) -> None:
    module = Parts()
    optimizer = make_optimizer(module, TrainOptions(optimizer=name, weight_decay=0.3))
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in module.parameters()}
    assert len(held) == len(list(module.parameters()))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0]


def test_frozen_parameters_are_left_out_and_none_at_all_is_refused() -> None:
    module = nn.Linear(2, 2)
    module.bias.requires_grad_(False)
    assert len(make_optimizer(module, TrainOptions()).param_groups) == 1
    module.weight.requires_grad_(False)
    with pytest.raises(OptionError, match="no trainable parameter"):
        make_optimizer(module, TrainOptions())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"schedule": "constant"}, [1, 1, 1, 1, 1]),
        ({"schedule": "linear"}, [1, 0.75, 0.5, 0.25, 0]),
        ({"schedule": "linear", "final_factor": 0.5}, [1, 0.875, 0.75, 0.625, 0.5]),
        ({"schedule": "cosine"}, [(1 + math.cos(math.pi * p)) / 2 for p in (0, 0.25, 0.5, 0.75, 1)]),
        ({"schedule": "exponential", "decay": 0.5}, [1, 0.25, 0.0625, 0.5**6, 0.5**8]),
        # SegRNN's: the first three epochs and the fourth at the full rate, then 0.8 a further epoch.
        ({"schedule": "step", "decay": 0.8, "hold_epochs": 3}, [1, 1, 0.8, 0.8**3, 0.8**5]),
        ({"schedule": "step", "decay": 0.5, "decay_every": 4}, [1, 1, 0.5, 0.5, 0.25]),
    ],
)
def test_schedules_follow_their_formula(values: dict[str, Any], expected: list[float]) -> None:
    options = TrainOptions(epochs=8, learning_rate=2.0, **values)
    rates = [learning_rate(options, step=10 * epoch, epoch=epoch) for epoch in (0, 2, 4, 6, 8)]
    assert rates == pytest.approx([2 * factor for factor in expected], abs=1e-12)


def test_warm_up_rises_from_the_first_step() -> None:
    options = TrainOptions(max_steps=100, warmup=4, learning_rate=1.0)
    assert [learning_rate(options, step, 0.0) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_schedule_ends_at_whichever_limit_comes_first() -> None:
    options = TrainOptions(epochs=10, max_steps=100, schedule="linear", learning_rate=1.0)
    assert learning_rate(options, step=50, epoch=1.0) == 0.5
    assert learning_rate(options, step=1, epoch=5.0) == 0.5


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_plateaus_are_counted_as_torch_counts_them(patience: int) -> None:
    random = np.random.default_rng(patience)
    for _ in range(20):
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
        # torch allows `patience` bad evaluations and reduces the rate at the next.
        torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=patience - 1, threshold=0.0, threshold_mode="abs", eps=0.0
        )
        scores = random.integers(0, 9, 30).astype(float).tolist()
        for i, score in enumerate(scores):
            torchs.step(score)
            assert optimizer.param_groups[0]["lr"] == 0.5 ** plateaus(scores[: i + 1], patience)


def test_a_plateau_lowers_the_rate_down_to_a_floor() -> None:
    options = TrainOptions(learning_rate=2.0, schedule="plateau", decay=0.5, final_factor=0.2)
    assert [learning_rate(options, 0, 0.0, flat) for flat in range(4)] == [2, 1, 0.5, 0.4]
