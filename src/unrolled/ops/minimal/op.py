"""The op `minimal`: minGRU and minLSTM from their pre-activations, over a whole padded batch.

gates (batch, time, 2 hidden) in the order z, candidate, or with lstm (batch, time, 3 hidden) in the order f, i,
candidate; y (batch, time, hidden), h0 and h (batch, hidden), start_h (1 or batch, hidden), lengths (batch,) int64,
reset (batch, time) bool and False in the padding. positive: the candidate goes through the paper's g. A compiled kernel
makes the gates inside the walk and keeps nothing but y. Source: Feng et al. 2024, arXiv:2410.01201.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import scan
from unrolled.ops.diagonal.memory import memory_shape
from unrolled.ops.minimal.cpp import cpp_kernel
from unrolled.ops.minimal.reference import MinimalOperands, minimal_step, parts
from unrolled.ops.minimal.split import split_kernel
from unrolled.state import HState

__all__ = ["OP"]


def _forward(
    gates: Tensor,
    h0: Tensor,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    lstm: bool,
    positive: bool,
) -> tuple[Tensor, Tensor]:
    start = None if start_h is None else HState(start_h)
    step = partial(minimal_step, lstm=lstm, positive=positive)
    y, final = scan(step, MinimalOperands(gates), HState(h0), lengths=lengths, reset=reset, start=start)
    return y, final.h


def _shapes(
    gates: Tensor, h0: Tensor, _: object, __: object, ___: object, lstm: bool, ____: bool
) -> tuple[Tensor, Tensor]:
    batch, time, width = gates.shape
    return gates.new_empty(batch, time, width // parts(lstm)), h0.new_empty(h0.shape)


OP = register(
    "minimal",
    tensors=("gates", "h0", "lengths?", "reset?", "start_h?"),
    attributes=("bool lstm", "bool positive"),
    outputs=2,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(cpp_kernel, split_kernel, reference_kernel(_forward, memory_shape)),
)
