"""Scores of numbers against scikit-learn's."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.score.regression import r2, regression_report


def test_r2_is_that_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    for size in (2, 3, 50):
        truth, found = random.normal(1e3, 1, (2, size))
        assert r2(truth, found) == pytest.approx(metrics.r2_score(truth, found), rel=1e-9)
    for truth, found in (([2.0, 2.0], [2.0, 2.0]), ([2.0, 2.0], [2.0, 3.0])):
        assert r2(truth, found) == metrics.r2_score(truth, found)


def test_a_report_holds_the_model_and_constants_for_each_target() -> None:
    truth = np.array([[0.0, 10.0], [1.0, 30.0], [2.0, 20.0]])
    guess = truth + np.array([0.5, 0.0])
    lower, upper = guess[..., None] - [0.4, 1.0], guess[..., None] + [0.4, 1.0]
    report = regression_report(truth, guess, lower, upper, (50, 90), {"mean": np.array([1.0, 20.0])})
    assert [(row["name"], row["target"]) for row in report.rows] == [
        ("model", 1),
        ("mean", 1),
        ("model", 2),
        ("mean", 2),
    ]
    first = report["model"]
    assert (first["mae"], first["rmse"], first["r2"]) == (0.5, 0.5, 1 - 0.75 / 2)
    assert (first["coverage_50"], first["coverage_90"]) == (0, 1)
    assert (first["width_50"], first["width_90"]) == pytest.approx((0.8, 2.0))
    assert report["mean"]["r2"] == 0
    assert report["mean"]["coverage_50"] is None
    assert report.r2 == pytest.approx((1 + 1 - 0.75 / 2) / 2)
    assert "model" in str(report)
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["count"] == 3


def test_nothing_to_score_is_said() -> None:
    with pytest.raises(DataError, match="r2: expected a prediction for each of some targets"):
        r2([], [])
