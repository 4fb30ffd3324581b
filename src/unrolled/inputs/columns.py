"""Columns of a table that hold inputs and their labels: named by the user, or seen from names and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from unrolled.data.panel.steps import AS_SEEN, StepColumns
from unrolled.data.read.files import require_names
from unrolled.data.read.records import Records
from unrolled.data.read.table_layout import is_datum
from unrolled.data.read.usual import said_columns
from unrolled.errors import DataError, listed

__all__ = [
    "LABEL_NAMES",
    "LabelColumns",
    "TEXT_NAMES",
    "TRANSCRIPT_NAMES",
    "check_guessed",
    "table_of_numbers",
    "told_apart",
]

LABEL_NAMES = ("label", "class", "target", "category", "sentiment", "y")
TEXT_NAMES = ("text", "sentence", "review", "document", "content", "message")
TRANSCRIPT_NAMES = ("text", "sentence", "transcript")
# Values of a column that are looked at, and columns.
SOME, FEW = 50, 200
# Columns are told apart from so many rows on, where labels come so often each.
ROWS, AGAIN = 10, 5
HELP = (
    "classifiers and regressors read texts, or series from .ts, .arff and .npz files, a folder of files for each class "
    "or a .tsv file with a label and then the values in each row and no header, or a table with a row for each step "
    "and a column that names the series, see id="
)


@dataclass(frozen=True)
class LabelColumns:
    """Which columns of a table hold the text and its label, or the steps of series; names: of all columns, where a file
    has no header.

    files: the column that names the files of inputs. said: labels are no classes, but what is said or written. more:
    columns of further numbers that belong to a label, which is then a list of all of them.
    """

    text: str | None = None
    label: str | None = None
    names: tuple[str, ...] | None = None
    steps: StepColumns = AS_SEEN
    files: str | None = None
    said: bool = False
    more: tuple[str, ...] = ()

    @property
    def usual(self) -> tuple[str, ...]:
        """The names under which labels are looked for."""
        return TRANSCRIPT_NAMES if self.said else LABEL_NAMES

    @property
    def parts(self) -> tuple[tuple[str | None, str | None], tuple[str, ...] | None]:
        """The columns of the text and of the label, and the names of all."""
        return (self.text, self.label), self.names

    @property
    def said_labels(self) -> str:
        """Where labels stand, in words: "column 'a'" or "columns 'a', 'b'"."""
        return said_columns([self.label or "", *self.more])

    def settled(self, present: Sequence[str], source: str) -> LabelColumns:
        """The columns named, or seen from their names, or from there being two."""
        label = self.label or next((name for name in LABEL_NAMES if name in present), None)
        text = self.text or next((name for name in TEXT_NAMES if name in present and name != label), None)
        rest = [name for name in present if name not in (text, label, *self.more)]
        if len(present) == 2 + len(self.more) and len(rest) == 1:
            text, label = text or rest[0], label or rest[0]
        if text is None or label is None:
            raise _unnamed("text" if text is None else "label", present, source)
        return LabelColumns(text, label, self.names, more=self.more)

    def labels(self, columns: Mapping[str, Sequence[object]], source: str) -> Sequence[object]:
        """The label of each row of a table: what stands in its column; of several columns a list."""
        require_names([name for name in (self.label, *self.more) if name is not None], list(columns), source)
        if not self.more:
            return columns[self.label or ""]
        return [list(row) for row in zip(*(columns[name] for name in (self.label or "", *self.more)), strict=True)]

    def texts_alone(self, present: Sequence[str], source: str) -> LabelColumns:
        """The column of the texts, where no labels are looked for."""
        text = present[0] if len(present) == 1 else self.text
        text = text or next((name for name in TEXT_NAMES if name in present), None)
        if text is None:
            raise _unnamed("text", present, source)
        return LabelColumns(text, self.label, self.names, more=self.more)


def table_of_numbers(records: Records, label: str | None) -> DataError | None:
    """What to tell the owner of a table all of whose columns but one or two are numbers; None of any other."""
    names = [name for name in records.columns if name != label]
    numbers = sum(_holds_numbers(records.columns[name]) for name in names[:FEW])
    if len(names) < 2 or numbers < max(2, min(len(names), FEW) - 2):
        return None
    more = "more than " if len(names) > FEW else ""
    return DataError(
        f"{records.source} is a table of numbers ({more}{numbers} columns of them), but {HELP}: write each row as a "
        "series in such a file, or say which column holds texts with text=."
    )


def told_apart(records: Records) -> tuple[str, str] | None:
    """The columns of the texts and of the labels of a table that has two, where their values tell which is which.

    Labels come again and again, texts do not. A name that is itself among the labels is a row of data, not a header.
    """
    if len(records.columns) != 2 or len(records) < ROWS:
        return None
    kinds = {name: {value for value in records.texts(name) if value is not None} for name in records.columns}
    label, text = sorted(kinds, key=lambda name: len(kinds[name]))
    few = len(kinds[label]) * AGAIN <= len(records) and len(kinds[label]) * AGAIN <= len(kinds[text])
    return (text, label) if few and label not in kinds[label] and not _holds_numbers(kinds[text]) else None


def check_guessed(records: Records, text: str) -> None:
    """Raises DataError where the column taken for texts holds numbers."""
    if _holds_numbers(records.columns[text]):
        raise DataError(
            f"Column {text!r} of {records.source} holds numbers, but {HELP}: write it so, or say which column holds "
            "texts with text=."
        )


def _holds_numbers(values: Iterable[object]) -> bool:
    some = [str(value) for value, _ in zip((v for v in values if v is not None), range(SOME), strict=False)]
    return bool(some) and all(map(is_datum, some))


def _unnamed(what: str, present: Sequence[str], source: str) -> DataError:
    return DataError(
        f"{source}: expected a column of {what}s, but none has a usual name; say which with {what}=, or "
        f"name all columns with names= if the first line is no header. It has: {listed(present)}."
    )
