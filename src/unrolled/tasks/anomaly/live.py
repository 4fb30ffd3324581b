"""A series as it comes, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unrolled.errors import DataError
from unrolled.tasks.anomaly.follow import Follower

__all__ = ["AnomalyStream", "RowScore"]


class RowScore(NamedTuple):
    """Of one row. score: as `decision_function` gives it; alarm: whether it reaches the threshold; excess: (channels,)
    as `explain` gives it."""

    score: float
    alarm: bool
    excess: np.ndarray


class AnomalyStream:
    """Scores the rows of one series as they come, each the same as if all were scored at once.

    >>> stream = detector.stream()                                # doctest: +SKIP
    >>> stream.push([20.5, 0.3], "2024-03-01T12:00").score        # doctest: +SKIP
    0.4
    """

    def __init__(self, follower: Follower, threshold: float) -> None:
        self._follower, self._threshold, self._count = follower, threshold, 0
        self._timed = bool(follower.fields.calendar.features)

    def push(self, row: ArrayLike | Sequence[float], time: object = None) -> RowScore:
        """The next row: its values (channels,), NaN where missing; and its time, where the fit had a column of times.

        Raises:
            DataError: another number of values, or no time where the network reads the calendar.
        """
        values = np.asarray(row, np.float64).reshape(1, -1)
        channels = self._follower.fields.channels
        if values.shape[1] != channels:
            raise DataError(f"push: expected a row of {channels} values, got {values.shape[1]}; give one a channel.")
        if self._timed and time is None:
            raise DataError("push: expected the time of the row, for the model reads the calendar, got none; give it.")
        clock = np.array([time]).astype("datetime64[ns]") if self._timed else np.array([self._count])
        self._count += 1
        judged = self._follower.push(values, clock)
        score = float(judged.score[0])
        return RowScore(score, score >= self._threshold, judged.excess[0])
