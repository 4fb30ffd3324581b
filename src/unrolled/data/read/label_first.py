"""A series a row, its label first, no header: the .tsv and .txt files of the UCR archive of time series."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from unrolled.data.read.files import Places, file_name, iterate_text, suffix
from unrolled.data.read.series import Series
from unrolled.errors import DataError

__all__ = ["is_label_first", "read_label_first"]

_ENDINGS = (".tsv", ".txt", ".csv")
# Rows that are looked at to see whether their first value is a class.
_ROWS = 100


def read_label_first(source: str | Path) -> Series | None:
    """The series of a file whose rows are numbers alone, whole ones that come again in the first place.

    A series ends at the last value that is not missing: the archive fills short ones up with NaN. In a .csv file the
    last column must not look like classes as well.

    Returns:
        Series with their labels, or None where the first rows are not of that kind.

    Raises:
        DataError: a later row holds something else; its line is named.
    """
    if not is_label_first(source):
        return None
    values, labels, lines = list[np.ndarray](), list[str](), list[int]()
    for line, row in _rows(source):
        if row is None or not row[0].is_integer():
            raise DataError(
                f"Line {line} of {file_name(source)} is not a whole number, the label, and then the numbers of a "
                "series, as the lines before it are: mend that line."
            )
        series = np.array(row[1:], np.float64)
        present = np.flatnonzero(~np.isnan(series))
        values.append(series[: int(present[-1]) + 1 if len(present) else 1, None])
        labels.append(str(int(row[0])))
        lines.append(line)
    name = file_name(source)
    return Series(values, labels, name, Places(name, "line", np.array(lines, np.int64)))


def is_label_first(source: str | Path) -> bool:
    """Whether the first rows of a file are of that kind."""
    if suffix(source) not in _ENDINGS:
        return False
    first = [row for _, row in islice(_rows(source), _ROWS)]
    rows = [row for row in first if row is not None and len(row) > 2]
    if len(first) < 2 or len(rows) < len(first) or not _are_classes([row[0] for row in rows]):
        return False
    return suffix(source) != ".csv" or not _are_classes([row[-1] for row in rows])


def _rows(source: str | Path) -> Iterator[tuple[int, list[float] | None]]:
    """(line, its numbers, None where it holds something else)."""
    for line, text in enumerate(iterate_text(source), start=1):
        if text.strip():
            yield line, _numbers(text)


def _numbers(text: str) -> list[float] | None:
    parts = text.split("\t") if "\t" in text else text.split("," if "," in text else None)
    try:
        return [float(part) if part.strip() else float("nan") for part in parts]
    except ValueError:
        return None


def _are_classes(values: list[float]) -> bool:
    """Whether these are whole numbers of which some come again."""
    return all(value.is_integer() for value in values) and len(set(values)) <= max(2, len(values) // 2)
