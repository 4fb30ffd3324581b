"""What both forecast nets do with a batch of windows: its level, its covariates, its embedded codes."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from unrolled.align.forecast.options import ForecastOptions
from unrolled.errors import ShapeError

__all__ = [
    "Covariates",
    "Forecast",
    "Frame",
    "WindowSizes",
    "Window",
    "check_window",
    "frame_window",
    "linear_or_none",
]

# A category's vector is as wide as its vocabulary, which loses nothing, up to this width.
WIDEST_CODE = 32


class Forecast(NamedTuple):
    """mean (batch, horizon, targets) and quantiles (batch, horizon, targets, levels), in the space of the batch."""

    mean: Tensor
    quantiles: Tensor


class WindowSizes(Protocol):
    """Widths of a window's parts; `*_codes`: one vocabulary size a categorical column, code 0 (unknown) included."""

    @property
    def target(self) -> int: ...
    @property
    def past(self) -> int: ...
    @property
    def future(self) -> int: ...
    @property
    def static(self) -> int: ...
    @property
    def past_codes(self) -> tuple[int, ...]: ...
    @property
    def future_codes(self) -> tuple[int, ...]: ...
    @property
    def static_codes(self) -> tuple[int, ...]: ...


class Window(Protocol):
    """A batch of windows, B rows, L steps of look-back, H of horizon, D targets; masks are 1 where a value is known.

    past_known holds past-only covariates first and then those known in the future; past_codes likewise.
    """

    @property
    def past(self) -> Tensor: ...
    @property
    def past_mask(self) -> Tensor: ...
    @property
    def past_known(self) -> Tensor: ...
    @property
    def past_codes(self) -> Tensor: ...
    @property
    def future_known(self) -> Tensor: ...
    @property
    def future_codes(self) -> Tensor: ...
    @property
    def static(self) -> Tensor: ...
    @property
    def static_codes(self) -> Tensor: ...
    @property
    def target(self) -> Tensor: ...
    @property
    def target_mask(self) -> Tensor: ...
    @property
    def series(self) -> Tensor: ...
    @property
    def cut(self) -> Tensor: ...


class Frame(NamedTuple):
    """Where a window stands. level and scale: (batch, 1, targets); None means 0 and 1."""

    level: Tensor | None
    scale: Tensor | None

    def inside(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Values of the batch's space (batch, time, targets) as the net sees them, 0 where missing; missing flags."""
        moved = values if self.level is None else values - self.level
        moved = moved if self.scale is None else moved / self.scale
        return torch.where(mask > 0, moved, 0), (mask <= 0).to(moved.dtype)


def frame_window(window: Window, options: ForecastOptions, counts: bool) -> Frame:
    """Level and scale of each row and target, from the observed values of its look-back alone."""
    known = window.past_mask > 0
    past = torch.where(known, window.past, 0)
    if counts:
        return Frame(None, 1 + _mean(past.abs(), known))
    if options.level == "none":
        return Frame(None, None)
    last = _last(past, known)
    if options.level == "last":
        return Frame(last, None)
    recent = slice(-(options.level_steps or past.shape[1]), None)
    # A row that shows nothing in the recent steps keeps its last value as the level.
    seen = known[:, recent].any(1, keepdim=True)
    return Frame(torch.where(seen, _mean(past[:, recent], known[:, recent]), last), None)


def _last(past: Tensor, known: Tensor) -> Tensor:
    steps = torch.arange(past.shape[1], device=past.device)[None, :, None]
    # Where nothing is known the index is 0, and `past` holds 0 there.
    return past.gather(1, torch.where(known, steps, 0).amax(1, keepdim=True))


def _mean(past: Tensor, known: Tensor) -> Tensor:
    return past.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)


class _Codes(nn.Module):
    """Categorical columns (..., columns) as vectors side by side (..., width)."""

    def __init__(self, vocabularies: tuple[int, ...]) -> None:
        super().__init__()
        tables = [nn.Embedding(size, min(size, WIDEST_CODE)) for size in vocabularies]
        self.tables = nn.ModuleList(tables)
        self.width = sum(min(size, WIDEST_CODE) for size in vocabularies)
        with torch.no_grad():
            for table in tables:
                # An unknown category says nothing until training has seen one.
                table.weight[0] = 0

    def forward(self, codes: Tensor) -> list[Tensor]:
        return [table(codes[..., i]) for i, table in enumerate(self.tables)]


class Covariates(nn.Module):
    """Everything but the target, codes embedded. Widths: past_width, future_width, static_width (0 = there is none)."""

    def __init__(self, sizes: WindowSizes) -> None:
        super().__init__()
        self.past_values, self.past_columns = sizes.past, len(sizes.past_codes)
        self.past_tables = _Codes(tuple(sizes.past_codes))
        self.future_tables = _Codes(tuple(sizes.future_codes))
        self.static_tables = _Codes(tuple(sizes.static_codes))
        self.past_width = sizes.past + self.past_tables.width
        self.future_width = sizes.future + self.future_tables.width
        self.static_width = sizes.static + self.static_tables.width

    def past_only(self, window: Window) -> Tensor:
        """What is known up to the present only: (batch, lookback, past_width)."""
        codes = self.past_tables(window.past_codes[..., : self.past_columns])
        return torch.cat([window.past_known[..., : self.past_values], *codes], -1)

    def known_past(self, window: Window) -> Tensor:
        """What is known in advance, for the look-back: (batch, lookback, future_width)."""
        codes = self.future_tables(window.past_codes[..., self.past_columns :])
        return torch.cat([window.past_known[..., self.past_values :], *codes], -1)

    def known_future(self, window: Window) -> Tensor:
        """What is known in advance, for the horizon: (batch, horizon, future_width)."""
        return torch.cat([window.future_known, *self.future_tables(window.future_codes)], -1)

    def static(self, window: Window) -> Tensor:
        """What never changes: (batch, static_width)."""
        return torch.cat([window.static, *self.static_tables(window.static_codes)], -1)


def linear_or_none(width_in: int, width_out: int) -> nn.Linear | None:
    """A map without bias, or None where there is nothing to map."""
    return nn.Linear(width_in, width_out, bias=False) if width_in else None


def check_window(owner: str, window: Window, options: ForecastOptions, sizes: WindowSizes) -> None:
    """The batch must have the look-back, horizon and number of targets that the net was built for."""
    expected = (options.lookback, options.horizon, sizes.target)
    came = (window.past.shape[1], window.target.shape[1], window.past.shape[2])
    if came != expected:
        raise ShapeError(
            f"{owner}: expected windows of (lookback, horizon, targets) = {expected}, got {came}; "
            "cut the windows with the model's own options."
        )
