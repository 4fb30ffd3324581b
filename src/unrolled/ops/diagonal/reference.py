"""The diagonal linear recurrence, one step."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from unrolled.state import HState

__all__ = ["DiagonalOperands", "diagonal_step"]


class DiagonalOperands(NamedTuple):
    """What a step needs besides the state: decay and drive (batch, width), real numbers of any size and sign."""

    decay: Tensor
    drive: Tensor


def diagonal_step(operands: DiagonalOperands, state: HState) -> tuple[Tensor, HState]:
    """h' = decay * h + drive; h (batch, width)."""
    h = operands.decay * state.h + operands.drive
    return h, HState(h)
