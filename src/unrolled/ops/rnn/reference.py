"""The vanilla recurrence, one step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.ops.core.whole import whole_step
from unrolled.ops.core.zone import zone
from unrolled.state import HState

__all__ = ["NONLINEARITIES", "RNNOperands", "rnn_step"]

NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu}


class RNNOperands(NamedTuple):
    """What a step needs besides the state: the projected input and optional masks, (batch, hidden) each.

    mask_h multiplies the h that weight_h sees; zone_h is bool: True takes the new h, False keeps the old one. For a
    whole sequence all have a time after the batch; with weight_x, `gates` is then the input (batch, time, input) that
    weight_x (hidden, input) and bias (hidden,) project.
    """

    gates: Tensor
    mask_h: Tensor | None = None
    zone_h: Tensor | None = None
    weight_x: Tensor | None = None
    bias: Tensor | None = None


@whole_step
def rnn_step(
    operands: RNNOperands, state: HState, weight_h: Tensor, nonlinearity: str, rate_h: float = 0.0
) -> tuple[Tensor, HState]:
    """h' = f(W_x x + b + W_h h); operands.gates holds W_x x + b. Shapes: gates (batch, hidden), h (batch, hidden).

    Under zoneout h' is mixed with h: by zone_h, or, without it, by the expectation at rate_h.
    """
    if nonlinearity not in NONLINEARITIES:
        raise OptionError(f"rnn: nonlinearity must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}.")
    seen = state.h if operands.mask_h is None else state.h * operands.mask_h
    new = NONLINEARITIES[nonlinearity](operands.gates + seen @ weight_h.T)
    h = zone(new, state.h, operands.zone_h, rate_h)
    return h, HState(h)
