"""Samples of the op `minimal`, by which its kernels are proved and measured."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unrolled.ops.core.samples import Sample, draw, draw_resets, variants
from unrolled.ops.minimal.reference import parts

__all__ = ["samples"]

OPTIONS = ("lengths", "reset", "start_h", "lstm", "positive", "wide_gates")


def samples() -> Iterator[Sample]:
    """Every option on and off, over the odd shapes; wide_gates: some pre-activations are 50 in size."""
    for number, (shape, options) in enumerate(variants(OPTIONS)):
        generator = torch.Generator().manual_seed(number)
        batch, time, width, lengths = shape
        ragged, resets, lstm = lengths if "lengths" in options else None, "reset" in options, "lstm" in options
        gates = draw(generator, batch, time, parts(lstm) * width)
        if "wide_gates" in options:
            # Not the candidate: a largest value of 50 would widen the bound for all others.
            wide = torch.rand(batch, time, (parts(lstm) - 1) * width, generator=generator) < 0.3
            gates[..., :-width] = torch.where(wide, 50.0 * gates[..., :-width].sign(), gates[..., :-width])
        yield Sample(
            f"{shape} {sorted(options)}",
            (
                gates,
                draw(generator, batch, width),
                None if ragged is None else torch.tensor(ragged),
                draw_resets(generator, shape, ragged) if resets else None,
                draw(generator, 1 if "start_h" in options else batch, width) if resets else None,
                lstm,
                "positive" in options,
            ),
        )
