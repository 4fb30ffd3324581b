"""Samples of the op `rnn`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unrolled.ops.core.samples import RATE, Sample, draw, draw_input, draw_mask, draw_resets, draw_zone, variants

__all__ = ["samples"]

OPTIONS = ("weight_x", "bias", "mask_h", "zone_h", "lengths", "reset", "start_h", "relu", "rate_h", "reverse")


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes."""
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        batch, _, width, lengths = shape
        ragged = lengths if "lengths" in options else None
        resets = "reset" in options
        x, *projection = draw_input(generator, shape, width, options)
        yield Sample(
            f"{shape} {sorted(options)}",
            (
                x,
                draw(generator, batch, width),
                draw(generator, width, width, scale=width**-0.5),
                draw_mask(generator, shape, width, expanded=not resets) if "mask_h" in options else None,
                draw_zone(generator, shape, width) if "zone_h" in options else None,
                None if ragged is None else torch.tensor(ragged),
                draw_resets(generator, shape, ragged) if resets else None,
                draw(generator, 1 if "start_h" in options else batch, width) if resets else None,
                *projection,
                "relu" if "relu" in options else "tanh",
                RATE if "rate_h" in options else 0.0,
                "reverse" in options,
            ),
        )
