"""Validation: evaluation mode without side effects, the mean loss of a dataset, and which weights were best."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from unrolled import randomness
from unrolled.align.mode import evaluating
from unrolled.data.batch.batching import Dataset, plan_batches
from unrolled.errors import DataError
from unrolled.train.checkpoints.cursor import cut_rows
from unrolled.train.objective import Loss
from unrolled.train.options import TrainOptions
from unrolled.train.processes import Processes

__all__ = ["Best", "evaluating_aside", "mean_loss", "modes_kept", "weights_of"]


@dataclass
class Best:
    """The best score so far, its weights, and how many evaluations have passed without a better one."""

    score: float | None = None
    step: int | None = None
    failures: int = 0
    weights: dict[str, Tensor] | None = None

    def judge(self, score: float, step: int, module: nn.Module) -> bool:
        """Take note of a score; True if it is the best so far."""
        if self.score is not None and not score < self.score:
            self.failures += 1
            return False
        self.score, self.step, self.failures, self.weights = score, step, 0, weights_of(module)
        return True


def weights_of(module: nn.Module) -> dict[str, Tensor]:
    """A copy of all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


@contextmanager
def modes_kept(module: nn.Module) -> Iterator[None]:
    """Training and evaluation modes of every part are afterwards as they were."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def evaluating_aside(module: nn.Module) -> Iterator[None]:
    """`evaluating` whose random draws are undone afterwards, so that training sees nothing of it."""
    with randomness.kept(), evaluating(module):
        yield


def mean_loss(loss: Loss, data: Dataset, options: TrainOptions, processes: Processes) -> float:
    """Total / count of the loss over the whole dataset, summed over all processes."""
    sums = torch.zeros(2, dtype=processes.wide, device=processes.device)
    states: list[object] = [None] * options.micro_batches
    size, budget = options.batch_size, options.token_budget
    for rows in plan_batches(data, batch_size=size, token_budget=budget, seed=0, epoch=0, shuffle=False):
        for i, chunks in enumerate(cut_rows(data, rows, options, processes)):
            state = states[i] if data.carries_state else None
            for chunk in chunks:
                with processes.autocast():
                    total, count, state = loss(processes.place(chunk), state)
                sums += torch.stack([torch.as_tensor(v).detach().to(sums) for v in (total, count)])
            states[i] = state
    total, count = processes.sum(sums).tolist()
    if not count:
        raise DataError("fit: the validation data has no value to compare with; give data with known targets.")
    return float(total / count)
