import json

import numpy as np
import pandas as pd
import pytest

from unrolled.data import Calendar, Step
from unrolled.errors import OptionError

TIMES = pd.DatetimeIndex(
    np.datetime64("2019-12-30T01:07:31", "ns") + np.arange(500) * np.timedelta64(37 * 3600 + 61, "s")
)


def phase(calendar: Calendar, index: int) -> np.ndarray:
    encoded = calendar.encode(TIMES.to_numpy("datetime64[ns]")).astype(np.float64)
    return np.arctan2(encoded[:, 2 * index], encoded[:, 2 * index + 1]) / (2 * np.pi) % 1


def circular_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs((a - b + 0.5) % 1 - 0.5).max())


def test_each_feature_is_the_phase_that_pandas_sees() -> None:
    expected = {
        "second_of_minute": TIMES.second / 60,
        "minute_of_hour": (TIMES.minute + TIMES.second / 60) / 60,
        "hour_of_day": (TIMES.hour + TIMES.minute / 60 + TIMES.second / 3600) / 24,
        "day_of_week": TIMES.day_of_week / 7,
        "day_of_month": (TIMES.day - 1) / TIMES.days_in_month,
        "day_of_year": (TIMES.day_of_year - 1) / np.where(TIMES.is_leap_year, 366, 365),
        "month_of_year": (TIMES.month - 1) / 12,
    }
    calendar = Calendar(tuple(expected))
    for index, (name, value) in enumerate(expected.items()):
        assert circular_distance(phase(calendar, index), np.asarray(value)) < 1e-6, name


@pytest.mark.parametrize(
    ("step", "has", "lacks"),
    [
        ("h", "hour_of_day", "minute_of_hour"),
        ("15min", "minute_of_hour", "second_of_minute"),
        ("D", "day_of_week", "hour_of_day"),
        ("W", "day_of_year", "day_of_week"),
        ("MS", "month_of_year", "day_of_month"),
        ("QE", "month_of_year", "day_of_year"),
    ],
)
def test_only_features_that_vary_with_the_step_are_chosen(step: str, has: str, lacks: str) -> None:
    features = Calendar.for_step(Step.parse(step)).features
    assert has in features
    assert lacks not in features


def test_a_counter_and_years_have_no_calendar() -> None:
    assert Calendar.for_step(Step.parse("1")).encode(np.arange(4)).shape == (4, 0)
    assert Calendar.for_step(Step.parse("YS")).width == 0


def test_the_calendar_survives_json() -> None:
    calendar = Calendar.for_step(Step.parse("h"))
    assert Calendar.from_json(json.loads(json.dumps(calendar.to_json()))) == calendar


def test_an_unknown_feature_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(OptionError, match="Did you mean 'hour_of_day'"):
        Calendar(("hour_of_days",))
