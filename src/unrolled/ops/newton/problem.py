"""All steps of one call as one system of equations s_t = f(s_(t-1), x_t), and its defects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unrolled.ops.newton.jacobians import stack_leaves
from unrolled.ops.newton.recurrences import Recurrence
from unrolled.padding import valid_mask
from unrolled.state import leaves, map_state

__all__ = ["Problem"]

CPU_BYTES, OTHER_BYTES = 1 << 22, 1 << 30
"""Bytes of Jacobians made at once, on the CPU (a cache holds them) and elsewhere: time is cut into such parts."""

LEAST_STEPS = 64


@dataclass(frozen=True)
class Problem:
    """The unknowns are states of all times as vectors, (batch, time, ...) as `stack_leaves` lays them out.

    operands: tensors (batch, time, ...). state: before the first step. start: what resets return to (1 or batch rows).
    lengths (batch,), reset (batch, time) or None. In the padding the unknowns are zero and nothing is asked of them.
    """

    recurrence: Recurrence
    operands: Any
    weights: Any
    state: Any
    start: Any
    lengths: Tensor | None
    reset: Tensor | None
    form: str

    @property
    def size(self) -> tuple[int, int]:
        """Batch and time."""
        batch, time = leaves(self.operands)[0].shape[:2]
        return batch, time

    def vector(self, state: Any) -> Tensor:
        """The leaves of a state as one vector."""
        return stack_leaves(state, self.form)

    def unstack(self, vector: Tensor) -> Any:
        """The leaves (..., width) of a vector."""
        widths = [leaf.shape[-1] for leaf in leaves(self.state)]
        parts = torch.split(vector, widths, -1) if self.form == "full" else vector.unbind(-2)
        return type(self.state)(*parts)

    def previous(self, states: Tensor) -> Tensor:
        """What each step starts from: the state of the step before, the first one, or where a reset returns to."""
        earlier = torch.cat([self.vector(self.state)[:, None], states[:, :-1]], 1)
        if self.reset is None:
            return earlier
        return torch.where(_over(self.reset, earlier), self.vector(self.start)[:, None], earlier)

    def step(self, previous: Tensor) -> Tensor:
        """The reference step from all the states at once."""
        _, new = self.recurrence.step(_rows(self.operands), _rows(self.unstack(previous)), self.weights)
        return self.valid(self.vector(new).view(previous.shape))

    def linear(self, previous: Tensor, first: int, last: int) -> tuple[Tensor, Tensor]:
        """The new states of steps first to last from previous (batch, last - first, ...), and J_t."""
        part = map_state(lambda leaf: leaf[:, first:last], self.operands)
        new, jacobian = self.recurrence.linear(_rows(part), _rows(self.unstack(previous)), self.weights, self.form)
        new = self.valid(new.view(previous.shape), first)
        return new, self.linked(jacobian.view(*previous.shape[:2], *jacobian.shape[1:]), first)

    def valid(self, values: Tensor, first: int = 0) -> Tensor:
        """The values, from step `first` on, with zeros in the padding."""
        if self.lengths is None:
            return values
        mask = valid_mask(self.lengths - first, values.shape[1])
        return torch.where(_over(mask, values), values, 0)

    def linked(self, values: Tensor, first: int = 0) -> Tensor:
        """The values, from step `first` on, with zeros where a step does not see the one before it."""
        values = self.valid(values, first)
        if self.reset is None:
            return values
        part = self.reset[:, first : first + values.shape[1]]
        return torch.where(_over(part, values), 0, values)

    def parts(self) -> Iterator[tuple[int, int]]:
        """Pieces of time whose Jacobians are made at once."""
        batch, time = self.size
        width = [leaf.shape[-1] for leaf in leaves(self.state)]
        numbers = sum(width) ** 2 if self.form == "full" else len(width) ** 2 * width[0]
        first = leaves(self.state)[0]
        room = CPU_BYTES if first.device.type == "cpu" else OTHER_BYTES
        steps = max(LEAST_STEPS, room // (batch * numbers * first.element_size()))
        for begin in range(0, time, steps):
            yield begin, min(begin + steps, time)


def _rows(tree: Any) -> Any:
    """(batch, time, width) as rows."""
    return map_state(lambda leaf: leaf.flatten(0, 1), tree)


def _over(mask: Tensor, values: Tensor) -> Tensor:
    return mask.reshape(*mask.shape, *[1] * (values.ndim - 2))
