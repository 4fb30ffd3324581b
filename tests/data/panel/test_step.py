import numpy as np
import pandas as pd
import pytest

from unrolled.data import Step, infer_step
from unrolled.errors import DataError, OptionError

NAMES = ["h", "15min", "30min", "s", "D", "2D", "W", "B", "MS", "ME", "QS", "QE", "YS", "YE", "6h"]


@pytest.mark.parametrize("name", NAMES)
def test_steps_agree_with_pandas_date_range(name: str) -> None:
    expected = pd.date_range("2015-12-28 00:00", periods=60, freq=name.replace("W", "7D")).to_numpy("datetime64[ns]")
    step = Step.parse(name)
    assert np.array_equal(step.range(expected[0], 59), expected[1:])
    position, exact = step.between(np.repeat(expected[:1], 60), expected)
    assert exact.all()
    assert np.array_equal(position, np.arange(60))


@pytest.mark.parametrize("name", NAMES)
def test_the_step_is_seen_from_the_timestamps(name: str) -> None:
    times = pd.date_range("2015-12-28 00:00", periods=60, freq=name.replace("W", "7D")).to_numpy("datetime64[ns]")
    assert infer_step(times, np.array([0, 60])) == Step.parse(name)


@pytest.mark.parametrize("name", [*NAMES, "M", "7"])
def test_a_step_survives_its_name_and_json(name: str) -> None:
    step = Step.parse(name)
    assert str(step) == name
    assert Step.parse(str(step)) == step
    assert Step.from_json(step.to_json()) == step


@pytest.mark.parametrize(
    ("name", "season"),
    [
        ("h", 24),
        ("30min", 48),
        ("15min", 96),
        ("D", 7),
        ("W", 52),
        ("MS", 12),
        ("QS", 4),
        ("YE", 1),
        ("B", 5),
        ("1", 1),
    ],
)
def test_the_season_follows_from_the_step(name: str, season: int) -> None:
    assert Step.parse(name).season == season


@pytest.mark.parametrize("name", ["", "0h", "fortnight", "h2", "2B", "-1", "Mx"])
def test_an_unknown_step_is_refused_with_the_choices(name: str) -> None:
    with pytest.raises(OptionError, match="Expected a step like 'h'"):
        Step.parse(name)


def test_month_ends_do_not_drift_through_february() -> None:
    step = Step.parse("M").settle(np.array(["2021-01-31", "2021-02-28"], "datetime64[ns]"))
    assert np.array_equal(
        step.range(np.datetime64("2021-01-31", "ns"), 3),
        np.array(["2021-02-28", "2021-03-31", "2021-04-30"], "datetime64[ns]"),
    )


def test_the_fifteenth_of_each_month_is_a_step() -> None:
    times = pd.date_range("2020-01-15 06:00", periods=20, freq=pd.DateOffset(months=1)).to_numpy("datetime64[ns]")
    step = infer_step(times, np.array([0, 20]))
    assert step == Step("month", 1, 15)
    assert step.range(times[-1], 1)[0] == np.datetime64("2021-09-15T06:00", "ns")


def test_no_step_is_guessed_where_timestamps_disagree() -> None:
    times = np.array([0, 1, 3, 4, 9, 11], "datetime64[h]").astype("datetime64[ns]")
    with pytest.raises(DataError, match="only 40% of the steps are"):
        infer_step(times, np.array([0, 6]))
    months = np.array(["2020-01", "2020-02", "2020-04"], "datetime64[ns]")
    with pytest.raises(DataError, match="only 50% of the steps are MS long"):
        infer_step(months, np.array([0, 3]))


def test_gaps_between_series_do_not_count() -> None:
    times = np.array(["2020-01-01", "2020-01-02", "2000-01-01", "2000-01-02"], "datetime64[ns]")
    assert infer_step(times, np.array([0, 2, 4])) == Step.parse("D")


def test_labels_of_steps_contain_their_timestamps() -> None:
    time = np.array(["2024-02-17T13:45"], "datetime64[ns]")
    expected = {"h": "2024-02-17T13", "D": "2024-02-17", "W": "2024-02-12", "MS": "2024-02-01", "ME": "2024-02-29"}
    expected |= {"QS": "2024-01-01", "QE": "2024-03-31", "YE": "2024-12-31", "B": "2024-02-16"}
    for name, label in expected.items():
        assert Step.parse(name).floor(time)[0] == np.datetime64(label, "ns"), name
