"""Samples of the op `gru`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unrolled.ops.core.samples import RATE, Sample, draw, draw_input, draw_mask, draw_resets, draw_zone, variants

__all__ = ["samples"]

OPTIONS = (
    "weight_x", "bias", "bias_h", "norm_h", "mask_h", "zone_h", "lengths", "reset", "start_h", "reset_after", "rate_h",
    "reverse",
)  # fmt: skip


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes; start_h has one row for all, or one a row."""
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        batch, _, width, lengths = shape
        ragged = lengths if "lengths" in options else None
        resets = "reset" in options
        after = "reset_after" in options
        x, *projection = draw_input(generator, shape, 3 * width, options)
        yield Sample(
            f"{shape} {sorted(options)}",
            (
                x,
                draw(generator, batch, width),
                draw(generator, 3 * width, width, scale=width**-0.5),
                draw(generator, width) if "bias_h" in options and after else None,
                draw(generator, 3 * width) if "norm_h" in options else None,
                draw_mask(generator, shape, width, expanded=not resets) if "mask_h" in options else None,
                draw_zone(generator, shape, width) if "zone_h" in options else None,
                None if ragged is None else torch.tensor(ragged),
                draw_resets(generator, shape, ragged) if resets else None,
                draw(generator, 1 if "start_h" in options else batch, width) if resets else None,
                *projection,
                after,
                RATE if "rate_h" in options else 0.0,
                "reverse" in options,
            ),
        )
