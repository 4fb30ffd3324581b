"""Precision, recall and F1 from counts, and the table that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from unrolled.types import Json

__all__ = ["Counts", "Rates"]


class Rates(NamedTuple):
    """Precision, recall and F1, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Counts:
    """What was found of one label: how often it was predicted, how often it stands in the truth, how often both."""

    label: str
    correct: int
    predicted: int
    support: int

    @property
    def precision(self) -> float:
        """correct / predicted; 0 where it was never predicted."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """correct / support; 0 where it never stands in the truth."""
        return self.correct / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """2 correct / (predicted + support), the harmonic mean of precision and recall; 0 where both counts are 0."""
        both = self.predicted + self.support
        return 2 * self.correct / both if both else 0.0

    @property
    def rates(self) -> Rates:
        """All three."""
        return Rates(self.precision, self.recall, self.f1)

    def to_json(self) -> Json:
        """Counts and rates as plain JSON."""
        counts = {"label": self.label, "correct": self.correct, "predicted": self.predicted, "support": self.support}
        return {**counts, **self.rates._asdict()}
