"""The minimal gated recurrences, minGRU and minLSTM, one step."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from unrolled.ops.diagonal.reference import DiagonalOperands, diagonal_step
from unrolled.state import HState

__all__ = ["MinimalOperands", "minimal_step", "minimal_terms", "parts"]


class MinimalOperands(NamedTuple):
    """What a step needs besides the state: gates (batch, 2 or 3 hidden), the pre-activations."""

    gates: Tensor


def parts(lstm: bool) -> int:
    """How many numbers the gates hold for each channel: z and the candidate, or f, i and the candidate."""
    return 3 if lstm else 2


def minimal_terms(gates: Tensor, lstm: bool, positive: bool) -> DiagonalOperands:
    """decay = 1 - z and drive = z * candidate, of one time or of all.

    minGRU: z = sigmoid(z~). lstm: z = i / (f + i) with f, i = sigmoid(f~, i~), which is the sigmoid of
    log i - log f, so that it holds where both are too small to be added. positive: the candidate is g(x) = x + 0.5 for
    x >= 0, else sigmoid(x).
    """
    if lstm:
        f, i, candidate = gates.chunk(3, -1)
        share = logsigmoid(i) - logsigmoid(f)
    else:
        share, candidate = gates.chunk(2, -1)
    if positive:
        candidate = torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())
    # 1 - sigmoid(x) would lose all that is left of a gate that is almost open.
    return DiagonalOperands((-share).sigmoid(), share.sigmoid() * candidate)


def minimal_step(operands: MinimalOperands, state: HState, lstm: bool, positive: bool) -> tuple[Tensor, HState]:
    """h' = (1 - z) * h + z * candidate; h (batch, hidden)."""
    return diagonal_step(minimal_terms(operands.gates, lstm, positive), state)
