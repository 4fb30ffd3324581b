"""Samples of the op `slstm`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from unrolled.ops.core.samples import Sample, Shape, draw, draw_resets, variants

__all__ = ["samples"]

OPTIONS = ("lengths", "reset", "start", "heads", "exponential", "fresh", "extreme")


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes.

    start has one row for all, or one a row; fresh: the states are those of a row that has seen nothing; extreme: gates
    up to +-50.
    """
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        heads = 3 if "heads" in options else 1
        shape = shape._replace(width=heads * max(1, shape.width // heads))
        ragged = shape.lengths if "lengths" in options else None
        resets = "reset" in options
        rows = 1 if "start" in options else shape.batch
        fresh = "fresh" in options
        start = _draw_state(generator, rows, shape.width, fresh=fresh) if resets else [None] * 4
        yield Sample(
            f"{shape} {sorted(options)}",
            (
                _draw_gates(generator, shape, extreme="extreme" in options),
                *_draw_state(generator, shape.batch, shape.width, fresh=fresh),
                _draw_weight(generator, shape.width, heads),
                None if ragged is None else torch.tensor(ragged),
                draw_resets(generator, shape, ragged) if resets else None,
                *start,
                "exponential" in options,
            ),
        )


def _draw_gates(generator: torch.Generator, shape: Shape, *, extreme: bool) -> Tensor:
    gates = draw(generator, shape.batch, shape.time, 4 * shape.width)
    return (20 * gates).clamp(-50, 50) if extreme else gates


def _draw_weight(generator: torch.Generator, hidden: int, heads: int) -> Tensor:
    width = hidden // heads
    return draw(generator, heads, 4 * width, width, scale=width**-0.5)


def _draw_state(generator: torch.Generator, rows: int, width: int, *, fresh: bool) -> list[Tensor]:
    """h, c, n and m; n is at least 1, as after any step, or 0."""
    h, c, n, m = (draw(generator, rows, width) for _ in range(4))
    return [torch.zeros_like(h)] * 4 if fresh else [h, c, 1 + n.abs(), m]
