"""Samples of the op `lstm`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unrolled.ops.core.samples import RATE, Sample, Shape, draw, draw_input, draw_mask, draw_resets, draw_zone, variants

__all__ = ["samples"]

OPTIONS = (
    "weight_x", "bias", "peephole", "weight_p", "norm_h", "norm_c", "mask_h", "zone_h", "zone_c", "lengths", "reset",
    "start", "coupled", "rate_h", "rate_c", "reverse",
)  # fmt: skip


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes; start_h and start_c have one row for all, or one a row."""
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        yield Sample(f"{shape} {sorted(options)}", _arguments(generator, shape, options))


def _arguments(generator: torch.Generator, shape: Shape, options: frozenset[str]) -> tuple[object, ...]:
    batch, _, width, lengths = shape
    output = max(1, width - 2) if "weight_p" in options else width
    gates = 3 if "coupled" in options else 4
    resets = "reset" in options
    ragged = lengths if "lengths" in options else None
    rows = 1 if "start" in options else batch
    x, *projection = draw_input(generator, shape, gates * width, options)
    return (
        x,
        draw(generator, batch, output),
        draw(generator, batch, width),
        draw(generator, gates * width, output, scale=output**-0.5),
        draw(generator, gates - 1, width) if "peephole" in options else None,
        draw(generator, output, width, scale=width**-0.5) if "weight_p" in options else None,
        draw(generator, gates * width) if "norm_h" in options else None,
        draw(generator, 2, width) if "norm_c" in options else None,
        draw_mask(generator, shape, output, expanded=not resets) if "mask_h" in options else None,
        draw_zone(generator, shape, output) if "zone_h" in options else None,
        draw_zone(generator, shape, width) if "zone_c" in options else None,
        None if ragged is None else torch.tensor(ragged),
        draw_resets(generator, shape, ragged) if resets else None,
        draw(generator, rows, output) if resets else None,
        draw(generator, rows, width) if resets else None,
        *projection,
        "coupled" in options,
        RATE if "rate_h" in options else 0.0,
        RATE if "rate_c" in options else 0.0,
        "reverse" in options,
    )
