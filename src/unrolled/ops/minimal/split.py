"""The op `minimal` in two: its gates by torch, the walk by the best kernel of op `diagonal`, wherever that has one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.ops.core.register import Kernel
from unrolled.ops.diagonal.op import OP as DIAGONAL
from unrolled.ops.minimal.reference import minimal_terms

__all__ = ["split_kernel"]

Tensors = Sequence[Tensor | None]


def _refuses(*arguments: Any) -> str | None:
    gates, h0, lengths, reset, start_h, _, __ = arguments
    # Only what the walk would be given is asked about, not made.
    terms = gates[..., : h0.shape[-1]]
    if DIAGONAL.choose("auto", terms, terms, h0, lengths, reset, start_h).name == "reference":
        return "op diagonal has no kernel but the reference here"
    return None


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    gates, *state, lstm, positive, save = arguments
    given = (*minimal_terms(gates, lstm, positive), *state)
    return DIAGONAL.choose("auto", *given).forward(*given, save)


def _backward(
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    gates, *state = given
    assert gates is not None
    with torch.enable_grad():
        leaf = gates.detach().requires_grad_()
        terms = minimal_terms(leaf, *values)
    inner = (*(term.detach() for term in terms), *state)
    chosen = DIAGONAL.choose("auto", *inner)
    decay, drive, *others = chosen.backward(inner, (), outputs, memory, grads, [needs[0], needs[0], *needs[1:]])
    if not needs[0]:
        return [None, *others]
    return [torch.autograd.grad(terms, leaf, (decay, drive))[0], *others]


split_kernel = Kernel("split", _refuses, _forward, _backward)
