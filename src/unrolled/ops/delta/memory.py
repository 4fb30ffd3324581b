"""What every kernel of the op `delta` keeps for its backward pass."""

from __future__ import annotations

from torch import Tensor

__all__ = ["memory_shape"]


def memory_shape(*arguments: object) -> tuple[int, ...]:
    """(numbers,): s as it enters each chunk of a row, (batch, heads, chunks, keys, values) in one line.

    A dimension of its own for the chunks would be one number in a traced graph as long as one chunk is enough.
    """
    q, s0, chunk = arguments[0], arguments[1], arguments[-1]
    assert isinstance(q, Tensor)
    assert isinstance(s0, Tensor)
    assert isinstance(chunk, int)
    batch, heads, keys, values = s0.shape
    return (batch * heads * ((q.shape[1] + chunk - 1) // chunk) * keys * values,)
