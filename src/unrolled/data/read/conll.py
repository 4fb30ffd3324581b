"""Tagged sentences: a word a line with its columns, sentences parted by empty lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from unrolled.data.batch.batching import Rows
from unrolled.data.read.door import reader
from unrolled.data.read.files import Places, file_name, iterate_text, suffix
from unrolled.errors import DataError, suggest

__all__ = ["Sentences", "read_conll"]

# The ten columns of CoNLL-U, in their order.
_COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_WORD_ID = re.compile(r"[0-9]+")
# Multiword ranges and empty nodes: "3-4" and "5.1".
_OTHER_ID = re.compile(r"[0-9]+[-.][0-9]+")
_DOCUMENT = "-DOCSTART-"


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences as lists of words, with one tag a word.

    Args:
        words, tags: of each sentence; as many tags as words.
        source: the file's name, or words for what is in memory.
        places: where the first word of each sentence stands.
    """

    words: list[list[str]]
    tags: list[list[str]]
    source: str
    places: Places

    def __len__(self) -> int:
        return len(self.words)

    def place(self, index: int) -> str:
        """Where sentence `index` begins, for messages: "line 12 of x.conllu"."""
        return self.places.of(index)

    def select(self, rows: Sequence[int] | Rows) -> Sentences:
        """The sentences given, in that order; each keeps its place."""
        chosen = np.asarray(rows, np.int64).tolist()
        words, tags = ([part[i] for i in chosen] for part in (self.words, self.tags))
        return Sentences(words, tags, self.source, self.places.select(rows))


@reader
def read_conll(source: str | Path, column: str | int | None = None) -> Sentences:
    """The sentences of a file in CoNLL-U, or with two or more columns of which the first is the word.

    Columns stand between tabs, or between white space where the first word's line has no tab; a line without any text
    ends a sentence. In CoNLL-U comments, multiword ranges ("3-4") and empty nodes ("5.1") are left out. Elsewhere
    "#" begins a comment only before the first word of a sentence, in a line of other columns than the words have, and
    "-DOCSTART-" lines are left out.

    Args:
        source: a path, plain or .gz, or "-" for standard input. CoNLL-U is seen from the ending .conllu, or from ten
            columns of which the first counts the words.
        column: of the tags: a number from 0, negative from the end, or in CoNLL-U a name (id, form, lemma, upos, xpos,
            feats, head, deprel, deps, misc). None: "upos" in CoNLL-U, else the last column.

    Raises:
        DataError: no such file, no words, a line with other columns than the first (it is named), no such column.
    """
    name = file_name(source)
    words, tags, starts = list[list[str]](), list[list[str]](), list[int]()
    fresh = True
    for token in _tokens(source, name, column):
        if token is None:
            fresh = True
            continue
        line, word, tag = token
        if fresh:
            words.append([])
            tags.append([])
            starts.append(line)
            fresh = False
        words[-1].append(word)
        tags[-1].append(tag)
    if not words:
        raise DataError(f"{name} holds no words: give one word a line, with its tag in another column.")
    return Sentences(words, tags, name, Places(name, "line", np.array(starts, np.int64)))


def _tokens(source: str | Path, name: str, column: str | int | None) -> Iterator[tuple[int, str, str] | None]:
    """(line, word, tag) of each word, None between sentences."""
    lines = enumerate(iterate_text(source), start=1)
    head = _up_to_a_word(lines)
    words = [text for _, text in head if text.strip() and not text.startswith(_DOCUMENT)]
    if not words:
        return
    layout = _Layout.seen(words[-1], name, column, suffix(source) == ".conllu")
    inside = False
    for line, text in chain(head, lines):
        if not text.strip():
            inside = False
            yield None
        elif not layout.is_comment(text, inside):
            fields = layout.fields(text, line)
            if fields is not None:
                inside = True
                yield line, *fields


def _up_to_a_word(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """The first lines, up to one that surely holds a word: a line that begins with "#" may be a comment."""
    head = []
    for line, text in lines:
        head.append((line, text))
        if text.strip() and not text.startswith(("#", _DOCUMENT)):
            break
    return head


@dataclass(frozen=True)
class _Layout:
    """How the lines of one file are cut: seen from its first line with a word."""

    name: str
    delimiter: str | None
    width: int
    word: int
    tag: int
    universal: bool

    @classmethod
    def seen(cls, text: str, name: str, column: str | int | None, universal: bool) -> _Layout:
        delimiter = "\t" if "\t" in text else None
        fields = text.split(delimiter)
        counted = len(fields) == len(_COLUMNS) and (_WORD_ID.fullmatch(fields[0]) or _OTHER_ID.fullmatch(fields[0]))
        universal = universal or bool(counted)
        width = len(_COLUMNS) if universal else len(fields)
        if width < 2:
            raise DataError(
                f"Expected a word and its tag in each line of {name}, in columns parted by a tab or a space, but its "
                f"first word {text.strip()!r} stands alone: add the column of tags."
            )
        return cls(name, delimiter, width, int(universal), _tag_column(column, width, universal, name), universal)

    def is_comment(self, text: str, inside: bool) -> bool:
        if self.universal:
            return text.startswith("#")
        if text.startswith(_DOCUMENT):
            return True
        fits = len(text.split(self.delimiter)) == self.width and (self.delimiter or "\t" not in text)
        return text.startswith("#") and not inside and not fits

    def fields(self, text: str, line: int) -> tuple[str, str] | None:
        """(word, tag); None for a line of CoNLL-U that is no word."""
        fields = text.split(self.delimiter)
        if len(fields) != self.width:
            raise DataError(
                f"Line {line} of {self.name} has {len(fields)} columns where {self.width} are expected: mend that line."
            )
        if self.universal and not _WORD_ID.fullmatch(fields[0]):
            if _OTHER_ID.fullmatch(fields[0]):
                return None
            raise DataError(f"Line {line} of {self.name} has {fields[0]!r} where CoNLL-U counts words: mend that line.")
        word, tag = fields[self.word], fields[self.tag].strip()
        if not word or not tag:
            raise DataError(f"Line {line} of {self.name} has an empty {'tag' if word else 'word'}: fill it in.")
        return word, tag


def _tag_column(column: str | int | None, width: int, universal: bool, name: str) -> int:
    if column is None:
        return _COLUMNS.index("upos") if universal else width - 1
    if isinstance(column, str):
        if universal and column.lower() in _COLUMNS:
            return _COLUMNS.index(column.lower())
        known = f"choose from {', '.join(_COLUMNS)}" if universal else "only CoNLL-U has names, give a number from 0"
        raise DataError(
            f"There is no column {column!r} in {name}.{suggest(column, _COLUMNS) if universal else ''} "
            f"Expected one of its {width} columns: {known}."
        )
    if not -width <= column < width:
        raise DataError(f"There is no column {column} in {name}: give a number from 0 to {width - 1}.")
    return column % width
