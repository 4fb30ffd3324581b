"""Scores of classes are scikit-learn's, and labels that are missing on either side raise no warning."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as confusion_of_sklearn

from unrolled.errors import DataError
from unrolled.score.classes import accuracy, class_report, confusion_matrix

# Each number is a few divisions and a mean over at most 9 classes.
TOLERANCE = 64 * np.finfo(np.float64).eps
LABELS = [f"label {i}" for i in range(9)]


def random_codes(seed: int, *, unknown: bool) -> tuple[np.ndarray, np.ndarray]:
    """Codes of 9 classes of which the truth lacks 2 and 5, the prediction 5 and 7; a third of the pairs are right."""
    random = np.random.default_rng(seed)
    size = int(random.integers(3, 90))
    target = random.choice([0, 1, 3, 4, 6, 7, 8, *([-1] if unknown else [])], size)
    prediction = random.choice([0, 1, 2, 3, 4, 6, 8], size)
    right = (random.random(size) < 1 / 3) & np.isin(target, [0, 1, 3, 4, 6, 8])
    return target, np.where(right, target, prediction)


@pytest.mark.parametrize("unknown", [False, True])
def test_the_report_is_that_of_scikit_learn(unknown: bool) -> None:
    for seed in range(30):
        target, prediction = random_codes(seed, unknown=unknown)
        report = class_report(target, prediction, LABELS)
        codes = [*range(9), *([-1] if (target < 0).any() else [])]
        each = precision_recall_fscore_support(target, prediction, labels=codes, zero_division=0)
        for i, row in enumerate(report.classes):
            assert row.rates == pytest.approx([column[i] for column in each[:3]], abs=TOLERANCE)
            assert row.support == each[3][i]
        for average, found in (("macro", report.macro), ("weighted", report.weighted)):
            wanted = precision_recall_fscore_support(target, prediction, average=average, zero_division=0)
            assert found == pytest.approx(wanted[:3], abs=TOLERANCE)
        assert report.accuracy == pytest.approx(accuracy_score(target, prediction), abs=TOLERANCE)
        assert accuracy(target, prediction) == report.accuracy


def test_the_confusion_matrix_is_that_of_scikit_learn() -> None:
    target, prediction = random_codes(0, unknown=False)
    expected = confusion_of_sklearn(target, prediction, labels=range(9))
    np.testing.assert_array_equal(confusion_matrix(target.reshape(-1, 1), prediction.reshape(-1, 1), 9), expected)
    with_unknown = confusion_matrix(np.append(target, -1), np.append(prediction, 3), 9)
    np.testing.assert_array_equal(with_unknown, expected)


def test_an_unknown_label_is_wrong_whatever_is_predicted() -> None:
    report = class_report([0, -1, -1], [0, 0, 1], ["a", "b"])
    assert report.accuracy == pytest.approx(1 / 3)
    assert [(row.label, row.correct, row.predicted, row.support) for row in report.classes] == [
        ("a", 1, 2, 1), ("b", 0, 1, 0), ("<unk>", 0, 0, 2),
    ]  # fmt: skip


def test_the_report_is_a_table_and_plain_json() -> None:
    report = class_report(
        [0, 0, 1, 2], [0, 1, 1, 0], ["good", "a label of which the name is far too long for a table", "x"]
    )
    lines = str(report).splitlines()
    assert lines[0].split() == ["precision", "recall", "f1", "support"]
    assert lines[1].split() == ["good", "0.500", "0.500", "0.500", "2"]
    assert lines[2].startswith("a label of which the name is far too lo…")
    assert lines[4].split() == ["accuracy", "0.500", "4"]
    assert lines[5].split() == ["macro", "mean", "0.333", "0.500", "0.389", "4"]
    assert len({len(line) for line in lines}) == 1
    data = json.loads(json.dumps(report.to_json()))
    assert data["accuracy"] == 0.5
    assert data["classes"][0] == {
        "label": "good", "correct": 1, "predicted": 2, "support": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("target", "prediction", "sentence"),
    [
        ([], [], "at least one target"),
        ([0, 1], [0], r"a prediction for each target, got \(1,\) for \(2,\)"),
        ([0, 3], [0, 1], "targets from -1 to 1, got 3"),
        ([0, 1], [0, -1], "predictions from 0 to 1, got -1"),
        ([0.0, 1.0], [0, 1], "integer class codes as targets, got float64"),
    ],
)
def test_codes_that_are_no_classes_are_refused(target: Any, prediction: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        class_report(target, prediction, ["a", "b"])
