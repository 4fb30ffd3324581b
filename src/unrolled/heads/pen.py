"""Where a pen goes next, and what it does there: a mixture of Gaussians over moves, and three states."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from unrolled.check import check_size
from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.heads.head import Head, marked
from unrolled.padding import zero_padding

__all__ = ["PenHead"]

STATES = 3
"""The pen stays down, leaves the paper, or has ended the drawing."""

TILT = 0.99
"""The largest correlation of dx and dy: what one says of the other leaves a seventh of its deviation at least."""

CLIMBS = 64
"""Rounds in which `best` climbs from each component's mean; each at least halves what is left where few overlap."""


class _Mixture(NamedTuple):
    """What is said of a move and of the pen after it. Logarithms of weights and of deviations (..., mixtures), means
    and deviations of dx and dy (..., 2, mixtures), correlations, log p of the states (..., STATES)."""

    weights: Tensor
    means: Tensor
    log_deviations: Tensor
    correlations: Tensor
    states: Tensor


class PenHead(Head):
    """A move of a pen, dx and dy, and what the pen does after it.

        w, m, s, r, q  = W y + b                                      of each component k; q of each state
        p(dx, dy)      = sum_k softmax(w)_k N((dx, dy); m_k, C_k)
        C_k            = [[s_x^2, r s_x s_y], [r s_x s_y, s_y^2]]     s = exp(s_k), r = TILT tanh(r_k)
                         + floor^2 [[1, 0], [0, 1]]
        p(state)       = softmax(q)
        loss           = -log p(dx, dy) - log p(state)                nats

    A value is (..., 3): dx, dy and the state, 0 while the pen stays down, 1 where it leaves the paper, 2 where the
    drawing ends. NaN where one of them is not known: the density is then that of the others. Moves and state are
    independent given y. Losses are counted by points of which anything is known. What is said of a pen that is down or
    up, and of no end, is in it too: `log_prob` with ends=False.

    input_size: features of y. mixtures: components. floor: the least deviation of a component in any direction, in the
        units of moves, as if each were known up to a normal error of it. A density can grow without bounds where moves
        are the same again and again, as those on a lattice are: the floor says how much of that counts. One of half
        the distance of neighbours on a lattice leaves at most 0.03 nats a point to be had from it.

    Source: Graves 2013, arXiv:1308.0850, eq. 15-25; three states: Ha and Eck 2017, arXiv:1704.03477. Differences: the
    floor, and a correlation that stays below 1.
    """

    def __init__(self, input_size: int, mixtures: int = 20, *, floor: float = 0.01) -> None:
        super().__init__()
        self.input_size = check_size("PenHead", "input_size", input_size)
        self.mixtures = check_size("PenHead", "mixtures", mixtures)
        if isinstance(floor, bool) or not 0 < floor < math.inf:
            raise OptionError(f"PenHead: floor must be a positive number, got {floor!r}; give the least deviation.")
        self.floor = float(floor)
        # Its weights stand under the names and start as those of a linear layer.
        plain = nn.Linear(input_size, 6 * mixtures + STATES)
        self.weight, self.bias = plain.weight, plain.bias

    def forward(self, y: Tensor) -> Tensor:
        """All that it says, before the exponentials: (..., 6 mixtures + 3)."""
        return linear(y, self.weight, self.bias)

    def loss(self, y: Tensor, target: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        given = self._known(y, target, lengths).isfinite().any(-1)
        return -self.log_prob(y, target, lengths).sum(), given.sum()

    def best(self, y: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The likeliest state and the likeliest move that climbing from the mean of every component finds."""
        said = self._mixture(zero_padding(y, lengths))
        moves = _peak(said)
        return marked(torch.cat([moves, _code(said.states.argmax(-1), moves)], -1), lengths, torch.nan)

    def draw(self, y: Tensor, generator: torch.Generator | None = None, lengths: Tensor | None = None) -> Tensor:
        return marked(self.choose(zero_padding(y, lengths), generator), lengths, torch.nan)

    def choose(self, y: Tensor, generator: torch.Generator | None = None, *, temperature: float = 1.0) -> Tensor:
        """A move and a state drawn at each place: y (..., input_size) -> (..., 3).

        temperature: below 1 for a hand that is surer of itself: logits of components and states are divided by it, and
            variances multiplied; 0 is `best`. Source: Ha and Eck 2017, eq. 8.
        """
        if isinstance(temperature, bool) or not 0 <= temperature < math.inf:
            raise OptionError(
                f"choose: temperature must be a number of at least 0, got {temperature!r}; 1 is as learned."
            )
        if not temperature:
            return self.best(y)
        said = self._mixture(y)
        component = _drawn(said.weights / temperature, generator)[..., None]
        mean, log_deviation = (
            part.gather(-1, component[..., None, :].expand(*part.shape[:-1], 1))[..., 0]
            for part in (said.means, said.log_deviations)
        )
        r = said.correlations.gather(-1, component)[..., 0]
        noise = _normal(mean, generator) * math.sqrt(temperature)
        across = torch.stack([noise[..., 0], r * noise[..., 0] + (1 - r * r).sqrt() * noise[..., 1]], -1)
        moves = mean + log_deviation.exp() * across
        return torch.cat([moves, _code(_drawn(said.states / temperature, generator), moves)], -1)

    def log_prob(self, y: Tensor, value: Tensor, lengths: Tensor | None = None, *, ends: bool = True) -> Tensor:
        """log density of the move plus log p of the state of each place, of what is known of them: (...).

        ends: False to take states 1 and 2 for one, a pen that leaves the paper, as where drawings have two states.
        """
        values = self._known(y, value, lengths)
        known = values.isfinite()
        said = self._mixture(zero_padding(y, lengths))
        values = torch.where(known, values, 0).to(said.means.dtype)
        states, codes = said.states, values[..., 2:].long()
        if not ends:
            states = torch.stack([states[..., 0], states[..., 1:].logsumexp(-1)], -1)
            codes = codes.clamp(max=1)
        moved = (said.weights + _log_densities(said, values[..., :2], known[..., :2])).logsumexp(-1)
        state = states.gather(-1, codes)[..., 0]
        return torch.where(known[..., :2].any(-1), moved, 0) + torch.where(known[..., 2], state, 0)

    def _mixture(self, y: Tensor) -> _Mixture:
        # What follows sums exponentials, which half precision would lose.
        raw = linear(y, self.weight, self.bias)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))
        shapes, states = raw[..., :-STATES], raw[..., -STATES:]
        weights, dx, dy, sx, sy, r = shapes.reshape(*y.shape[:-1], 6, self.mixtures).unbind(-2)
        own = torch.stack([sx, sy], -2)
        log_deviations = (2 * own).logaddexp(raw.new_tensor(2 * math.log(self.floor))) / 2
        # The floor's part of a deviation is not correlated.
        r = TILT * r.tanh() * (own - log_deviations).sum(-2).exp()
        return _Mixture(weights.log_softmax(-1), torch.stack([dx, dy], -2), log_deviations, r, states.log_softmax(-1))

    def _known(self, y: Tensor, values: Tensor, lengths: Tensor | None) -> Tensor:
        """The values with NaN in the padding. Raises `ShapeError`, and `DataError` for what is no state.

        Values are looked at on the CPU alone, where that costs no wait.
        """
        if values.shape != (*y.shape[:-1], 3):
            raise ShapeError(
                f"PenHead: expected values {(*y.shape[:-1], 3)}, dx, dy and the state of each point, got "
                f"{tuple(values.shape)}; give NaN where one is not known."
            )
        values = marked(values, lengths, torch.nan)
        if values.device.type == "cpu" and not torch.compiler.is_compiling():
            states = values[..., 2]
            strange = ~(states.isnan() | (states == 0) | (states == 1) | (states == 2))
            if bool(strange.any()):
                raise DataError(
                    "PenHead: a state is 0 (the pen stays down), 1 (it leaves the paper), 2 (the drawing ends) or NaN "
                    f"(not known), got {float(states[strange][0])}; correct it."
                )
        return values

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.mixtures}, floor={self.floor}"


def _log_densities(said: _Mixture, moves: Tensor, known: Tensor) -> Tensor:
    """log density of moves (..., 2) under each component, of the coordinates that are known: (..., mixtures)."""
    a, b = ((moves[..., None] - said.means) * (-said.log_deviations).exp()).unbind(-2)
    first, second = known[..., None].unbind(-2)
    # dy given dx, where that is known.
    r = torch.where(first, said.correlations, 0)
    rest = 1 - r * r
    log_x, log_y = said.log_deviations.unbind(-2)
    half = math.log(2 * math.pi) / 2
    of_x = -a * a / 2 - log_x - half
    of_y = -((b - r * a) ** 2) / (2 * rest) - log_y - rest.log() / 2 - half
    return torch.where(first, of_x, 0) + torch.where(second, of_y, 0)


def _peak(said: _Mixture) -> Tensor:
    """The likeliest of the moves to which climbing from each component's mean leads: (..., 2).

    A step goes to the mean of the components' own means, each weighed by its share of the density and its precision: no
    step ever falls. Source: Carreira-Perpinan 2000, "Mode-finding for mixtures of Gaussian distributions", section 4.
    """
    with torch.no_grad():
        moves = said.means.transpose(-1, -2)
        every = _Mixture(*(part[..., None, :] for part in said[:1]), *(part.unsqueeze(-3) for part in said[1:3]),
                         *(part[..., None, :] for part in said[3:]))  # fmt: skip
        known = torch.ones_like(moves, dtype=torch.bool)
        for _ in range(CLIMBS):
            moves = _climbed(every, moves, known)
        heights = (every.weights + _log_densities(every, moves, known)).logsumexp(-1)
        highest = heights.argmax(-1)[..., None, None]
        return moves.gather(-2, highest.expand(*moves.shape[:-2], 1, 2))[..., 0, :]


def _climbed(said: _Mixture, moves: Tensor, known: Tensor) -> Tensor:
    """moves (..., starts, 2), each one step higher."""
    shares = (said.weights + _log_densities(said, moves, known)).softmax(-1)
    r, inverse = said.correlations, (-said.log_deviations).exp()
    px, py = (inverse * inverse / (1 - r * r)[..., None, :]).unbind(-2)
    pxy = -r * inverse.prod(-2) / (1 - r * r)
    mx, my = said.means.unbind(-2)
    # The sum of precisions, and of precisions times means; the floor keeps both finite.
    top = (shares * px).sum(-1), (shares * pxy).sum(-1), (shares * py).sum(-1)
    right = (shares * (px * mx + pxy * my)).sum(-1), (shares * (pxy * mx + py * my)).sum(-1)
    size = top[0] * top[2] - top[1] * top[1]
    x = (top[2] * right[0] - top[1] * right[1]) / size
    y = (top[0] * right[1] - top[1] * right[0]) / size
    stepped = torch.stack([x, y], -1)
    # Where all precisions vanish, a start is as good as any other move.
    return torch.where(stepped.isfinite(), stepped, moves)


def _drawn(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """A code drawn at each place of logits (..., codes): (...)."""
    flat = logits.softmax(-1).flatten(0, -2)
    return torch.multinomial(flat, 1, generator=generator).view(logits.shape[:-1])


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


def _code(codes: Tensor, like: Tensor) -> Tensor:
    return codes[..., None].to(like.dtype)
