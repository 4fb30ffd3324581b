"""Samples of the op `delta`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from unrolled.ops.core.samples import Sample, Shape, draw, draw_resets, variants

__all__ = ["samples"]

OPTIONS = ("lengths", "reset", "start", "heads", "extreme", "chunk")


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes.

    start has one row for all, or one a row; heads: three of them, with fewer values than keys; extreme: decays from
    exp(-50) to 1; chunk: 3 steps instead of 64.
    """
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        yield Sample(f"{shape} {sorted(options)}", _arguments(generator, shape, options))


def _arguments(generator: torch.Generator, shape: Shape, options: frozenset[str]) -> tuple[Any, ...]:
    batch, time, keys, lengths = shape
    heads, values = (3, max(1, keys - 2)) if "heads" in options else (1, keys)
    ragged = lengths if "lengths" in options else None
    resets = "reset" in options
    rows = 1 if "start" in options else batch
    many = (batch, time, heads, keys)
    a, rate = _draw_unit(generator, *many), draw(generator, *many).sigmoid().bfloat16().double()
    return (
        draw(generator, *many),
        draw(generator, batch, heads, keys, values),
        -draw(generator, *many, scale=20.0 if "extreme" in options else 0.3).abs().clamp(max=50),
        draw(generator, *many, scale=0.5),
        draw(generator, batch, time, heads, values),
        a,
        -a * rate,
        None if ragged is None else torch.tensor(ragged),
        draw_resets(generator, shape, ragged) if resets else None,
        draw(generator, rows, heads, keys, values) if resets else None,
        3 if "chunk" in options else 64,
    )


def _draw_unit(generator: torch.Generator, *shape: int) -> Tensor:
    """Vectors of about length 1, so that what is taken away is never more than what is there."""
    return normalize(draw(generator, *shape), dim=-1).bfloat16().double()
