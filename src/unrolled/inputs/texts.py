"""Texts on their way into a task: read once, split once, counted on the training rows, and coded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.intern import Interning, intern
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.vectors import Vectors, read_vectors, vectors_for
from unrolled.errors import OptionError
from unrolled.fields.spelling import Spelling
from unrolled.fields.text import SPECIALS, Text
from unrolled.nn.build import Rate
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.spelling import SpellingEncoder
from unrolled.options import Options

__all__ = [
    "SpellingOptions",
    "TextOptions",
    "Texts",
    "WordOptions",
    "make_embedding",
    "make_spelling",
    "random_texts",
    "width_of",
]


class WordOptions(Options):
    """How a task reads words, and what becomes of them.

    lower: upper and lower case are one. split: at word level, "punctuation" or "space". min_count, max_size: how often
    a token must stand in the training part to be known, and how many are.

    embedding_size: features of a token's vector. vectors: a GloVe or word2vec text file whose vectors the words of
    this language start from (its width is then the embedding_size); with vectors_frozen they stay as they are.
    embedding_dropout: of whole words.
    """

    lower: bool = Field(default=True, description="Read upper and lower case as one.")
    split: Literal["punctuation", "space"] = Field(
        default="punctuation", description="Part words at spaces and punctuation, or at spaces alone."
    )
    min_count: int = Field(
        default=1, ge=1, description="How often a token must stand in the training data to be known."
    )
    max_size: int | None = Field(default=None, ge=1, description="How many tokens are known at most.")
    embedding_size: int | None = Field(default=None, ge=1, description="Features of a token's vector.")
    vectors: str | None = Field(default=None, description="File of word vectors to start from: GloVe or word2vec text.")
    vectors_frozen: bool = Field(default=False, description="Keep the vectors of that file as they are.")
    embedding_dropout: Rate | None = Field(
        default=None, description="Rate at which whole tokens are left out in training."
    )

    @property
    def shape(self) -> Text:
        """A text field without words: how texts are split."""
        return Text("word", self.lower, self.split, SPECIALS)


class TextOptions(WordOptions):
    """How a task reads text: as `WordOptions`, and level: "word", "char" or "subword"."""

    level: Literal["word", "char", "subword"] = Field(
        default="word", description="What one step reads: a word, a character or a piece of a word."
    )

    @property
    def shape(self) -> Text:
        return Text(self.level, self.lower, self.split, SPECIALS)


class SpellingOptions(Options):
    """spelling: "cnn" or "lstm" also reads each word by its characters, into spelling_size features."""

    spelling: Literal["none", "cnn", "lstm"] = Field(
        default="none", description="Also read each word by its characters, and with what."
    )
    spelling_size: int = Field(default=64, ge=1, description="Features of a word read by its characters.")


class Texts:
    """Texts, or sentences already split into words, each distinct token kept once.

    texts: strings, which `shape` splits; with words=True sequences of words, which stay as they are.
    """

    def __init__(self, texts: Iterable[Any], shape: Text, *, words: bool = False) -> None:
        self.shape = shape
        self._vectors: Vectors | None = None
        self._coded: tuple[Text, Ragged] | None = None
        self.whole: list[str] | None = None
        if shape.level == "subword":
            # Pieces are learned from whole texts, so these stay until they are coded.
            self.whole = [" ".join(text) if words else text for text in texts]
        else:
            self.interned = intern(texts if words else map(shape.split_text, texts))

    @classmethod
    def side_by_side(cls, rows: Iterable[tuple[str, str]], shapes: tuple[Text, Text]) -> tuple[Texts, Texts]:
        """The two columns of rows that are read once, one row at a time."""
        both = (cls([], shapes[0]), cls([], shapes[1]))
        with Interning() as first, Interning() as second:
            for row in rows:
                for column, interning, text in zip(both, (first, second), row, strict=True):
                    if column.whole is None:
                        interning.add(column.shape.split_text(text))
                    else:
                        column.whole.append(text)
            for column, interning in zip(both, (first, second), strict=True):
                if column.whole is None:
                    column.interned = interning.finish()
        return both

    def __len__(self) -> int:
        return len(self.interned.tokens) if self.whole is None else len(self.whole)

    @property
    def saying(self) -> np.ndarray:
        """(N,) bool: whether a text holds more than white space."""
        if self.whole is not None:
            return np.array([bool(text.strip()) for text in self.whole], bool)
        full = np.array([bool(form.strip()) for form in self.interned.forms], bool)
        tokens = self.interned.tokens
        return np.array([full[tokens[row]].any() for row in range(len(tokens))], bool)

    def fit(self, rows: np.ndarray, options: WordOptions, extra: Iterable[str] = ()) -> Text:
        """The text field of these rows."""
        how: dict[str, Any] = {"level": self.shape.level, "lower": self.shape.lower, "split": self.shape.split}
        size: dict[str, Any] = {"min_count": options.min_count, "max_size": options.max_size}
        if self.whole is not None:
            return Text.fit((self.whole[i] for i in rows.tolist()), **how, **size)
        return Text.from_counts(self.interned.forms, self.interned.counts(rows), **how, **size, extra=extra)

    def vectors(self, options: WordOptions) -> Vectors | None:
        """The word vectors asked for, read once for each set of texts: fields and networks both need them."""
        if self._vectors is None and options.vectors is not None:
            self._vectors = read_vectors(options.vectors)
        return self._vectors

    def spelled(self, rows: np.ndarray) -> list[str]:
        """The distinct words of these rows."""
        counts = self.interned.counts(rows)
        return [form for form, count in zip(self.interned.forms, counts, strict=True) if count]

    def codes(self, text: Text) -> Ragged:
        """All texts as codes, worked out once for a field: training, validation and calibration ask for their parts."""
        if self._coded is None or self._coded[0] is not text:
            self._coded = text, self._codes(text)
        return self._coded[1]

    def _codes(self, text: Text) -> Ragged:
        if self.whole is not None:
            return Ragged.from_list((text.encode(each) for each in self.whole), np.int64)
        return self.interned.recode(text.codes_of(self.interned.forms).astype(np.int32))

    @staticmethod
    def lengths(column: PaddedColumn | WordColumn) -> np.ndarray:
        """(N,) steps of each text in a column."""
        return column.ragged.lengths if isinstance(column, PaddedColumn) else column.codes.lengths

    def column(self, text: Text, spelling: Spelling | None = None) -> PaddedColumn | WordColumn:
        """All texts as a column of examples, spelled out where a field says how."""
        codes = self.codes(text)
        if spelling is None:
            return PaddedColumn(codes)
        return WordColumn(codes, self.interned.tokens, spelling.encode_all(self.interned.forms))


def width_of(options: WordOptions, vectors: Vectors | None, known: int | None, owner: str) -> int | None:
    """The features of the vectors of a file, or those `known` of the file that was learned from; None without one.

    Raises OptionError where a file and an option do not agree.
    """
    if vectors is None:
        return known
    width = int(vectors.matrix.shape[1])
    if options.embedding_size not in (None, width):
        raise OptionError(
            f"{owner}: got embedding_size={options.embedding_size}, but the vectors of {options.vectors} "
            f"have {width} features; leave embedding_size out."
        )
    return width


def make_embedding(text: Text, options: WordOptions, width: int, vectors: Vectors | None) -> Embedding:
    """The vectors of a text field; `width` where no embedding_size was asked for."""
    start: Tensor | None = None
    found: Tensor | None = None
    if vectors is not None:
        matrix, known = vectors_for(text, vectors)
        start, found = torch.from_numpy(matrix), torch.from_numpy(known)
    return Embedding(
        text.size,
        options.embedding_size or width,
        dropout=options.embedding_dropout or 0.0,
        vectors=start,
        found=found,
        frozen=options.vectors_frozen and vectors is not None,
    )


def make_spelling(field: Spelling | None, options: SpellingOptions) -> SpellingEncoder | None:
    """What reads words by their characters, where a field says how they are spelled."""
    if field is None or options.spelling == "none":
        return None
    return SpellingEncoder(field.size, output_size=options.spelling_size, kind=options.spelling)


def random_texts(text: Text, draw: Sequence[np.random.Generator]) -> list[str]:
    """A text for each generator, of known tokens, for the laws."""
    return [text.draw(random) for random in draw]
