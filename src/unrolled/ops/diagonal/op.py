"""The op `diagonal`: h' = decay * h + drive, element by element, over a whole padded batch.

decay, drive and y (batch, time, width), h0 and h (batch, width), start_h (1 or batch, width), lengths (batch,) int64,
reset (batch, time) bool and False in the padding. What a step does to h depends on the input alone, so time can be cut
into pieces, and nothing but y is kept for the backward pass. Source of the form: Feng et al. 2024, arXiv:2410.01201.
"""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import scan
from unrolled.ops.diagonal.cpp import cpp_kernel
from unrolled.ops.diagonal.memory import memory_shape
from unrolled.ops.diagonal.reference import DiagonalOperands, diagonal_step
from unrolled.ops.diagonal.triton import triton_kernel
from unrolled.state import HState

__all__ = ["OP"]


def _forward(
    decay: Tensor,
    drive: Tensor,
    h0: Tensor,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
) -> tuple[Tensor, Tensor]:
    start = None if start_h is None else HState(start_h)
    y, final = scan(
        diagonal_step, DiagonalOperands(decay, drive), HState(h0), lengths=lengths, reset=reset, start=start
    )
    return y, final.h


def _shapes(decay: Tensor, drive: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return drive.new_empty(drive.shape), h0.new_empty(h0.shape)


OP = register(
    "diagonal",
    tensors=("decay", "drive", "h0", "lengths?", "reset?", "start_h?"),
    outputs=2,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(triton_kernel, cpp_kernel, reference_kernel(_forward, memory_shape)),
)
