"""The scalar long short-term memory of xLSTM, one step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from unrolled.ops.core.whole import whole_step

__all__ = ["SLSTMOperands", "SLSTMState", "slstm_step"]


class SLSTMState(NamedTuple):
    """h (batch, hidden): what the cell emits and its recurrence reads; c, n: memory and normaliser; m: stabiliser.

    c and n are stored times exp(-m). A unit whose n is 0 has seen nothing yet, and its m counts for nothing.
    """

    h: Tensor
    c: Tensor
    n: Tensor
    m: Tensor


class SLSTMOperands(NamedTuple):
    """What a step needs besides the state: projected gates (batch, 4 * hidden) in the order i, f, z, o."""

    gates: Tensor


@whole_step
def slstm_step(
    operands: SLSTMOperands, state: SLSTMState, weight_h: Tensor, exponential: bool = False
) -> tuple[Tensor, SLSTMState]:
    """One step. weight_h (heads, 4 * width, width): of each head, its gates i, f, z, o one under another.

    exponential: f = exp(f~), else sigmoid(f~).
    """
    heads, _, width = weight_h.shape
    h = state.h.reshape(-1, heads, width)
    recurrent = torch.einsum("bnd,ngd->bng", h, weight_h).reshape(-1, heads, 4, width).transpose(1, 2).flatten(1)
    i, f, z, o = (operands.gates + recurrent).chunk(4, -1)
    kept = (f if exponential else logsigmoid(f)) + state.m
    m = torch.where(state.n == 0, i, torch.maximum(kept, i))
    # A unit that has seen nothing keeps nothing; without this its kept - m could overflow.
    f = torch.exp(torch.where(state.n == 0, 0, kept - m))
    i = torch.exp(i - m)
    c = f * state.c + i * torch.tanh(z)
    n = f * state.n + i
    h = torch.sigmoid(o) * c / n
    return h, SLSTMState(h, c, n, m)
