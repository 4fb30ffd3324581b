"""Temperature, calibration error and Brier score, against minimisers and formulas of other packages."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss

from unrolled.errors import DataError, OptionError
from unrolled.score.calibration import (
    brier,
    expected_calibration_error,
    fit_temperature,
    probabilities,
    reliability,
)

ULP = np.finfo(np.float64).eps


def overconfident(seed: int, rows: int = 400, classes: int = 5, factor: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `factor` times those the labels are drawn by."""
    random = np.random.default_rng(seed)
    true = random.standard_normal((rows, classes)) * 1.5
    labels = np.array([random.choice(classes, p=softmax(row)) for row in true])
    return factor * true + random.normal(0, 50, (rows, 1)), labels


def nll(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    return float(-log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean())


@pytest.mark.parametrize("factor", [0.05, 0.7, 3.0, 40.0])
def test_the_temperature_is_where_the_likelihood_is_greatest(factor: float) -> None:
    logits, labels = overconfident(1, factor=factor)
    found = fit_temperature(logits, labels)
    best = minimize_scalar(lambda t: nll(logits, labels, np.exp(t)), bounds=(-4.6, 4.6), method="bounded",
                           options={"xatol": 1e-10})  # fmt: skip
    # Where a smooth function is least its value is flat, so a minimiser finds the place to the root of the rounding.
    assert np.log(found) == pytest.approx(best.x, abs=100 * np.sqrt(ULP))
    assert nll(logits, labels, found) <= best.fun + ULP * np.abs(logits).max() / found
    assert found == pytest.approx(factor, rel=0.25)


def test_the_slope_at_the_temperature_is_zero() -> None:
    logits, labels = overconfident(2)
    scale = torch.tensor(1 / fit_temperature(logits, labels), dtype=torch.float64, requires_grad=True)
    torch.nn.functional.cross_entropy(torch.tensor(logits) * scale, torch.tensor(labels)).backward()
    assert abs(scale.grad.item()) < 1e-9


def test_temperatures_without_a_minimum_stay_within_bounds() -> None:
    logits, _ = overconfident(3)
    assert fit_temperature(logits, logits.argmax(1)) == 0.01
    assert fit_temperature(logits, logits.argmin(1)) == 100.0
    assert fit_temperature(np.zeros((4, 3)), np.array([0, 1, 2, 0])) == 1.0


def test_unknown_labels_and_leading_dimensions_change_no_temperature() -> None:
    logits, labels = overconfident(4)
    alone = fit_temperature(logits, labels)
    assert fit_temperature(logits.reshape(20, 20, 5), labels.reshape(20, 20)) == alone
    more = np.concatenate([logits, [[900.0, 0, 0, 0, 0]]]), np.append(labels, -1)
    assert fit_temperature(*more) == alone


def test_large_logits_do_not_overflow() -> None:
    logits, labels = overconfident(5)
    far = fit_temperature(logits * 3 + 1e4, labels)
    assert far == pytest.approx(3 * fit_temperature(logits, labels), rel=1e-6)
    np.testing.assert_allclose(probabilities(logits, 2.0), softmax(logits / 2, axis=1), atol=8 * ULP)


def brute_force_error(values: np.ndarray, labels: np.ndarray, bins: int) -> float:
    total = 0.0
    for i in range(bins):
        rows = [r for r in range(len(labels)) if i / bins < values[r].max() <= (i + 1) / bins]
        if rows:
            right = np.mean([values[r].argmax() == labels[r] for r in rows])
            total += len(rows) * abs(right - np.mean([values[r].max() for r in rows]))
    return total / len(labels)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_the_error_over_bins_of_equal_width_is_its_formula(bins: int) -> None:
    logits, labels = overconfident(6)
    values = probabilities(logits)
    expected = brute_force_error(values, labels, bins)
    assert expected > 0.05
    assert expected_calibration_error(values, labels, bins=bins) == pytest.approx(expected, abs=len(labels) * ULP)


def test_bins_of_equal_mass_hold_as_many_rows_each_and_ties_stay_together() -> None:
    logits, labels = overconfident(7)
    found = reliability(probabilities(logits), labels, bins=8, equal="mass")
    assert found.count.tolist() == [50] * 8
    order = np.random.default_rng(0).permutation(len(labels))
    tied = np.round(probabilities(logits), 1)
    tied[:, 0] += 1 - tied.sum(1)
    tied = np.abs(tied) / np.abs(tied).sum(1, keepdims=True)
    one = expected_calibration_error(tied, labels, bins=8, equal="mass")
    assert one == pytest.approx(expected_calibration_error(tied[order], labels[order], bins=8, equal="mass"), abs=1e-12)


def test_a_fitted_temperature_lowers_the_error_of_an_overconfident_model() -> None:
    logits, labels = overconfident(8, rows=3000)
    temperature = fit_temperature(logits[:1500], labels[:1500])
    before = expected_calibration_error(probabilities(logits[1500:]), labels[1500:])
    after = expected_calibration_error(probabilities(logits[1500:], temperature), labels[1500:])
    assert after < before / 3


def test_unknown_labels_count_as_wrong() -> None:
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert expected_calibration_error(sure, [0, -1]) == 0.5
    assert brier(sure, [0, -1]) == 1.0


def test_the_brier_score_is_that_of_scikit_learn() -> None:
    logits, labels = overconfident(9)
    values = probabilities(logits)
    expected = brier_score_loss(labels, values, labels=range(5), scale_by_half=False)
    assert brier(values, labels) == pytest.approx(expected, abs=len(labels) * ULP)


def test_a_reliability_is_plain_json() -> None:
    data = json.loads(json.dumps(reliability([[0.9, 0.1], [0.3, 0.7]], [0, 0], bins=10).to_json()))
    assert data["confidence"] == [0.7, 0.9]
    assert data["accuracy"] == [0.0, 1.0]
    assert data["error"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("values", "labels", "sentence"),
    [
        ([[2.0, -1.0]], [0], "probabilities that add up to 1"),
        ([[0.5, 0.4]], [0], "probabilities that add up to 1"),
        ([[0.5, 0.5]], [2], "labels from -1 to 1, got 2 to 2"),
        ([[0.5, 0.5]], [0, 1], r"got \(1, 2\) and \(2,\)"),
        ([[np.nan, 0.5]], [0], "finite values, got 1"),
    ],
)
def test_what_are_no_probabilities_is_refused(values: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        brier(values, labels)


def test_wrong_options_and_missing_labels_are_refused() -> None:
    with pytest.raises(OptionError, match="equal must be one of width, mass"):
        reliability([[0.5, 0.5]], [0], equal="masss")
    with pytest.raises(OptionError, match="temperature must be greater than 0"):
        probabilities([[0.0]], 0)
    with pytest.raises(DataError, match="at least one known label"):
        fit_temperature([[0.0, 1.0]], [-1])
