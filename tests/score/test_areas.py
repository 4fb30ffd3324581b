"""Areas are those of scikit-learn, ties included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.score.areas import average_precision, roc_area

# A sum of at most 82 numbers of at most 1, here and there.
TOLERANCE = 2 * 82 * np.finfo(np.float64).eps


def rows(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores with few values or many, and labels that go with them more or less."""
    random = np.random.default_rng(seed)
    size = int(random.integers(2, 80))
    labels = np.append(random.random(size) < random.random(), [True, False])
    scores = random.integers(0, int(random.integers(1, 60)), size + 2) + labels * random.integers(-3, 9)
    return scores / 7, labels


def test_areas_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    for seed in range(200):
        scores, labels = rows(seed)
        wanted = metrics.average_precision_score(labels, scores)
        assert average_precision(scores, labels) == pytest.approx(wanted, abs=TOLERANCE)
        assert roc_area(scores, labels) == pytest.approx(metrics.roc_auc_score(labels, scores), abs=TOLERANCE)


def test_the_roc_area_is_the_chance_to_rank_a_pair_rightly() -> None:
    for seed in range(50):
        scores, labels = rows(seed)
        better = np.sign(scores[labels][:, None] - scores[~labels])
        assert roc_area(scores, labels) == pytest.approx((better.mean() + 1) / 2, abs=TOLERANCE)
        assert roc_area(scores, ~labels) == pytest.approx(1 - roc_area(scores, labels), abs=TOLERANCE)


def test_only_the_order_of_scores_counts() -> None:
    for seed in range(50):
        scores, labels = rows(seed)
        mixed = np.random.default_rng(seed).permutation(len(scores))
        for area in (average_precision, roc_area):
            assert area(np.exp(scores / 9), labels) == area(scores, labels)
            assert area(scores[mixed], labels[mixed].astype(int)) == area(scores, labels)


def test_areas_that_are_known() -> None:
    assert average_precision([3, 2, 1, 0], [1, 1, 0, 0]) == 1.0
    assert average_precision([5, 5, 5, 5], [1, 0, 0, 0]) == 0.25
    assert average_precision([5], [True]) == 1.0
    assert roc_area([3, 2, 1, 0], [1, 1, 0, 0]) == 1.0
    assert roc_area([5, 5, 5, 5], [1, 0, 0, 0]) == 0.5


@pytest.mark.parametrize(
    ("scores", "labels", "sentence"),
    [
        ([1.0], [True, False], "a label for each score, got 2 for 1"),
        ([[1.0]], [[True]], r"one score a row, got scores of shape \(1, 1\)"),
        ([], [], "one score a row"),
        ([1.0, float("inf")], [True, False], "finite scores, got 1 of 2 that are not; leave those rows out"),
        ([1.0, 2.0], [0, 2], "labels as bool or 0 and 1, one a row, got int64"),
        ([1.0, 2.0], [0.0, 1.0], "labels as bool or 0 and 1, one a row, got float64"),
        ([1.0, 2.0], [False, False], "got 0 of 2 with it"),
    ],
)
@pytest.mark.parametrize("area", [average_precision, roc_area])
def test_rows_that_have_no_area_are_refused(area: Any, scores: Any, labels: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        area(scores, labels)


def test_a_roc_needs_rows_without_the_label() -> None:
    with pytest.raises(DataError, match="rows with the label and without, got 2 of 2"):
        roc_area([1.0, 2.0], [True, True])
