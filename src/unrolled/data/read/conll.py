"""Tagged sentences: a word a line with its columns, sentences parted by empty lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from unrolled.data.batch.batching import Rows
from unrolled.data.read.door import reader
from unrolled.data.read.files import Places, file_name, iterate_text, suffix
from unrolled.data.read.tag_layout import DOCUMENT, TagLayout
from unrolled.errors import DataError, how_many

__all__ = ["Sentences", "read_conll"]

# So many lines tell where words and tags stand.
_SAMPLE = 500


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences as lists of words, with one tag a word.

    Args:
        words, tags: of each sentence; as many tags as words.
        source: the file's name, or words for what is in memory.
        places: where the first word of each sentence stands.
        remarks: what was understood of the file without being told, and what was left out.
    """

    words: list[list[str]]
    tags: list[list[str]]
    source: str
    places: Places
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.words)

    def place(self, index: int) -> str:
        """Where sentence `index` begins, for messages: "line 12 of x.conllu"."""
        return self.places.of(index)

    def select(self, rows: Sequence[int] | Rows) -> Sentences:
        """The sentences given, in that order; each keeps its place."""
        chosen = np.asarray(rows, np.int64).tolist()
        words, tags = ([part[i] for i in chosen] for part in (self.words, self.tags))
        return Sentences(words, tags, self.source, self.places.select(rows), self.remarks)


@reader
def read_conll(source: str | Path, column: str | int | None = None) -> Sentences:
    """The sentences of a file in CoNLL-U, or with two or more columns of which the first is the word.

    Columns stand between tabs, or between spaces where the first word's line has no tab; other white space belongs
    to words. A line without any text ends a sentence. In CoNLL-U comments, multiword ranges ("3-4") and empty nodes
    ("5.1") are left out. Elsewhere "#" begins a comment only before the first word of a sentence, in a line of
    other columns than the words have. "-DOCSTART-" lines and lines without a word are left out, and so is a first
    line of names such as "word" and "tag", which say which column is which. Columns that count (1, 2, 3 in each
    sentence) hold no words: those are in the next one. What was found and left out stands in `remarks`.

    Args:
        source: a path, plain or .gz, or "-" for standard input. CoNLL-U is seen from the ending .conllu, or from ten
            columns of which the first counts the words.
        column: of the tags: a number from 0, negative from the end, or in CoNLL-U a name (id, form, lemma, upos, xpos,
            feats, head, deprel, deps, misc) or below a line of names one of them. None: "upos" in CoNLL-U, else the
            last column.

    Raises:
        DataError: no such file, no words, a line with other columns than the first (it is named), no such column.
    """
    reading = _Reading(file_name(source))
    words, tags, starts = list[list[str]](), list[list[str]](), list[int]()
    fresh = True
    for token in reading.tokens(source, column):
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
        raise DataError(f"{reading.name} holds no words: give one word a line, with its tag in another column.")
    return Sentences(
        words, tags, reading.name, Places(reading.name, "line", np.array(starts, np.int64)), reading.said()
    )


class _Reading:
    """One file read, and what is said of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layout: TagLayout | None = None
        self.documents = 0
        self.empty = list[int]()

    def tokens(self, source: str | Path, column: str | int | None) -> Iterator[tuple[int, str, str] | None]:
        """(line, word, tag) of each word, None between sentences."""
        lines = iterate_text(source)
        head = _up_to_words(lines)
        if not any(text.strip() and not text.startswith(DOCUMENT) for text in head):
            return
        layout = self.layout = TagLayout.seen(head, self.name, column, suffix(source) == ".conllu")
        inside = False
        for line, text in enumerate(chain(head, lines), start=1):
            if not text.strip():
                inside = False
                yield None
            elif layout.is_comment(text, inside):
                self.documents += text.startswith(DOCUMENT)
            elif (fields := layout.fields(text, line)) is not None:
                inside = True
                word, tag = fields
                if not word:
                    self.empty.append(line)
                elif word != DOCUMENT:
                    yield line, word, tag

    def said(self) -> tuple[str, ...]:
        """What was left out and guessed."""
        found = [] if self.layout is None else [f"{self.name}: {remark}" for remark in self.layout.remarks]
        if self.documents:
            found.append(f"{self.name}: {how_many(self.documents, 'line')} {DOCUMENT} left out")
        if self.empty:
            lines = how_many(len(self.empty), "line")
            found.append(f"{self.name}: {lines} without a word left out, the first is {self.empty[0]}")
        return tuple(found)


def _up_to_words(lines: Iterator[str]) -> list[str]:
    """The first lines, so many that they surely hold words: a line that begins with "#" may be a comment."""
    head = list(islice(lines, _SAMPLE))
    while head and not any(text.strip() and not text.startswith(("#", DOCUMENT)) for text in head[-_SAMPLE:]):
        more = list(islice(lines, _SAMPLE))
        if not more:
            break
        head += more
    return head
