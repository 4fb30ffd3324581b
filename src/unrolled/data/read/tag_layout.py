"""Where the words and the tags of a file in columns stand: seen from the first of its lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from unrolled.data.read.usual import usual_column
from unrolled.errors import DataError, listed, suggest

__all__ = ["COLUMNS", "DOCUMENT", "TAG_NAMES", "WORD_NAMES", "TagLayout"]

# The ten columns of CoNLL-U, in their order.
COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
DOCUMENT = "-DOCSTART-"
_WORD_ID = re.compile(r"[0-9]+")
# Multiword ranges and empty nodes: "3-4" and "5.1".
_OTHER_ID = re.compile(r"[0-9]+[-.][0-9]+")
# What the columns of words and of tags are called in a line of names above them, the likeliest first.
WORD_NAMES = ("word", "words", "token", "tokens", "form", "text")
TAG_NAMES = (
    "tag", "tags", "ner", "ner_tag", "ner_tags", "ner-tag", "label", "labels", "entity", "bio", "iob", "pos", "pos_tag",
    "upos", "xpos", "chunk",
)  # fmt: skip


@dataclass(frozen=True)
class TagLayout:
    """How the lines of one file are cut.

    Args:
        name: the file's, for messages.
        delimiter: a tab, or None for runs of spaces and tabs.
        width: columns. word, tag: the numbers of two of them.
        counted: whether the first column counts words, with ranges and empty nodes between; universal: as in CoNLL-U.
        names: of the columns, where the first line holds them.
        remarks: what was understood of it without being told.
    """

    name: str
    delimiter: str | None
    width: int
    word: int
    tag: int
    counted: bool
    universal: bool
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @classmethod
    def seen(cls, lines: Sequence[str], name: str, column: str | int | None, universal: bool) -> TagLayout:
        """The layout of the file that begins with these lines, of which one at least holds a word.

        Raises:
            DataError: one column alone, no such column of tags, or a first column that counts beside one more.
        """
        text = next((line for line in lines if _holds(line) and not line.startswith("#")), "")
        text = text or next(line for line in reversed(lines) if _holds(line))
        delimiter = "\t" if "\t" in text else None
        fields = _cut(text, delimiter)
        names = _names_in(fields)
        universal = universal or (len(fields) == len(COLUMNS) and bool(_is_id(fields[0])))
        width = len(COLUMNS) if universal else len(fields)
        if width < 2:
            raise DataError(
                f"Expected a word and its tag in each line of {name}, in columns parted by a tab or a space, but its "
                f"first word {text.strip()!r} stands alone: add the column of tags."
            )
        said = (f"the names of columns {' '.join(names)!r} are no word",) if names else ()
        if universal:
            return cls(name, delimiter, width, 1, _tag(column, COLUMNS, width, 3, name), True, True, names, said)
        cut = [_cut(line, delimiter) if _holds(line) else [] for line in lines]
        sentences = _sentences([row for row in cut if row != fields or not names], width)
        word, counted = _word(names, sentences)
        if counted:
            said = (*said, f"words: column {word} (the first is 0), for what stands before counts them")
        last = width - 1
        if word == last and counted:
            raise DataError(
                f"Expected words and tags in {name}, but all of its columns before the last count (1, 2, 3, ...): add "
                "the column of tags, or take out the counter."
            )
        tag = _tag(column, names, width, last - (word == last), name)
        return cls(name, delimiter, width, word, tag, counted and _starts_with_ids(sentences), False, names, said)

    def cut(self, text: str) -> list[str]:
        """The columns of a line."""
        if self.delimiter:
            return text.split("\t")
        # The quick way cuts at other white space, too, where there is any.
        fields = text.split()
        return fields if len(fields) == self.width and text.isascii() else _cut(text, None)

    def is_comment(self, text: str, inside: bool) -> bool:
        """Whether a line holds no columns; inside: of a sentence that has begun."""
        if self.universal:
            return text.startswith("#")
        if text.startswith(DOCUMENT):
            return True
        if not text.startswith("#") or inside:
            return False
        return len(self.cut(text)) != self.width or (self.delimiter is None and "\t" in text)

    def fields(self, text: str, line: int) -> tuple[str, str] | None:
        """(word, tag), the word empty where none stands; None for a line that is no word."""
        fields = text.split("\t") if self.delimiter else self.cut(text)
        if len(fields) != self.width:
            raise DataError(
                f"Line {line} of {self.name} has {len(fields)} columns where {self.width} are expected: mend that line."
            )
        # As _WORD_ID, in a third of its time.
        if self.counted and not (fields[0].isdigit() and fields[0].isascii()):
            if _OTHER_ID.fullmatch(fields[0]) or self.is_names(fields):
                return None
            counting = "CoNLL-U counts words" if self.universal else "words are counted"
            raise DataError(f"Line {line} of {self.name} has {fields[0]!r} where {counting}: mend that line.")
        if self.names and self.is_names(fields):
            return None
        word, tag = fields[self.word], fields[self.tag].strip()
        if not tag:
            raise DataError(f"Line {line} of {self.name} has an empty tag: fill it in.")
        return word if word.strip(" ") else "", tag

    def is_names(self, fields: Sequence[str]) -> bool:
        """Whether they are the names of the columns once more."""
        return bool(self.names) and tuple(field.strip() for field in fields) == self.names


def _holds(line: str) -> bool:
    return bool(line.strip()) and not line.startswith(DOCUMENT)


def _cut(text: str, delimiter: str | None) -> list[str]:
    """Other white space than spaces and tabs belongs to words."""
    if delimiter:
        return text.split(delimiter)
    return [field for field in text.replace("\t", " ").split(" ") if field]


def _is_id(field: str) -> bool:
    return bool(_WORD_ID.fullmatch(field) or _OTHER_ID.fullmatch(field))


def _starts_with_ids(sentences: Sequence[Sequence[Sequence[str]]]) -> bool:
    return all(_is_id(row[0]) for sentence in sentences for row in sentence)


def _names_in(fields: Sequence[str]) -> tuple[str, ...]:
    """The fields of a line that names columns; empty where it holds a word and its tag."""
    lower = [field.strip().lower() for field in fields]
    named = any(field in WORD_NAMES for field in lower) and any(field in TAG_NAMES for field in lower)
    return tuple(field.strip() for field in fields) if named else ()


def _sentences(rows: Sequence[Sequence[str]], width: int) -> list[list[Sequence[str]]]:
    """The rows of that width, parted where empty ones stand; the last may be cut short."""
    found: list[list[Sequence[str]]] = [[]]
    for row in rows:
        if not row:
            found.append([])
        elif len(row) == width and not _OTHER_ID.fullmatch(row[0]):
            found[-1].append(row)
    return [sentence for sentence in found if sentence]


def _word(names: Sequence[str], sentences: Sequence[Sequence[Sequence[str]]]) -> tuple[int, bool]:
    """The column of words, and whether columns before it count: the words of a sentence, or sentences."""
    named = usual_column(WORD_NAMES, names)
    if named is not None:
        return names.index(named), False
    if sum(map(len, sentences)) < 2:
        return 0, False
    width, word, counted = len(sentences[0][0]), 0, False
    for place in range(width - 1):
        column = [[row[place] for row in sentence] for sentence in sentences]
        if _counts(column):
            word, counted = place + 1, True
        elif not _same_in_each(column):
            break
    return word, counted


def _counts(column: Sequence[Sequence[str]]) -> bool:
    """Whether numbers go up by one: in each sentence from 0 or 1, through all of them, or from sentence to sentence."""
    if not all(_WORD_ID.fullmatch(value) and len(value) < 10 for values in column for value in values):
        return False
    numbers = [[int(value) for value in values] for values in column]
    longer = any(len(values) > 1 for values in numbers)
    restarts = longer and all(v[0] == numbers[0][0] <= 1 and all(b == a + 1 for a, b in pairwise(v)) for v in numbers)
    runs = longer and numbers[0][0] <= 1 and all(b == a + 1 for a, b in pairwise(chain.from_iterable(numbers)))
    firsts = [values[0] for values in numbers]
    of_sentences = (
        len(firsts) > 1 and longer and all(len(set(v)) == 1 for v in numbers)
        and all(b == a + 1 for a, b in pairwise(firsts))
    )  # fmt: skip
    return restarts or runs or of_sentences


def _same_in_each(column: Sequence[Sequence[str]]) -> bool:
    """Whether each sentence has one value alone, as the name of a document is."""
    return any(len(values) > 1 for values in column) and all(len(set(values)) == 1 for values in column)


def _tag(column: str | int | None, names: Sequence[str], width: int, usual: int, name: str) -> int:
    if column is None:
        return usual
    if isinstance(column, str):
        lower = [each.lower() for each in names]
        if column.lower() in lower:
            return lower.index(column.lower())
        known = f"choose from {listed(names)}" if names else "only CoNLL-U has names, give a number from 0"
        raise DataError(
            f"There is no column {column!r} in {name}.{suggest(column, names)} "
            f"Expected one of its {width} columns: {known}."
        )
    if not -width <= column < width:
        raise DataError(f"There is no column {column} in {name}: give a number from 0 to {width - 1}.")
    return column % width
