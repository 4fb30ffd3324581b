"""The gradient of one optimiser step: sums over pieces and processes, divided by the global count, checked, clipped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unrolled.state import detach
from unrolled.train.objective import Loss
from unrolled.train.options import TrainOptions
from unrolled.train.processes import Processes

__all__ = ["Sums", "accumulate", "clip", "finish"]


class Sums(NamedTuple):
    """A step over all processes: loss total, number of terms (the count), gradient norm before clipping, votes."""

    total: float
    terms: float
    norm: float
    votes: tuple[float, ...]

    @property
    def loss(self) -> float | None:
        """Total / count; None if there was not one term."""
        return self.total / self.terms if self.terms or not math.isfinite(self.total) else None


def accumulate(
    loss: Loss, pieces: Sequence[object | None], states: list[object], processes: Processes, unit: float
) -> Tensor:
    """Forward and backward for every piece; carries `states` on, detached. Returns [total, count] of this process.

    unit: the totals are divided by it before the backward pass, which keeps half precision in range.
    """
    sums = torch.zeros(2, dtype=processes.wide, device=processes.device)
    for i, piece in enumerate(pieces):
        if piece is None:
            continue
        with processes.autocast():
            total, count, state = loss(piece, states[i])
        states[i] = detach(state)
        sums += torch.stack([torch.as_tensor(value).detach().to(sums) for value in (total, count)])
        if total.requires_grad:
            processes.backward(total.float() / unit if unit != 1 else total)
    return sums


def finish(
    sums: Tensor,
    votes: Sequence[float],
    parameters: Sequence[nn.Parameter],
    processes: Processes,
    optimizer: torch.optim.Optimizer,
    unit: float,
) -> Sums:
    """Add sums, votes and gradients over the processes, divide by the global count, and measure the norm.

    Everything crosses from the device to the host in one transfer.
    """
    sums = processes.sum(torch.cat([sums, torch.tensor(votes, dtype=sums.dtype, device=sums.device)]))
    processes.sum_gradients(parameters)
    processes.unscale(optimizer)
    divisor = torch.where(sums[1] == 0, 1.0, sums[1]) / unit
    gradients = [p.grad for p in parameters if p.grad is not None]
    for gradient in gradients:
        gradient.div_(divisor)
    norm = torch.nn.utils.get_total_norm(gradients).to(sums) if gradients else torch.zeros_like(sums[0])
    total, terms, *counted, length = torch.cat([sums, norm[None]]).tolist()
    return Sums(total, terms, length, tuple(counted))


def clip(parameters: Sequence[nn.Parameter], options: TrainOptions, norm: float) -> None:
    """Clip entries by value, then all gradients together by norm. `norm` is the norm before."""
    used = [p for p in parameters if p.grad is not None]
    if options.clip_value is not None:
        torch.nn.utils.clip_grad_value_(used, options.clip_value)
        norm = math.inf
    if options.clip_norm is not None and norm > options.clip_norm:
        torch.nn.utils.clip_grad_norm_(used, options.clip_norm)
