"""The op `gru`: the gated recurrent unit with either reset, over a whole padded batch."""

from __future__ import annotations

from torch import Tensor

from unrolled.ops.gru.reference import GRUOperands, GRUWeights, gru_step
from unrolled.ops.register import Kernel, register, replay
from unrolled.ops.scan import scan
from unrolled.state import HState

__all__ = ["gru"]


def _forward(
    gates: Tensor,
    h0: Tensor,
    weight_h: Tensor,
    bias_h: Tensor | None,
    norm_h: Tensor | None,
    mask_h: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
    start_h: Tensor | None,
    reset_after: bool,
) -> tuple[Tensor, Tensor]:
    weights = GRUWeights(weight_h, bias_h, norm_h)
    start = None if start_h is None else HState(start_h)
    y, final = scan(
        lambda operands, state: gru_step(operands, state, weights, reset_after),
        GRUOperands(gates, mask_h), HState(h0), lengths=lengths, reset=reset, start=start,
    )  # fmt: skip
    return y, final.h


def _shapes(gates: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return gates.new_empty((*gates.shape[:2], h0.shape[1])), gates.new_empty(h0.shape)


gru = register(
    "gru",
    tensors=("gates", "h0", "weight_h", "bias_h?", "norm_h?", "mask_h?", "lengths?", "reset?", "start_h?"),
    attributes=("bool reset_after",),
    outputs=2,
    shapes=_shapes,
    kernels=(Kernel("reference", lambda *_: None, _forward, replay(_forward)),),
)
