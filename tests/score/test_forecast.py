from __future__ import annotations

import math

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.score import forecast as score

NAN = float("nan")
TARGET = np.array([[1.0, 2.0], [NAN, 4.0]])
FORECAST = np.array([[2.0, 2.0], [9.0, 1.0]])


def test_errors_are_the_hand_calculated_ones_and_skip_missing_targets() -> None:
    assert score.mae(TARGET, FORECAST) == pytest.approx(4 / 3)
    assert score.rmse(TARGET, FORECAST) == pytest.approx(math.sqrt(10 / 3))
    # 2 * 1 / 3, 0, 2 * 3 / 5.
    assert score.smape(TARGET, FORECAST) == pytest.approx(100 * (2 / 3 + 0 + 6 / 5) / 3)


def test_smape_reaches_from_0_to_200_and_counts_two_zeros_as_right() -> None:
    assert score.smape([0.0, 0.0], [0.0, 0.0]) == 0
    assert score.smape([5.0], [-5.0]) == 200


def test_mase_scales_by_the_seasonal_naive_error_of_the_history() -> None:
    history = np.array([1.0, 5.0, 2.0, 7.0, NAN, 10.0])
    # Steps of two rows: 1, 2, unknown, 3.
    assert score.seasonal_error(history, 2) == 2
    assert score.mase([1.0, 4.0], [2.0, 1.0], history, 2) == 1


def test_mase_scales_each_target_by_its_own_history() -> None:
    history = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]])
    assert score.mase([[3.0, 30.0]], [[4.0, 35.0]], history, 1) == pytest.approx((1 / 1 + 5 / 10) / 2)


def test_a_history_of_one_season_is_measured_step_by_step() -> None:
    assert score.seasonal_error([1.0, 2.0, 4.0], 12) == 1.5


def test_targets_with_a_constant_history_are_left_out_of_mase() -> None:
    history = np.array([[1.0, 0.0], [1.0, 2.0]])
    assert score.mase([[5.0, 1.0]], [[9.0, 3.0]], history, 1) == 1
    with pytest.raises(DataError, match="nothing to scale by"):
        score.mase([5.0], [6.0], [1.0, 1.0, 1.0], 1)


def test_the_weighted_quantile_loss_is_the_hand_calculated_one() -> None:
    target = np.array([10.0, NAN, -10.0])
    quantiles = np.array([[8.0, 11.0], [0.0, 0.0], [-12.0, -5.0]])
    # Level 0.1: e = 2, 2 -> 0.2 + 0.2; level 0.9: e = -1, -5 -> 0.1 + 0.5; twice their sum over 20, mean of two levels.
    expected = (2 * 0.4 / 20 + 2 * 0.6 / 20) / 2
    assert score.weighted_quantile_loss(target, quantiles, (0.1, 0.9)) == pytest.approx(expected)


def test_the_weighted_quantile_loss_of_the_median_is_the_relative_absolute_error() -> None:
    found = score.weighted_quantile_loss([4.0, -6.0], [[5.0], [-4.0]], (0.5,))
    assert found == pytest.approx(3 / 10)


def test_coverage_counts_targets_within_the_band_edges_included() -> None:
    assert score.coverage([1.0, 2.0, 3.0, NAN, 5.0], [1.0, 0.0, 4.0, 0.0, 0.0], [2.0, 2.0, 5.0, 9.0, 4.0]) == 0.5


@pytest.mark.parametrize("name", ["mae", "rmse", "smape"])
def test_scores_refuse_what_they_cannot_judge(name: str) -> None:
    judge = getattr(score, name)
    with pytest.raises(DataError, match="one shape"):
        judge([1.0, 2.0], [1.0])
    with pytest.raises(DataError, match="all missing"):
        judge([NAN, NAN], [1.0, 2.0])
    with pytest.raises(DataError, match="NaN at 1 of 2"):
        judge([1.0, 2.0], [1.0, NAN])


def test_other_wrong_arguments_are_refused() -> None:
    with pytest.raises(OptionError, match="season"):
        score.mase([1.0], [1.0], [1.0, 2.0], 0)
    with pytest.raises(DataError, match="all known targets are 0"):
        score.weighted_quantile_loss([0.0], [[1.0]], (0.5,))
    with pytest.raises(DataError, match=r"expected quantiles of shape \(1, 2\)"):
        score.weighted_quantile_loss([0.0], [[1.0]], (0.1, 0.9))
