"""Windows of random or wavy numbers for the tests of the forecast nets."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from unrolled.align.forecast import AutoregressiveForecast, AutoregressiveOptions, DirectForecast, DirectOptions
from unrolled.data.panel.arrays import Sizes
from unrolled.data.panel.windows import WindowBatch

FULL = Sizes(target=2, past=3, future=2, static=2, past_codes=(4, 3), future_codes=(5,), static_codes=(6,))
BARE = Sizes(target=1, past=0, future=0, static=0, past_codes=(), future_codes=(), static_codes=())


def random_windows(
    sizes: Sizes, lookback: int, horizon: int, *, rows: int = 5, counts: bool = False, seed: int = 0
) -> WindowBatch:
    """Every part filled, about a fifth of the values missing."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def values(time: int) -> tuple[Tensor, Tensor]:
        mask = (torch.rand((rows, time, sizes.target), generator=generator) > 0.2).double()
        drawn = normal(rows, time, sizes.target)
        return torch.where(mask > 0, (5 * drawn.abs()).round() if counts else drawn, 0), mask

    def codes(vocabularies: tuple[int, ...], *shape: int) -> Tensor:
        drawn = [torch.randint(0, size, shape, generator=generator) for size in vocabularies]
        return torch.stack(drawn, -1) if drawn else torch.zeros((*shape, 0), dtype=torch.long)

    return WindowBatch(
        *values(lookback),
        normal(rows, lookback, sizes.past + sizes.future),
        codes(sizes.past_codes + sizes.future_codes, rows, lookback),
        normal(rows, horizon, sizes.future),
        codes(sizes.future_codes, rows, horizon),
        normal(rows, sizes.static),
        codes(sizes.static_codes, rows),
        *values(horizon),
        torch.arange(rows),
        100 + torch.arange(rows),
    )


def wave_windows(rows: int, lookback: int, horizon: int, dtype: torch.dtype = torch.float32) -> WindowBatch:
    """Pieces of a sine with a period of 12 steps, starting anywhere, with nothing missing and no covariates."""
    start = torch.linspace(0, 12, rows, dtype=dtype)[:, None]
    wave = torch.sin(2 * math.pi / 12 * (start + torch.arange(lookback + horizon)))[..., None]
    past, target = wave[:, :lookback], wave[:, lookback:]
    none = torch.zeros(rows, 0, dtype=dtype)
    steps = [torch.zeros(rows, time, 0, dtype=kind) for time in (lookback, horizon) for kind in (dtype, torch.long)]
    return WindowBatch(
        past, torch.ones_like(past), *steps, none, none.long(), target, torch.ones_like(target),
        torch.arange(rows), torch.full((rows,), lookback),
    )  # fmt: skip


def direct(sizes: Sizes, **options: object) -> DirectForecast:
    torch.manual_seed(3)
    return DirectForecast(sizes, DirectOptions(**options)).double()


def autoregressive(sizes: Sizes, **options: object) -> AutoregressiveForecast:
    torch.manual_seed(3)
    return AutoregressiveForecast(sizes, AutoregressiveOptions(**options)).double()
