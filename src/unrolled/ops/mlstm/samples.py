"""Samples of the op `mlstm`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from unrolled.ops.core.samples import Sample, Shape, draw, draw_resets, variants

__all__ = ["samples"]

OPTIONS = ("lengths", "reset", "start", "heads", "extreme", "chunk")


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes.

    start has one row for all, or one a row; heads: three of them, with fewer values than keys; extreme: gates up to
    +-50; chunk: 3 steps instead of 64.
    """
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        yield Sample(f"{shape} {sorted(options)}", _arguments(generator, shape, options))


def _arguments(generator: torch.Generator, shape: Shape, options: frozenset[str]) -> tuple[Any, ...]:
    batch, time, keys, lengths = shape
    heads, values = (3, max(1, keys - 2)) if "heads" in options else (1, keys)
    scale = 20.0 if "extreme" in options else 1.0
    ragged = lengths if "lengths" in options else None
    resets = "reset" in options
    rows = 1 if "start" in options else batch
    return (
        draw(generator, batch, time, heads, keys),
        *_draw_state(generator, batch, heads, keys, values),
        draw(generator, batch, time, heads, keys),
        draw(generator, batch, time, heads, values),
        draw(generator, batch, time, heads, scale=scale).clamp(-50, 50),
        draw(generator, batch, time, heads, scale=scale).clamp(-50, 50),
        None if ragged is None else torch.tensor(ragged),
        draw_resets(generator, shape, ragged) if resets else None,
        *(_draw_state(generator, rows, heads, keys, values) if resets else [None] * 3),
        3 if "chunk" in options else 64,
    )


def _draw_state(generator: torch.Generator, rows: int, heads: int, keys: int, values: int) -> list[Tensor]:
    """c, n and m."""
    return [
        draw(generator, rows, heads, keys, values),
        draw(generator, rows, heads, keys),
        draw(generator, rows, heads),
    ]
