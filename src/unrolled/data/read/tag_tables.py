"""Tagged sentences as delimited text: a header, then a word a row, as in "Sentence #,Word,POS,Tag"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from unrolled.data.read.conll import Sentences
from unrolled.data.read.delimited import Row, choose_delimiter, iterate_rows
from unrolled.data.read.files import Places, file_name, iterate_text, require_names, suffix
from unrolled.data.read.tag_layout import TAG_NAMES, WORD_NAMES
from unrolled.data.read.usual import usual_column
from unrolled.errors import DataError, listed

__all__ = ["read_tag_table"]

SENTENCES = (
    "sentence #", "sentence#", "sentence_id", "sentence id", "sentence_idx", "sentence", "sent_id", "sent", "id",
)  # fmt: skip
_DELIMITERS = (",", ";", "\t")


def read_tag_table(source: str | Path, column: str | int | None = None) -> tuple[Sentences, tuple[str, ...]] | None:
    """The sentences of a .csv file with a header, a word a row, and what was understood of it; None: it is none.

    A sentence begins where its column names another, or names one again after an empty field, or else after an empty
    line. Rows without a word are left out.

    Args:
        source: a path that ends in .csv, plain or .gz.
        column: of the tags: a name of the header, or a number from 0, negative from the end. None: by a usual name.

    Raises:
        DataError: a row of other fields than the header, an empty tag, no such column, lists of words in one field.
    """
    if suffix(source) != ".csv":
        return None
    name, lines, above = file_name(source), iterate_text(source), list[str]()
    for first in lines:
        if first.strip():
            break
        above.append("")
    else:
        return None
    delimiter = choose_delimiter(first, _DELIMITERS)
    header = [field.strip().strip('"') for field in first.split(delimiter)]
    word, sentence = _usual(header, WORD_NAMES), _usual(header, SENTENCES)
    if word is None or len(header) < 2:
        return None
    tag = _tag_column(header, column, name, {word, sentence})
    rows = iterate_rows(chain(above, [first], lines), name, delimiter)
    next(rows)
    found, empty = _gathered(rows, header, (word, tag, sentence), name)
    by = f", sentences by {header[sentence]!r}" if sentence is not None else ", sentences parted by empty lines"
    said = [f"words: column {header[word]!r}, tags: column {header[tag]!r}{by}"]
    said += [f"{empty:,} rows without a word: left out"] if empty else []
    others = [title for i, title in enumerate(header) if i not in (word, tag, sentence)]
    said += [f"columns left alone: {listed(others)}"] if others else []
    return found, tuple(said)


def _usual(header: Sequence[str], names: Sequence[str]) -> int | None:
    name = usual_column(names, header)
    return None if name is None else header.index(name)


def _tag_column(header: list[str], column: str | int | None, name: str, taken: set[int | None]) -> int:
    if isinstance(column, str):
        require_names([column], header, name)
        return header.index(column)
    if column is not None:
        if not -len(header) <= column < len(header):
            raise DataError(f"There is no column {column} in {name}: give a number from 0 to {len(header) - 1}.")
        return column % len(header)
    tag = _usual(header, TAG_NAMES)
    if tag is None or tag in taken:
        raise DataError(
            f"{name} has a column of words, but none of tags with a usual name: say which with column=. "
            f"It has: {listed(header)}."
        )
    return tag


def _gathered(
    rows: Iterator[Row], header: list[str], columns: tuple[int, int, int | None], name: str
) -> tuple[Sentences, int]:
    """The sentences, and how many rows had no word."""
    word, tag, sentence = columns
    words, tags, starts, empty = list[list[str]](), list[list[str]](), list[int](), 0
    known, last, line = None, "", 0
    for row in rows:
        fields = _fitting(row, header, name)
        key = "" if sentence is None else fields[sentence].strip()
        parted = row.line > line + 1 if sentence is None else bool(key) and (key != known or not last)
        known, last, line = key or known, key, row.line
        if parted or not words:
            words.append([])
            tags.append([])
            starts.append(row.line)
        if not fields[word].strip():
            empty += 1
            continue
        _one_word(fields[word], row.line, name)
        if not fields[tag].strip():
            raise DataError(f"Line {row.line} of {name} has an empty tag: fill it in.")
        words[-1].append(fields[word].strip())
        tags[-1].append(fields[tag].strip())
    if not any(words):
        raise DataError(f"{name} holds no words: give one word a row, with its tag in another column.")
    found = Sentences(words, tags, name, Places(name, "line", np.array(starts, np.int64)))
    return found.select([at for at, some in enumerate(words) if some]), empty


def _fitting(row: Row, header: list[str], name: str) -> list[str]:
    if len(row.fields) != len(header):
        raise DataError(
            f"Line {row.line} of {name} has {len(row.fields)} fields where {len(header)} are expected "
            f"({listed(header)}): mend that line."
        )
    return row.fields


def _one_word(text: str, line: int, name: str) -> None:
    if text.strip().startswith("[") and text.strip().endswith("]") and "," in text:
        raise DataError(
            f"Line {line} of {name} holds a whole sentence, {text.strip()[:30]!r}..., but a word in each row is "
            "expected, with its tag: write it so, or pass (sentences, tags) in Python."
        )
