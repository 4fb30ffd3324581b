"""The walk through time that every reference recurrence shares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from unrolled.errors import ShapeError
from unrolled.padding import donors, fill_padding, reverse_padded
from unrolled.state import leaves, map_state, select_rows, where_rows

__all__ = ["outside_autocast", "project", "scan"]

S = TypeVar("S")
R = TypeVar("R")


def project(x: Tensor, weight_x: Tensor | None, bias: Tensor | None) -> Tensor:
    """The gates of an input (batch, time, input): x weight_x^T + bias; without weight_x, x holds the gates already."""
    return x if weight_x is None else linear(x, weight_x, bias)


def scan(
    step: Callable[[Any, S], tuple[Tensor, S]],
    operands: Any,
    state: S,
    *,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    start: S | None = None,
    reverse: bool = False,
) -> tuple[Tensor, S]:
    """Walk `step` over time and return (y (batch, time, output), final state).

    operands: a tuple of tensors (batch, time, ...), any of them None; `step` sees them at one time, without the time
    dimension. A row's state freezes after its last valid step and y is zero from there on. Where reset (batch, time) is
    True, the state becomes `start` (one row, or batch rows) before the step. reverse: from each row's last valid step
    to its first; everything keeps its place. Plain differentiable torch.

    In the padding `step` sees what it saw in the longest row: never values that nobody gave, at which it might have no
    gradient.
    """
    if reset is not None and start is None:
        raise ShapeError("scan: reset needs start, the state that a reset row returns to; pass the initial state.")
    if reverse:
        operands = map_state(lambda leaf: reverse_padded(leaf, lengths), operands)
        reset = None if reset is None else reverse_padded(reset, lengths)
    if lengths is not None:
        ends = lengths
        operands = map_state(lambda leaf: fill_padding(leaf, ends), operands)
    y, state = outside_autocast(lambda steps, first: _walk(step, steps, first, lengths, reset, start), operands, state)
    return reverse_padded(y, lengths) if reverse else y, state


def outside_autocast(run: Callable[[Any, S], R], operands: Any, state: S) -> R:
    """run(operands, state) with automatic mixed precision off and the operands in the state's dtype.

    Projections gain from half precision; a recurrence would lose accuracy at every step and hand on a state of another
    dtype than it was given.
    """
    first = leaves(state)[0]
    kind = first.device.type
    # Torch has no automatic mixed precision to ask about on the meta device.
    if kind == "meta" or not torch.is_autocast_enabled(kind):
        return run(operands, state)
    alike = map_state(lambda leaf: leaf.to(first.dtype) if leaf.is_floating_point() else leaf, operands)
    with torch.autocast(kind, enabled=False):
        return run(alike, state)


def _walk(
    step: Callable[[Any, S], tuple[Tensor, S]],
    operands: Any,
    state: S,
    lengths: Tensor | None,
    reset: Tensor | None,
    start: S | None,
) -> tuple[Tensor, S]:
    times = map_state(lambda leaf: leaf.unbind(1), operands)
    outputs = []
    for t in range(leaves(operands)[0].shape[1]):
        if reset is not None and start is not None:
            state = where_rows(reset[:, t], start, state)
        if lengths is None:
            y, state = step(_at(times, operands, t), state)
        else:
            alive = t < lengths
            y, proposed = step(_at(times, operands, t), select_rows(state, donors(alive, lengths)))
            state = where_rows(alive, proposed, state)
            y = where_rows(alive, y, torch.zeros_like(y))
        outputs.append(y)
    return torch.stack(outputs, 1), state


def _at(times: Any, operands: Any, t: int) -> Any:
    # `times` has the structure of `operands` with a tuple over time in place of each tensor.
    if operands is None:
        return None
    if isinstance(operands, Tensor):
        return times[t]
    parts = [_at(time, operand, t) for time, operand in zip(times, operands, strict=True)]
    return type(operands)(*parts) if type(operands) is not tuple else tuple(parts)
