"""Samples of the op `rotation`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unrolled.ops.core.samples import Sample, draw, draw_resets, variants

__all__ = ["samples"]

OPTIONS = ("lengths", "reset", "start_h", "real_decay")


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes; decays on a ring of radius 0.9, or without an imaginary part."""
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        batch, time, width, lengths = shape
        ragged, resets = lengths if "lengths" in options else None, "reset" in options
        angle = torch.zeros(width) if "real_decay" in options else 6.28 * torch.rand(width, generator=generator)
        decay = 0.9 * torch.cat([angle.cos(), angle.sin()])
        yield Sample(
            f"{shape} {sorted(options)}",
            (
                draw(generator, batch, time, 2 * width),
                draw(generator, batch, 2 * width),
                decay.bfloat16().double(),
                None if ragged is None else torch.tensor(ragged),
                draw_resets(generator, shape, ragged) if resets else None,
                draw(generator, 1 if "start_h" in options else batch, 2 * width) if resets else None,
            ),
        )
