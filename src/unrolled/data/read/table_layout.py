"""Where the table begins in a delimited file: the lines above its header, the delimiter, a row of units under it."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from unrolled.data.read.numerals import MARKS, is_numeral
from unrolled.errors import listed

__all__ = ["COMMENTS_AMONG_ROWS", "LINES", "NO_HEADER", "TableLayout", "above_said", "is_datum", "see_layout"]

NO_HEADER = "its first line seems to be a row of data, so write a line with the names of the columns above it."
COMMENTS_AMONG_ROWS = ("#", "//", "%")
COMMENTS = (*COMMENTS_AMONG_ROWS, ";")
# Lines, and bytes of them, that are looked at.
LINES, BYTES = 60, 1 << 22
# Fields of a line that are looked at.
FIELDS = 50
# Of a unit's name.
LONGEST_UNIT = 20
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?([T ]\d.*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}( \d.*)?|\d{1,2}:\d{2}(:\d{2}.*)?"
    rf"|(\d{{1,2}}[ -])?{_MONTH}[ -]\d{{2,4}}( \d.*)?|{_MONTH} \d{{1,2}},? \d{{4}}|\d{{4}}[- ]?[qwm]\d{{1,2}}",
    re.I,
)


class TableLayout(NamedTuple):
    """How a delimited file is laid out.

    delimiter: one character. header: the line, from 1, of the column names. start: the byte where that line, or with
    `names` the first row, begins. above: the lines left out up to there. units: the lines of units under the header.
    names: of the columns, where they stand in a comment. remarks: what is to be said of it.
    """

    delimiter: str
    header: int
    start: int
    above: tuple[int, ...] = ()
    units: tuple[int, ...] = ()
    names: tuple[str, ...] | None = None
    remarks: tuple[str, ...] = ()


class _Text(NamedTuple):
    """A line: its number, from 1, the byte where it begins, its text."""

    number: int
    start: int
    text: str


class _Record(NamedTuple):
    """A record: its first line, from 1, the byte where that begins, its fields."""

    number: int
    start: int
    fields: list[str]


def see_layout(data: bytes, delimiters: Sequence[str]) -> TableLayout:
    """The layout as the first lines show it. Raises UnicodeDecodeError where they are no UTF-8."""
    texts = [line for line in _head(data) if line.text.strip()]
    comments = _comments_above(texts, COMMENTS)
    delimiter = _delimiter([line.text for line in texts[comments:]], delimiters)
    if delimiter == ";":
        comments = _comments_above(texts, COMMENTS_AMONG_ROWS)
    records = _records(texts[comments:], delimiter)
    if not records:
        return TableLayout(delimiter, texts[comments].number, texts[comments].start)
    first = records[0]
    named = _names_in_a_comment(texts[comments - 1].text, first, delimiter) if comments else None
    if named is not None:
        header = texts[comments - 1].number
        above = tuple(number for number in range(1, first.number) if number != header)
        return TableLayout(
            delimiter, header, first.start, above, (), named, (f"line {header}, a comment: taken as header",)
        )
    at = _header_among(records)
    header, units = records[at].number, _units_under(records[at:])
    left = [line.number for line in texts if line.number < header]
    remarks = (*above_said(left), *(_units_said(unit) for unit in units))
    numbers = tuple(unit.number for unit in units)
    return TableLayout(delimiter, header, records[at].start, tuple(range(1, header)), numbers, remarks=remarks)


def is_datum(field: str) -> bool:
    """Whether a field is a number or a date: what stands in rows, and seldom in a header."""
    text = field.strip()
    return _DATE.fullmatch(text) is not None or is_numeral(text)


def _head(data: bytes) -> Iterator[_Text]:
    """The first lines."""
    early = data[: 1 << 20]
    end = b"\r" if b"\n" not in early and b"\r" in early else b"\n"
    start, number = 0, 0
    while start < len(data) and number < LINES and (start < BYTES or number < 3):
        stop = data.find(end, start)
        stop = len(data) if stop < 0 else stop
        number += 1
        text = data[start:stop].removeprefix(b"\xef\xbb\xbf") if number == 1 else data[start:stop]
        yield _Text(number, start, text.decode().rstrip("\r"))
        start = stop + 1


def _comments_above(texts: Sequence[_Text], marks: tuple[str, ...]) -> int:
    count = 0
    while count < len(texts) - 1 and texts[count].text.lstrip().startswith(marks):
        count += 1
    return count


def _delimiter(texts: Sequence[str], delimiters: Sequence[str]) -> str:
    """The one that stands equally often in most lines; on a tie not the comma, which may part decimals."""

    def agreement(delimiter: str) -> tuple[float, bool, int]:
        usual, lines = Counter(text.count(delimiter) for text in texts).most_common(1)[0]
        return (lines / len(texts) if usual else 0.0, bool(usual) and delimiter != ",", texts[0].count(delimiter))

    return max(delimiters, key=agreement)


def _records(texts: Sequence[_Text], delimiter: str) -> list[_Record]:
    reader = csv.reader((line.text + "\n" for line in texts), delimiter=delimiter)
    records, begun = list[_Record](), 0
    try:
        for fields in reader:
            records.append(_Record(texts[begun].number, texts[begun].start, [field.strip() for field in fields]))
            begun = reader.line_num
    except csv.Error:
        # A field too long for this look at the first lines: what was seen so far must do.
        return records
    return records


def _names_in_a_comment(comment: str, first: _Record, delimiter: str) -> tuple[str, ...] | None:
    """The column names, where the comment right above rows of data holds as many."""
    if len(first.fields) < 2 or not _holds_data(first.fields):
        return None
    stripped = comment.lstrip()
    mark = next(mark for mark in COMMENTS if stripped.startswith(mark))
    names = [name.strip() for name in next(csv.reader([stripped[len(mark) :].lstrip()], delimiter=delimiter), [])]
    if len(names) != len(first.fields) or _holds_data(names):
        return None
    return (names[0] or mark, *names[1:])


def _header_among(records: Sequence[_Record]) -> int:
    """Which record holds the names: the first, unless titles stand above one that has as many fields as the rows."""
    width = Counter(len(record.fields) for record in records).most_common(1)[0][0]
    first = records[0].fields
    filled = sum(map(bool, first))
    if width < 2 or (len(first) == width and filled > 1):
        return 0
    for at, record in enumerate(records[1:-1], start=1):
        if len(record.fields) == width and sum(map(bool, record.fields)) >= max(2, width - 1):
            names = not _holds_data(record.fields)
            rows = _holds_data(records[at + 1].fields) or _units_under(records[at:])
            return at if names and rows else 0
    return 0


def _units_under(records: Sequence[_Record]) -> list[_Record]:
    """The records under the header that name units: no number or date in them, and numbers under them."""
    width = len(records[0].fields)
    first = next((at for at, record in enumerate(records[:5]) if _holds_data(record.fields)), 0)
    units = list(records[1:first])
    rows = [record.fields for record in records[first : first + 8] if len(record.fields) == width]
    if width < 2 or not rows or any(len(unit.fields) != width for unit in units):
        return []
    numbers = [column for column in range(min(width, FIELDS)) if _mostly_numbers([row[column] for row in rows])]
    for unit in units:
        named = [unit.fields[column] for column in numbers if unit.fields[column].lower() not in ("", *MARKS)]
        if not named or max(map(len, unit.fields)) > LONGEST_UNIT:
            return []
    return units


def _holds_data(fields: Sequence[str]) -> bool:
    return any(map(is_datum, fields[:FIELDS]))


def _mostly_numbers(fields: Sequence[str]) -> bool:
    some = [field for field in fields if field and field.lower() not in MARKS]
    return 2 * sum(map(is_numeral, some)) > len(some)


def above_said(above: Sequence[int]) -> tuple[str, ...]:
    """What is to be said of the lines left out above a header."""
    if not above:
        return ()
    lines = f"line {above[0]}" if len(above) == 1 else f"lines {above[0]} to {above[-1]}"
    return (f"{lines}, above the header: left out",)


def _units_said(unit: _Record) -> str:
    return f"line {unit.number}, under the header: taken as units ({listed(filter(None, unit.fields))}), left out"
