"""What a task may read, a class for each kind: texts, and series of numbers. Which it is, is decided here alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.errors import OptionError
from unrolled.fields.numbers import Numbers
from unrolled.fields.spelling import Spelling
from unrolled.fields.text import Text
from unrolled.nn.build import Rate
from unrolled.nn.reading.reader import Reader, SeriesReader, WordReader
from unrolled.options import Options
from unrolled.tasks.commands.results import spelled, tokens
from unrolled.tasks.frame import Fields
from unrolled.tasks.options import TaskOptions
from unrolled.tasks.reading.texts import (
    SpellingOptions,
    TextOptions,
    Texts,
    make_embedding,
    make_spelling,
    random_texts,
    width_of,
)

__all__ = ["InputOptions", "Inputs", "SeriesInputs", "SeriesOptions", "TextInputs", "inputs_of", "kind_of"]

# Features of a token's vector where nothing says how many.
WIDTH = 100
# Of single features that the encoder reads of a text, and of its whole words.
READING_DROPOUT, WORD_DROPOUT = 0.5, 0.3


class SeriesOptions(Options):
    """How a task reads series. scaling: a kind of `Number`."""

    scaling: Literal["standard", "robust", "log", "scale", "none"] = Field(
        default="standard", description="How the numbers of series are scaled."
    )


class InputOptions(TaskOptions):
    """Options of a task that reads inputs of any kind, those of every kind in a group.

    text: `TextOptions`. spelled: `SpellingOptions`. series: `SeriesOptions`. reading_dropout: of single features of
    what the encoder reads.
    """

    text: TextOptions = TextOptions()
    spelled: SpellingOptions = SpellingOptions()
    series: SeriesOptions = SeriesOptions()
    reading_dropout: Rate | None = Field(
        default=None, description="Dropout of single features of what the encoder reads."
    )

    def check(self) -> None:
        super().check()
        if self.spelled.spelling != "none" and self.text.level != "word":
            raise OptionError(
                f"{self.owner}: spelling={self.spelled.spelling!r} reads the characters of words, got "
                f"level={self.text.level!r}; choose level='word', or leave spelling out."
            )


class Inputs(ABC):
    """n inputs of one kind, and what a network over that kind is usually like.

    kind: what they are called. lines: whether an input may come as a line of text. encoder, head_dropout: what is
    chosen where nothing is asked for, by measurement on the data of benchmarks/tasks.py.
    """

    kind: ClassVar[str]
    lines: ClassVar[bool]
    encoder: ClassVar[Mapping[str, object]]
    head_dropout: ClassVar[float]

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def fit(self, rows: np.ndarray, options: InputOptions) -> Fields:
        """The fields of these rows."""

    @abstractmethod
    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        """All inputs as a column of examples, and the steps (N,) of each."""

    @abstractmethod
    def width(self, options: InputOptions) -> int | None:
        """The features of vectors that a file gives, None without one."""

    @classmethod
    @abstractmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: InputOptions, width: int | None) -> Reader:
        """What turns inputs of these fields into vectors of `width` features; without inputs its weights come later."""

    @classmethod
    @abstractmethod
    def say(cls, fields: Fields) -> list[str]:
        """What the fields hold, in words."""

    @classmethod
    @abstractmethod
    def made_up(cls, fields: Fields, options: InputOptions, draw: Sequence[np.random.Generator]) -> Self:
        """An input for each generator, for the laws."""


class TextInputs(Inputs):
    """Texts."""

    kind, lines, head_dropout = "texts", True, 0.5
    encoder: ClassVar[Mapping[str, object]] = {"cell": "lstm", "hidden_size": 128, "bidirectional": True}

    def __init__(self, texts: Texts) -> None:
        self.texts = texts

    def __len__(self) -> int:
        return len(self.texts)

    def fit(self, rows: np.ndarray, options: InputOptions) -> Fields:
        vectors = self.texts.vectors(options.text)
        fields: Fields = {"text": self.texts.fit(rows, options.text, () if vectors is None else vectors.words)}
        if options.spelled.spelling != "none":
            fields["spelling"] = Spelling.fit(self.texts.spelled(rows))
        return fields

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        column = self.texts.column(fields["text"], fields.get("spelling"))
        return column, self.texts.lengths(column)

    def width(self, options: InputOptions) -> int | None:
        return width_of(options.text, self.texts.vectors(options.text), None, options.owner)

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: InputOptions, width: int | None) -> Reader:
        words = options.text
        if words.embedding_dropout is None:
            words = words.model_copy(update={"embedding_dropout": WORD_DROPOUT})
        vectors = None if inputs is None else inputs.texts.vectors(words)
        dropped = READING_DROPOUT if options.reading_dropout is None else options.reading_dropout
        embedding = make_embedding(fields["text"], words, width or WIDTH, vectors)
        return WordReader(embedding, make_spelling(fields.get("spelling"), options.spelled), dropped)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        return [tokens(fields["text"]), *spelled(fields.get("spelling"))]

    @classmethod
    def made_up(cls, fields: Fields, options: InputOptions, draw: Sequence[np.random.Generator]) -> Self:
        return cls(Texts(random_texts(fields["text"], draw), options.text.shape))


class SeriesInputs(Inputs):
    """Series of numbers, (T, D) each, T of any length."""

    kind, lines, head_dropout = "series", False, 0.3
    encoder: ClassVar[Mapping[str, object]] = {
        "cell": "gru", "hidden_size": 64, "bidirectional": True, "layers": 2, "dropout": 0.2,
    }  # fmt: skip

    def __init__(self, values: list[np.ndarray]) -> None:
        self.values = values

    def __len__(self) -> int:
        return len(self.values)

    def fit(self, rows: np.ndarray, options: InputOptions) -> Fields:
        return {"series": Numbers.fit((self.values[i] for i in rows.tolist()), options.series.scaling)}

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        column = PaddedColumn(Ragged.from_list(fields["series"].encode(values) for values in self.values))
        return column, column.ragged.lengths

    def width(self, options: InputOptions) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: InputOptions, width: int | None) -> Reader:
        return SeriesReader(fields["series"].width, options.reading_dropout or 0.0)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        channels = fields["series"].channels
        return [f"series of {channels} channel{'' if channels == 1 else 's'}"]

    @classmethod
    def made_up(cls, fields: Fields, options: InputOptions, draw: Sequence[np.random.Generator]) -> Self:
        return cls([fields["series"].draw(random) for random in draw])


def inputs_of(columns: Mapping[str, list[Any]], shape: Text) -> Inputs:
    """The inputs of columns that hold texts, split as `shape` does, as "text", or arrays as "series"."""
    return TextInputs(Texts(columns["text"], shape)) if "text" in columns else SeriesInputs(columns["series"])


def kind_of(fields: Fields) -> type[Inputs]:
    """The kind of inputs that these fields were fitted on."""
    return TextInputs if "text" in fields else SeriesInputs
