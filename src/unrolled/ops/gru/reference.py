"""The gated recurrent unit, one step, with the reset gate after or before the candidate's matrix."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from unrolled.ops.core.whole import whole_step
from unrolled.ops.core.zone import zone
from unrolled.state import HState

__all__ = ["EPSILON", "GRUOperands", "GRUWeights", "gru_step"]

EPSILON = 1e-5


class GRUOperands(NamedTuple):
    """What a step needs besides the state: projected gates (batch, 3 * hidden) and optional masks (batch, hidden).

    mask_h multiplies the h that weight_h sees; zone_h is bool: True takes the new h, False keeps the old one. For a
    whole sequence all have a time after the batch; with weight_x, `gates` is then the input (batch, time, input) that
    weight_x (3 * hidden, input) and bias (3 * hidden,) project.
    """

    gates: Tensor
    mask_h: Tensor | None = None
    zone_h: Tensor | None = None
    weight_x: Tensor | None = None
    bias: Tensor | None = None


class GRUWeights(NamedTuple):
    """Weights of the recurrence; None switches an option off.

    weight_h (3 * hidden, hidden), rows r, z, n; bias_h (hidden,), inside r * (...), reset after only; norm_h
    (3 * hidden,), the gain of LN(U h).
    """

    weight_h: Tensor
    bias_h: Tensor | None
    norm_h: Tensor | None


@whole_step
def gru_step(
    operands: GRUOperands, state: HState, weights: GRUWeights, reset_after: bool, rate_h: float = 0.0
) -> tuple[Tensor, HState]:
    """One step; gates in the order r, z, n, and z keeps: h' = z h + (1 - z) n.

    Under zoneout h' is mixed with h: by zone_h, or, without it, by the expectation at rate_h.
    """
    h, mask = state.h, operands.mask_h
    width = h.shape[1]
    seen = h if mask is None else h * mask
    x_r, x_z, x_n = operands.gates.chunk(3, -1)
    gain = weights.norm_h
    recurrent = seen @ (weights.weight_h if reset_after else weights.weight_h[: 2 * width]).T
    u_r, u_z = _normalise(recurrent[:, : 2 * width], gain, slice(0, 2 * width)).chunk(2, -1)
    r, z = torch.sigmoid(x_r + u_r), torch.sigmoid(x_z + u_z)
    if reset_after:
        u_n = _normalise(recurrent[:, 2 * width :], gain, slice(2 * width, None))
        n = torch.tanh(x_n + r * (u_n if weights.bias_h is None else u_n + weights.bias_h))
    else:
        n = torch.tanh(x_n + _normalise((r * seen) @ weights.weight_h[2 * width :].T, gain, slice(2 * width, None)))
    h = zone(z * h + (1 - z) * n, h, operands.zone_h, rate_h)
    return h, HState(h)


def _normalise(values: Tensor, gain: Tensor | None, part: slice) -> Tensor:
    return values if gain is None else layer_norm(values, values.shape[-1:], gain[part], None, EPSILON)
