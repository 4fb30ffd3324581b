"""The vanilla recurrence, one step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.state import HState

__all__ = ["NONLINEARITIES", "RNNOperands", "rnn_step"]

NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu}


class RNNOperands(NamedTuple):
    """What a step needs besides the state: the projected input and an optional mask on the h that weight_h sees."""

    gates: Tensor
    mask_h: Tensor | None


def rnn_step(operands: RNNOperands, state: HState, weight_h: Tensor, nonlinearity: str) -> tuple[Tensor, HState]:
    """h' = f(W_x x + b + W_h h); operands.gates holds W_x x + b. Shapes: gates (batch, hidden), h (batch, hidden)."""
    if nonlinearity not in NONLINEARITIES:
        raise OptionError(f"rnn: nonlinearity must be one of {', '.join(NONLINEARITIES)}, got {nonlinearity!r}.")
    seen = state.h if operands.mask_h is None else state.h * operands.mask_h
    h = NONLINEARITIES[nonlinearity](operands.gates + seen @ weight_h.T)
    return h, HState(h)
