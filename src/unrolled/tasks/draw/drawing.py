"""Drawing: step after step, from what a caption says and from what has been begun."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from unrolled.align.mode import evaluating
from unrolled.tasks.draw.medium import Course, Medium
from unrolled.tasks.draw.net import DrawingNet

__all__ = ["draw_on"]


def draw_on(
    net: DrawingNet, medium: Medium[Any], course: Course[Any], words: Tensor | None, temperature: float, seed: int,
    number: int,
) -> Any:  # fmt: skip
    """The drawing that a course becomes. Drawing `number` of a seed is the same whatever else is drawn.

    It is drawn by itself: in a batch, sums in another order would round otherwise.
    """
    draws = int(np.random.default_rng([seed, number]).integers(2**63))
    device = next(net.parameters()).device
    generator = torch.Generator(device).manual_seed(draws)
    with evaluating(net):
        state, given = net.begin(words), iter(course.given)
        while not course.over:
            y, state = net.advance(course.read().to(device), state)
            step = next(given, None)
            course.add(medium.draw(net.next.head, y, temperature, generator) if step is None else step)
    return course.drawing()
