"""The op `rnn`: h' = tanh or relu of W_x x + b + W_h h, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import project, scan
from unrolled.ops.native.cudnn import cudnn_kernel
from unrolled.ops.rnn.cpp import cpp_kernel
from unrolled.ops.rnn.reference import RNNOperands, rnn_step
from unrolled.state import HState

__all__ = ["OP"]


def _forward(
    x: Tensor,
    h0: Tensor,
    weight_h: Tensor,
    mask_h: Tensor | None,
    zone_h: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    weight_x: Tensor | None,
    bias: Tensor | None,
    nonlinearity: str,
    rate_h: float,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    start = None if start_h is None else HState(start_h)
    y, final = scan(
        lambda operands, state: rnn_step(operands, state, weight_h, nonlinearity, rate_h),
        RNNOperands(project(x, weight_x, bias), mask_h, zone_h), HState(h0),
        lengths=lengths, reset=reset, start=start, reverse=reverse,
    )  # fmt: skip
    return y, final.h


def _shapes(x: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return x.new_empty((*x.shape[:2], h0.shape[1])), x.new_empty(h0.shape)


def memory_shape(x: Tensor, h0: Tensor, *_: object) -> tuple[int, ...]:
    """(batch, time, hidden): one number for each entry of h and step; what stands there is the kernel's business."""
    return (*x.shape[:2], h0.shape[1])


TENSORS = (
    "x", "h0", "weight_h", "mask_h?", "zone_h?", "lengths?", "reset?", "start_h?", "weight_x?", "bias?",
)  # fmt: skip

OP = register(
    "rnn",
    tensors=TENSORS,
    attributes=("str nonlinearity", "float rate_h", "bool reverse"),
    outputs=2,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(
        cudnn_kernel(
            TENSORS,
            mode=lambda nonlinearity, rate_h, _: None if rate_h else f"rnn {nonlinearity}",
            memory=memory_shape,
        ),
        cpp_kernel(TENSORS, memory_shape),
        reference_kernel(_forward, memory_shape),
    ),
)
