"""The op `rnn`: h' = tanh or relu of W_x x + b + W_h h, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.register import Kernel, register, replay
from unrolled.ops.rnn.reference import RNNOperands, rnn_step
from unrolled.ops.scan import scan
from unrolled.state import HState

__all__ = ["rnn"]


def _forward(
    gates: Tensor,
    h0: Tensor,
    weight_h: Tensor,
    mask_h: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    nonlinearity: str,
) -> tuple[Tensor, Tensor]:
    start = None if start_h is None else HState(start_h)
    y, final = scan(
        lambda operands, state: rnn_step(operands, state, weight_h, nonlinearity),
        RNNOperands(gates, mask_h), HState(h0), lengths=lengths, reset=reset, start=start,
    )  # fmt: skip
    return y, final.h


def _shapes(gates: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return gates.new_empty((*gates.shape[:2], h0.shape[1])), gates.new_empty(h0.shape)


rnn = register(
    "rnn",
    tensors=("gates", "h0", "weight_h", "mask_h?", "lengths?", "reset?", "start_h?"),
    attributes=("str nonlinearity",),
    outputs=2,
    shapes=_shapes,
    kernels=(Kernel("reference", lambda *_: None, _forward, replay(_forward)),),
)
