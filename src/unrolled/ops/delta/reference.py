"""The delta rule on a matrix state, one step, in the form that RWKV-7, DeltaNet and Gated DeltaNet share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.ops.core.whole import whole_step

__all__ = ["DeltaOperands", "DeltaState", "delta_step"]


class DeltaState(NamedTuple):
    """s (batch, heads, keys, values): the memory; the papers' S is its transpose."""

    s: Tensor


class DeltaOperands(NamedTuple):
    """What a step needs besides the state, for a whole sequence with a time after the batch.

    q (batch, heads, keys): what is read; w, alike: the logarithm of the decay, at most 0; k (batch, heads, keys) and
    v (batch, heads, values): what is written; a, b (batch, heads, keys): what stands at a is added at b.
    """

    q: Tensor
    w: Tensor
    k: Tensor
    v: Tensor
    a: Tensor
    b: Tensor


@whole_step
def delta_step(operands: DeltaOperands, state: DeltaState) -> tuple[Tensor, DeltaState]:
    """S' = S (diag(exp w) + a b^T) + v k^T and y = S' q, with S = s^T; y (batch, heads, values)."""
    q, w, k, v, a, b = operands
    found = torch.einsum("bnk,bnkv->bnv", a, state.s)
    s = torch.exp(w)[..., None] * state.s + b[..., None] * found[..., None, :] + k[..., None] * v[..., None, :]
    return torch.einsum("bnk,bnkv->bnv", q, s), DeltaState(s)
