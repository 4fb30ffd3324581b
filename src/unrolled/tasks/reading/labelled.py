"""Texts or series with a class each: what a classifier reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from unrolled.data.read.files import Places, suffix
from unrolled.data.read.folders import read_folders
from unrolled.data.read.label_first import read_label_first
from unrolled.data.read.records import Records, comments_above, read_records
from unrolled.data.read.series import Series, read_series
from unrolled.errors import DataError, listed
from unrolled.fields.category import Category
from unrolled.fields.spoken import in_order, one_spelling, written_number
from unrolled.fields.text import Text
from unrolled.tasks.reading.guessed import check_guessed, table_of_numbers, told_apart
from unrolled.tasks.reading.inputs import Inputs, SeriesInputs, TextInputs, inputs_of
from unrolled.tasks.reading.texts import Texts, holds_columns, is_path, is_several

__all__ = ["LabelColumns", "LabelledExamples", "read_examples"]

SERIES_FILES = (".ts", ".arff", ".npy", ".npz")
LABEL_NAMES = ("label", "class", "target", "category", "sentiment", "y")
TEXT_NAMES = ("text", "sentence", "review", "document", "content", "message")
# So many different numbers are classes however few rows there are; with fractions fewer, and never more than the last.
FEW, FEW_FRACTIONS, MOST_FRACTIONS = 10, 5, 25
# What stands for a missing value in memory, as text.
MISSING = ("nan", "<NA>", "NaT")


@dataclass(frozen=True)
class LabelColumns:
    """Which columns of a table hold the text and its label; names: of all columns, where a file has no header."""

    text: str | None = None
    label: str | None = None
    names: tuple[str, ...] | None = None

    @property
    def parts(self) -> tuple[tuple[str | None, str | None], tuple[str, ...] | None]:
        """The columns of the text and of the label, and the names of all."""
        return (self.text, self.label), self.names

    def settled(self, present: Sequence[str], source: str) -> LabelColumns:
        """The columns named, or seen from their names, or from there being two."""
        label = self.label or next((name for name in LABEL_NAMES if name in present), None)
        text = self.text or next((name for name in TEXT_NAMES if name in present and name != label), None)
        rest = [name for name in present if name not in (text, label)]
        if len(present) == 2 and len(rest) == 1:
            text, label = text or rest[0], label or rest[0]
        if text is None or label is None:
            raise _unnamed("text" if text is None else "label", present, source)
        return LabelColumns(text, label, self.names)

    def texts_alone(self, present: Sequence[str], source: str) -> LabelColumns:
        """The column of the texts, where no labels are looked for."""
        text = present[0] if len(present) == 1 else self.text
        text = text or next((name for name in TEXT_NAMES if name in present), None)
        if text is None:
            raise _unnamed("text", present, source)
        return LabelColumns(text, self.label, self.names)


@dataclass(frozen=True, eq=False)
class LabelledExamples:
    """n inputs of one kind.

    labels: of each as text, None where there are none. kind: what they are: "text", "number" (numbers written in a
    file), "whole" (numbers) or "truth" (True and False). columns: where they stood in a table.
    """

    inputs: Inputs
    labels: list[str] | None
    kind: str
    places: Places
    columns: LabelColumns
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.places.numbers)

    def classes(self, rows: np.ndarray) -> Category:
        """The classes of these rows: numbers in the order of their values."""
        labels = self.labels or []
        found = Category.fit(labels[i] for i in rows.tolist())
        return Category(tuple(in_order(found.values))) if self.kind in ("whole", "number") else found

    def strange(self, known: Sequence[str]) -> DataError:
        """Training has seen none of the labels."""
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

    def check_held(self, held: LabelledExamples | None) -> None:
        """Raises `DataError` where examples that are held out are of another kind, or of other classes alone."""
        if held is None:
            return
        held.check_kind("valid", self.inputs.kind)
        classes, others = set(self.labels or ()), set(held.labels or ())
        if classes.isdisjoint(others) and _numbers(classes).isdisjoint(_numbers(others)):
            raise DataError(f"fit: expected valid to hold some of [{_quoted(classes)}], got [{_quoted(others)}].")

    def check_kind(self, owner: str, wanted: str) -> None:
        """Raises `DataError` where the inputs are of another kind than `wanted`."""
        came = self.inputs.kind
        if len(self) and came != wanted:
            raise DataError(f"{owner}: expected {wanted}, as in training, got {came}; give {wanted}.")


def read_examples(
    source: object, labels: Iterable[object] | None, columns: LabelColumns, shape: Text, *, labelled: bool
) -> LabelledExamples:
    """What a classifier takes: a table, a folder of classes, a file of series, or inputs with their labels.

    labelled: every example must have a label; else labels are not looked for.
    """
    if is_path(source) and os.path.isdir(source):
        found = read_folders(source)
        if labels is not None:
            raise DataError(f"The folder {found.source!r} has its labels in the names of its folders: leave y out.")
        kept = found.columns["label"] if labelled else None
        return _labelled(inputs_of(found.columns, shape), kept, found.places, columns, filed=True)
    if is_path(source) and suffix(source) in SERIES_FILES:
        series = read_series(source, labels)
        if labelled and series.labels is None:
            raise DataError(f"{series.source} has no labels: give them as y.")
        known = series.labels if labelled else None
        return _labelled(SeriesInputs(series.values), known, series.places, columns, filed=True)
    if is_path(source) and columns == LabelColumns() and (rows := read_label_first(source)) is not None:
        return _label_first(rows, labels, columns, labelled)
    if is_path(source) or holds_columns(source):
        return _from_table(source, labels, columns, shape, labelled)
    return _from_memory(source, labels, columns, shape, labelled)


def _label_first(
    rows: Series, labels: Iterable[object] | None, columns: LabelColumns, labelled: bool
) -> LabelledExamples:
    if labels is not None:
        raise DataError(f"{rows.source} has its labels in its first column: leave y out.")
    known = rows.labels if labelled else None
    said = f"{rows.source}: a series a row, its label first, and no header, as in the UCR archive"
    found = _labelled(SeriesInputs(rows.values), known, rows.places, columns, filed=True)
    return replace(found, remarks=(said, *found.remarks))


def _from_table(
    source: object, labels: Iterable[object] | None, columns: LabelColumns, shape: Text, labelled: bool
) -> LabelledExamples:
    records: Records = read_records(source, names=columns.names)
    own, told = labelled and labels is None, None not in (columns.text, columns.label)
    named = columns.text
    try:
        columns = (columns.settled if own else columns.texts_alone)(list(records.columns), records.source)
    except DataError as error:
        by_values = told_apart(records) if own and columns == LabelColumns() else None
        if by_values is None:
            raise table_of_numbers(records, columns.label) or error from error
        columns = LabelColumns(*by_values)
    if named is None and columns.text not in TEXT_NAMES:
        check_guessed(records, columns.text or "")
    texts = [text or "" for text in records.texts(columns.text or "")]
    given = None
    if own:
        records.texts(columns.label or "")
        given = records.columns[columns.label or ""]
    elif labelled:
        given = _matched(labels, len(records))
    filed = own and records.places.kind == "line"
    found = _labelled(TextInputs(Texts(texts, shape)), given, records.places, columns, filed=filed)
    seen = () if told or not own else (f"texts: column {columns.text!r}; labels: column {columns.label!r}",)
    above = () if columns.names else comments_above(source)
    return replace(found, remarks=(*above, *seen, *found.remarks))


def _from_memory(
    source: object, labels: Iterable[object] | None, columns: LabelColumns, shape: Text, labelled: bool
) -> LabelledExamples:
    if not is_several(source):
        raise DataError(
            f"Expected texts, series, a table or a file, but got {type(source).__name__}: pass one of these."
        )
    # An array of objects is a list that numpy holds.
    items = source if isinstance(source, np.ndarray) and source.dtype != object else list(source)
    if labelled and labels is None:
        raise DataError("Expected a label for each input, but got none: give them after the inputs, or a table.")
    given = _matched(labels, len(items)) if labelled else None
    if not len(items):
        if labelled:
            raise DataError("Expected labelled examples, but got none: give some.")
        return _labelled(SeriesInputs([]), None, Places("the inputs", "row", np.arange(0)), columns)
    if items.dtype.kind in "UO" if isinstance(items, np.ndarray) else any(isinstance(item, str) for item in items):
        places = Places("the texts", "row", np.arange(len(items)))
        texts = Texts([_said(item, places.of(row)) for row, item in enumerate(items)], shape)
        return _labelled(TextInputs(texts), given, places, columns)
    series = read_series(items)
    return _labelled(SeriesInputs(series.values), given, series.places, columns)


def _said(text: object, place: str) -> str:
    if isinstance(text, str):
        return str(text)
    raise DataError(f"Expected a text in {place}, but got {text!r}: fill it in or leave it out.")


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


def _labelled(
    inputs: Inputs, labels: Sequence[object] | None, places: Places, columns: LabelColumns, *, filed: bool = False
) -> LabelledExamples:
    """filed: whether texts are what a file holds, which knows no types."""
    if labels is None:
        return LabelledExamples(inputs, None, "text", places, columns)
    for row, label in enumerate(labels):
        if is_several(label):
            raise DataError(f"Expected one value as the label of {places.of(row)}, but got {label!r}: give one class.")
        if label is None or label == "" or (not isinstance(label, str) and str(label) in MISSING):
            raise DataError(f"{places.of(row)} has no label: fill it in or leave the example out.")
    kind = _kind(labels)
    said = [str(int(label)) if kind == "whole" and isinstance(label, int | float) else str(label) for label in labels]
    said, remarks = one_spelling(said)
    if filed and kind == "text" and all(written_number(label) is not None for label in set(said)):
        kind = "number"
    if kind in ("whole", "number"):
        remarks = (*remarks, "labels: numbers, in the order of their values")
    return LabelledExamples(inputs, said, kind, places, columns, remarks)


def _kind(labels: Sequence[object]) -> str:
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
            "measurements are for a regression, which a classifier cannot learn; make a few classes of them "
            "('low', 'high'), or write each as a name ('n7') if it is one."
        )


def _unnamed(what: str, present: Sequence[str], source: str) -> DataError:
    return DataError(
        f"{source}: expected a column of {what}s, but none has a usual name; say which with {what}=, or "
        f"name all columns with names= if the first line is no header. It has: {listed(present)}."
    )
