"""What every kernel of the diagonal recurrences keeps for its backward pass."""

from __future__ import annotations

__all__ = ["memory_shape"]


def memory_shape(*_: object) -> tuple[int, ...]:
    """(0,): the backward pass needs the arguments and y."""
    return (0,)
