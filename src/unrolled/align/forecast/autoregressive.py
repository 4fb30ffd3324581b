"""Autoregressive forecasting: the distribution of the next value, and forecasts by feeding values back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from unrolled.align.forecast.inputs import (
    Covariates,
    Forecast,
    Frame,
    Window,
    WindowSizes,
    check_window,
    frame_window,
    linear_or_none,
)
from unrolled.align.forecast.options import AutoregressiveOptions
from unrolled.align.mode import evaluating
from unrolled.check import check_size
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.nn.build import make_encoder
from unrolled.score.forecast import check_levels
from unrolled.state import map_state, select_rows

__all__ = ["AutoregressiveForecast"]

S = TypeVar("S")

# Paths rolled out together: enough for large matrix products, few enough for the cache.
PATHS_AT_ONCE = 4096


class AutoregressiveForecast(nn.Module):
    """One step ahead, fed back: trained by teacher forcing, forecast by sample paths.

        u_t = relu(W [v_(t-1), missing_(t-1), past-only covariates_(t-1)] + K (covariates known at t) + V static + b)
        y_t, s_t = encoder step from s_(t-1);   raw = W drop(y_t) + b gives the distribution of the value at t
        v = (value - level) / scale of the window

    A missing value enters as 0 with its flag at 1, in training as in prediction; it is never replaced by a guess.
    Past-only covariates are unknown after the look-back and enter as 0 from its second horizon step on.

    sizes: widths of the windows' parts (`WindowSizes`). options: `AutoregressiveOptions`. Likelihood "point" feeds
    its one number back and knows no other quantile than the median.

    Source: training and sampling as in DeepAR, Salinas et al. 2017, arXiv:1704.04110, section 3. Differences: missing
    flags, and removal of a level where DeepAR divides by a scale (which is what counts still do here).
    """

    def __init__(self, sizes: WindowSizes, options: AutoregressiveOptions) -> None:
        super().__init__()
        self.sizes, self.options = sizes, options
        self.likelihood = make_likelihood(options.likelihood, options.quantiles, **options.likelihood_options)
        self.covariates = covariates = Covariates(sizes)
        hidden = options.hidden_size
        self.embed = nn.Linear(2 * sizes.target + covariates.past_width, hidden)
        self.embed_known = linear_or_none(covariates.future_width, hidden)
        self.embed_static = linear_or_none(covariates.static_width, hidden)
        self.encoder = make_encoder(hidden, options)
        self.dropout = nn.Dropout(options.dropout)
        self.head = NumberHead(self.encoder.output_size, sizes.target, self.likelihood)

    def loss(self, batch: Window, state: None = None) -> tuple[Tensor, Tensor, None]:
        """Sum of the losses over known values of the horizon (or of all steps), number of terms, and no state."""
        check_window("AutoregressiveForecast", batch, self.options, self.sizes)
        frame = frame_window(batch, self.options, self.likelihood.counts)
        values = torch.cat([batch.past, batch.target], 1)
        mask = torch.cat([batch.past_mask, batch.target_mask], 1)
        seen, missing = frame.inside(values[:, :-1], mask[:, :-1])
        y, _ = self.encoder(self._vectors(batch, seen, missing))
        first = 0 if self.options.loss_on == "all" else self.options.lookback
        parameters = self._distribution(y[:, first:], frame)
        total, count = self.likelihood.loss(parameters, values[:, first:], mask[:, first:])
        return total, count, None

    def predict(self, batch: Window, levels: Sequence[float] = (), *, samples: int = 200, seed: int = 0) -> Forecast:
        """Mean and quantiles at `levels` of the sample paths; for "point" the one path that feeds itself back.

        Each row draws from its own stream, keyed by (seed, series, cut): its forecast does not depend on the batch it
        is in, up to rounding.
        """
        wanted = check_levels(levels)
        if not self.likelihood.noise:
            with evaluating(self):
                path = self._roll(batch, None)[:, 0, ..., None]
                return Forecast(self.likelihood.mean(path), self.likelihood.quantiles(path, wanted))
        paths = self.sample_paths(batch, samples, seed)
        return Forecast(paths.mean(1), _sample_quantiles(paths, wanted))

    def sample_paths(self, batch: Window, samples: int = 200, seed: int = 0) -> Tensor:
        """Possible futures: (batch, samples, horizon, targets), in the space of the batch.

        Raises OptionError for a likelihood that has no samples.
        """
        check_size("sample_paths", "samples", samples)
        rows, block = batch.past.shape[0], max(1, PATHS_AT_ONCE // samples)
        with evaluating(self):
            if not self.likelihood.noise:
                self.likelihood.draw(batch.past, batch.past)
            parts = [map_state(lambda leaf, at=at: leaf[at : at + block], batch) for at in range(0, rows, block)]
            return torch.cat([self._roll(part, self._noise(part, samples, seed)) for part in parts])

    def _vectors(self, batch: Window, values: Tensor, missing: Tensor) -> Tensor:
        """u_t for t = 0 .. steps, from what was there one step earlier: values, missing (batch, steps, targets)."""
        steps = values.shape[1]
        parts = [values, missing]
        if self.covariates.past_width:
            parts.append(pad(self.covariates.past_only(batch), (0, 0, 0, steps - self.options.lookback)))
        earlier = pad(torch.cat(parts, -1), (0, 0, 1, 0))
        # Before the first step there was no value.
        targets = self.sizes.target
        earlier[:, 0, targets : 2 * targets] = 1
        fixed = self._fixed(batch)
        known = fixed if fixed.shape[1] == 1 else fixed[:, : steps + 1]
        return relu(self.embed(earlier) + known)

    def _fixed(self, batch: Window) -> Tensor:
        """The part of u_t that needs no value: (batch, lookback + horizon, hidden), or one step if it never changes."""
        part = self.embed.weight.new_zeros(batch.past.shape[0], 1, self.options.hidden_size)
        if self.embed_static is not None:
            part = self.embed_static(self.covariates.static(batch))[:, None]
        if self.embed_known is not None:
            known = torch.cat([self.covariates.known_past(batch), self.covariates.known_future(batch)], 1)
            part = part + self.embed_known(known)
        return part

    def _distribution(self, y: Tensor, frame: Frame) -> Tensor:
        return self.head.distribution(self.dropout(y), frame.level, frame.scale)

    def _roll(self, batch: Window, noise: Tensor | None) -> Tensor:
        """(batch, samples, horizon, targets): noise (batch, samples, horizon, targets, noise), or None for means."""
        check_window("AutoregressiveForecast", batch, self.options, self.sizes)
        frame = frame_window(batch, self.options, self.likelihood.counts)
        rows, copies = batch.past.shape[0], 1 if noise is None else noise.shape[1]
        each = torch.arange(rows, device=batch.past.device).repeat_interleave(copies)
        y, state = self.encoder(self._vectors(batch, *frame.inside(batch.past, batch.past_mask)))
        y, state, frame = select_rows((y[:, -1], state, frame), each)
        fixed = self._fixed(batch)[:, -self.options.horizon :]
        draws = None if noise is None else noise.flatten(0, 1)
        path: list[Tensor] = []
        for h in range(self.options.horizon):
            if h:
                moment = fixed[:, min(h, fixed.shape[1] - 1)].index_select(0, each)
                y, state = self._feed(path[-1], moment, state, frame)
            parameters = self._distribution(y[:, None], frame)[:, 0]
            mean = self.likelihood.mean
            path.append(mean(parameters) if draws is None else self.likelihood.draw(parameters, draws[:, h]))
        return torch.stack(path, 1).view(rows, copies, self.options.horizon, self.sizes.target)

    def _feed(self, value: Tensor, fixed: Tensor, state: S, frame: Frame) -> tuple[Tensor, S]:
        """One step on what was forecast: value (paths, targets), present, with no past-only covariates beside it."""
        inside, missing = frame.inside(value[:, None], torch.ones_like(value[:, None]))
        earlier = pad(torch.cat([inside[:, 0], missing[:, 0]], -1), (0, self.covariates.past_width))
        y, state = self.encoder.step(relu(self.embed(earlier) + fixed), state)
        return y, state

    def _noise(self, batch: Window, samples: int, seed: int) -> Tensor:
        """Uniform numbers (batch, samples, horizon, targets, noise); a row's come from (seed, series, cut) alone."""
        shape = (samples, self.options.horizon, self.sizes.target, self.likelihood.noise)
        keys = zip(batch.series.tolist(), batch.cut.tolist(), strict=True)
        return torch.stack([_uniform(shape, (seed, *key)) for key in keys]).to(batch.past)


def _uniform(shape: tuple[int, ...], key: tuple[int, ...]) -> Tensor:
    # SeedSequence takes no negative number; two's complement keeps them apart.
    words = np.random.SeedSequence([part % 2**64 for part in key]).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(words[0]) % 2**63)
    return torch.rand(shape, generator=generator)


def _sample_quantiles(paths: Tensor, levels: tuple[float, ...]) -> Tensor:
    """(batch, samples, ...) -> (batch, ..., levels), linear between order statistics as numpy's default."""
    ordered = paths.sort(1).values
    found = []
    for level in levels:
        place = level * (paths.shape[1] - 1)
        low = int(place)
        high = min(low + 1, paths.shape[1] - 1)
        found.append(torch.lerp(ordered[:, low], ordered[:, high], place - low))
    return torch.stack(found, -1) if found else paths.new_zeros(*paths[:, 0].shape, 0)
