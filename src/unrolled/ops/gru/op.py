"""The op `gru`: the gated recurrent unit with either reset, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import project, scan
from unrolled.ops.gru.cpp import cpp_kernel
from unrolled.ops.gru.reference import GRUOperands, GRUWeights, gru_step
from unrolled.ops.native.cudnn import cudnn_kernel
from unrolled.state import HState

__all__ = ["OP"]


def _forward(
    x: Tensor,
    h0: Tensor,
    weight_h: Tensor,
    bias_h: Tensor | None,
    norm_h: Tensor | None,
    mask_h: Tensor | None,
    zone_h: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    weight_x: Tensor | None,
    bias: Tensor | None,
    reset_after: bool,
    rate_h: float,
    reverse: bool,
) -> tuple[Tensor, Tensor]:
    weights = GRUWeights(weight_h, bias_h, norm_h)
    start = None if start_h is None else HState(start_h)
    y, final = scan(
        lambda operands, state: gru_step(operands, state, weights, reset_after, rate_h),
        GRUOperands(project(x, weight_x, bias), mask_h, zone_h), HState(h0),
        lengths=lengths, reset=reset, start=start, reverse=reverse,
    )  # fmt: skip
    return y, final.h


def _shapes(x: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return x.new_empty((*x.shape[:2], h0.shape[1])), x.new_empty(h0.shape)


def memory_shape(
    x: Tensor, h0: Tensor, weight_h: Tensor, bias_h: Tensor | None, norm_h: Tensor | None, *_: object
) -> tuple[int, ...]:
    """(batch, time, numbers): for each row and step the three gates and one vector as wide as h.

    norm_h adds another three and two numbers. What stands where is the kernel's business.
    """
    stacked = weight_h.shape[0]
    width = stacked + h0.shape[1]
    return (*x.shape[:2], width if norm_h is None else width + stacked + 2)


TENSORS = (
    "x", "h0", "weight_h", "bias_h?", "norm_h?", "mask_h?", "zone_h?", "lengths?", "reset?", "start_h?", "weight_x?",
    "bias?",
)  # fmt: skip

OP = register(
    "gru",
    tensors=TENSORS,
    attributes=("bool reset_after", "float rate_h", "bool reverse"),
    outputs=2,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(
        cudnn_kernel(
            TENSORS,
            mode=lambda reset_after, rate_h, _: "gru" if reset_after and not rate_h else None,
            memory=memory_shape,
        ),
        cpp_kernel(TENSORS, memory_shape),
        reference_kernel(_forward, memory_shape),
    ),
)
