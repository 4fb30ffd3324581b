"""Direct forecasting: an encoder reads the look-back once, a decoder writes every part of the horizon in parallel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from unrolled.align.forecast.inputs import (
    Covariates,
    Forecast,
    Window,
    WindowSizes,
    check_window,
    frame_window,
    linear_or_none,
)
from unrolled.align.forecast.options import DirectOptions
from unrolled.align.mode import evaluating
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.nn.build import make_encoder
from unrolled.state import select_rows

__all__ = ["DirectForecast"]


class DirectForecast(nn.Module):
    """A multi-horizon forecast: recurrent over segments of the look-back, parallel over segments of the horizon.

        u_i = relu(W segment_i + V static + b)           segment_i: p steps of (value - level, missing flag, covariates)
        s   = encoder state after u_1 .. u_n             n = ceil(lookback / p)
        q_j = [position_j, U (static, future covariates of segment j)]
        y_j = one step of the encoder from s with input q_j,   j = 1 .. ceil(horizon / p), all at once
              (of both directions, where it reads both ways: each goes on from where it has ended)
        raw = W drop(y_j) + b                            p * targets * likelihood.width numbers

    A look-back that p does not divide is padded on the left with steps that are missing, so nothing is dropped; a
    horizon that p does not divide is cut after its last step. Missing values enter as 0 with their flag at 1.

    sizes: widths of the windows' parts (`WindowSizes`). options: `DirectOptions`. With several targets they are
    forecast jointly; a channel-independent model has one target and says which series it is by a static code.

    Source: segments and parallel decoding follow SegRNN, Lin et al. 2023, arXiv:2308.11200. Differences: covariates,
    missing flags and likelihoods; the channel's vector is mapped linearly into its half of q_j.
    """

    def __init__(self, sizes: WindowSizes, options: DirectOptions) -> None:
        super().__init__()
        self.sizes, self.options = sizes, options
        self.likelihood = make_likelihood(options.likelihood, options.quantiles, **options.likelihood_options)
        p, hidden = options.segment, options.hidden_size
        self.segments = math.ceil(options.horizon / p)
        self.covariates = covariates = Covariates(sizes)
        step_width = 2 * sizes.target + covariates.past_width + covariates.future_width
        self.embed = nn.Linear(p * step_width, hidden)
        in_encoder = options.static_inputs == "both"
        self.embed_static = linear_or_none(covariates.static_width if in_encoder else 0, hidden)
        self.encoder = make_encoder(hidden, options.encoder)
        context = covariates.static_width + p * covariates.future_width
        beside = hidden // 2 if context else 0
        self.position = nn.Parameter(torch.randn(self.segments, hidden - beside))
        self.embed_context = linear_or_none(context, beside)
        self.dropout = nn.Dropout(options.dropout)
        self.head = NumberHead(self.encoder.output_size, p * sizes.target, self.likelihood)

    def loss(self, batch: Window, state: None = None) -> tuple[Tensor, Tensor, None]:
        """Sum of the losses over known targets, number of terms, and no state: windows do not continue each other."""
        total, count = self.likelihood.loss(self._distribution(batch), batch.target, batch.target_mask)
        return total, count, None

    def predict(self, batch: Window, levels: Sequence[float] = (), *, samples: int = 200, seed: int = 0) -> Forecast:
        """Mean and quantiles at `levels`, dropout off, in closed form: `samples` and `seed` change nothing here.

        Raises OptionError for a level that the likelihood does not know.
        """
        with evaluating(self):
            parameters = self._distribution(batch)
            return Forecast(self.likelihood.mean(parameters), self.likelihood.quantiles(parameters, tuple(levels)))

    def _distribution(self, batch: Window) -> Tensor:
        check_window("DirectForecast", batch, self.options, self.sizes)
        frame = frame_window(batch, self.options, self.likelihood.counts)
        static = self.covariates.static(batch)
        past, missing = frame.inside(batch.past, batch.past_mask)
        raw = self._decode(batch, static, self._encode(batch, past, missing, static))
        return self.likelihood.parameters(raw, frame.level, frame.scale)

    def _encode(self, batch: Window, past: Tensor, missing: Tensor, static: Tensor) -> object:
        """The encoder's final state."""
        p = self.options.segment
        parts = [past, missing, self.covariates.past_only(batch), self.covariates.known_past(batch)]
        steps = torch.cat([part for part in parts if part.shape[-1]], -1)
        short = -steps.shape[1] % p
        if short:
            steps = pad(steps, (0, 0, short, 0))
            targets = self.sizes.target
            steps[:, :short, targets : 2 * targets] = 1
        vectors = self.embed(steps.reshape(steps.shape[0], steps.shape[1] // p, p * steps.shape[2]))
        if self.embed_static is not None:
            vectors = vectors + self.embed_static(static)[:, None]
        return self.encoder(relu(vectors))[1]

    def _decode(self, batch: Window, static: Tensor, state: object) -> Tensor:
        """raw (batch, horizon, targets, likelihood.width)."""
        rows, m, p = static.shape[0], self.segments, self.options.segment
        query = self.position.expand(rows, m, -1)
        if self.embed_context is not None:
            query = torch.cat([query, self._context(batch, static, self.embed_context.weight)], -1)
        each = torch.arange(rows, device=query.device).repeat_interleave(m)
        y = self._step(query.reshape(rows * m, -1), select_rows(state, each))
        raw = self.head.raw(self.dropout(y)).view(rows, m * p, self.sizes.target, self.likelihood.width)
        return raw[:, : self.options.horizon]

    def _step(self, x: Tensor, state: object) -> Tensor:
        if self.encoder.streamable:
            return self.encoder.step(x, state)[0]
        y: Tensor = self.encoder(x[:, None], state)[0]
        return y[:, 0]

    def _context(self, batch: Window, static: Tensor, weight: Tensor) -> Tensor:
        """What the decoder knows of each horizon segment beside its position: (batch, segments, hidden - position)."""
        rows, m, p = static.shape[0], self.segments, self.options.segment
        known = pad(self.covariates.known_future(batch), (0, 0, 0, m * p - self.options.horizon))
        # The static part is the same for every segment, so it is mapped once a row.
        fixed, moving = weight[:, : static.shape[1]], weight[:, static.shape[1] :]
        context = (static @ fixed.T)[:, None]
        if moving.shape[1]:
            context = context + known.reshape(rows, m, -1) @ moving.T
        return context.expand(rows, m, -1)
