"""Delimited text line by line: records of fields, each with the line where it begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unrolled.errors import DataError

__all__ = ["Row", "choose_delimiter", "iterate_rows"]


class Row(NamedTuple):
    """One record: the number of its first line, from 1, and its fields."""

    line: int
    fields: list[str]


def choose_delimiter(line: str, candidates: Sequence[str], width: int | None = None) -> str:
    """The candidate that splits the first line into `width` fields; else the one that stands in it most often."""
    for candidate in candidates:
        if width is not None and line.count(candidate) == width - 1:
            return candidate
    return max(candidates, key=line.count)


def iterate_rows(lines: Iterator[str], name: str, delimiter: str) -> Iterator[Row]:
    r"""The records of delimited text; empty lines are left out.

    In text separated by tabs a quotation mark is a character like any other. Elsewhere a field that begins with one
    ends at the next that is not doubled, and may hold delimiters and line breaks in between (RFC 4180).

    Args:
        lines: without their ends.
        name: the file's name, for messages.
        delimiter: one character.
    """
    number = 0
    for line in lines:
        number += 1
        if not line:
            continue
        if delimiter == "\t" or '"' not in line:
            yield Row(number, line.split(delimiter))
            continue
        record = _Quoted(line, number, lines, name, delimiter)
        yield Row(number, record.fields())
        number = record.number


class _Quoted:
    """One record with quotation marks in it, which may go on over further lines."""

    def __init__(self, line: str, number: int, lines: Iterator[str], name: str, delimiter: str) -> None:
        self.line, self.number, self._lines, self._name, self._delimiter = line, number, lines, name, delimiter

    def fields(self) -> list[str]:
        fields, at = [], 0
        while at <= len(self.line):
            if self.line.startswith('"', at):
                text, at = self._quoted(at + 1)
            else:
                text = ""
            end = self.line.find(self._delimiter, at)
            end = len(self.line) if end < 0 else end
            fields.append(text + self.line[at:end])
            at = end + 1
        return fields

    def _quoted(self, at: int) -> tuple[str, int]:
        """The text up to the closing mark, and where the line goes on after it."""
        parts, opened = list[str](), self.number
        while True:
            end = self.line.find('"', at)
            if end < 0:
                following = next(self._lines, None)
                if following is None:
                    raise DataError(
                        f"The quotation mark that opens a field in line {opened} of {self._name} is never closed: "
                        "close it, or double the marks that belong to the text."
                    )
                parts += [self.line[at:], "\n"]
                self.line, self.number, at = following, self.number + 1, 0
            elif self.line.startswith('"', end + 1):
                parts.append(self.line[at : end + 1])
                at = end + 2
            else:
                parts.append(self.line[at:end])
                return "".join(parts), end + 1
