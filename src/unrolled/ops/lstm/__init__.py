"""The op `lstm`: every variant of the long short-term memory, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.lstm.reference import LSTMOperands, LSTMState, LSTMWeights, lstm_step
from unrolled.ops.register import Kernel, register, replay
from unrolled.ops.scan import scan

__all__ = ["lstm"]


def _forward(
    gates: Tensor,
    h0: Tensor,
    c0: Tensor,
    weight_h: Tensor,
    peephole: Tensor | None,
    weight_p: Tensor | None,
    norm_h: Tensor | None,
    norm_c: Tensor | None,
    mask_h: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    start_c: Tensor | None,
    coupled: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    weights = LSTMWeights(weight_h, peephole, weight_p, norm_h, norm_c)
    start = None if start_h is None or start_c is None else LSTMState(start_h, start_c)
    y, final = scan(
        lambda operands, state: lstm_step(operands, state, weights, coupled),
        LSTMOperands(gates, mask_h), LSTMState(h0, c0), lengths=lengths, reset=reset, start=start,
    )  # fmt: skip
    return y, final.h, final.c


def _shapes(gates: Tensor, h0: Tensor, c0: Tensor, *_: object) -> tuple[Tensor, Tensor, Tensor]:
    y = gates.new_empty((*gates.shape[:2], h0.shape[1]))
    return y, gates.new_empty(h0.shape), gates.new_empty(c0.shape)


lstm = register(
    "lstm",
    tensors=(
        "gates", "h0", "c0", "weight_h", "peephole?", "weight_p?", "norm_h?", "norm_c?", "mask_h?",
        "lengths?", "reset?", "start_h?", "start_c?",
    ),
    attributes=("bool coupled",),
    outputs=3,
    shapes=_shapes,
    kernels=(Kernel("reference", lambda *_: None, _forward, replay(_forward)),),
)  # fmt: skip
