"""Scores of predicted spans (named entities, chunks): a span is right if its type and both its ends are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from unrolled.errors import DataError
from unrolled.score.rates import Counts, Rates
from unrolled.score.table import rates_table
from unrolled.types import Json

__all__ = ["Span", "SpanReport", "span_f1"]

Span = tuple[str, int, int]


@dataclass(frozen=True)
class SpanReport:
    """Precision, recall and F1 over all spans and for each type.

    overall: counts over all types together (micro). types: one entry a type, sorted by name. macro: the mean over the
    types. `print(report)` shows a table.
    """

    overall: Counts
    types: tuple[Counts, ...]
    macro: Rates

    @property
    def f1(self) -> float:
        """F1 over all spans: the number that is usually reported."""
        return self.overall.f1

    def __str__(self) -> str:
        rows = [(row.label, row.rates, row.f1, row.support) for row in (*self.types, self.overall)]
        return rates_table([*rows, ("macro mean", self.macro, self.macro.f1, self.overall.support)])

    def to_json(self) -> Json:
        """The report as plain JSON."""
        types = [row.to_json() for row in self.types]
        return {"overall": self.overall.to_json(), "macro": self.macro._asdict(), "types": types}


def span_f1(gold: Sequence[Iterable[Span]], predicted: Sequence[Iterable[Span]]) -> SpanReport:
    """Compare the spans of each sentence, (type, first, end), as the CoNLL script conlleval does.

    gold, predicted: one collection a sentence; a span counts once in a sentence, however often it is given. Without
    any span all rates are 0.

    Raises:
        DataError: the numbers of sentences differ.

    >>> span_f1([[("PER", 0, 2), ("LOC", 4, 5)]], [[("PER", 0, 2), ("LOC", 4, 6)]]).f1
    0.5
    """
    if len(gold) != len(predicted):
        raise DataError(f"span_f1: expected predicted spans for {len(gold)} sentences, got {len(predicted)}.")
    correct, guessed, wanted = Counter[str](), Counter[str](), Counter[str]()
    for truth, guess in zip(gold, predicted, strict=True):
        here, there = set(truth), set(guess)
        wanted.update(kind for kind, *_ in here)
        guessed.update(kind for kind, *_ in there)
        correct.update(kind for kind, *_ in here & there)
    kinds = sorted(wanted.keys() | guessed.keys())
    types = tuple(Counts(kind, correct[kind], guessed[kind], wanted[kind]) for kind in kinds)
    overall = Counts("all spans", correct.total(), guessed.total(), wanted.total())
    means = [sum(column) / len(types) for column in zip(*(row.rates for row in types))]
    return SpanReport(overall, types, Rates(*means) if means else Rates(0.0, 0.0, 0.0))
