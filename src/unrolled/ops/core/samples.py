"""What the samples of every op share: shapes that are awkward on purpose, and seeded tensors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.padding import valid_mask

__all__ = [
    "RATE",
    "SHAPES",
    "Sample",
    "Shape",
    "draw",
    "draw_input",
    "draw_mask",
    "draw_resets",
    "draw_zone",
    "variants",
]


class Sample(NamedTuple):
    """One call of an op in float64: its tensors and then its attributes, in the op's order. `label` says what it is."""

    label: str
    arguments: tuple[Any, ...]


class Shape(NamedTuple):
    """Batch, time, hidden width, and valid steps a row (None: all full)."""

    batch: int
    time: int
    width: int
    lengths: tuple[int, ...] | None


SMALL = Shape(4, 5, 6, (5, 2, 0, 4))

SHAPES = (
    Shape(1, 1, 1, None),
    Shape(1, 100, 17, None),
    Shape(3, 63, 5, (63, 0, 40)),
    Shape(13, 2, 33, None),
    Shape(7, 3, 16, (3, 1, 2, 0, 3, 3, 1)),
)
"""One row, one step, one feature; a zero length; long walks; widths and batches that are no multiple of a block."""

RATE = 0.25
"""The rate of zoneout where a sample has one: no dtype rounds it."""


def variants(options: Sequence[str]) -> Iterator[tuple[Shape, frozenset[str]]]:
    """Shapes with switched-on options: each option alone, each missing, none and all; then odd shapes, none and all."""
    everything = frozenset(options)
    seen: set[frozenset[str]] = set()
    for name in options:
        for chosen in (frozenset(), frozenset({name}), everything - {name}, everything):
            if chosen not in seen:
                seen.add(chosen)
                yield SMALL, chosen
    for shape in SHAPES:
        yield shape, frozenset()
        yield shape, everything


def draw(generator: torch.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Normal values in float64 that float32 and bfloat16 hold without rounding, so that dtypes see the same input."""
    return (scale * torch.randn(*shape, generator=generator)).bfloat16().double()


def draw_input(
    generator: torch.Generator, shape: Shape, gates: int, options: Collection[str]
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """x, weight_x and bias: gates (batch, time, gates), or with the option "weight_x" an input that they project."""
    if "weight_x" not in options:
        return draw(generator, shape.batch, shape.time, gates), None, None
    width = shape.width + 2
    weight_x = draw(generator, gates, width, scale=width**-0.5)
    bias = draw(generator, gates) if "bias" in options else None
    return draw(generator, shape.batch, shape.time, width), weight_x, bias


def draw_mask(generator: torch.Generator, shape: Shape, width: int, *, expanded: bool) -> Tensor:
    """A mask (batch, time, width) that drops about half; expanded: one for all steps, with stride 0 in time."""
    mask = 2.0 * (torch.rand(shape.batch, 1 if expanded else shape.time, width, generator=generator) < 0.5)
    return mask.double().expand(-1, shape.time, -1)


def draw_zone(generator: torch.Generator, shape: Shape, width: int) -> Tensor:
    """A bool mask (batch, time, width) that takes the new value about half the time."""
    return torch.rand(shape.batch, shape.time, width, generator=generator) < 0.5


def draw_resets(generator: torch.Generator, shape: Shape, lengths: Sequence[int] | None) -> Tensor:
    """Resets (batch, time) in about every third valid step; False in the padding, as the layer's door makes them."""
    reset = torch.rand(shape.batch, shape.time, generator=generator) < 0.3
    return reset if lengths is None else reset & valid_mask(torch.tensor(lengths), shape.time)
