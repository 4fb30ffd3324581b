"""Scores of predicted numbers and of their intervals, beside those of a constant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.errors import DataError
from unrolled.score.forecast import coverage, mae, rmse
from unrolled.score.table import score_table

__all__ = ["RegressionReport", "r2", "regression_report"]

Array = NDArray[np.float64]

MODEL = "model"


@dataclass(frozen=True)
class RegressionReport:
    """How good predicted numbers are.

    rows: one for each of the model and what it is compared with, for each target where there are several (`target`,
    from 1): name, mae and rmse (in the target's unit), r2, and for each level coverage_80 (the share of rows inside)
    and width_80 (the mean width), None where there are no intervals. count: rows scored.
    """

    rows: tuple[dict[str, Any], ...]
    count: int

    def __getitem__(self, name: str) -> dict[str, Any]:
        """The row of the first target by its name, "model" for ours."""
        return next(row for row in self.rows if row["name"] == name)

    @property
    def r2(self) -> float:
        """Of the model, the mean over targets."""
        return float(np.mean([row["r2"] for row in self.rows if row["name"] == MODEL]))

    def __str__(self) -> str:
        return f"{self.count:,} rows\n{score_table(self.rows)}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {**asdict(self), "rows": [dict(row) for row in self.rows]}


def r2(target: ArrayLike, guess: ArrayLike) -> float:
    """1 - sum (y - f)^2 / sum (y - mean y)^2; where all targets are equal 1 for no error at all, else 0.

    >>> r2([1, 2, 3], [1, 2, 2])
    0.5
    """
    truth, found = np.asarray(target, np.float64), np.asarray(guess, np.float64)
    if truth.shape != found.shape or not truth.size:
        raise DataError(f"r2: expected a prediction for each of some targets, got {found.shape} for {truth.shape}.")
    error, spread = np.square(truth - found).sum(), np.square(truth - truth.mean()).sum()
    if spread == 0:
        return float(error == 0)
    return float(1 - error / spread)


def regression_report(
    target: Array, guess: Array, lower: Array, upper: Array, levels: Sequence[float], constants: Mapping[str, Array]
) -> RegressionReport:
    """target, guess: (N, V). lower, upper: (N, V, L), of each level in percent. constants: (V,) each, by name."""
    rows = []
    for value in range(target.shape[1]):
        truth = target[:, value]
        which: dict[str, Any] = {"target": value + 1} if target.shape[1] > 1 else {}
        own = _scores(truth, guess[:, value])
        for i, level in enumerate(levels):
            low, high = lower[:, value, i], upper[:, value, i]
            own |= {f"coverage_{level:g}": coverage(truth, low, high), f"width_{level:g}": float((high - low).mean())}
        rows.append({"name": MODEL, **which, **own})
        for name, constant in constants.items():
            plain = _scores(truth, np.full(truth.shape, constant[value]))
            rows.append({"name": name, **which, **dict.fromkeys(own), **plain})
    return RegressionReport(tuple(rows), len(target))


def _scores(truth: Array, guess: Array) -> dict[str, Any]:
    return {"mae": mae(truth, guess), "rmse": rmse(truth, guess), "r2": r2(truth, guess)}
