"""What a head says about one value: a point, a set of quantiles, or a distribution.

A head gives `width` raw numbers a value. `parameters` turns them into constrained numbers in the space of the target
(a positive deviation, rising quantiles); loss, quantiles, mean and draws are functions of those.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import huber_loss, softplus

from unrolled.check import check_choice
from unrolled.errors import DataError, OptionError, listed, suggest
from unrolled.heads.number.special import exact, negative_binomial_quantile, student_t_quantile
from unrolled.score.forecast import check_levels

__all__ = [
    "LIKELIHOODS",
    "Gaussian",
    "Likelihood",
    "NegativeBinomial",
    "Point",
    "Quantile",
    "StudentT",
    "make_likelihood",
]

# A predicted deviation stays above this part of the scale, so that a series learned perfectly has a finite density.
SMALLEST_DEVIATION = 1e-3
SMALLEST_DISPERSION = 1e-4
SMALLEST_MEAN = 1e-6
SAME_LEVEL = 1e-9


class Likelihood(ABC):
    """One way to describe a value. Values and masks are (...), raw numbers and parameters (..., width).

    `level` and `scale` (broadcastable to the values) say where the window stood before the net saw it: a net's location
    m becomes level + scale * m and its deviation s becomes scale * s. None means 0 and 1.
    """

    name: ClassVar[str]
    noise: ClassVar[int] = 0
    """Uniform numbers that one draw uses; 0 where the likelihood has no draws."""
    counts: ClassVar[bool] = False
    """True where targets are counts: given as they are, with the window's scale inside the net and no level removed."""
    width: int

    @abstractmethod
    def parameters(self, raw: Tensor, level: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        """Raw numbers of the head -> parameters in the space of the target."""

    def loss(self, parameters: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(sum of the losses where mask is not 0, number of terms): what stands under mask 0 reaches nothing."""
        known = mask > 0
        # Replaced before the arithmetic: where() alone would still let NaN through into the gradient.
        terms = self.terms(parameters, torch.where(known, target, 0))
        terms_per_value = terms.shape[-1] if terms.ndim > target.ndim else 1
        wide = known if terms.ndim == target.ndim else known[..., None]
        return torch.where(wide, terms, 0).sum().to(target.dtype), known.sum().to(target.dtype) * terms_per_value

    @abstractmethod
    def terms(self, parameters: Tensor, target: Tensor) -> Tensor:
        """The loss of each value, (...) or (..., several); target is finite."""

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """The value to name when only one may be named: (...)."""

    @abstractmethod
    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        """(..., levels). Raises OptionError for a level that this likelihood does not know."""

    def sample(self, parameters: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """One draw a value: (...). Raises OptionError where the likelihood has no draws."""
        uniform = parameters.new_empty(*parameters.shape[:-1], max(1, self.noise)).uniform_(generator=generator)
        return self.draw(parameters, uniform)

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """One draw a value as a function of uniform numbers (..., noise) in [0, 1)."""
        able = [name for name, kind in LIKELIHOODS.items() if kind.noise]
        raise OptionError(f"likelihood {self.name!r} has no samples; those that have: {listed(able)}.")


class Point(Likelihood):
    """One number a value: loss "l1" (the median), "mse" (the mean) or "huber" (quadratic up to `delta`)."""

    name = "point"
    width = 1

    def __init__(self, quantiles: Sequence[float] = (0.5,), *, loss: str = "l1", delta: float = 1.0) -> None:
        self.kind = check_choice("likelihood 'point'", "loss", loss, ("l1", "mse", "huber"))
        self.delta = _positive("likelihood 'point'", "delta", delta)
        self._check_only_median(quantiles)

    def parameters(self, raw: Tensor, level: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        return _place(raw[..., 0], level, scale)[..., None]

    def terms(self, parameters: Tensor, target: Tensor) -> Tensor:
        error = parameters[..., 0] - target
        if self.kind == "l1":
            return error.abs()
        if self.kind == "mse":
            return error.square()
        return huber_loss(error, torch.zeros_like(error), reduction="none", delta=self.delta)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        self._check_only_median(levels)
        return parameters.expand(*parameters.shape[:-1], len(levels))

    @staticmethod
    def _check_only_median(levels: Sequence[float]) -> None:
        other = [level for level in check_levels(levels) if abs(level - 0.5) > SAME_LEVEL]
        if other:
            raise OptionError(
                f"likelihood 'point' knows no quantile but 0.5, got {listed(other)}; "
                "choose likelihood 'quantile' or a distribution for bands."
            )


class Quantile(Likelihood):
    """The quantiles at the trained levels, learned by the pinball loss; they never cross.

    The trained level nearest to 0.5 is a free number, the others add positive gaps (softplus) outwards from it. Levels
    between trained ones are interpolated linearly, levels beyond them refused. `mean` is the median.
    The loss is 2 max(q e, (q - 1) e) a level, so that with the level 0.5 alone it is the absolute error.
    """

    name = "quantile"

    def __init__(self, quantiles: Sequence[float]) -> None:
        self.levels = check_levels(quantiles)
        if list(self.levels) != sorted(set(self.levels)) or not self.levels:
            raise OptionError(f"likelihood 'quantile': quantiles must rise and not repeat, got {list(quantiles)}.")
        if not self.levels[0] <= 0.5 <= self.levels[-1]:
            raise OptionError(
                f"likelihood 'quantile': quantiles must lie on both sides of 0.5, got {list(quantiles)}; add 0.5."
            )
        self.width = len(self.levels)
        self.centre = min(range(self.width), key=lambda i: abs(self.levels[i] - 0.5))

    def parameters(self, raw: Tensor, level: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        centre = raw[..., self.centre : self.centre + 1]
        below = softplus(raw[..., : self.centre]).flip(-1).cumsum(-1).flip(-1)
        above = softplus(raw[..., self.centre + 1 :]).cumsum(-1)
        rising = torch.cat([centre - below, centre, centre + above], -1)
        return _place(rising, None if level is None else level[..., None], None if scale is None else scale[..., None])

    def terms(self, parameters: Tensor, target: Tensor) -> Tensor:
        error = target[..., None] - parameters
        levels = error.new_tensor(self.levels)
        return 2 * torch.maximum(levels * error, (levels - 1) * error)

    def mean(self, parameters: Tensor) -> Tensor:
        return self.quantiles(parameters, (0.5,))[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        return (
            parameters
            @ parameters.new_tensor([self._weights(level) for level in check_levels(levels)]).view(-1, self.width).T
        )

    def _weights(self, level: float) -> list[float]:
        if not self.levels[0] - SAME_LEVEL <= level <= self.levels[-1] + SAME_LEVEL:
            raise OptionError(
                f"likelihood 'quantile' was trained for levels {self.levels[0]} to {self.levels[-1]}, got {level}; "
                "train with that level among the quantiles, or choose a distribution."
            )
        weights = [0.0] * self.width
        right = next((i for i, known in enumerate(self.levels) if known >= level - SAME_LEVEL), self.width - 1)
        if right == 0 or abs(self.levels[right] - level) <= SAME_LEVEL:
            weights[right] = 1.0
            return weights
        low, high = self.levels[right - 1], self.levels[right]
        weights[right - 1], weights[right] = (high - level) / (high - low), (level - low) / (high - low)
        return weights


class Gaussian(Likelihood):
    """A normal distribution: parameters mean and deviation; the loss is its negative log density in nats."""

    name = "gaussian"
    width = 2
    noise = 1

    def __init__(self, quantiles: Sequence[float] = ()) -> None:
        check_levels(quantiles)

    def parameters(self, raw: Tensor, level: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        deviation = softplus(raw[..., 1]) + SMALLEST_DEVIATION
        return torch.stack([_place(raw[..., 0], level, scale), _place(deviation, None, scale)], -1)

    def terms(self, parameters: Tensor, target: Tensor) -> Tensor:
        mean, deviation = parameters.unbind(-1)
        return deviation.log() + 0.5 * ((target - mean) / deviation).square() + 0.5 * math.log(2 * math.pi)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        standard = parameters.new_tensor([NormalDist().inv_cdf(level) for level in check_levels(levels)])
        return parameters[..., :1] + parameters[..., 1:] * standard

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        standard: Tensor = torch.special.ndtri(_open(uniform[..., 0]))
        return parameters[..., 0] + parameters[..., 1] * standard


class StudentT(Likelihood):
    """Student's t: parameters location, scale and degrees of freedom, above 2 so that the variance exists."""

    name = "student-t"
    width = 3
    noise = 2

    def __init__(self, quantiles: Sequence[float] = ()) -> None:
        check_levels(quantiles)

    def parameters(self, raw: Tensor, level: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        spread = softplus(raw[..., 1]) + SMALLEST_DEVIATION
        df = 2 + SMALLEST_DEVIATION + softplus(raw[..., 2])
        return torch.stack([_place(raw[..., 0], level, scale), _place(spread, None, scale), df], -1)

    def terms(self, parameters: Tensor, target: Tensor) -> Tensor:
        location, spread, df = exact(parameters).unbind(-1)
        z = (target - location) / spread
        front = torch.lgamma(df / 2) - torch.lgamma((df + 1) / 2) + 0.5 * torch.log(math.pi * df)
        return front + spread.log() + (df + 1) / 2 * torch.log1p(z.square() / df)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        location, spread, df = exact(parameters).unbind(-1)
        found = [location + spread * student_t_quantile(df, level) for level in check_levels(levels)]
        return torch.stack(found, -1).to(parameters.dtype) if found else parameters[..., :0]

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Polar method (Bailey 1994, Mathematics of Computation 62): exact, and smooth in the parameters."""
        location, spread, df = exact(parameters).unbind(-1)
        radius, angle = exact(_open(uniform)).unbind(-1)
        z = (df * torch.expm1(-2 / df * radius.log())).sqrt() * torch.cos(2 * math.pi * angle)
        return (location + spread * z).to(parameters.dtype)


class NegativeBinomial(Likelihood):
    """Counts: parameters mean m and dispersion a, with variance m + a m^2 (total count 1 / a).

    Targets are whole numbers from 0, not scaled; the net's mean is scale * softplus(raw).
    """

    name = "negative-binomial"
    width = 2
    noise = 1
    counts = True

    def __init__(self, quantiles: Sequence[float] = ()) -> None:
        check_levels(quantiles)

    def parameters(self, raw: Tensor, level: Tensor | None = None, scale: Tensor | None = None) -> Tensor:
        mean = _place(softplus(raw[..., 0]) + SMALLEST_MEAN, None, scale)
        return torch.stack([mean, softplus(raw[..., 1]) + SMALLEST_DISPERSION], -1)

    def terms(self, parameters: Tensor, target: Tensor) -> Tensor:
        _check_counts(target)
        mean, dispersion = exact(parameters).unbind(-1)
        k, r = exact(target), 1 / dispersion
        odds = dispersion * mean
        ways = torch.lgamma(k + r) - torch.lgamma(r) - torch.lgamma(k + 1)
        return -ways + (r + k) * torch.log1p(odds) - k * odds.log()

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters[..., 0]

    def quantiles(self, parameters: Tensor, levels: Sequence[float]) -> Tensor:
        mean, dispersion = parameters.unbind(-1)
        found = [
            negative_binomial_quantile(torch.full_like(mean, level, dtype=exact(mean).dtype), mean, dispersion)
            for level in check_levels(levels)
        ]
        return torch.stack(found, -1) if found else parameters[..., :0]

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        mean, dispersion = parameters.unbind(-1)
        return negative_binomial_quantile(_open(uniform[..., 0]), mean, dispersion)


LIKELIHOODS: dict[str, type[Likelihood]] = {
    kind.name: kind for kind in (Point, Quantile, Gaussian, StudentT, NegativeBinomial)
}


def make_likelihood(name: str, quantiles: Sequence[float] = (0.5,), **options: object) -> Likelihood:
    """A likelihood by its name in `LIKELIHOODS`. quantiles: the levels to learn ("quantile") or to check (all others).

    options go to its constructor. Raises OptionError for an unknown name or option, or a level it does not know.
    """
    kind: Callable[..., Likelihood] = LIKELIHOODS[check_choice("forecast", "likelihood", name, LIKELIHOODS)]
    known = [option for option in inspect.signature(kind).parameters if option != "quantiles"]
    for option in options:
        if option not in known:
            has = f"it has {listed(known)}" if known else "it has none"
            raise OptionError(f"likelihood {name!r}: option {option!r} is unknown; {has}.{suggest(option, known)}")
    likelihood: Likelihood = kind(tuple(quantiles), **options)
    return likelihood


def _place(values: Tensor, level: Tensor | None, scale: Tensor | None) -> Tensor:
    scaled = values if scale is None else values * scale
    return scaled if level is None else scaled + level


def _open(uniform: Tensor) -> Tensor:
    """Uniform numbers kept off 0 and 1, where a quantile is infinite."""
    margin = torch.finfo(uniform.dtype).eps / 2
    return uniform.clamp(margin, 1 - margin)


def _positive(owner: str, name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise OptionError(f"{owner}: {name} must be a positive number, got {value!r}.")
    return float(value)


def _check_counts(target: Tensor) -> None:
    if target.device.type != "cpu" or torch.compiler.is_compiling():
        return
    wrong = (target < 0) | (target != target.round())
    if bool(wrong.any()):
        raise DataError(
            f"likelihood 'negative-binomial': targets must be counts 0, 1, 2, ..., got {target[wrong][0].item():g}; "
            "choose 'student-t' or 'gaussian' for other numbers, and scaling 'none' for counts."
        )
