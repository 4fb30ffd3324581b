"""Texts as inputs: a column of a table, a file each in a folder, a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, NamedTuple, Protocol, Self

import numpy as np

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.read.files import Places
from unrolled.data.read.records import Records, comments_above, read_records
from unrolled.data.read.sources import holds_columns, holds_texts, is_path, is_several
from unrolled.errors import DataError
from unrolled.fields.spelling import Spelling
from unrolled.inputs.columns import TEXT_NAMES, LabelColumns, check_guessed, table_of_numbers, told_apart
from unrolled.inputs.input import Fields, Input, ReadSource
from unrolled.inputs.texts import (
    SpellingOptions,
    Texts,
    WordOptions,
    make_embedding,
    make_spelling,
    random_texts,
    width_of,
)
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.reader import Reader, WordReader

__all__ = ["TextInput", "TextUse"]

# Features of a token's vector where nothing says how many.
WIDTH = 100


class TextUse(NamedTuple):
    """How a task reads texts where nothing else is asked for, by measurement.

    word_dropout: of whole tokens. dropout: of single features that the encoder reads. extended: words of a file of
    vectors are known though training lacks them; not where what is read is also written.
    """

    word_dropout: float = 0.3
    dropout: float = 0.5
    extended: bool = True


class TextGroups(Protocol):
    """The options of a task that texts need."""

    owner: ClassVar[str]
    use: ClassVar[TextUse]

    @property
    def text(self) -> WordOptions: ...
    @property
    def spelled(self) -> SpellingOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...


class TextInput(Input[TextGroups]):
    """Texts."""

    kind, field, lines, head_dropout = "texts", "text", True, 0.5
    encoder: ClassVar[Mapping[str, object]] = {"cell": "lstm", "hidden_size": 128, "bidirectional": True}

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Any table, file or folder, and lists with a text in them."""
        return is_path(source) or holds_columns(source) or (is_several(source) and holds_texts(source))

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: TextGroups, *, labelled: bool) -> ReadSource:
        if is_path(source) and Path(source).is_dir():
            return cls.of_folder(source, columns, options)
        if is_path(source) or holds_columns(source):
            return cls._of_table(source, columns, options, labelled)
        items = list(source) if is_several(source) else []
        places = Places("the texts", "row", np.arange(len(items)))
        texts = [_checked(item, places.of(row)) for row, item in enumerate(items)]
        return ReadSource(cls.of(texts, options), places, columns)

    @classmethod
    def _of_table(cls, source: object, columns: LabelColumns, options: TextGroups, labelled: bool) -> ReadSource:
        records = read_records(source, names=columns.names)
        told = None not in (columns.text, columns.label)
        columns = _settled(records, columns, labelled)
        texts = cls.of([text or "" for text in records.texts(columns.text or "")], options)
        labels = None
        if labelled:
            records.texts(columns.label or "")
            labels = columns.labels(records.columns, records.source)
        above = () if columns.names else comments_above(source)
        seen = () if told or not labelled else (f"texts: column {columns.text!r}; labels: {columns.said_labels}",)
        filed = labelled and records.places.kind == "line"
        return ReadSource(texts, records.places, columns, labels, filed, (*above, *seen))

    @classmethod
    def of(cls, values: Iterable[str], options: TextGroups) -> Self:
        return cls(Texts(values, options.text.shape))

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def filled(self) -> np.ndarray:
        return self.texts.saying

    def fit(self, rows: np.ndarray, options: TextGroups) -> Fields:
        vectors = self.texts.vectors(options.text) if options.use.extended else None
        fields: Fields = {"text": self.texts.fit(rows, options.text, () if vectors is None else vectors.words)}
        if options.spelled.spelling != "none":
            fields["spelling"] = Spelling.fit(self.texts.spelled(rows))
        return fields

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        column = self.texts.column(fields["text"], fields.get("spelling"))
        return column, self.texts.lengths(column)

    def width(self, options: TextGroups) -> int | None:
        return width_of(options.text, self.texts.vectors(options.text), None, options.owner)

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: TextGroups, width: int | None) -> Reader:
        spelling = make_spelling(fields.get("spelling"), options.spelled)
        dropped = options.use.dropout if options.reading_dropout is None else options.reading_dropout
        return WordReader(cls.embedding(inputs, fields, options, width), spelling, dropped)

    @classmethod
    def embedding(cls, inputs: Self | None, fields: Fields, options: TextGroups, width: int | None) -> Embedding:
        """The vectors of the tokens alone, from which `reader` starts; width: where no embedding_size is asked for."""
        words = options.text
        if words.embedding_dropout is None:
            words = words.model_copy(update={"embedding_dropout": options.use.word_dropout})
        vectors = None if inputs is None else inputs.texts.vectors(words)
        return make_embedding(fields["text"], words, width or WIDTH, vectors)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        return [fields[name].describe() for name in ("text", "spelling") if name in fields]

    @classmethod
    def made_up(cls, fields: Fields, options: TextGroups, draw: Sequence[np.random.Generator]) -> Self:
        return cls.of(random_texts(fields["text"], draw), options)


def _settled(records: Records, columns: LabelColumns, labelled: bool) -> LabelColumns:
    """Which columns hold the texts and, where they are looked for, the labels."""
    try:
        settled = (columns.settled if labelled else columns.texts_alone)(list(records.columns), records.source)
    except DataError as error:
        by_values = told_apart(records) if labelled and columns == LabelColumns() else None
        if by_values is None:
            raise table_of_numbers(records, columns.label) or error from error
        settled = LabelColumns(*by_values)
    if columns.text is None and settled.text not in TEXT_NAMES:
        check_guessed(records, settled.text or "")
    return settled


def _checked(text: object, place: str) -> str:
    if isinstance(text, str):
        return str(text)
    raise DataError(f"Expected a text in {place}, but got {text!r}: fill it in or leave it out.")
