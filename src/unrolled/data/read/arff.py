"""The .arff files of Weka and of the archive of time series: a header of attributes, then a series a line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unrolled.data.read.files import file_name, iterate_text
from unrolled.data.read.ts import known_label, series_of, stack_channels
from unrolled.errors import DataError

__all__ = ["read_arff"]

_ATTRIBUTE = re.compile(r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s{]+)\s*(.*)""", re.I)
_NUMERIC = ("numeric", "real", "integer")


def read_arff(source: str | Path) -> tuple[list[np.ndarray], list[str] | None, list[int]]:
    r"""(values (T_i, D) float64 with NaN where "?" stands, labels or None, line numbers).

    The last attribute with listed values is the label. The numeric ones are the steps of a series of one channel; a
    relational one holds channels, a text of numbers between commas each, parted by "\n" as the archive writes them.

    Raises:
        DataError: a header or line that does not fit, an attribute of texts or dates; file and line are named.
    """
    name = file_name(source)
    lines = iter(enumerate(iterate_text(source), start=1))
    header = _read_header(lines, name)

    def series(line: str, number: int) -> tuple[np.ndarray, str | None]:
        if line.startswith("{"):
            raise DataError(f"Line {number} of {name} is sparse, expected a value for each attribute: write them all.")
        parts, label = (_relational if header.relational else _flat)(line, header, number, name)
        if label is not None:
            label = known_label(label, header.labels, "@attribute lists", number, name)
        return stack_channels(parts, number, name), label

    return series_of(lines, "%", series, labelled=header.label is not None)


@dataclass
class _Attributes:
    """What the header says. label: the place of the attribute with listed values among the others."""

    count: int = 0
    relational: bool = False
    label: int | None = None
    labels: tuple[str, ...] = ()


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> _Attributes:
    header, inside = _Attributes(), False
    for number, text in lines:
        line = text.strip()
        word = line.split(None, 1)[0].lower() if line else ""
        if not line or word.startswith("%") or word == "@relation":
            continue
        if word == "@data":
            if header.count < 1 + (header.label is not None):
                raise DataError(f"{name} has no attribute of numbers: expected a series of them, and a label.")
            return header
        if word == "@end":
            inside = False
        elif word == "@attribute":
            if not inside:
                inside = _take(header, line, number, name)
        else:
            raise DataError(
                f"Expected '@attribute' or '@data' in line {number} of {name}, but got {line[:40]!r}: mend that line."
            )
    raise DataError(f"{name} has no '@data' line, so no series: give a whole .arff file.")


def _take(header: _Attributes, line: str, number: int, name: str) -> bool:
    """Whether the attribute is a relational one, whose own attributes follow."""
    found = _ATTRIBUTE.fullmatch(line)
    title, kind = (found[1].strip("'\""), found[2].strip()) if found else ("", "")
    if kind.startswith("{") and kind.endswith("}"):
        header.label = header.count
        header.labels = tuple(value.strip().strip("'\"") for value in kind[1:-1].split(","))
    elif kind.lower() == "relational":
        header.relational = True
    elif kind.lower() not in _NUMERIC:
        raise DataError(
            f"Attribute {title[:40]!r} in line {number} of {name} is {kind[:20]!r}, but numbers and one label are "
            "expected: leave it out, or write texts as a .csv file."
        )
    header.count += 1
    return kind.lower() == "relational"


def _flat(line: str, header: _Attributes, number: int, name: str) -> tuple[list[str], str | None]:
    """(the one channel, the label) of a line."""
    fields = [part.strip().strip("'\"") for part in line.split(",")]
    if len(fields) != header.count:
        raise DataError(
            f"Line {number} of {name} has {len(fields)} values where {header.count} attributes are: mend that line."
        )
    label = None if header.label is None else fields.pop(header.label)
    return [",".join(fields)], label


def _relational(line: str, header: _Attributes, number: int, name: str) -> tuple[list[str], str | None]:
    """(the channels, the label) of a line that begins with a quoted text of channels."""
    end = line.find(line[0], 1)
    rest = [part.strip().strip("'\"") for part in line[end + 1 :].split(",")[1:]]
    if line[0] not in "'\"" or end < 0 or len(rest) != header.count - 1:
        raise DataError(
            f"Expected the channels between quotation marks, then {header.count - 1} more values, in line {number} of "
            f"{name}, but got {line[:40]!r}: mend that line."
        )
    label = None if header.label is None else rest[header.label - 1]
    return line[1:end].split("\\n"), label
