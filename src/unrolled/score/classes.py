"""Scores of predicted classes: accuracy, a report for each class, and which class was taken for which.

Classes are codes 0 .. K-1 in arrays of one shape, any shape. In the truth -1 is a label that the training part never
had: whatever is predicted there is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError
from unrolled.score.rates import Counts, Rates
from unrolled.score.table import rates_table
from unrolled.types import Json

__all__ = ["ClassReport", "accuracy", "class_report", "confusion_matrix"]

UNKNOWN = "<unk>"

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class ClassReport:
    """Precision, recall, F1 and support of each class, and their averages.

    classes: one entry a label, in order; a last one "<unk>" where the truth holds labels that were never trained.
    macro: the mean over the classes that stand in the truth or were predicted. weighted: the mean weighted by support.
    `print(report)` shows a table.
    """

    classes: tuple[Counts, ...]
    accuracy: float
    macro: Rates
    weighted: Rates

    def __str__(self) -> str:
        total = sum(row.support for row in self.classes)
        rows = [(row.label, row.rates, row.f1, row.support) for row in self.classes]
        means = [
            ("macro mean", self.macro, self.macro.f1, total),
            ("weighted mean", self.weighted, self.weighted.f1, total),
        ]
        return rates_table([*rows, ("accuracy", None, self.accuracy, total), *means])

    def to_json(self) -> Json:
        """The report as plain JSON."""
        return {
            "accuracy": self.accuracy,
            "macro": self.macro._asdict(),
            "weighted": self.weighted._asdict(),
            "classes": [row.to_json() for row in self.classes],
        }


def accuracy(target: ArrayLike, prediction: ArrayLike) -> float:
    """The part of the predictions that are right, in [0, 1].

    >>> accuracy([0, 1, -1, 2], [0, 1, 1, 0])
    0.5
    """
    truth, guess = _codes("accuracy", target, prediction, None)
    return float(((truth == guess) & (truth >= 0)).mean())


def class_report(target: ArrayLike, prediction: ArrayLike, labels: Sequence[str]) -> ClassReport:
    """The report of predicted classes; `labels` names them, code by code.

    Raises:
        DataError: nothing to score, different shapes, or a code that is no class.
    """
    truth, guess = _codes("class_report", target, prediction, len(labels))
    size = len(labels)
    correct = np.bincount(truth[truth == guess], minlength=size)
    predicted = np.bincount(guess, minlength=size)
    support = np.bincount(truth[truth >= 0], minlength=size)
    rows = [Counts(str(labels[i]), int(correct[i]), int(predicted[i]), int(support[i])) for i in range(size)]
    unknown = int((truth < 0).sum())
    if unknown:
        rows.append(Counts(UNKNOWN, 0, 0, unknown))
    present = [row for row in rows if row.predicted or row.support]
    macro = _mean([row.rates for row in present], np.ones(len(present)))
    weighted = _mean([row.rates for row in rows], np.array([row.support for row in rows], np.float64))
    return ClassReport(tuple(rows), int(correct.sum()) / len(truth), macro, weighted)


def confusion_matrix(target: ArrayLike, prediction: ArrayLike, classes: int) -> Codes:
    """How often class i was taken for class j: (classes, classes) int64, [i, j]. Unknown labels stand in no cell."""
    truth, guess = _codes("confusion_matrix", target, prediction, classes)
    cells = truth[truth >= 0] * classes + guess[truth >= 0]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def _mean(rates: Sequence[Rates], weights: NDArray[np.float64]) -> Rates:
    means = np.average(np.array(rates, np.float64), axis=0, weights=weights)
    return Rates(*map(float, means))


def _codes(name: str, target: ArrayLike, prediction: ArrayLike, classes: int | None) -> tuple[Codes, Codes]:
    """Both as flat int64 arrays."""
    truth, guess = np.asarray(target), np.asarray(prediction)
    if truth.shape != guess.shape:
        raise DataError(f"{name}: expected a prediction for each target, got {guess.shape} for {truth.shape}.")
    if not truth.size:
        raise DataError(f"{name}: expected at least one target, got none; give data to score.")
    for what, codes, lowest in (("targets", truth, -1), ("predictions", guess, 0)):
        if codes.dtype.kind not in "iu":
            raise DataError(f"{name}: expected integer class codes as {what}, got {codes.dtype}; encode the labels.")
        if codes.min() < lowest or (classes is not None and codes.max() >= classes):
            bad = int(codes.min() if codes.min() < lowest else codes.max())
            upper = "" if classes is None else f" to {classes - 1}"
            raise DataError(
                f"{name}: expected {what} from {lowest}{upper}, got {bad}; score with the labels of the model."
            )
    return truth.ravel().astype(np.int64), guess.ravel().astype(np.int64)
