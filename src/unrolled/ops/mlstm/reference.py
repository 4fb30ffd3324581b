"""The matrix long short-term memory of xLSTM, one step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from unrolled.ops.core.whole import whole_step

__all__ = ["MLSTMOperands", "MLSTMState", "mlstm_step"]


class MLSTMState(NamedTuple):
    """c (batch, heads, keys, values): the memory; n (batch, heads, keys): its normaliser; m (batch, heads): stabiliser.

    c and n are stored times exp(-m).
    """

    c: Tensor
    n: Tensor
    m: Tensor


class MLSTMOperands(NamedTuple):
    """What a step needs besides the state, for a whole sequence with a time after the batch.

    q, k (batch, heads, keys), v (batch, heads, values); i and f (batch, heads), the gates before exp and sigmoid.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    i: Tensor
    f: Tensor


@whole_step
def mlstm_step(operands: MLSTMOperands, state: MLSTMState) -> tuple[Tensor, MLSTMState]:
    """One step: y (batch, heads, values). It is k that is scaled, by keys ** -0.5, in every form."""
    kept = logsigmoid(operands.f) + state.m
    m = torch.maximum(kept, operands.i)
    f, i = torch.exp(kept - m)[..., None], torch.exp(operands.i - m)[..., None]
    k = i * operands.k * operands.k.shape[-1] ** -0.5
    n = f * state.n + k
    c = f[..., None] * state.c + k[..., None] * operands.v[..., None, :]
    read = torch.einsum("bnk,bnkv->bnv", operands.q, c)
    size = torch.maximum((operands.q * n).sum(-1).abs(), torch.exp(-m))
    return read / size[..., None], MLSTMState(c, n, m)
