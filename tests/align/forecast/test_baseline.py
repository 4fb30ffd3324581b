from __future__ import annotations

import numpy as np
import pytest

from unrolled.align.forecast.baseline import BASELINES, drift, last_value, seasonal_naive
from unrolled.errors import DataError, OptionError

NAN = float("nan")


@pytest.mark.parametrize("season", [5, 7, 8, 10**12])
def test_a_season_beyond_the_history_gives_its_last_value_where_no_row_is_known(season: int) -> None:
    # With a season of 5, the fourth step ahead of 2 rows is the first row once more.
    expected = [2, 2, 2, 1, 2] if season == 5 else [2, 2, 2, 2, 2]
    np.testing.assert_array_equal(seasonal_naive([1.0, 2.0], 5, season), expected)


def test_the_seasonal_naive_forecast_repeats_the_last_season() -> None:
    np.testing.assert_array_equal(seasonal_naive([9.0, 1.0, 2.0, 3.0], 5, 3), [1, 2, 3, 1, 2])


def test_a_hole_in_the_last_season_takes_the_season_before() -> None:
    np.testing.assert_array_equal(seasonal_naive([7.0, 1.0, 2.0, 3.0, 4.0, NAN, 6.0], 3, 3), [4, 2, 6])


def test_a_place_that_no_season_knows_takes_the_last_value() -> None:
    np.testing.assert_array_equal(seasonal_naive([NAN, 2.0, 3.0, NAN, 5.0, NAN], 3, 3), [5, 5, 3])


def test_a_history_shorter_than_a_season_is_filled_with_the_last_value() -> None:
    np.testing.assert_array_equal(seasonal_naive([1.0, 2.0], 5, 4), [2, 2, 1, 2, 2])


def test_drift_goes_on_along_the_line_from_the_first_to_the_last_value() -> None:
    np.testing.assert_array_equal(drift([NAN, 1.0, 9.0, 5.0, NAN], 2), [9, 11])
    np.testing.assert_array_equal(drift([NAN, 3.0, NAN], 2), [3, 3])


def test_the_last_value_skips_holes() -> None:
    np.testing.assert_array_equal(last_value([1.0, 4.0, NAN], 3), [4, 4, 4])


@pytest.mark.parametrize("name", BASELINES)
def test_windows_and_targets_are_forecast_each_by_itself(name: str) -> None:
    history = np.random.default_rng(0).normal(size=(4, 11, 3))
    history[np.random.default_rng(1).random(history.shape) < 0.3] = np.nan
    together = BASELINES[name](history, 7, 4)
    assert together.shape == (4, 7, 3)
    for row in range(4):
        for column in range(3):
            np.testing.assert_array_equal(together[row, :, column], BASELINES[name](history[row, :, column], 7, 4))


@pytest.mark.parametrize("name", BASELINES)
def test_an_unknown_history_gives_an_unknown_forecast(name: str) -> None:
    assert np.isnan(BASELINES[name](np.array([NAN, NAN]), 3, 2)).all()


@pytest.mark.parametrize("name", BASELINES)
def test_wrong_arguments_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="at least one row"):
        BASELINES[name](np.zeros((0, 2)), 3, 2)
    with pytest.raises(OptionError, match="horizon"):
        BASELINES[name](np.zeros(3), 0, 2)
