"""The op `mlstm`: the matrix long short-term memory, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import scan
from unrolled.ops.mlstm.chunkwise import chunkwise_kernel
from unrolled.ops.mlstm.cpp import cpp_kernel
from unrolled.ops.mlstm.memory import memory_shape
from unrolled.ops.mlstm.reference import MLSTMOperands, MLSTMState, mlstm_step
from unrolled.ops.mlstm.triton import triton_kernel

__all__ = ["OP"]


def _forward(
    q: Tensor,
    c0: Tensor,
    n0: Tensor,
    m0: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_c: Tensor | None,
    start_n: Tensor | None,
    start_m: Tensor | None,
    chunk: int,
) -> tuple[Tensor, ...]:
    given = (start_c, start_n, start_m)
    start = None if any(leaf is None for leaf in given) else MLSTMState(*(leaf for leaf in given if leaf is not None))
    y, final = scan(
        mlstm_step, MLSTMOperands(q, k, v, i, f), MLSTMState(c0, n0, m0), lengths=lengths, reset=reset, start=start
    )
    return y, *final


def _shapes(q: Tensor, c0: Tensor, n0: Tensor, m0: Tensor, k: Tensor, v: Tensor, *_: object) -> tuple[Tensor, ...]:
    return v.new_empty(v.shape), *(leaf.new_empty(leaf.shape) for leaf in (c0, n0, m0))


OP = register(
    "mlstm",
    tensors=(
        "q", "c0", "n0", "m0", "k", "v", "i", "f", "lengths?", "reset?", "start_c?", "start_n?", "start_m?",
    ),
    attributes=("int chunk",),
    outputs=4,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(triton_kernel, cpp_kernel, chunkwise_kernel, reference_kernel(_forward, memory_shape)),
)  # fmt: skip
