"""A series that the fit has not met, such as a new machine: it is measured by its own rows so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unrolled.tasks.anomaly.follow import Follower, Judged
from unrolled.tasks.anomaly.rows import Scale

__all__ = ["FIRST", "STOPS", "Newcomer"]

# After so many rows a series is measured, and whenever they have doubled, until there are enough.
FIRST = 30
STOPS = tuple(FIRST * 2**i for i in range(10))


@dataclass(eq=False)
class Newcomer:
    """A new series as it comes: its first 30 rows say what it is measured in, and are not scored.

    It is measured again, by all rows so far, after 60 rows, 120 and so on up to 15,360, for cycles that fewer rows do
    not hold. All rows so far are then read anew in that measure, so that what is said of the next row is what would be
    said after a series of that measure. No later row changes a score, and pieces are judged as the whole.

    measure: from rows (T, D) to what the series is measured in. begin: a follower at the beginning of it.
    """

    measure: Callable[[np.ndarray], Scale]
    begin: Callable[[Scale], Follower]

    def __post_init__(self) -> None:
        self.follower: Follower | None = None
        self.count = 0
        self.values: list[np.ndarray] = []
        self.clocks: list[np.ndarray] = []

    def push(self, values: np.ndarray, clocks: np.ndarray) -> Judged:
        """The next rows: values (T, D), NaN where missing, and their clocks (T,)."""
        cuts = [stop - self.count for stop in STOPS if self.count < stop < self.count + len(values)]
        pieces = zip(np.split(values, cuts), np.split(clocks, cuts), strict=True)
        return Judged(*map(np.concatenate, zip(*[self._push(*piece) for piece in pieces], strict=True)))

    def _push(self, values: np.ndarray, clocks: np.ndarray) -> Judged:
        """Rows between two stops."""
        if self.count in STOPS and len(values):
            self._measured()
        if self.count < STOPS[-1]:
            self.values.append(values)
            self.clocks.append(clocks)
        self.count += len(values)
        if self.follower is None:
            return Judged(np.zeros(values.shape), np.zeros(len(values)))
        return self.follower.push(values, clocks)

    def _measured(self) -> None:
        """A follower of all rows so far, in the measure that they give."""
        values, clocks = np.concatenate(self.values), np.concatenate(self.clocks)
        self.follower = self.begin(self.measure(values))
        self.follower.push(values, clocks)
        # One piece is kept of many: rows that come one by one are joined once alone.
        self.values, self.clocks = ([], []) if self.count == STOPS[-1] else ([values], [clocks])
