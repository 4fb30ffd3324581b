"""The long short-term memory, one step, with all its options."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from unrolled.ops.core.whole import whole_step
from unrolled.ops.core.zone import zone

__all__ = ["EPSILON", "LSTMOperands", "LSTMState", "LSTMWeights", "lstm_step"]

EPSILON = 1e-5


class LSTMState(NamedTuple):
    """h (batch, output): what the cell emits and its recurrence reads; c (batch, hidden): the memory."""

    h: Tensor
    c: Tensor


class LSTMOperands(NamedTuple):
    """What a step needs besides the state: projected gates (batch, gates * hidden) and optional masks.

    For a whole sequence all have a time after the batch; with weight_x, `gates` is then the input that weight_x
    (gates * hidden, input) and bias (gates * hidden,) project.

    mask_h (batch, output) multiplies the h that weight_h sees; zone_h (batch, output) and zone_c (batch, hidden) are
    bool: True takes the new value, False keeps the old one.
    """

    gates: Tensor
    mask_h: Tensor | None = None
    zone_h: Tensor | None = None
    zone_c: Tensor | None = None
    weight_x: Tensor | None = None
    bias: Tensor | None = None


class LSTMWeights(NamedTuple):
    """Weights of the recurrence; None switches an option off.

    weight_h (gates * hidden, output); peephole (3, hidden) for i, f, o, or (2, hidden) for i, o when coupled;
    weight_p (output, hidden); norm_h (gates * hidden,), the gain of LN(W_h h); norm_c (2, hidden), gain and bias of
    LN(c).
    """

    weight_h: Tensor
    peephole: Tensor | None
    weight_p: Tensor | None
    norm_h: Tensor | None
    norm_c: Tensor | None


@whole_step
def lstm_step(
    operands: LSTMOperands,
    state: LSTMState,
    weights: LSTMWeights,
    coupled: bool,
    rate_h: float = 0.0,
    rate_c: float = 0.0,
) -> tuple[Tensor, LSTMState]:
    """One step; gates in the order i, f, g, o (i, g, o when coupled, where f = 1 - i).

    Under zoneout each new value is mixed with the old one, by its mask or, without it, by the expectation at its rate;
    the new h comes from the new c as it was before that.
    """
    seen = state.h if operands.mask_h is None else state.h * operands.mask_h
    recurrent = seen @ weights.weight_h.T
    if weights.norm_h is not None:
        recurrent = layer_norm(recurrent, recurrent.shape[-1:], weights.norm_h, None, EPSILON)
    i, *forget, g, o = (operands.gates + recurrent).chunk(3 if coupled else 4, -1)
    p = weights.peephole
    i = torch.sigmoid(i if p is None else i + p[0] * state.c)
    f = 1 - i if coupled else torch.sigmoid(forget[0] if p is None else forget[0] + p[1] * state.c)
    c = f * state.c + i * torch.tanh(g)
    o = torch.sigmoid(o if p is None else o + p[-1] * c)
    n = weights.norm_c
    h = o * torch.tanh(c if n is None else layer_norm(c, c.shape[-1:], n[0], n[1], EPSILON))
    if weights.weight_p is not None:
        h = h @ weights.weight_p.T
    h = zone(h, state.h, operands.zone_h, rate_h)
    return h, LSTMState(h, zone(c, state.c, operands.zone_c, rate_c))
