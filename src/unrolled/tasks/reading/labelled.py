"""Inputs of any kind with a class each: what a classifier reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from unrolled.data.read.sources import holds_columns, is_path, is_several
from unrolled.errors import DataError, listed
from unrolled.fields.category import Category
from unrolled.fields.spoken import in_order, one_spelling, written_number
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Input, ReadSource, known_inputs
from unrolled.tasks.reading.corpus import InputCorpus
from unrolled.tasks.reading.options import InputOptions

__all__ = ["LabelledExamples", "is_missing", "read_examples", "read_source", "recognised"]

# So many different numbers are classes however few rows there are; with fractions fewer, and never more than the last.
FEW, FEW_FRACTIONS, MOST_FRACTIONS = 10, 5, 25
# What stands for a missing value in memory, as text.
MISSING = ("nan", "<NA>", "NaT")


@dataclass(frozen=True, eq=False)
class LabelledExamples(InputCorpus):
    """n inputs of one kind, with a class each.

    labels: of each as text, None where there are none. label_kind: what they were before: "text", "number" (numbers
    written in a file), "whole" (numbers) or "truth" (True and False).
    """

    labels: list[str] | None = None
    label_kind: str = "text"

    def with_answers_of(self, rows: np.ndarray) -> Self:
        return replace(self, labels=None if self.labels is None else [self.labels[row] for row in rows.tolist()])

    def classes(self, rows: np.ndarray) -> Category:
        """The classes of these rows: numbers in the order of their values."""
        labels = self.labels or []
        field = Category.fit(labels[i] for i in rows.tolist())
        return Category(tuple(in_order(field.values))) if self.label_kind in ("whole", "number") else field

    def unknown_labels(self, known: Sequence[str]) -> DataError:
        """What to say where training has seen none of the labels, but only the `known` ones."""
        return DataError(
            f"evaluate: expected labels that training has seen ({listed(in_order(known), 6)}), but all "
            f"{len(self):,} are others ({listed(in_order(self.labels or ()), 6)}): choose the column of labels, or "
            "write them as in training."
        )

    def check_classes(self) -> None:
        """Raises `DataError` where there is nothing to tell apart, or where labels are measurements."""
        classes = set(self.labels or ())
        _check_measured(classes, len(self))
        if len(classes) < 2:
            raise DataError(
                f"fit: expected at least two classes, got [{_quoted(classes)}] alone; give examples of another."
            )

    def check_held(self, held: Self | None) -> None:
        """Raises `DataError` where examples that are held out are of another kind, or of other classes alone."""
        super().check_held(held)
        if held is None:
            return
        classes, others = set(self.labels or ()), set(held.labels or ())
        if classes.isdisjoint(others) and _numbers(classes).isdisjoint(_numbers(others)):
            raise DataError(f"fit: expected valid to hold some of [{_quoted(classes)}], got [{_quoted(others)}].")


def read_examples(
    source: object, labels: Iterable[object] | None, columns: LabelColumns, options: InputOptions, *, labelled: bool
) -> LabelledExamples:
    """What a classifier takes: a source of any kind, with labels in it or beside it.

    labelled: every example must have a label; else labels are not looked for.
    """
    return _labelled(*read_source(source, labels, columns, options, labelled=labelled))


def read_source(
    source: object, labels: Iterable[object] | None, columns: LabelColumns, options: InputOptions, *, labelled: bool
) -> tuple[ReadSource, Sequence[object] | None]:
    """A source of any kind, and the labels in it or beside it, one for each input, whatever they are.

    labelled: every example must have a label; else labels are not looked for, and None. What was read already is taken
    as it is.
    """
    if isinstance(source, ReadSource) and not labelled:
        return source, None
    kind, source = recognised(source, columns, labelled)
    read = kind.read(source, columns, options, labelled=labelled and labels is None)
    if not labelled:
        return read, None
    if labels is None:
        return read, _own(read)
    if read.labels is not None:
        raise DataError(f"{read.places.source!r} has labels of its own: leave y out.")
    return read, _matched(labels, len(read.inputs))


def is_missing(label: object) -> bool:
    """Whether a label is not there: None, an empty text, or a missing value in memory."""
    return label is None or (label == "" if isinstance(label, str) else str(label) in MISSING)


def recognised(source: object, columns: LabelColumns, labelled: bool) -> tuple[type[Input[Any]], object]:
    """The kind of a source, and the source, which can be gone through more than once."""
    if not is_path(source) and not holds_columns(source):
        if not is_several(source):
            raise DataError(
                f"Expected texts, series, a table or a file, but got {type(source).__name__}: pass one of these."
            )
        source = source if isinstance(source, np.ndarray) and source.dtype != object else list(source)
        if labelled and not len(source):
            raise DataError("Expected labelled examples, but got none: give some.")
    return next(kind for kind in known_inputs() if kind.recognises(source, columns)), source


def _own(read: ReadSource) -> Sequence[object]:
    """The labels that stand beside the inputs."""
    if read.labels is not None:
        return read.labels
    if read.filed:
        raise DataError(f"{read.places.source} has no labels: give them as y.")
    raise DataError("Expected a label for each input, but got none: give them after the inputs, or a table.")


def _matched(labels: Iterable[object] | None, count: int) -> list[object]:
    """The labels as Python has them, one for each input."""
    if labels is None or not is_several(labels):
        raise DataError(f"Expected a list of labels, one for each of the inputs, but got {labels!r}: give such a list.")
    every = list(labels)
    given = [
        label.item() if isinstance(label, np.generic | np.ndarray) and label.size == 1 else label for label in every
    ]
    if len(given) != count:
        raise DataError(f"Expected one label for each of the {count} inputs, got {len(given)} labels: pair them up.")
    return given


def _labelled(read: ReadSource, labels: Sequence[object] | None) -> LabelledExamples:
    if labels is None:
        return LabelledExamples(read.inputs, read.places, read.columns, read.remarks)
    for row, label in enumerate(labels):
        place = read.places.of(row)
        if is_several(label):
            raise DataError(f"Expected one value as the label of {place}, but got {str(label)[:40]!r}: give one class.")
        if is_missing(label):
            raise DataError(f"{place} has no label: fill it in or leave the example out.")
    kind = _label_kind(labels)
    said = [str(int(label)) if kind == "whole" and isinstance(label, int | float) else str(label) for label in labels]
    said, remarks = one_spelling(said)
    if read.filed and read.labels is labels and kind == "text" and all(map(_is_number, set(said))):
        kind = "number"
    if kind in ("whole", "number"):
        remarks = (*remarks, "labels: numbers, in the order of their values")
    return LabelledExamples(read.inputs, read.places, read.columns, (*read.remarks, *remarks), said, kind)


def _is_number(label: str) -> bool:
    return written_number(label) is not None


def _label_kind(labels: Sequence[object]) -> str:
    if all(isinstance(label, bool) for label in labels):
        return "truth"
    whole = all(
        (isinstance(label, int) and not isinstance(label, bool)) or (isinstance(label, float) and label.is_integer())
        for label in labels
    )
    return "whole" if whole else "text"


def _quoted(classes: Iterable[str]) -> str:
    return listed(map(repr, in_order(classes)))


def _numbers(classes: Iterable[str]) -> set[float]:
    return {number for number in map(written_number, classes) if number is not None}


def _check_measured(classes: set[str], count: int) -> None:
    """Raises `DataError` where labels are numbers of which most stand once or twice."""
    numbers = _numbers(classes)
    if len(numbers) < len(classes):
        return
    broken = any(not number.is_integer() for number in numbers)
    lone = len(classes) > (FEW_FRACTIONS if broken else FEW) and 2 * len(classes) > count
    if lone or (broken and len(classes) > MOST_FRACTIONS):
        some = listed(in_order(classes), 4)
        raise DataError(
            f"fit: expected classes as labels, but got {len(classes):,} different numbers in {count:,} rows ({some}): "
            "measurements are for a regression, as a Regressor learns it; make a few classes of them ('low', 'high'), "
            "or write each as a name ('n7') if it is one."
        )
