"""The complex diagonal recurrence with one decay for all times, one step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.state import HState

__all__ = ["RotationOperands", "rotation_step"]


class RotationOperands(NamedTuple):
    """What a step needs besides the state and the decay: drive (batch, 2 width), real parts first."""

    drive: Tensor


def rotation_step(operands: RotationOperands, state: HState, decay: Tensor) -> tuple[Tensor, HState]:
    """h' = decay * h + drive, a product of complex numbers; h (batch, 2 width), decay (2 width,), real parts first."""
    (a, b), (real, imaginary) = decay.chunk(2, -1), state.h.chunk(2, -1)
    h = torch.cat([a * real - b * imaginary, a * imaginary + b * real], -1) + operands.drive
    return h, HState(h)
