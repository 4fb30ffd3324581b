"""Sentences with a tag for every word, series with a label for every step: what a tagger reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

import numpy as np

from unrolled.data.panel.steps import AS_SEEN, StepColumns, is_table, names_series, read_steps
from unrolled.data.read.conll import Sentences, read_conll
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.series import STEPPED, SteppedSeries, read_series, read_stepped
from unrolled.data.read.sources import holds_columns, holds_numbers, is_path, is_several
from unrolled.data.read.tag_layout import TAG_NAMES, WORD_NAMES
from unrolled.data.read.tag_tables import read_tag_table
from unrolled.errors import DataError, how_many, listed
from unrolled.fields.text import Text
from unrolled.fields.tokens import learned_scheme, odd_tags, split_spaces, write_chunks
from unrolled.inputs.columns import LABEL_NAMES
from unrolled.inputs.input import Input
from unrolled.inputs.plain import parts_marks
from unrolled.inputs.series import FILES, SeriesInput
from unrolled.inputs.text import TextInput
from unrolled.inputs.texts import Texts
from unrolled.tasks.reading.labelled import is_missing

__all__ = ["TaggedExamples", "holds_steps", "in_scheme", "read_tagged", "read_untagged", "said_of"]


# So many remarks are made of tags.
MOST = 6


@dataclass(frozen=True, eq=False)
class TaggedExamples:
    """Inputs with a tag for each step; tags is None where they are not known. marks: see `parts_marks`.

    step: what has a tag, in words. column, steps: where tags and series stood in a table.
    """

    inputs: Input[Any]
    tags: list[list[str]] | None
    places: Places
    remarks: tuple[str, ...] = ()
    marks: bool = False
    step: str = "word"
    column: str | None = None
    steps: StepColumns = AS_SEEN

    def __len__(self) -> int:
        return len(self.inputs)


def read_tagged(source: object, column: str | int | None, shape: Text, steps: StepColumns = AS_SEEN) -> TaggedExamples:
    """A CoNLL file with the tags in a column, what was read of one, or a pair (sentences, tags); a table with a row for
    each step of series, a file of them (`read_stepped`), or a pair (series, labels of their steps)."""
    if holds_steps(source, steps):
        return _of_table(source, column, steps, tagged=True)
    if is_path(source) and suffix(source) in STEPPED:
        return _of_stepped(read_stepped(source))
    if isinstance(source, Sentences) or is_path(source):
        return _of_file(source, column, shape, tagged=True)
    if not isinstance(source, tuple) or len(source) != 2:
        raise DataError(
            "Tagger: expected a file, a pair (sentences, tags) or (series, tags), or a table whose column id= names "
            f"series, got {type(source).__name__}; give one."
        )
    if _is_listed(source[0]) and holds_numbers(source[0]):
        return _series(source[0], source[1])
    return _in_memory(source[0], source[1], shape)


def read_untagged(
    source: object, column: str | int | None, shape: Text, split: Callable[[str], list[str]],
    steps: StepColumns = AS_SEEN,
) -> TaggedExamples:  # fmt: skip
    """A CoNLL file, or sentences as lists of words; a string is parted by `split`. Or series, in a file, a table or an
    array."""
    if holds_steps(source, steps):
        return _of_table(source, column, steps, tagged=False)
    if is_path(source) and suffix(source) in STEPPED:
        return _of_stepped(read_stepped(source, labelled=False))
    if (is_path(source) and suffix(source) in FILES) or (_is_listed(source) and holds_numbers(source)):
        return _series(source, None)
    if isinstance(source, Sentences) or is_path(source):
        return _of_file(source, column, shape, tagged=False)
    return _in_memory(source, None, shape, split)


def holds_steps(source: object, steps: StepColumns) -> bool:
    """Whether a table has a row for each step of series: a column that names these is known or has a usual name."""
    if isinstance(source, Sentences):
        return False
    return (steps.id is not None and is_table(source)) or names_series(source, None, WORD_NAMES)


def in_scheme(tags: Sequence[str], scheme: str) -> list[str]:
    """The tags of a sentence as the scheme writes chunks, or as they are for "none"."""
    return list(tags) if scheme == "none" else write_chunks(tags, scheme)


def said_of(corpus: TaggedExamples, scheme: str) -> tuple[str, ...]:
    """What was understood of words and tags: their marks, their scheme, and tags that do not fit it."""
    if corpus.step != "word":
        kinds = sorted({tag for tags in corpus.tags or [] for tag in tags})
        return (*corpus.remarks, f"tags: of each {corpus.step}, {len(kinds):,} classes ({listed(kinds, MOST)})")
    marks = ("plain text: punctuation marks are parted from words, as they are here",) if corpus.marks else ()
    if scheme == "none":
        return (*corpus.remarks, *marks, "tags: of words, which form no chunks (BIO, IOBES, BILOU, BMES, IOB1 would)")
    learned = learned_scheme(scheme)
    how = "" if learned == scheme else f", learned as {learned}, told in {scheme}"
    found = [f"tags: chunks in {scheme}{how}"]
    for tag, count, row, place in odd_tags(corpus.tags or [], scheme):
        where = f"{corpus.places.of(row)}, word {place + 1}"
        found.append(f"tag {tag!r} fits {scheme} not, {how_many(count, 'time')}: first in {where}")
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


def _of_table(source: object, column: str | int | None, steps: StepColumns, *, tagged: bool) -> TaggedExamples:
    found = read_steps(source, steps, column, (*TAG_NAMES, *LABEL_NAMES), option="column", labelled=tagged)
    tags = None
    if found.labels is not None:
        tags = [
            [_class(label, found.row(i, step)) for step, label in enumerate(some)]
            for i, some in enumerate(found.labels)
        ]
    inputs = SeriesInput(found.values)
    return TaggedExamples(
        inputs, tags, found.places, found.remarks, step="step", column=found.label, steps=found.columns
    )


def _of_stepped(found: SteppedSeries) -> TaggedExamples:
    tags = None
    if found.labels is not None:
        tags = [[_class(label, found.places.of(i)) for label in own] for i, own in enumerate(found.labels)]
    return TaggedExamples(SeriesInput(found.values), tags, found.places, step="step")


def _series(source: object, labels: object) -> TaggedExamples:
    series = read_series(source)
    if labels is None:
        return TaggedExamples(SeriesInput(series.values), None, series.places, step="step")
    own = _listed(labels, "tags")
    if len(own) != len(series):
        raise DataError(f"Tagger: expected tags for each of the {len(series)} series, got {len(own)}; pair them up.")
    tags = list[list[str]]()
    for i, each in enumerate(own):
        place, steps = series.place(i), len(series.values[i])
        told = list(each) if is_several(each) else [each]
        if not is_several(each) or len(told) != steps:
            raise DataError(f"Tagger: {place} has {steps} steps but {len(told)} tags; give one a step.")
        tags.append([_class(label, place) for label in told])
    return TaggedExamples(SeriesInput(series.values), tags, series.places, step="step")


def _class(label: object, place: str) -> str:
    """The label of a step as text, whole numbers as their digits."""
    value = label.item() if isinstance(label, np.generic) else label
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if is_missing(value):
        raise DataError(
            f"Tagger: expected a tag at every step, but that of {place} is missing; write it, or leave the series out."
        )
    if not isinstance(value, str | int):
        raise DataError(
            f"Tagger: expected a class as the tag of {place}, a text or a whole number, got {label!r}; write one."
        )
    return str(value)


def _is_listed(source: object) -> TypeGuard[Sequence[object] | np.ndarray]:
    """Whether values can be looked at without being used up."""
    return isinstance(source, list | tuple | np.ndarray) and not holds_columns(source)


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
    return first, second, (f"{how_many(count, 'empty word')} left out, first in {places.of(rows[0])}",)


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
