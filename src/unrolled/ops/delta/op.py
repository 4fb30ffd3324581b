"""The op `delta`: S <- S (diag(exp w) + a b^T) + v k^T, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import scan
from unrolled.ops.delta.chunkwise import chunkwise_kernel
from unrolled.ops.delta.cpp import cpp_kernel
from unrolled.ops.delta.memory import memory_shape
from unrolled.ops.delta.reference import DeltaOperands, DeltaState, delta_step
from unrolled.ops.delta.triton import triton_kernel

__all__ = ["OP"]


def _forward(
    q: Tensor,
    s0: Tensor,
    w: Tensor,
    k: Tensor,
    v: Tensor,
    a: Tensor,
    b: Tensor,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_s: Tensor | None,
    chunk: int,
) -> tuple[Tensor, ...]:
    start = None if start_s is None else DeltaState(start_s)
    y, final = scan(
        delta_step, DeltaOperands(q, w, k, v, a, b), DeltaState(s0), lengths=lengths, reset=reset, start=start
    )
    return y, final.s


def _shapes(q: Tensor, s0: Tensor, w: Tensor, k: Tensor, v: Tensor, *_: object) -> tuple[Tensor, ...]:
    return v.new_empty(v.shape), s0.new_empty(s0.shape)


OP = register(
    "delta",
    tensors=("q", "s0", "w", "k", "v", "a", "b", "lengths?", "reset?", "start_s?"),
    attributes=("int chunk",),
    outputs=2,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(
        triton_kernel,
        cpp_kernel,
        chunkwise_kernel(memory_shape),
        reference_kernel(_forward, memory_shape),
    ),
)
