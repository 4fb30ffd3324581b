"""Tagging: a tag for every word of a sentence, such as its part of speech or the named entity it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field
from torch import nn

from unrolled.align.each import Each, EachOptions, Tagged
from unrolled.data.batch.examples import Examples, TagColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.conll import Sentences, read_conll
from unrolled.data.read.files import Places
from unrolled.errors import DataError, OptionError
from unrolled.fields.spelling import Spelling
from unrolled.fields.tags import Tags
from unrolled.fields.tokens import spans, to_bio, to_iobes
from unrolled.nn.build import EncoderOptions, Rate, make_encoder
from unrolled.score.classes import accuracy
from unrolled.score.spans import SpanReport, span_f1
from unrolled.tasks.batches import per_row
from unrolled.tasks.frame import SequenceTask, Training, given_source
from unrolled.tasks.texts import TextOptions, Texts, is_path, is_several, make_words, random_texts, width_of
from unrolled.train import Callback, TrainOptions

__all__ = ["TagReport", "Tagger", "TaggerOptions"]


class TaggerOptions(TextOptions):
    """Every option of a `Tagger`: those of `TextOptions` and `EncoderOptions`, crf (tags depend on their neighbours;
    left out: where the tags form chunks), scheme ("BIO", "IOBES": how chunks are learned; left out: as they came),
    head_dropout, and every option of `TrainOptions`. Its level is "word"."""

    owner = "Tagger"

    split: Literal["punctuation", "space"] = "space"
    min_count: int = Field(default=2, ge=1)
    spelling: Literal["none", "cnn", "lstm"] = "cnn"
    crf: bool | None = None
    scheme: Literal["BIO", "IOBES"] | None = None
    head_dropout: Rate = 0.3
    embedding_dropout: Rate | None = 0.1
    reading_dropout: Rate | None = 0.3

    def check(self) -> None:
        super().check()
        if self.level != "word":
            raise OptionError(
                f"Tagger: tags belong to words, so level must be 'word', got {self.level!r}; leave it out."
            )


# Chosen by measurement on the data of benchmarks/tasks.py.
ENCODER = {"cell": "lstm", "hidden_size": 128, "bidirectional": True}
WIDTH = 100
EPOCHS, PATIENCE = 30, 5


class TagReport(NamedTuple):
    """accuracy: of the single tags. spans: precision, recall and F1 of whole chunks; None where tags form none."""

    accuracy: float
    spans: SpanReport | None

    def __str__(self) -> str:
        chunks = "" if self.spans is None else f"\n{self.spans}"
        return f"accuracy of the tags {self.accuracy:.4f}{chunks}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"accuracy": self.accuracy, "spans": None if self.spans is None else self.spans.to_json()}


@dataclass(frozen=True, eq=False)
class Corpus:
    """Sentences: their words, and their tags, None where they are not known."""

    words: Texts
    tags: list[list[str]] | None
    places: Places

    def __len__(self) -> int:
        return len(self.words)


class Tagger(SequenceTask):
    """Learns from tagged sentences: part-of-speech tags, named entities, any other label of words.

    options: any of `TaggerOptions`, flat. Raises `OptionError` for an unknown option or a bad value.
    """

    task = "tag"
    options_kind = TaggerOptions
    score_name = "1 - F1 of chunks, or the share of wrong tags where there are none,"

    def fit(
        self,
        source: Any,
        *,
        column: str | int | None = None,
        valid: Any = 0.1,
        refit: bool = True,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from tagged sentences.

        Args:
            source: a CoNLL file (a word and its tag a line, an empty line between sentences) or a CoNLL-U file, both
                also .gz; or (sentences, tags), lists of lists.
            column: the column of the tags, by name (CoNLL-U: "upos", "xpos", ...) or number; None: upos, or the last.
            valid: a part of the sentences, or a source, that decides when to stop; 0: none.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Chunks that break their scheme are repaired: an I-X that continues nothing begins a chunk, so it becomes B-X.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence.
        """
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.anew({"column": column}):
            corpus = self._read(source)
            self.notes["scheme"] = Tags.fit(corpus.tags or []).scheme
            part, later = given_source(valid, lambda some, tags: self._read(some if tags is None else (some, tags)))
            return self.learn(corpus, later, part=part, refit=refit, training=training)

    def predict(self, sentences: Any) -> list[list[str]]:
        """The tags of each sentence: a file as in `fit`, or sentences as lists of words (a string is split at spaces).

        Chunks come in the scheme of the training data.
        """
        self.fitted()
        return self._tags(self._read(sentences, tagged=False))

    def spans(self, sentences: Any) -> list[list[tuple[str, int, int]]]:
        """The chunks of each sentence, as (type, first word, last word + 1)."""
        return [spans(tags) for tags in self.predict(sentences)]

    def evaluate(self, source: Any) -> TagReport:
        """Accuracy, and the F1 of chunks as conlleval counts them, on tagged sentences as in `fit`."""
        self.fitted()
        corpus = self._read(source)
        gold, found = [_written(tags, self.notes["scheme"]) for tags in corpus.tags or []], self._tags(corpus)
        values = {tag: code for code, tag in enumerate({tag for tags in [*gold, *found] for tag in tags})}
        flat = [np.array([values[tag] for tags in each for tag in tags], np.int64) for each in (gold, found)]
        if not len(flat[0]):
            raise DataError("Tagger: expected sentences with at least one word to score, got none; give some.")
        chunks = span_f1([spans(tags) for tags in gold], [spans(tags) for tags in found]) if self._chunked else None
        return TagReport(accuracy(*flat), chunks)

    def make_fields(self, corpus: Corpus, rows: np.ndarray) -> dict[str, Any]:
        vectors = corpus.words.vectors(self.options)
        text = corpus.words.fit(rows, self.options, () if vectors is None else vectors.words)
        tags = Tags.fit([self._learned((corpus.tags or [])[i]) for i in rows.tolist()])
        fields: dict[str, Any] = {"text": text, "tags": tags}
        if self.options.spelling != "none":
            fields["spelling"] = Spelling.fit(corpus.words.spelled(rows))
        return fields

    def make_data(self, corpus: Corpus, rows: np.ndarray) -> Examples[Tagged]:
        words = corpus.words.column(self.fields["text"], self.fields.get("spelling"))
        lengths = corpus.words.lengths(words)
        known = corpus.tags or [[""] * int(n) for n in lengths]
        codes = Ragged.from_list((self.fields["tags"].encode(self._learned(each)) for each in known), np.int64)
        return Examples(Tagged, (words, TagColumn(codes)), lengths).select(rows)

    def make_net(self, corpus: Corpus | None = None) -> nn.Module:
        chosen, tags = self.options, self.fields["tags"]
        vectors = None if corpus is None else corpus.words.vectors(chosen)
        width = width_of(chosen, vectors, WIDTH, self.notes)
        reader = make_words(self.fields["text"], self.fields.get("spelling"), chosen, width, vectors)
        crf = self._chunked if chosen.crf is None else chosen.crf
        encoder = make_encoder(reader.output_size, EncoderOptions(**{**ENCODER, **chosen.encoder}))
        options = EachOptions(crf=crf, dropout=chosen.head_dropout)
        return Each(reader, encoder, tags.size, options, tags.legal() if crf else None)

    def make_training(self, data: Any, *, scored: bool) -> TrainOptions:
        chosen: dict[str, Any] = {"seed": self.options.seed, "learning_rate": 2e-3, "epochs": EPOCHS}
        if scored:
            chosen |= {"patience": PATIENCE}
        return TrainOptions.from_json({**chosen, **self.options.train})

    def score_on(self, corpus: Corpus, rows: np.ndarray) -> Callable[[Any], float]:
        """1 - F1 of chunks, or the share of wrong tags."""
        data, gold = self.make_data(corpus, rows), [(corpus.tags or [])[i] for i in rows.tolist()]
        wanted = [spans(tags) for tags in gold]

        def score(net: Any) -> float:
            found = self._decoded(data, net)
            if self._chunked:
                return 1 - span_f1(wanted, [spans(tags) for tags in found]).f1
            pairs = [
                (a, b) for known, guess in zip(gold, found, strict=True) for a, b in zip(known, guess, strict=True)
            ]
            return float(np.mean([a != b for a, b in pairs])) if pairs else 0.0

        return score

    def made_up(self, seed: int, rows: int) -> Corpus:
        draw = [np.random.default_rng([seed if i >= rows // 2 else 0, i]) for i in range(rows)]
        words = [text.split() or ["a"] for text in random_texts(self.fields["text"], draw)]
        values = self.fields["tags"].values
        tags = [[values[int(r.integers(len(values)))] for _ in line] for r, line in zip(draw, words, strict=True)]
        places = Places("the made-up sentences", "row", np.arange(rows))
        return Corpus(Texts(words, self.options.shape, words=True), tags, places)

    @property
    def _chunked(self) -> bool:
        return bool(self.fields["tags"].scheme != "none")

    def _read(self, source: Any, *, tagged: bool = True) -> Corpus:
        if isinstance(source, Sentences) or is_path(source):
            found = source if isinstance(source, Sentences) else read_conll(source, self.notes["column"])
            return Corpus(
                Texts(found.words, self.options.shape, words=True), found.tags if tagged else None, found.places
            )
        if not tagged:
            return _in_memory(source, None, self.options)
        if not isinstance(source, tuple) or len(source) != 2:
            raise DataError(
                f"Tagger: expected a file, or a pair (sentences, tags), got {type(source).__name__}; give one."
            )
        return _in_memory(*source, self.options)

    def _learned(self, tags: Sequence[str]) -> list[str]:
        """Tags as the network knows them: repaired, and in the scheme that was asked for."""
        came = self.notes["scheme"]
        return _written(tags, came if came == "none" else self.options.scheme or came)

    def _tags(self, corpus: Corpus) -> list[list[str]]:
        return self._decoded(self.make_data(corpus, np.arange(len(corpus))), self.fitted())

    def _decoded(self, data: Examples[Tagged], net: Any) -> list[list[str]]:
        codes = per_row(data, net, lambda batch: net.predict(batch.x))
        tags: Tags = self.fields["tags"]
        return [_written(tags.decode(row[row >= 0]), self.notes["scheme"]) for row in codes]


def _written(tags: Sequence[str], scheme: str) -> list[str]:
    if scheme == "none":
        return list(tags)
    return to_iobes(tags) if scheme == "IOBES" else to_bio(tags)


def _in_memory(sentences: Any, tags: Any, options: TaggerOptions) -> Corpus:
    lines, own = _listed(sentences, "sentences"), None if tags is None else _listed(tags, "tags")
    if own is not None and len(own) != len(lines):
        raise DataError(f"Tagger: expected tags for each of the {len(lines)} sentences, got {len(own)}; pair them up.")
    places = Places("the sentences", "row", np.arange(len(lines)))
    words = [
        line.split() if isinstance(line, str) else _texts(line, "words", places.of(row))
        for row, line in enumerate(lines)
    ]
    known = None if own is None else [_texts(each, "tags", places.of(row)) for row, each in enumerate(own)]
    for row, (line, each) in enumerate(zip(words, known or (), strict=False)):
        if len(line) != len(each):
            raise DataError(f"Tagger: {places.of(row)} has {len(line)} words but {len(each)} tags; give one a word.")
    return Corpus(Texts(words, options.shape, words=True), known, places)


def _listed(values: Any, what: str) -> list[Any]:
    if not is_several(values):
        raise DataError(f"Tagger: expected a list of {what}, got {type(values).__name__}; give one for each sentence.")
    return list(values)


def _texts(values: Any, what: str, place: str) -> list[str]:
    several = is_several(values)
    found = list(values) if several else [values]
    wrong = next((value for value in found if not isinstance(value, str) or not value), values)
    if not several or wrong is not values:
        raise DataError(f"Tagger: expected a list of {what} in {place}, each a text, got {wrong!r}; mend it.")
    return [str(value) for value in found]
