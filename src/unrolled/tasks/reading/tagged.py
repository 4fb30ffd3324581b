"""Sentences with a tag for every word: what a tagger reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.data.read.conll import Sentences, read_conll
from unrolled.data.read.files import Places
from unrolled.data.read.sources import is_path, is_several
from unrolled.data.read.tag_tables import read_tag_table
from unrolled.errors import DataError
from unrolled.fields.text import Text
from unrolled.fields.tokens import learned_scheme, odd_tags, split_spaces, write_chunks
from unrolled.inputs.input import Input
from unrolled.inputs.plain import parts_marks
from unrolled.inputs.text import TextInput
from unrolled.inputs.texts import Texts

__all__ = ["TaggedExamples", "in_scheme", "read_tagged", "read_untagged", "said_of"]


# So many remarks are made of tags.
MOST = 6


@dataclass(frozen=True, eq=False)
class TaggedExamples:
    """Inputs with a tag for each step; tags is None where they are not known. marks: see `parts_marks`."""

    inputs: Input[Any]
    tags: list[list[str]] | None
    places: Places
    remarks: tuple[str, ...] = ()
    marks: bool = False

    def __len__(self) -> int:
        return len(self.inputs)


def read_tagged(source: object, column: str | int | None, shape: Text) -> TaggedExamples:
    """A CoNLL file with the tags in a column, what was read of one, or a pair (sentences, tags)."""
    if isinstance(source, Sentences) or is_path(source):
        return _of_file(source, column, shape, tagged=True)
    if not isinstance(source, tuple) or len(source) != 2:
        raise DataError(f"Tagger: expected a file, or a pair (sentences, tags), got {type(source).__name__}; give one.")
    return _in_memory(source[0], source[1], shape)


def read_untagged(
    source: object, column: str | int | None, shape: Text, split: Callable[[str], list[str]]
) -> TaggedExamples:
    """A CoNLL file, or sentences as lists of words; a string is parted by `split`."""
    if isinstance(source, Sentences) or is_path(source):
        return _of_file(source, column, shape, tagged=False)
    return _in_memory(source, None, shape, split)


def in_scheme(tags: Sequence[str], scheme: str) -> list[str]:
    """The tags of a sentence as the scheme writes chunks, or as they are for "none"."""
    return list(tags) if scheme == "none" else write_chunks(tags, scheme)


def said_of(corpus: TaggedExamples, scheme: str) -> tuple[str, ...]:
    """What was understood of words and tags: their marks, their scheme, and tags that do not fit it."""
    marks = ("plain text: punctuation marks are parted from words, as they are here",) if corpus.marks else ()
    if scheme == "none":
        return (*corpus.remarks, *marks, "tags: of words, which form no chunks (BIO, IOBES, BILOU, BMES, IOB1 would)")
    learned = learned_scheme(scheme)
    how = "" if learned == scheme else f", learned as {learned}, told in {scheme}"
    found = [f"tags: chunks in {scheme}{how}"]
    for tag, count, row, place in odd_tags(corpus.tags or [], scheme):
        where = f"{corpus.places.of(row)}, word {place + 1}"
        found.append(f"tag {tag!r} fits {scheme} not, {count:,} time{'' if count == 1 else 's'}: first in {where}")
    return (*corpus.remarks, *marks, *found[:MOST])


def _of_file(source: object, column: str | int | None, shape: Text, *, tagged: bool) -> TaggedExamples:
    remarks: tuple[str, ...] = ()
    if isinstance(source, Sentences):
        found = source
    elif (table := read_tag_table(str(source), column)) is not None:
        found, remarks = table
    else:
        found = read_conll(str(source), column)
    words, remarks = _sentences(found.words, shape), (*found.remarks, *remarks)
    return TaggedExamples(words, found.tags if tagged else None, found.places, remarks, parts_marks(found.words))


def _in_memory(
    sentences: object, tags: object, shape: Text, split: Callable[[str], list[str]] = split_spaces
) -> TaggedExamples:
    lines, own = _listed(sentences, "sentences"), None if tags is None else _listed(tags, "tags")
    if own is not None and len(own) != len(lines):
        raise DataError(f"Tagger: expected tags for each of the {len(lines)} sentences, got {len(own)}; pair them up.")
    places = Places("the sentences", "row", np.arange(len(lines)))
    words = [
        split(line) if isinstance(line, str) else _texts(line, "words", places.of(row), empty=True)
        for row, line in enumerate(lines)
    ]
    if own is None:
        return TaggedExamples(_sentences(words, shape), None, places)
    known = [_texts(each, "tags", places.of(row)) for row, each in enumerate(own)]
    for row, (line, each) in enumerate(zip(words, known, strict=True)):
        if len(line) != len(each):
            raise DataError(f"Tagger: {places.of(row)} has {len(line)} words but {len(each)} tags; give one a word.")
    words, known, remarks = _without_empty(words, known, places)
    return TaggedExamples(_sentences(words, shape), known, places, remarks, parts_marks(words))


def _sentences(words: Sequence[Sequence[str]], shape: Text) -> TextInput:
    return TextInput(Texts(words, shape, words=True))


def _without_empty(
    words: list[list[str]], tags: list[list[str]], places: Places
) -> tuple[list[list[str]], list[list[str]], tuple[str, ...]]:
    """Words and tags where a word stands, and a remark where there was none."""
    rows = [row for row, line in enumerate(words) if "" in line]
    if not rows:
        return words, tags, ()
    count = sum(line.count("") for line in words)
    kept = [[place for place, word in enumerate(line) if word] for line in words]
    less = ([[line[place] for place in some] for line, some in zip(each, kept, strict=True)] for each in (words, tags))
    first, second = less
    return first, second, (f"{count:,} empty word{'' if count == 1 else 's'} left out, first in {places.of(rows[0])}",)


def _listed(values: object, what: str) -> list[object]:
    if not is_several(values):
        raise DataError(f"Tagger: expected a list of {what}, got {type(values).__name__}; give one for each sentence.")
    return list(values)


def _texts(values: object, what: str, place: str, *, empty: bool = False) -> list[str]:
    several = is_several(values)
    found = list(values) if is_several(values) else [values]
    wrong = next((value for value in found if not isinstance(value, str) or not (value or empty)), values)
    if not several or wrong is not values:
        raise DataError(f"Tagger: expected a list of {what} in {place}, each a text, got {wrong!r}; mend it.")
    return [str(value) for value in found]
