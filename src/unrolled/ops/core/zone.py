"""Zoneout inside a recurrence: what one entry of the state becomes."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from unrolled.ops.core.whole import whole_step
from unrolled.state import map_state

__all__ = ["zone", "zone_state"]

S = TypeVar("S")


@whole_step
def zone(new: Tensor, old: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    """The next state, shaped as `new`: where the bool mask is True the new value, where it is False the old one.

    Without a mask the expectation rate * old + (1 - rate) * new, with rate in [0, 1); 0 gives `new` itself.
    """
    if mask is not None:
        # A selection, not mask * (new - old) + old: that would round the new value against the old one.
        return torch.where(mask, new, old)
    return rate * old + (1 - rate) * new if rate else new


def zone_state(new: S, old: S, masks: S | None, rates: S) -> S:
    """`zone`, leaf by leaf; `rates` is a state of numbers, `masks` one of bool masks, or None for no masks at all."""
    if masks is None:
        return map_state(lambda n, o, rate: zone(n, o, None, rate), new, old, rates)
    return map_state(lambda n, o, mask, rate: zone(n, o, mask, rate), new, old, masks, rates)
