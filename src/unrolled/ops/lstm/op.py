"""The op `lstm`: every variant of the long short-term memory, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import project, scan
from unrolled.ops.lstm.cpp import cpp_kernel
from unrolled.ops.lstm.reference import LSTMOperands, LSTMState, LSTMWeights, lstm_step
from unrolled.ops.native.cudnn import cudnn_kernel

__all__ = ["OP"]


def _forward(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weight_h: Tensor,
    peephole: Tensor | None,
    weight_p: Tensor | None,
    norm_h: Tensor | None,
    norm_c: Tensor | None,
    mask_h: Tensor | None,
    zone_h: Tensor | None,
    zone_c: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    start_c: Tensor | None,
    weight_x: Tensor | None,
    bias: Tensor | None,
    coupled: bool,
    rate_h: float,
    rate_c: float,
    reverse: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    weights = LSTMWeights(weight_h, peephole, weight_p, norm_h, norm_c)
    start = None if start_h is None or start_c is None else LSTMState(start_h, start_c)
    y, final = scan(
        lambda operands, state: lstm_step(operands, state, weights, coupled, rate_h, rate_c),
        LSTMOperands(project(x, weight_x, bias), mask_h, zone_h, zone_c), LSTMState(h0, c0),
        lengths=lengths, reset=reset, start=start, reverse=reverse,
    )  # fmt: skip
    return y, final.h, final.c


def _shapes(x: Tensor, h0: Tensor, c0: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    y = x.new_empty((*x.shape[:2], h0.shape[1]))
    return y, x.new_empty(h0.shape), x.new_empty(c0.shape)


def memory_shape(
    x: Tensor,
    h0: Tensor,
    c0: Tensor,
    weight_h: Tensor,
    peephole: Tensor | None,
    weight_p: Tensor | None,
    norm_h: Tensor | None,
    *_: object,
) -> tuple[int, ...]:
    """(batch, time, numbers): for each row and step every gate and one vector as wide as c.

    norm_h adds another set of gates and one number. What stands where is the kernel's business.
    """
    stacked = weight_h.shape[0]
    width = stacked + c0.shape[1]
    if norm_h is not None:
        width = width + stacked + 1
    return (*x.shape[:2], width)


TENSORS = (
    "x", "h0", "c0", "weight_h", "peephole?", "weight_p?", "norm_h?", "norm_c?", "mask_h?",
    "zone_h?", "zone_c?", "lengths?", "reset?", "start_h?", "start_c?", "weight_x?", "bias?",
)  # fmt: skip

OP = register(
    "lstm",
    tensors=TENSORS,
    attributes=("bool coupled", "float rate_h", "float rate_c", "bool reverse"),
    outputs=3,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(
        cudnn_kernel(
            TENSORS,
            mode=lambda coupled, rate_h, rate_c, _: None if coupled or rate_h or rate_c else "lstm",
            memory=memory_shape,
        ),
        cpp_kernel(TENSORS, memory_shape),
        reference_kernel(_forward, memory_shape),
    ),
)
