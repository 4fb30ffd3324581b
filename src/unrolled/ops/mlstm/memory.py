"""What every kernel of the op `mlstm` keeps for its backward pass."""

from __future__ import annotations

from torch import Tensor

__all__ = ["memory_shape"]


def memory_shape(*arguments: object) -> tuple[int, ...]:
    """(batch, heads, chunks * numbers): c, n and m as they enter each chunk of a row; from q, c0, ..., chunk.

    Flat, because a traced graph would be laid out anew for a single chunk, if that were a dimension of its own.
    """
    q, c0, chunk = arguments[0], arguments[1], arguments[-1]
    assert isinstance(q, Tensor)
    assert isinstance(c0, Tensor)
    assert isinstance(chunk, int)
    batch, heads, keys, values = c0.shape
    return (batch, heads, (q.shape[1] + chunk - 1) // chunk * (keys * values + keys + 1))
