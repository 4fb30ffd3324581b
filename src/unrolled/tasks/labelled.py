"""Texts or series with a class each: what a classifier reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unrolled.data.files import Places, suffix
from unrolled.data.folders import read_folders
from unrolled.data.records import Records, read_records
from unrolled.data.series import Series, read_series
from unrolled.errors import DataError
from unrolled.fields.text import Text
from unrolled.tasks.texts import Texts

__all__ = ["Columns", "Examples", "read_examples"]

SERIES_FILES = (".ts", ".npy", ".npz")
LABEL_NAMES = ("label", "class", "target", "category", "sentiment", "y")
TEXT_NAMES = ("text", "sentence", "review", "document", "content", "message")


@dataclass(frozen=True)
class Columns:
    """Which columns of a table hold the text and its label; names: of all columns, where a file has no header."""

    text: str | None = None
    label: str | None = None
    names: tuple[str, ...] | None = None

    def settled(self, present: Sequence[str], source: str) -> Columns:
        """The columns named, or seen from their names, or from there being two."""
        label = self.label or next((name for name in LABEL_NAMES if name in present), None)
        text = self.text or next((name for name in TEXT_NAMES if name in present and name != label), None)
        rest = [name for name in present if name not in (text, label)]
        if len(present) == 2 and len(rest) == 1:
            text, label = text or rest[0], label or rest[0]
        if text is None or label is None:
            what, said = ("text", "text=") if text is None else ("label", "label=")
            raise DataError(
                f"{source}: expected a column of {what}s, but none has a usual name; say which with {said}. "
                f"It has: {', '.join(present)}."
            )
        return Columns(text, label, self.names)


@dataclass(frozen=True, eq=False)
class Examples:
    """n inputs, all texts or all series (T, D); labels: of each as text, None where there are none; numbers: they are
    whole numbers; columns: where they stood in a table."""

    texts: Texts | None
    series: list[np.ndarray] | None
    labels: list[str] | None
    numbers: bool
    places: Places
    columns: Columns

    def __len__(self) -> int:
        return len(self.series) if self.texts is None else len(self.texts)  # type: ignore[arg-type]


def read_examples(
    source: Any, labels: Iterable[Any] | None, columns: Columns, shape: Text, *, labelled: bool
) -> Examples:
    """What a classifier takes: a table, a folder of classes, a file of series, or inputs with their labels.

    labelled: every example must have a label; else labels are not looked for.
    """
    if isinstance(source, str | Path) and Path(source).is_dir():
        found = read_folders(source)
        kept = found.columns["label"] if labelled else None
        return _of(found.columns.get("text"), found.columns.get("series"), kept, found.places, columns, shape)
    if isinstance(source, str | Path) and suffix(source) in SERIES_FILES:
        series = read_series(source, labels)
        return _of(None, series.values, series.labels if labelled else None, series.places, columns, shape)
    if _is_table(source):
        return _from_table(source, columns, shape, labelled)
    return _from_memory(source, labels, columns, shape, labelled)


def _is_table(source: Any) -> bool:
    from narwhals.dependencies import is_into_dataframe

    if isinstance(source, str | Path | dict | Records) or is_into_dataframe(source):
        return True
    return isinstance(source, list) and len(source) > 0 and isinstance(source[0], dict)


def _from_table(source: Any, columns: Columns, shape: Text, labelled: bool) -> Examples:
    records = read_records(source, names=columns.names)
    present = list(records.columns)
    if labelled:
        columns = columns.settled(present, records.source)
    elif columns.text is None or columns.text not in present:
        columns = Columns(columns.text if len(present) > 1 else present[0], columns.label, columns.names)
    wanted = columns.text or ""
    texts = [text or "" for text in records.texts(wanted)]
    labels = records.texts(columns.label or "") if labelled else None
    for row, label in enumerate(labels or ()):
        if label is None:
            raise DataError(f"{records.place(row)} has no label in column {columns.label!r}; fill it in or drop it.")
    return _of(texts, None, labels, records.places, columns, shape)


def _from_memory(source: Any, labels: Iterable[Any] | None, columns: Columns, shape: Text, labelled: bool) -> Examples:
    items = source if isinstance(source, np.ndarray) else list(source)
    given = None if labels is None else [getattr(label, "item", lambda label=label: label)() for label in labels]
    if labelled and given is None:
        raise DataError("fit: expected a label for each input, got none; give them after the inputs, or a table.")
    if given is not None and len(given) != len(items):
        raise DataError(f"fit: expected one label for each of the {len(items)} inputs, got {len(given)} labels.")
    if len(items) and isinstance(items[0], str):
        places = Places("the texts", "row", np.arange(len(items)))
        return _of([str(text) for text in items], None, given, places, columns, shape)
    series: Series = read_series(source)
    return _of(None, series.values, given, series.places, columns, shape)


def _of(
    texts: list[str] | None,
    series: list[np.ndarray] | None,
    labels: Sequence[Any] | None,
    places: Places,
    columns: Columns,
    shape: Text,
) -> Examples:
    whole = labels is not None and all(isinstance(label, int) and not isinstance(label, bool) for label in labels)
    return Examples(
        None if texts is None else Texts(texts, shape),
        series,
        None if labels is None else [str(label) for label in labels],
        whole,
        places,
        columns,
    )
