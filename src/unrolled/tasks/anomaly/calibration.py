"""From how surprising rows are to how rare that is: by the recent past, by shares of earlier rows, or by records."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Conformal", "RecordTail", "RunningTail", "quieted", "tail"]

Array = NDArray[np.float64]

# The highest part of the earlier rows, behind which the share of rows falls exponentially.
TOP = 0.02
# Where erfc would underflow, its asymptotic series serves.
FAR = 5.0
# A deviation that is no more than rounding says nothing: it is taken for this part of what it deviates from.
ROUNDING = 1e-6
# Nats, or deviations, by which records are at least told apart.
LEAST_EXCESS = 0.1


def tail(z: Array) -> Array:
    """-log10 of the chance that a standard normal number is z or more, exact to 1e-3 where z is beyond 5."""
    near = np.array([math.erfc(value / math.sqrt(2)) / 2 for value in np.minimum(z, FAR)])
    large = np.maximum(z, FAR)
    far = (large**2 / 2 + np.log(large * math.sqrt(2 * math.pi)) + np.log1p(1 / large**2)) / math.log(10)
    return np.where(z > FAR, far, -np.log10(near))


def quieted(scores: Array, quiet: int, before: Array) -> Array:
    """The scores that are higher than all the `quiet` ones before them, 0 elsewhere; before: the ones before these."""
    if not quiet:
        return scores
    whole = np.concatenate([np.full(quiet, -np.inf), before, scores])[-quiet - len(scores) :]
    highest = np.lib.stride_tricks.sliding_window_view(whole, quiet)[: len(scores)].max(1)
    return np.where(scores > highest, scores, 0.0)


@dataclass(frozen=True)
class RunningTail:
    """How far the mean of the last rows stands above such means of the past.

        s     = surprise, cut to -cap .. cap
        m_t   = mean of the last `recent` s, of as many as there are at the beginning
        z_t   = (m_t - mean of the last `past` m up to m_(t - recent)) / their standard deviation
        score = -log10 P(a standard normal number is z or more)

    So no row counts for both sides. A score is 0 until there are as many means to compare with as rows are recent. With
    a cap, one row alone weighs little, and an anomaly of the past hides none that comes later.

    Source: Lavin and Ahmad 2015, arXiv:1510.03336, section III; Ahmad et al. 2017, Neurocomputing 262, 134-147.
    """

    recent: int
    past: int
    cap: float = math.inf

    @property
    def reach(self) -> int:
        """How many rows before the first one matter."""
        return 2 * self.recent + self.past - 2

    def score(self, surprises: Array, before: Array) -> Array:
        """(rows,) scores; before: the surprises of the rows before, the last `reach` of which matter."""
        before = before[-self.reach :]
        whole = np.clip(np.concatenate([before, surprises]), -self.cap, self.cap)
        ends = np.arange(1, len(whole) + 1)
        first = np.maximum(ends - self.recent, 0)
        means = _sums(whole, first, ends) / (ends - first)
        ends = np.maximum(np.arange(len(before), len(whole)) + 1 - self.recent, 0)
        first = np.maximum(ends - self.past, 0)
        count = ends - first
        mean = _sums(means, first, ends) / np.maximum(count, 1)
        square = _sums(means**2, first, ends) / np.maximum(count, 1)
        least = ROUNDING * (1 + np.abs(mean))
        deviation = np.sqrt(np.maximum(square - mean**2, least**2))
        return np.where(count >= self.recent, tail((means[len(before) :] - mean) / deviation), 0.0)


@dataclass(frozen=True, eq=False)
class Conformal:
    """-log10 of the share of earlier rows that are at least as surprising, with an exponential tail at the top.

        share(s) = (1 + rows at least s) / (1 + rows)                        up to the level u of the top 2 %
        share(s) = share(u) exp(-(s - u) / mean of (rows above u) - u)       beyond

    The tail tells rows apart that are more surprising than any earlier one. earlier: (rows,) surprises, rising.
    """

    earlier: Array

    @classmethod
    def of(cls, surprises: Array) -> Conformal:
        """The calibration by rows that the network has not learned from, or by those it has."""
        return cls(np.sort(surprises[np.isfinite(surprises)]))

    def score(self, surprises: Array) -> Array:
        """(rows,) scores."""
        earlier, count = self.earlier, len(self.earlier)
        if not count:
            return np.zeros(len(surprises))
        share = (1 + count - np.searchsorted(earlier, surprises, side="left")) / (1 + count)
        level = earlier[min(math.ceil((1 - TOP) * count), count - 1)]
        over = earlier[earlier > level] - level
        mean = float(over.mean()) if len(over) else float(earlier.std() or ROUNDING * (1 + abs(level)))
        at = (1 + len(over)) / (1 + count)
        beyond = -math.log10(at) + np.maximum(surprises - level, 0) / mean / math.log(10)
        return np.where(surprises > level, beyond, -np.log10(share))


@dataclass(eq=False)
class RecordTail:
    """By how much the mean of the last rows is the highest so far: -log10 of how often that would be so.

        m     = mean of the last `recent` numbers, each cut to -cap .. cap
        score = log10(rows so far) + (m - highest m before) / (e ln 10)      where m is the highest, else 0
        e     = by how much the top 2 % of the earlier m exceed the level at which these begin, and 0.1

    A new record among n alike rows has the chance 1 / n, and beyond the old one it falls exponentially. What is seen
    changes the record: numbers that are given in pieces are scored as the whole.

    highest, count: of the rows so far. excess: e. last: the numbers before the next one, `recent` - 1 at most.
    """

    recent: int
    cap: float
    highest: float
    count: int
    excess: float
    last: Array

    @classmethod
    def after(cls, earlier: Array, recent: int, cap: float) -> RecordTail:
        """After these rows, on which e is settled."""
        begun = cls(recent, cap, -math.inf, 0, LEAST_EXCESS, np.empty(0))
        if not len(earlier):
            return begun
        means = begun.means(earlier)
        level = np.quantile(means, 1 - TOP)
        over = means[means > level] - level
        excess = LEAST_EXCESS + (float(over.mean()) if len(over) else 0.0)
        return replace(begun, highest=float(means.max()), count=len(means), excess=excess)

    def means(self, numbers: Array) -> Array:
        """(rows,) m of the next rows, of as many as there are at the beginning."""
        whole = np.concatenate([self.last, np.clip(numbers, -self.cap, self.cap)])
        ends = np.arange(len(self.last), len(whole)) + 1
        first = np.maximum(ends - self.recent, 0)
        self.last = whole[len(whole) - min(self.recent - 1, len(whole)) :]
        return _sums(whole, first, ends) / (ends - first)

    def score(self, numbers: Array) -> Array:
        """(rows,) scores of the next rows."""
        means = self.means(numbers)
        before = np.maximum.accumulate(np.append(self.highest, means))[:-1]
        rows = self.count + np.arange(1, len(means) + 1)
        self.highest, self.count = max(self.highest, float(means.max(initial=-math.inf))), self.count + len(means)
        over = means - np.where(np.isfinite(before), before, means)
        # What is no more than rounding beats no record.
        new = over > ROUNDING * (1 + np.abs(means))
        return np.where(new, np.log10(rows) + over / self.excess / math.log(10), 0.0)


def _sums(values: Array, begins: NDArray[np.int64], ends: NDArray[np.int64]) -> Array:
    """The sum of values[begin:end] of each pair."""
    # Sums of what is left of the mean lose fewer digits.
    mean = float(values.mean()) if len(values) else 0.0
    total = np.concatenate([[0.0], np.cumsum(values - mean)])
    found: Array = total[ends] - total[begins] + mean * (ends - begins)
    return found
