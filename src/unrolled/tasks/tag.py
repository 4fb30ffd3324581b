"""Tagging: a tag for every step: the part of speech of a word, the entity it belongs to, what a sensor sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self, cast

import numpy as np
from pydantic import Field
from torch import nn

from unrolled.align.each import Each, EachOptions, Tagged
from unrolled.data.batch.examples import Examples, TagColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.panel.steps import StepColumns
from unrolled.data.read.files import Places
from unrolled.errors import DataError, ModelFileError, listed
from unrolled.fields.tags import Tags
from unrolled.fields.tokens import learned_scheme, scheme_of, spans, split_spaces
from unrolled.fields.tokens.chunks import SCHEMES
from unrolled.heads.crf import CRFHead
from unrolled.heads.softmax import SoftmaxHead
from unrolled.inputs.augment import MaskOptions
from unrolled.inputs.input import check_kind
from unrolled.inputs.plain import parted
from unrolled.inputs.series import SeriesOptions
from unrolled.inputs.text import TextUse
from unrolled.inputs.texts import SpellingOptions, WordOptions
from unrolled.nn.build import Rate
from unrolled.options import Options
from unrolled.score.classes import accuracy
from unrolled.score.spans import span_f1
from unrolled.tasks.batches import per_row
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source
from unrolled.tasks.laws import generators
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import TaskOptions
from unrolled.tasks.reading.tagged import TaggedExamples, in_scheme, read_tagged, read_untagged, said_of
from unrolled.tasks.reports import TagReport
from unrolled.train import Callback, TrainOptions

__all__ = ["TagReport", "Tagger", "TaggerOptions"]


class TagOptions(Options):
    """How tags are told. crf: tags depend on their neighbours; left out: where the tags form chunks. scheme ("BIO",
    "IOBES"): how chunks are learned; left out: as they came. head_dropout: as in `EachOptions`."""

    crf: bool | None = Field(default=None, description="Let tags depend on their neighbours.")
    scheme: Literal["BIO", "IOBES"] | None = Field(default=None, description="How chunks are learned.")
    head_dropout: Rate = Field(default=0.3, description="Dropout before the output.")


class TaggerOptions(TaskOptions):
    """Every option of a `Tagger`, in groups.

    text: `WordOptions`. spelled: `SpellingOptions`. series: `SeriesOptions`. augment: `MaskOptions`. reading_dropout:
    of single features of what the encoder reads; left out: 0.3 of words, none of series. encoder: `EncoderOptions`.
    head: `TagOptions`. train: `BatchedOptions`.
    """

    owner = "Tagger"
    absent: ClassVar[Mapping[str, str]] = {"level": "for tags belong to words, which are what it reads"}

    use: ClassVar[TextUse] = TextUse(word_dropout=0.1, dropout=0.3)

    text: WordOptions = WordOptions(split="space", min_count=2, embedding_dropout=0.1)
    spelled: SpellingOptions = SpellingOptions(spelling="cnn")
    series: SeriesOptions = SeriesOptions()
    augment: MaskOptions = MaskOptions()
    reading_dropout: Rate | None = Field(
        default=None, description="Dropout of single features of what the encoder reads."
    )
    head: TagOptions = TagOptions()


# Chosen by measurement on the data of benchmarks/tasks.py.
EPOCHS, PATIENCE = 30, 5


@dataclass(frozen=True)
class TaggerNotes(Notes):
    """column: of the tags, None as `read_conll` chooses. scheme: of the tags that came. width: of vectors. marks: see
    `parts_marks`. steps: the parts of `StepColumns`."""

    column: str | int | None = None
    scheme: str = "none"
    width: int | None = None
    marks: bool = False
    steps: tuple[str | None, str | None, tuple[str, ...] | None] = (None, None, None)

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise ModelFileError(f"load: expected a scheme of tags ({listed(SCHEMES)}), got {self.scheme[:40]!r}.")


class Tagger(SequenceTask[TaggedExamples, Examples[Tagged]]):
    """Learns from tagged sentences or series: part-of-speech tags, named entities, any label of words or of steps.

    options: any of `TaggerOptions`, flat. Raises `OptionError` for an unknown option or a bad value.
    """

    task = "tag"
    options_kind = TaggerOptions
    options: TaggerOptions
    notes_kind = TaggerNotes
    notes: TaggerNotes
    score_name = "1 - F1 of chunks, or the share of wrong tags where there are none,"

    def fit(
        self,
        source: object,
        *,
        column: str | int | None = None,
        id: str | None = None,
        time: str | None = None,
        valid: object = 0.1,
        refit: bool = True,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from tagged sentences or series.

        Args:
            source: a CoNLL file (a word and its tag a line, an empty line between sentences) or a CoNLL-U file, both
                also .gz; or (sentences, tags), lists of lists. Or series: a table with a row for each step, or
                (series, tags), a list of arrays (T_i, D) and as many lists of T_i labels, texts or whole numbers, which
                come back as texts.
            column: the column of the tags, by name (CoNLL-U: "upos", "xpos", ...) or number; None: upos, or the last.
            id, time: of a table of series: which series a row belongs to, and when it was. Its other columns of numbers
                are the channels.
            valid: a part of the sentences, or a source, that decides when to stop; 0: none.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Chunks that break their scheme are repaired: an I-X that continues nothing begins a chunk, so it becomes B-X.
        Raises DataError where the data or an option cannot be used, in one sentence.
        """
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.anew(TaggerNotes(column, steps=(id, time, None))):
            corpus = self._read(source)
            StepColumns(id, time).check_used(corpus.steps)
            self.notes = replace(
                self.notes, scheme=scheme_of(corpus.tags or []), marks=corpus.marks, steps=astuple(corpus.steps),
                column=corpus.column or column,
            )  # fmt: skip
            remarks = said_of(corpus, self.notes.scheme)
            part, later = given_source(valid, lambda rows, tags: self._read(rows if tags is None else (rows, tags)))
            if later is not None:
                check_kind("valid", corpus.inputs.kind, later.inputs)
            return self.learn(corpus, later, part=part, refit=refit, training=training, remarks=remarks)

    def predict(self, sentences: object) -> list[list[str]]:
        """The tags of each sentence or series: a file or table as in `fit`, sentences as lists of words (`words` parts
        a string), or arrays. Series of a table come in the order of their first rows, their tags in that of time.

        Chunks come in the scheme of the training data.
        """
        self.fitted()
        steps = StepColumns(*self.notes.steps)
        return self._tags(read_untagged(sentences, self.notes.column, self.options.text.shape, self.words, steps))

    def words(self, text: str) -> list[str]:
        """The words of a sentence: parted at spaces, and from punctuation marks where these stand alone in training."""
        if not self.kind.lines:
            raise DataError(
                f"Tagger: expected {self.kind.kind}, as in training, got the text {text[:30]!r}; give some."
            )
        return parted(text, self.fields["text"].knows) if self.notes.marks else split_spaces(text)

    def spans(self, sentences: object) -> list[list[tuple[str, int, int]]]:
        """The chunks of each sentence, as (type, first word, last word + 1)."""
        return [spans(tags) for tags in self.predict(sentences)]

    def evaluate(self, source: object) -> TagReport:
        """Accuracy, and the F1 of chunks as conlleval counts them, on tagged sentences as in `fit`."""
        self.fitted()
        corpus = self._read(source)
        scheme = learned_scheme(self.notes.scheme)
        both = (corpus.tags or [], self._tags(corpus))
        gold, predicted = ([in_scheme(tags, scheme) for tags in each] for each in both)
        values = {tag: code for code, tag in enumerate({tag for tags in [*gold, *predicted] for tag in tags})}
        flat = [np.array([values[tag] for tags in each for tag in tags], np.int64) for each in (gold, predicted)]
        if not len(flat[0]):
            raise DataError("Tagger: expected sentences with at least one word to score, got none; give some.")
        self._check_known(corpus)
        chunks = span_f1(*([spans(tags) for tags in each] for each in (gold, predicted))) if self._chunked else None
        return TagReport(accuracy(*flat), chunks)

    def make_fields(self, corpus: TaggedExamples, rows: np.ndarray) -> Fields:
        tags = Tags.fit([self._learned((corpus.tags or [])[i]) for i in rows.tolist()], self._scheme)
        return {**corpus.inputs.fit(rows, self.options), "tags": tags}

    def make_data(self, corpus: TaggedExamples, rows: np.ndarray) -> Examples[Tagged]:
        inputs, lengths = corpus.inputs.column(self.fields)
        known = corpus.tags or [[""] * int(n) for n in lengths]
        codes = Ragged.from_list((self.fields["tags"].encode(self._learned(each)) for each in known), np.int64)
        return Examples(Tagged, (inputs, TagColumn(codes)), lengths).select(rows)

    def make_net(self, corpus: TaggedExamples | None = None) -> nn.Module:
        chosen, tags = self.options, self.fields["tags"]
        inputs = None if corpus is None else corpus.inputs
        if inputs is not None:
            self.notes = replace(self.notes, width=inputs.width(chosen))
        reader = self.kind.reader(inputs, self.fields, chosen, self.notes.width)
        crf = self._chunked if chosen.head.crf is None else chosen.head.crf
        encoder = chosen.make_encoder(reader.output_size, **self.kind.encoder)
        width = encoder.output_size
        head = CRFHead(width, tags.size, tags.legal()) if crf else SoftmaxHead(width, tags.size)
        return Each(reader, encoder, head, EachOptions(dropout=chosen.head.head_dropout))

    def make_training(self, data: Examples[Tagged], *, scored: bool) -> TrainOptions:
        stopped: dict[str, object] = {"patience": PATIENCE} if scored else {}
        return self.options.training(learning_rate=2e-3, epochs=EPOCHS, **stopped)

    def score_on(self, corpus: TaggedExamples, rows: np.ndarray) -> Callable[[nn.Module], float]:
        """1 - F1 of chunks, or the share of wrong tags."""
        data, gold = self.make_data(corpus, rows), [(corpus.tags or [])[i] for i in rows.tolist()]
        wanted = [spans(tags) for tags in gold]

        def score(net: nn.Module) -> float:
            predicted = self._decoded(data, net)
            if self._chunked:
                return 1 - span_f1(wanted, [spans(tags) for tags in predicted]).f1
            pairs = [
                (a, b) for known, guess in zip(gold, predicted, strict=True) for a, b in zip(known, guess, strict=True)
            ]
            return float(np.mean([a != b for a, b in pairs])) if pairs else 0.0

        return score

    def made_up(self, seed: int, rows: int) -> TaggedExamples:
        draw = generators(seed, rows)
        inputs, values = self.kind.made_up(self.fields, self.options, draw), self.fields["tags"].values
        steps = inputs.column(self.fields)[1].tolist()
        tags = [[values[code] for code in r.integers(len(values), size=n)] for r, n in zip(draw, steps, strict=True)]
        return TaggedExamples(inputs, tags, Places("the made-up examples", "row", np.arange(rows)))

    @classmethod
    def renamed(cls, name: str) -> str:
        """The moves of the chain once stood beside the head."""
        return f"head.chain.{name.removeprefix('crf.')}" if name.startswith("crf.") else name

    @property
    def _chunked(self) -> bool:
        return bool(self.fields["tags"].scheme != "none")

    def _read(self, source: object) -> TaggedExamples:
        return read_tagged(source, self.notes.column, self.options.text.shape, StepColumns(*self.notes.steps))

    @property
    def _scheme(self) -> str:
        """The scheme in which the network knows tags: that which came, or was asked for."""
        learned = learned_scheme(self.notes.scheme)
        return learned if learned == "none" else self.options.head.scheme or learned

    def _learned(self, tags: Sequence[str]) -> list[str]:
        """Tags as the network knows them: repaired, and in its scheme."""
        return in_scheme(tags, self._scheme)

    def _check_known(self, corpus: TaggedExamples) -> None:
        """Raises `DataError` where training has seen none of the tags."""
        known = set(self.fields["tags"].values)
        came = {tag for tags in corpus.tags or [] for tag in self._learned(tags)}
        if came and came.isdisjoint(known):
            raise DataError(
                f"evaluate: expected tags that training has seen ({listed(sorted(known), 6)}), but all are others "
                f"({listed(sorted(came), 6)}): choose the column of tags, or write them as in training."
            )

    def _tags(self, corpus: TaggedExamples) -> list[list[str]]:
        """The tags of each row, in the scheme of the training data."""
        check_kind("Tagger", self.kind.kind, corpus.inputs)
        if not len(corpus):
            return []
        return self._decoded(self.make_data(corpus, np.arange(len(corpus))), self.fitted())

    def _decoded(self, data: Examples[Tagged], net: nn.Module) -> list[list[str]]:
        each = cast("Each[object]", net)
        codes = per_row(data, each, lambda batch: each.predict(batch.x))
        tags: Tags = self.fields["tags"]
        return [in_scheme(tags.decode(row[row >= 0]), self.notes.scheme) for row in codes]
