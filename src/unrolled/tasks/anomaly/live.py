"""A series as it comes, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from unrolled.errors import DataError
from unrolled.tasks.anomaly.follow import Follower
from unrolled.tasks.anomaly.newcomer import Newcomer
from unrolled.tasks.anomaly.reading import Watched, read_clock
from unrolled.tasks.anomaly.rows import RowFields

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

    def __init__(self, follower: Follower | Newcomer, fields: RowFields, layout: Watched, threshold: float) -> None:
        self._follower, self._layout, self._threshold, self._count = follower, layout, threshold, 0
        self._timed, self._channels = bool(fields.calendar.features), fields.channels

    def push(self, row: ArrayLike | Sequence[float], time: object = None) -> RowScore:
        """The next row: its values (channels,), NaN where missing; and its time, written as in the table of the fit.

        Raises:
            DataError: another number of values, values that are no finite numbers, or no time, or what is none, where
                the network reads the calendar. The stream goes on as if the row had not been given.
        """
        values = self._values(row)
        if self._timed and time is None:
            raise DataError("push: expected the time of the row, for the model reads the calendar, got none; give it.")
        clock = read_clock(time, self._layout) if self._timed else np.array([self._count])
        self._count += 1
        judged = self._follower.push(values, clock)
        score = float(judged.score[0])
        return RowScore(score, score >= self._threshold, judged.excess[0])

    def _values(self, row: ArrayLike) -> np.ndarray:
        try:
            values = np.asarray(row, np.float64).reshape(1, -1)
        except (TypeError, ValueError) as error:
            raise DataError(f"push: expected numbers, NaN where missing, got {row!r} ({error}); give those.") from None
        if values.shape[1] != self._channels:
            raise DataError(
                f"push: expected a row of {self._channels} values, got {values.shape[1]}; give one a channel."
            )
        if np.isinf(values).any():
            raise DataError(f"push: expected finite values, got {row!r}; give NaN where one is missing.")
        return values
