"""The op `slstm`: the scalar long short-term memory with exponential gates, over a whole padded batch.

gates (batch, time, 4 * hidden) in the order i, f, z, o; the state's leaves (batch, hidden), those of start one row or
as many; weight_h (heads, 4 * width, width) with hidden = heads * width; lengths (batch,) int64; reset (batch, time)
bool and False in the padding; y (batch, time, hidden). Equations: reference.py; source: Beck et al. 2024,
arXiv:2405.04517.
"""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import scan
from unrolled.ops.slstm.cpp import cpp_kernel
from unrolled.ops.slstm.memory import memory_shape
from unrolled.ops.slstm.reference import SLSTMOperands, SLSTMState, slstm_step
from unrolled.ops.slstm.triton import triton_kernel

__all__ = ["OP"]


def _forward(
    gates: Tensor,
    h0: Tensor,
    c0: Tensor,
    n0: Tensor,
    m0: Tensor,
    weight_h: Tensor,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    start_c: Tensor | None,
    start_n: Tensor | None,
    start_m: Tensor | None,
    exponential: bool,
) -> tuple[Tensor, ...]:
    given = (start_h, start_c, start_n, start_m)
    start = None if any(leaf is None for leaf in given) else SLSTMState(*(leaf for leaf in given if leaf is not None))
    y, final = scan(
        lambda operands, state: slstm_step(operands, state, weight_h, exponential),
        SLSTMOperands(gates), SLSTMState(h0, c0, n0, m0), lengths=lengths, reset=reset, start=start,
    )  # fmt: skip
    return y, *final


def _shapes(gates: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, ...]:
    return gates.new_empty((*gates.shape[:2], h0.shape[1])), *(h0.new_empty(h0.shape) for _ in range(4))


OP = register(
    "slstm",
    tensors=(
        "gates", "h0", "c0", "n0", "m0", "weight_h", "lengths?", "reset?",
        "start_h?", "start_c?", "start_n?", "start_m?",
    ),
    attributes=("bool exponential",),
    outputs=5,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(triton_kernel, cpp_kernel, reference_kernel(_forward, memory_shape)),
)  # fmt: skip
