"""Time as features: cyclic calendar features, a pure function of the timestamp."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unrolled.data.panel.step import HOUR, SECOND, Step, days_in_month, days_of_month
from unrolled.data.panel.week import DAY, WEEK
from unrolled.errors import OptionError, listed, suggest
from unrolled.types import Json


def _clock(period: int) -> Callable[[np.ndarray], np.ndarray]:
    # 1970-01-05 was a Monday, so the phase of the week is counted from there.
    origin = 4 * DAY if period == WEEK else 0
    return lambda times: ((times.astype(np.int64) - origin) % period) / period


def _day_of_month(times: np.ndarray) -> np.ndarray:
    days = times.astype("datetime64[D]")
    phase: np.ndarray = (days_of_month(days) - 1) / days_in_month(days.astype("datetime64[M]"))
    return phase


def _day_of_year(times: np.ndarray) -> np.ndarray:
    days, years = times.astype("datetime64[D]"), times.astype("datetime64[Y]")
    first, after = years.astype("datetime64[D]"), (years + 1).astype("datetime64[D]")
    phase: np.ndarray = (days - first).astype(np.int64) / (after - first).astype(np.int64)
    return phase


def _month_of_year(times: np.ndarray) -> np.ndarray:
    return (times.astype("datetime64[M]").astype(np.int64) % 12) / 12


# Each gives the phase of its cycle, 0 <= phase < 1.
_PHASES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "second_of_minute": _clock(60 * SECOND),
    "minute_of_hour": _clock(HOUR),
    "hour_of_day": _clock(DAY),
    "day_of_week": lambda times: np.floor(_clock(WEEK)(times) * 7) / 7,
    "day_of_month": _day_of_month,
    "day_of_year": _day_of_year,
    "month_of_year": _month_of_year,
}


@dataclass(frozen=True)
class Calendar:
    """Sine and cosine of the phase of each cycle: (sin, cos) of 2 pi times the phase.

    No `Field`: time itself is known, so no network predicts it and nothing decodes it. Every value follows from its own
    timestamp alone, so nothing is fitted and nothing can leak.

    Args:
        features: names out of second_of_minute, minute_of_hour, hour_of_day (the exact time within the day),
            day_of_week, day_of_month, day_of_year, month_of_year.
    """

    features: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.features:
            if name not in _PHASES:
                raise OptionError(
                    f"Calendar: there is no feature {name!r}.{suggest(name, _PHASES)} Choose from {listed(_PHASES)}."
                )

    @classmethod
    def for_step(cls, step: Step) -> Calendar:
        """The features that vary along a series of this step: no hour for days, no day for months."""
        if step.unit == "count":
            return cls(())
        if step.unit == "month":
            return cls(("month_of_year",) if step.size % 12 else ())
        if step.unit == "business":
            return cls(("day_of_week", "day_of_month", "day_of_year"))
        if step.size % WEEK == 0:
            return cls(("day_of_year",))
        if step.size % DAY == 0:
            return cls(("day_of_week", "day_of_month", "day_of_year"))
        shorter = ("minute_of_hour",) if step.size % HOUR else ()
        shortest = ("second_of_minute",) if step.size % (60 * SECOND) else ()
        return cls((*shortest, *shorter, "hour_of_day", "day_of_week", "day_of_month", "day_of_year"))

    @property
    def width(self) -> int:
        """The number of values per timestamp: two per feature."""
        return 2 * len(self.features)

    def encode(self, times: np.ndarray) -> np.ndarray:
        """Timestamps (n,) datetime64[ns] to features (n, width) float32."""
        encoded = np.empty((len(times), self.width), np.float32)
        for i, name in enumerate(self.features):
            angle = 2 * np.pi * _PHASES[name](times)
            encoded[:, 2 * i], encoded[:, 2 * i + 1] = np.sin(angle), np.cos(angle)
        return encoded

    def to_json(self) -> Json:
        """Plain JSON; `Calendar.from_json` gives the field back."""
        return {"features": list(self.features)}

    @classmethod
    def from_json(cls, data: Json) -> Calendar:
        """The field that `to_json` wrote."""
        return cls(tuple(data["features"]))
