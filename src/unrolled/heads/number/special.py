"""Quantile functions that torch lacks: Student's t by level, and the negative binomial element by element."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["beta_cdf", "exact", "negative_binomial_quantile", "student_t_quantile"]

# Degree of the interpolation in 2 / df: log-quantiles are so smooth there that 32 leaves an error below 1e-8.
DEGREE = 32
# Elements of one bisection, so that the two dozen temporaries stay in the cache.
BLOCK = 32768
# Terms of the continued fraction: it needs a few times the square root of the larger shape parameter.
MOST_TERMS = 4000
# P(X <= k) may equal the level exactly (0.5 at mean 1, dispersion 1) and must then count as reached.
ROUNDING = 1e-12
# Counts beyond this are no longer told apart by a bisection in float64.
LARGEST_COUNT = 2.0**52


def exact(values: Tensor) -> Tensor:
    """The values in float64 where the device has it: log-gamma terms of several thousand cancel in a likelihood."""
    return values if values.device.type == "mps" else values.double()


def student_t_quantile(df: Tensor, level: float) -> Tensor:
    """The quantile of Student's t at one `level` in (0, 1) for every df >= 2; relative error below 1e-6.

    log of the quantile is interpolated by a Chebyshev polynomial in 2 / df, through nodes solved by quadrature.
    """
    if level == 0.5:
        return torch.zeros_like(df)
    sign = 1.0 if level > 0.5 else -1.0
    coefficients = _log_quantile_series(max(level, 1 - level))
    x = 4 / df - 1
    later, latest = torch.zeros_like(x), torch.zeros_like(x)
    for coefficient in reversed(coefficients[1:]):
        later, latest = 2 * x * later - latest + coefficient, later
    return sign * torch.exp(x * later - latest + coefficients[0])


def beta_cdf(a: Tensor, b: Tensor, x: Tensor, rest: Tensor) -> Tensor:
    """The regularised incomplete beta function I_x(a, b); float64 throughout. rest: 1 - x, given to keep its digits.

    Continued fraction of Lentz's kind (DLMF 8.17.22), on the side of the mean where it converges fast.
    """
    swap = x > (a + 1) / (a + b + 2)
    first, second = torch.where(swap, b, a), torch.where(swap, a, b)
    point, other = torch.where(swap, rest, x), torch.where(swap, x, rest)
    log_front = torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b) + first * point.log() + second * other.log()
    tail = torch.exp(log_front) * _fraction(first, second, point) / first
    return torch.where(swap, 1 - tail, tail).clamp(0, 1)


def negative_binomial_quantile(level: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """The smallest count k with P(X <= k) >= level, element by element; the variance is mean + dispersion * mean^2.

    level, mean, dispersion: tensors of one shape; level in (0, 1). Returns whole numbers in the dtype of `mean`.
    """
    flat = torch.stack([exact(level), exact(mean), exact(dispersion)]).view(3, -1)
    counts = [_bisect_counts(*flat[:, at : at + BLOCK].unbind()) for at in range(0, flat.shape[1], BLOCK)]
    return torch.cat(counts).view(mean.shape).to(mean.dtype) if counts else torch.zeros_like(mean)


def _bisect_counts(level: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    shape = 1 / dispersion
    success, failure = shape / (shape + mean), mean / (shape + mean)
    deviation = (mean + dispersion * mean**2).sqrt()
    # One-sided Chebyshev (Cantelli) bounds hold for every distribution.
    low = (mean - deviation * ((1 - level) / level).sqrt()).floor().clamp(min=0) - 1
    high = (mean + deviation * (level / (1 - level)).sqrt()).ceil().clamp(max=LARGEST_COUNT)
    while bool((high - low > 1).any()):
        middle = ((low + high) / 2).floor()
        enough = beta_cdf(shape, middle.clamp(min=0) + 1, success, failure) >= level * (1 - ROUNDING)
        enough &= middle >= 0
        # An interval of width 1 is final: its middle is `low`, which is known not to be enough.
        high, low = torch.where(enough, middle, high), torch.where(enough, low, middle)
    return high


def _fraction(a: Tensor, b: Tensor, x: Tensor) -> Tensor:
    tiny = 1e-300
    c = torch.ones_like(x)
    d = 1 / _away_from_zero(1 - (a + b) * x / (a + 1), tiny)
    value = d
    for m in range(1, MOST_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / _away_from_zero(1 + even * d, tiny)
        c = _away_from_zero(1 + even / c, tiny)
        value = value * d * c
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _away_from_zero(1 + odd * d, tiny)
        c = _away_from_zero(1 + odd / c, tiny)
        change = d * c
        value = value * change
        if m % 4 == 0 and bool(((change - 1).abs() < 1e-12).all()):
            break
    return value


def _away_from_zero(values: Tensor, tiny: float) -> Tensor:
    return torch.where(values.abs() < tiny, tiny, values)


@lru_cache(maxsize=256)
def _log_quantile_series(level: float) -> tuple[float, ...]:
    """Chebyshev coefficients in x = 4 / df - 1 of log quantile at `level` > 0.5, for df in [2, infinity)."""
    nodes = np.polynomial.chebyshev.chebpts1(DEGREE + 1)
    values = np.log(_solve_student_t(4 / (nodes + 1), level))
    return tuple(float(c) for c in np.polynomial.chebyshev.chebfit(nodes, values, DEGREE))


def _solve_student_t(df: NDArray[np.float64], level: float) -> NDArray[np.float64]:
    """Newton from the normal quantile: it lies left of the root and the CDF is concave there, so no step overshoots."""
    log_front = np.array([math.lgamma((v + 1) / 2) - math.lgamma(v / 2) - 0.5 * math.log(math.pi) for v in df])
    points, weights = np.polynomial.legendre.leggauss(64)
    quantile = np.full_like(df, NormalDist().inv_cdf(level))
    for _ in range(100):
        # P(0 < T < t) is the integral of cos(angle)^(df - 1) up to arctan(t / sqrt(df)).
        angle = np.arctan(quantile / np.sqrt(df))
        grid = angle[:, None] * (points + 1) / 2
        area = np.exp(log_front) * (np.cos(grid) ** (df[:, None] - 1) @ weights) * angle / 2
        density = np.exp(log_front - (df + 1) / 2 * np.log1p(quantile**2 / df)) / np.sqrt(df)
        step = (level - 0.5 - area) / density
        quantile = quantile + step
        if bool((np.abs(step) < 1e-13 * quantile).all()):
            break
    return quantile
