"""The regular step of a time axis: a fixed duration, calendar months, business days, or a plain counter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from unrolled.data.panel.week import DAY, WEEK, numbers_of, times_of
from unrolled.errors import DataError, OptionError
from unrolled.types import Json

Unit = Literal["count", "nanosecond", "business", "month"]

SECOND = 1_000_000_000
HOUR = 3600 * SECOND

# A day of the month beyond 28 is cut to the month's length, so 31 means "the last day".
MONTH_END = 31

# The years that nanoseconds can count, and the longest step that they can.
_FIRST_YEAR, _LAST_YEAR, _LONGEST = "1678", "2262", 2**62

_DURATIONS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": SECOND,
    "min": 60 * SECOND,
    "h": HOUR,
    "D": DAY,
    "W": WEEK,
}
_SPELLINGS = {
    "H": "h",
    "T": "min",
    "S": "s",
    "d": "D",
    "w": "W",
    "A": "Y",
    "BD": "B",
    "sec": "s",
    "hour": "h",
    "day": "D",
}
_SPELLINGS |= {"week": "W", "month": "M", "quarter": "Q", "year": "Y", "minute": "min", "second": "s"}
_MONTHS = {"M": 1, "Q": 3, "Y": 12}
_DAYS = {"": None, "S": 1, "E": MONTH_END}


def days_in_month(months: np.ndarray) -> np.ndarray:
    """The number of days of each month, given as datetime64[M]; shape and order are kept."""
    days: np.ndarray = (months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")
    return days.astype(np.int64)


@dataclass(frozen=True)
class Step:
    """The distance between two neighbouring timestamps, exact on the calendar.

    Args:
        unit: "nanosecond" (a fixed duration), "month" (calendar months), "business" (Monday to Friday), or "count"
            (an integer column that only counts).
        size: how many units one step spans, at least 1.
        day: for months only: the day of the month the timestamps fall on, 1 to 31, cut to the month's length, so
            that 31 is the month's end; None until the data decide.
        slots: for a duration only: where the steps that exist begin, in nanoseconds from Monday 0:00; empty: all do.
    """

    unit: Unit
    size: int = 1
    day: int | None = None
    slots: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str | int | Step) -> Step:
        """The step that a short name means: "h", "15min", "D", "W", "B", "MS", "ME", "QS", "YE", or "3" (a counter).

        Raises:
            OptionError: the name is none of these.
        """
        if isinstance(text, Step):
            return text
        match = re.fullmatch(r"(\d*)\s*([A-Za-z]*)", str(text).strip())
        size = int(match[1] or 1) if match else 0
        if match is None or match[0] == "" or size == 0:
            raise _unknown_step(text)
        name = _SPELLINGS.get(match[2], match[2])
        if name == "":
            return cls("count", size)
        if name in _DURATIONS and size * _DURATIONS[name] < _LONGEST:
            return cls("nanosecond", size * _DURATIONS[name])
        if name == "B" and size == 1:
            return cls("business")
        if name[0] in _MONTHS and name[1:] in _DAYS:
            return cls("month", size * _MONTHS[name[0]], _DAYS[name[1:]])
        raise _unknown_step(text)

    def __str__(self) -> str:
        if self.unit == "count":
            return str(self.size)
        if self.unit == "business":
            return "B"
        if self.unit == "nanosecond":
            name, length = next((n, d) for n, d in reversed(_DURATIONS.items()) if self.size % d == 0)
            text = _counted(self.size // length, name)
            return f"{text} ({len(self.slots)} of {WEEK // self.size} a week)" if self.slots else text
        name, length = next((n, d) for n, d in reversed(_MONTHS.items()) if self.size % d == 0)
        suffix = {None: "", 1: "S", MONTH_END: "E"}.get(self.day, f" on day {self.day}")
        return _counted(self.size // length, name + suffix)

    @property
    def wall(self) -> bool:
        """Whether clocks on the spot count the steps (days, months, opening hours), so that summer time moves none."""
        return self.unit in ("business", "month") or (
            self.unit == "nanosecond" and (self.size % DAY == 0 or bool(self.slots))
        )

    @property
    def season(self) -> int:
        """The number of steps in the season this step suggests: 24 for hours, 7 for days, 12 for months; 1 if none."""
        if self.unit == "business":
            return 5
        if self.unit == "month":
            return 12 // self.size if 12 % self.size == 0 else 1
        if self.unit == "count":
            return 1
        if self.slots:
            counts = np.unique(np.array(self.slots) // DAY, return_counts=True)[1]
            daily = int(np.bincount(counts).argmax())
            return daily if daily > 1 else len(self.slots)
        if self.size == WEEK:
            return 52
        for period in (HOUR // 60, HOUR, DAY, WEEK):
            # A season of a few thousand steps is longer than anything a model looks back on.
            if period % self.size == 0 and period // self.size > 1 and (period >= DAY or self.size < SECOND * 60):
                return period // self.size
        return 1

    def shift(self, times: np.ndarray, steps: np.ndarray | int) -> np.ndarray:
        """The timestamps `steps` steps after `times`; the two broadcast, and steps may be negative.

        `times` is datetime64[ns] (int64 for a counter); a month step keeps the time of day.
        """
        times, steps = np.asarray(times), np.asarray(steps, np.int64)
        if self.unit == "count":
            counts: np.ndarray = times + steps * self.size
            return counts
        if self.slots:
            return times_of(numbers_of(times, self.slots) + steps, self.slots)
        if self.unit == "nanosecond":
            _check_years(times.astype("datetime64[h]") + (steps * (self.size / HOUR)).astype("timedelta64[h]"))
            instants: np.ndarray = times + (steps * self.size).astype("timedelta64[ns]")
            return instants
        days = times.astype("datetime64[D]")
        clock = times - days.astype("datetime64[ns]")
        if self.unit == "business":
            moved = np.busday_offset(days, steps, roll="backward")
        else:
            months = days.astype("datetime64[M]") + steps * self.size
            day = days_of_month(days) if self.day is None else self.day
            moved = months.astype("datetime64[D]") + (np.minimum(day, days_in_month(months)) - 1)
        _check_years(moved)
        shifted: np.ndarray = moved.astype("datetime64[ns]") + clock
        return shifted

    def range(self, last: np.ndarray | np.datetime64 | int, n: int) -> np.ndarray:
        """The `n` timestamps after `last`, on a new last axis."""
        return self.shift(np.asarray(last)[..., None], np.arange(1, n + 1))

    def between(self, first: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(steps from `first` to `times`, int64, rounded down; whether the step lands exactly on the timestamp)."""
        if self.unit == "count":
            steps = (times - first) // self.size
        elif self.slots:
            steps = numbers_of(times, self.slots) - numbers_of(first, self.slots)
        elif self.unit == "nanosecond":
            # Without a sign, for a difference of more than 292 years overflows int64.
            steps = ((times - first).astype(np.uint64) // np.uint64(self.size)).astype(np.int64)
        elif self.unit == "business":
            steps = np.busday_count(first.astype("datetime64[D]"), times.astype("datetime64[D]"))
        else:
            steps = (times.astype("datetime64[M]") - first.astype("datetime64[M]")).astype(np.int64) // self.size
        return steps.astype(np.int64), self.shift(first, steps) == times

    def floor(self, times: np.ndarray) -> np.ndarray:
        """The label of the step that each timestamp falls into, for resampling.

        Labels are whole multiples of the step: the start of the hour or day, the Monday of the week, the `day` of the
        month (period's first month when that is 1, last when it is the end), the Friday for a weekend.
        """
        if self.unit == "count":
            return times // self.size * self.size
        if self.slots:
            return times_of(numbers_of(times, self.slots), self.slots)
        if self.unit == "nanosecond":
            # Weeks begin on a Monday; 1970-01-05 was the first one of the epoch.
            origin = np.int64(4 * DAY if self.size % WEEK == 0 else 0)
            whole = (times.astype("datetime64[ns]").astype(np.int64) - origin) // self.size * self.size + origin
            return whole.astype("datetime64[ns]")
        days = times.astype("datetime64[D]")
        if self.unit == "business":
            return np.busday_offset(days, 0, roll="backward").astype("datetime64[ns]")
        months = days.astype("datetime64[M]").astype(np.int64) // self.size * self.size
        months = months + (self.size - 1 if self.day == MONTH_END else 0)
        labels = months.astype("datetime64[M]")
        day = np.minimum(self.day or 1, days_in_month(labels))
        dates: np.ndarray = labels.astype("datetime64[D]") + (day - 1)
        return dates.astype("datetime64[ns]")

    def settle(self, times: np.ndarray) -> Step:
        """This step with the day of the month read off `times` where it was left open ("M", "Q", "Y")."""
        if self.unit != "month" or self.day is not None or len(times) == 0:
            return self
        return Step("month", self.size, month_day(times.astype("datetime64[D]")) or 1)

    def to_json(self) -> Json:
        """Plain JSON; `Step.from_json` gives the step back."""
        return {"unit": self.unit, "size": self.size, "day": self.day} | ({"slots": self.slots} if self.slots else {})

    @classmethod
    def from_json(cls, data: Json) -> Step:
        """The step that `to_json` wrote."""
        return cls(data["unit"], int(data["size"]), data["day"], tuple(map(int, data.get("slots", ()))))


def _check_years(times: np.ndarray) -> None:
    """Times beyond what nanoseconds can count must not wrap around."""
    if times.size and (times.max() >= np.datetime64(_LAST_YEAR) or times.min() < np.datetime64(_FIRST_YEAR)):
        raise DataError(
            f"The steps lead beyond the years {_FIRST_YEAR} to 2261 that timestamps can hold: correct the timestamps, "
            "or use whole numbers that count."
        )


def days_of_month(days: np.ndarray) -> np.ndarray:
    """The day of the month, from 1, of each datetime64[D]."""
    since: np.ndarray = days - days.astype("datetime64[M]").astype("datetime64[D]")
    return since.astype(np.int64) + 1


def month_day(days: np.ndarray) -> int | None:
    """The one day of the month all dates fall on, 31 for the month's end, or None where they differ."""
    day = days_of_month(days)
    last = days_in_month(days.astype("datetime64[M]"))
    if (day == last).all():
        return MONTH_END
    highest = int(day.max())
    return highest if (day == np.minimum(highest, last)).all() else None


def infer_step(times: np.ndarray, offsets: np.ndarray) -> Step:
    """The step that at least nine in ten neighbouring timestamps agree on.

    Args:
        times: (N,) datetime64[ns] or int64, sorted and distinct within each series.
        offsets: (S+1,) int64, where each series begins, and N.

    Raises:
        DataError: fewer than two timestamps in every series, or no step that nine in ten agree on.
    """
    inside = np.ones(max(len(times) - 1, 0), bool)
    inside[offsets[1:-1] - 1] = False
    # Without a sign, for a gap of more than 292 years overflows int64.
    gaps = np.diff(times)[inside].astype(np.uint64)
    if len(gaps) == 0:
        raise DataError(
            "Expected two or more timestamps in one series to see their step, but every series has one: pass step=."
        )
    if times.dtype.kind == "i":
        return Step("count", _majority(gaps, "count"))
    if gaps.min() >= 28 * DAY and (step := _month_step(times, inside)) is not None:
        return step
    if _business_days(times, inside, gaps):
        return Step("business")
    return Step("nanosecond", _majority(gaps, "nanosecond"))


def _majority(gaps: np.ndarray, unit: Unit) -> int:
    values, counts = np.unique(gaps, return_counts=True)
    best = int(counts.argmax())
    share = counts[best] / len(gaps)
    if values[best] >= _LONGEST:
        raise DataError("Expected steps of less than 146 years between timestamps: correct them, or use whole numbers.")
    if share < 0.9:
        raise _irregular(Step(unit, int(values[best])), share)
    return int(values[best])


def _month_step(times: np.ndarray, inside: np.ndarray) -> Step | None:
    days = times.astype("datetime64[D]")
    clock = times - days.astype("datetime64[ns]")
    day = month_day(days)
    if day is None or (clock != clock[0]).any():
        return None
    months = np.diff(days.astype("datetime64[M]"))[inside].astype(np.int64)
    values, counts = np.unique(months, return_counts=True)
    best = int(counts.argmax())
    step = Step("month", int(values[best]), day)
    if counts[best] < 0.9 * len(months):
        raise _irregular(step, counts[best] / len(months))
    return step


def _business_days(times: np.ndarray, inside: np.ndarray, gaps: np.ndarray) -> bool:
    days = times.astype("datetime64[D]")
    # Five weekdays in a row look daily: only a jump over a weekend shows that there are no weekends.
    if gaps.min() != DAY or gaps.max() < 3 * DAY or not np.is_busday(days).all():
        return False
    counts = np.busday_count(days[:-1], days[1:])[inside]
    weekend = (gaps == 3 * DAY) & (counts == 1)
    return bool(weekend.any() and (counts == 1).mean() >= 0.9)


def _irregular(step: Step, share: float) -> DataError:
    return DataError(
        f"Expected regular timestamps, but only {share:.0%} of the steps are {step} long: pass step= to have the gaps "
        "filled as missing values, and resample= as well where timestamps lie between the steps."
    )


def _counted(count: int, name: str) -> str:
    return name if count == 1 else f"{count}{name}"


def _unknown_step(text: object) -> OptionError:
    return OptionError(
        "Expected a step like 'h', '15min', 'D', 'W', 'B', 'MS', 'ME', 'QS', 'YS' or '1' (a "
        f"counter), but got {text!r}: "
        "write a count and one of ns, us, ms, s, min, h, D, W, B, M, Q, Y."
    )
