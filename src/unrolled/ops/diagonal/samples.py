"""Samples of the op `diagonal`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from unrolled.ops.core.samples import Sample, Shape, draw, draw_resets, variants

__all__ = ["samples"]

OPTIONS = ("lengths", "reset", "start_h", "any_decay")


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes; start_h has one row for all, or one a row."""
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        batch, time, width, lengths = shape
        ragged = lengths if "lengths" in options else None
        resets = "reset" in options
        yield Sample(
            f"{shape} {sorted(options)}",
            (
                _draw_decay(generator, shape, any_decay="any_decay" in options),
                draw(generator, batch, time, width),
                draw(generator, batch, width),
                None if ragged is None else torch.tensor(ragged),
                draw_resets(generator, shape, ragged) if resets else None,
                draw(generator, 1 if "start_h" in options else batch, width) if resets else None,
            ),
        )


def _draw_decay(generator: torch.Generator, shape: Shape, *, any_decay: bool) -> Tensor:
    """A gate in (0, 1), or with any_decay any number: negative, and above 1 in size about every third time."""
    drawn = draw(generator, *shape[:3])
    return drawn if any_decay else drawn.sigmoid().bfloat16().double()
