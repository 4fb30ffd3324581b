"""Whether draws come as often as their probabilities say: bounds that hold for every distribution."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["SURE", "require_frequencies", "require_spread"]

Require: TypeAlias = Callable[[bool, str], None]

SURE = 20.0
"""What is right breaks one bound on its draws with probability exp(-20), 2e-9; that they are seeded makes it never."""

FEWEST = 5
"""Values that are expected less often than this are counted together, so that a chi-square holds."""


def require_spread(require: Require, found: Tensor, counts: Tensor, log_p: Tensor, draws: int) -> None:
    """Distinct numbers in rising order, how often each came, and their log densities."""
    # The mass between neighbouring draws by the trapezoid rule; that beyond the outermost is some 1 / draws a side.
    mass = (log_p.exp()[1:] + log_p.exp()[:-1]) / 2 * found.diff()
    shares = counts.cumsum(0)[1:] / draws
    gap = float((mass.cumsum(0) - shares).abs().max())
    # Dvoretzky, Kiefer and Wolfowitz, with the constant of Massart 1990.
    limit = math.sqrt((SURE + math.log(2)) / (2 * draws)) + 2 * SURE / draws
    require(gap <= limit, f"draws are spread {gap:.3f} off what log_prob says, chance explains {limit:.3f}")


def require_frequencies(require: Require, counts: Tensor, log_p: Tensor, draws: int) -> None:
    """counts, log p of all distinct values that came; what came never or seldom is counted together."""
    expected = draws * log_p.exp()
    common = expected >= FEWEST
    seen = torch.cat([counts[common].double(), counts[~common].sum()[None].double()])
    wanted = torch.cat([expected[common], (draws - expected[common].sum())[None]])
    require(bool(wanted[-1] >= -1e-6 * draws), f"the probabilities of values sum to {1 - wanted[-1] / draws:.6f}")
    if wanted[-1] < FEWEST:
        require(bool(seen[-1] <= FEWEST + 4 * SURE), "values come that log_prob holds to be all but impossible")
        seen, wanted = seen[:-1], wanted[:-1]
    statistic, freedom = float(((seen - wanted).square() / wanted).sum()), max(1, len(seen) - 1)
    # Laurent and Massart 2000, lemma 1.
    limit = freedom + 2 * math.sqrt(freedom * SURE) + 2 * SURE
    require(
        statistic <= limit, f"the chi-square of draws against log_prob is {statistic:.0f}, chance explains {limit:.0f}"
    )
