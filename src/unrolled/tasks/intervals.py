"""Numbers with intervals: how they are told, and how far intervals must be widened to hold what they promise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator

from unrolled.align.pool import PoolOptions
from unrolled.heads.number.likelihood import SMALLEST_DEVIATION, Likelihood, Point, make_likelihood
from unrolled.nn.build import Rate
from unrolled.options import Options
from unrolled.score.conformal import conformal_quantile, rows_needed

__all__ = ["Intervals", "NumberOptions", "learned_intervals", "regressor_tags", "widened", "stretches"]

Array = NDArray[np.float64]


class NumberOptions(Options):
    """How a number is told.

    pooling, head_dropout: as in `PoolOptions`; None: chosen by what comes. likelihood: "gaussian" and "student-t" learn
    a distribution, "quantile" the ends of the intervals, "point" the mean alone. levels: of the intervals, in percent.
    """

    pooling: Literal["last", "mean", "max", "attention"] | None = Field(
        default=None, description="How the steps of an input become one vector."
    )
    head_dropout: Rate | None = Field(default=None, description="Dropout before the output.")
    likelihood: Literal["gaussian", "student-t", "quantile", "point"] = Field(
        default="gaussian", description="What is learned of a number: a distribution, its quantiles, or its mean alone."
    )
    levels: tuple[float, ...] = Field(default=(80.0, 95.0), description="Levels of the intervals, in percent.")

    @field_validator("levels")
    @classmethod
    def _percent(cls, levels: tuple[float, ...]) -> tuple[float, ...]:
        wrong = [level for level in levels if not 0 < level < 100]
        if wrong or len(set(levels)) < len(levels):
            raise ValueError(
                f"levels are percents between 0 and 100, each once, got {wrong[0] if wrong else 'one twice'}; use 80,95"
            )
        return levels

    @property
    def shares(self) -> tuple[float, ...]:
        """The levels as parts of one."""
        return tuple(level / 100 for level in self.levels)

    def settled(self, dropout: float) -> PoolOptions:
        """The options of the alignment, everything decided; dropout: where none was asked for."""
        return PoolOptions(
            pooling=self.pooling or "mean", dropout=dropout if self.head_dropout is None else self.head_dropout
        )

    def make(self) -> Likelihood:
        """What is learned of a number."""
        ends = sorted({0.5, *(0.5 + side * share / 2 for share in self.shares for side in (-1, 1))})
        if self.likelihood == "point":
            return make_likelihood("point", loss="mse")
        return make_likelihood(self.likelihood, ends if self.likelihood == "quantile" else (0.5,))

    @property
    def rows_needed(self) -> int:
        """The fewest rows held out by which every level can be promised."""
        return max(map(rows_needed, self.shares), default=0)


class Intervals(NamedTuple):
    """The number to name, (N, V), and how far each interval reaches below and above it, (N, V, L); scaled numbers."""

    middle: Array
    below: Array
    above: Array


def learned_intervals(likelihood: Likelihood, parameters: NDArray[np.floating], shares: Sequence[float]) -> Intervals:
    """The intervals as they were learned. parameters: (N, V, width). A point says of none how wide it is: all are 1."""
    numbers = torch.from_numpy(np.asarray(parameters, np.float64))
    middle = likelihood.mean(numbers).numpy()
    if isinstance(likelihood, Point) or not shares:
        ones = np.ones((*middle.shape, len(shares)))
        return Intervals(middle, ones, ones)
    lower, upper = (
        likelihood.quantiles(numbers, [0.5 + side * share / 2 for share in shares]).numpy() for side in (-1, 1)
    )
    # An interval of no width can be widened to none.
    below = np.maximum(middle[..., None] - lower, SMALLEST_DEVIATION)
    return Intervals(middle, below, np.maximum(upper - middle[..., None], SMALLEST_DEVIATION))


def stretches(likelihood: Likelihood, intervals: Intervals, target: Array, shares: Sequence[float]) -> Array:
    """By how much each interval is to be widened so that it holds its share of further rows: (L, V).

    target: (N, V), scaled, of rows that were not learned from. Where they are too few for a share, it is what holds all
    of them, and at least 1 where a width was learned.
    """
    off = target[..., None] - intervals.middle[..., None]
    distances = np.maximum(-off / intervals.below, off / intervals.above)
    least = 0.0 if isinstance(likelihood, Point) else 1.0
    found = []
    for i, share in enumerate(shares):
        needed = conformal_quantile(distances[..., i], share)
        found.append(np.where(np.isinf(needed), np.maximum(distances[..., i].max(0), least), needed))
    return np.array(found).reshape(len(shares), target.shape[1])


def widened(intervals: Intervals, stretch: Array, shares: Sequence[float]) -> tuple[Array, Array]:
    """The lower and the upper ends (N, V, L) of intervals made wider; a wider level holds the narrower ones."""
    lower = intervals.middle[..., None] - intervals.below * stretch.T
    upper = intervals.middle[..., None] + intervals.above * stretch.T
    order = np.argsort(shares)
    lower[..., order] = np.minimum.accumulate(lower[..., order], -1)
    upper[..., order] = np.maximum.accumulate(upper[..., order], -1)
    return lower, upper


def regressor_tags() -> object:
    """What scikit-learn is told of a regressor of texts, series or sounds."""
    from sklearn.utils import InputTags, RegressorTags, Tags, TargetTags

    return Tags(
        estimator_type="regressor",
        target_tags=TargetTags(required=True, multi_output=True),
        regressor_tags=RegressorTags(),
        input_tags=InputTags(string=True, three_d_array=True, two_d_array=True, allow_nan=True),
    )
