"""What every kernel of the op `slstm` keeps for its backward pass."""

from __future__ import annotations

from torch import Tensor

__all__ = ["memory_shape"]


def memory_shape(gates: Tensor, h0: Tensor, *_: object) -> tuple[int, ...]:
    """(batch, time, 7 * hidden): for each row and step what the gates have become, and c and n."""
    return (*gates.shape[:2], gates.shape[2] + 3 * h0.shape[1])
