"""Text to text: translation, summaries, replies in a dialogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
from pydantic import Field
from torch import nn

from unrolled.align.decode import Decode, Pair
from unrolled.data.batch.examples import Examples, PaddedColumn, TagColumn
from unrolled.data.read.sources import is_delimited
from unrolled.errors import OptionError
from unrolled.fields.text import Text
from unrolled.inputs.input import Input, input_of
from unrolled.inputs.text import TextInput, TextUse
from unrolled.inputs.texts import SpellingOptions, TextOptions
from unrolled.nn.build import Rate
from unrolled.score.text import bleu, chrf, rouge
from unrolled.state import map_state
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source
from unrolled.tasks.laws import generators
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import TaskOptions, enough_epochs
from unrolled.tasks.reading.pairs import PairColumns, Pairs, copied, read_pairs, read_references, read_sources
from unrolled.tasks.reports import TranslatorReport
from unrolled.tasks.writing.targets import Attended, CopyingOptions, Search, Writer
from unrolled.train import Callback, TrainOptions

__all__ = ["Attended", "Translator", "TranslatorOptions", "TranslatorReport"]


class TranslatorOptions(TaskOptions):
    """Every option of a `Translator`, in groups.

    text: `TextOptions`, for both sides (max_size counts for each). reading_dropout: of single features of what the
    encoder reads. encoder: `EncoderOptions`. head: `CopyingOptions`. train: `BatchedOptions`.
    """

    owner = "Translator"
    absent: ClassVar[Mapping[str, str]] = {
        "spelling": "for level='subword' and 'char' read the inside of words",
        "spelling_size": "for level='subword' and 'char' read the inside of words",
    }

    use: ClassVar[TextUse] = TextUse(word_dropout=0.0, dropout=0.0, extended=False)
    spelled: ClassVar[SpellingOptions] = SpellingOptions()

    text: TextOptions = TextOptions(level="subword", lower=False, max_size=5000)
    reading_dropout: Rate | None = Field(default=0.2, description="Dropout of features that the encoder reads.")
    head: CopyingOptions = CopyingOptions()


# Chosen by measurement on the data of benchmarks/tasks.py.
ENCODER: dict[str, object] = {"cell": "gru", "hidden_size": 256, "bidirectional": True}
WIDTH = 256
EPOCHS, PATIENCE = 10, 4
# Tokens of both sides in a batch.
TOKENS = 1500
# Batches of an epoch, and steps of a training, at least.
BATCHES, UPDATES, WARMUP = 10, 600, 200


@dataclass(frozen=True)
class TranslatorNotes(Notes):
    """columns: the parts of `PairColumns`. longest: tokens of the longest target. width: of the file of vectors."""

    columns: tuple[str, str, str | None, int, tuple[str, ...] | None] = ("source", "target", None, 3, None)
    longest: int = 0
    width: int | None = None


class Translator(SequenceTask[Pairs, Examples[Pair]]):
    """Learns from pairs of texts to write the second one when it reads the first.

    options: any of `TranslatorOptions`, flat. Raises `OptionError` for an unknown option or a bad value.
    """

    task = "translate"
    options_kind = TranslatorOptions
    options: TranslatorOptions
    notes_kind = TranslatorNotes
    notes: TranslatorNotes

    def fit(
        self,
        source: object,
        target: object = None,
        *,
        columns: PairColumns | None = None,
        valid: object = 0.03,
        refit: bool = False,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from pairs of texts.

        Args:
            source, target: two parallel files (a text a line, also .gz) or lists; or one table and no target: CSV, TSV,
                JSON lines, Parquet, a dataframe, with the columns that `columns` names; or a pair (source, target).
            columns: names of the source and the target column; or, for dialogues, of the column that holds the turns,
                each of which is then learned as the reply to the `context` turns before it.
            valid: a part of the pairs, or a source or pair, that decides when to stop; 0: none.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.
        """
        chosen = PairColumns() if columns is None else columns
        corpus = read_pairs(source, target, chosen, self._shape, self._shape)
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.anew(TranslatorNotes(astuple(chosen))):
            part, later = given_source(valid, self._read)
            return self.learn(corpus, later, part=part, refit=refit, training=training, remarks=corpus.remarks)

    def predict(
        self, sources: object, *, width: int = 5, length_penalty: float = 1.0, no_repeat: int | None = None
    ) -> list[str]:
        """The best target of each source that a beam of `width` finds; width 1 is greedy.

        sources: texts, dialogues (lists of turns), a file with a text a line, or a table with the source column.
        length_penalty: 0 favours short targets; see `unrolled.search.beam`. no_repeat: no run of so many tokens twice.
        """
        best = self.candidates(sources, width=width, nbest=1, length_penalty=length_penalty, no_repeat=no_repeat)
        return [ranked[0][0] for ranked in best]

    def candidates(
        self, sources: object, *, width: int = 5, nbest: int = 5, length_penalty: float = 1.0,
        no_repeat: int | None = None,
    ) -> list[list[tuple[str, float]]]:  # fmt: skip
        """The `nbest` best targets of each source, with the scores that rank them; of an empty one an empty one."""
        self.fitted()
        search = Search(width, nbest, length_penalty, no_repeat).check("predict")
        pairs = read_sources(sources, self._columns(sources), self._shape)
        filled = np.flatnonzero(pairs.sources.filled)
        written = self._writer().write(self.make_data(pairs, filled), search, pairs, filled)
        targets = dict(zip(filled.tolist(), written, strict=True))
        return [targets.get(row, [("", 0.0)]) for row in range(len(pairs))]

    def evaluate(
        self, source: object, target: object = None, *, width: int = 5, length_penalty: float = 1.0
    ) -> TranslatorReport:
        """BLEU, chrF and ROUGE of what is predicted; a target may be a list of references, the best of which counts."""
        self.fitted()
        if isinstance(source, tuple) and target is None and len(source) == 2:
            source, target = source
        sources, references = read_references(source, target, self._columns(source))
        said = self.predict(sources, width=width, length_penalty=length_penalty)
        return TranslatorReport(bleu(said, references), chrf(said, references), rouge(said, references), len(said))

    def attention(self, source: str, target: str | None = None) -> Attended:
        """Where the decoder looks while it writes the target; None: the best target."""
        if self.options.head.attention == "none":
            raise OptionError("Translator: expected a model with attention, but it has attention='none'; fit another.")
        said = self.predict([source])[0] if target is None else target
        data = self.make_data(self._read([source], [said]), np.arange(1))
        batch = map_state(lambda leaf: leaf.to(self.device), data.batch(np.arange(1)))
        codes = batch.target.values[0, : int(batch.target.lengths[0])].tolist()
        weights = self._writer().weights(batch, 0, codes)
        text: Text = self.fields["target"]
        return Attended(weights, self.fields["source"].split_text(source), [*text.split_text(said), "</s>"])

    def plot(self, source: str, path: str | Path, target: str | None = None) -> Path:
        """Draw the map of `attention`; the name's ending says which kind of picture."""
        from unrolled.inspect.attention import draw_attention

        attended = self.attention(source, target)
        return draw_attention(attended.weights, attended.source, attended.target, path)

    def make_fields(self, corpus: Pairs, rows: np.ndarray) -> Fields:
        assert corpus.targets is not None
        read = corpus.sources.fit(rows, self.options)
        # Texts on both sides: the field of the sources has a name of its own.
        sources = {"source" if name == TextInput.field else name: field for name, field in read.items()}
        return {**sources, "target": corpus.targets.fit(rows, self.options)[TextInput.field]}

    def make_data(self, corpus: Pairs, rows: np.ndarray) -> Examples[Pair]:
        target, copies = self.fields["target"], None
        reading, lengths = corpus.sources.column(self._sides[0])
        if self.options.head.copying == "pointer":
            places, known, _ = copied(corpus, self.fields.get("source"), target)
            copies = TagColumn(places)
            writing = None if known is None else PaddedColumn(known)
        else:
            writing = None if corpus.targets is None else PaddedColumn(corpus.targets.texts.codes(target))
        if writing is not None:
            lengths = lengths + writing.ragged.lengths + 1
        return Examples(Pair, (reading, writing, copies), lengths).select(rows)

    def take_notes(self, data: Examples[Pair], rows: np.ndarray) -> None:
        """The longest target, in tokens."""
        writing = cast("PaddedColumn", data.parts[1])
        self.notes = replace(self.notes, longest=int(writing.ragged.lengths[rows].max(initial=0)))

    def make_net(self, corpus: Pairs | None = None) -> nn.Module:
        chosen, (source, target) = self.options, self._sides
        inputs = None if corpus is None else corpus.sources
        if inputs is not None:
            self.notes = replace(self.notes, width=inputs.width(chosen))
        reader = self.kind.reader(inputs, source, chosen, self.notes.width or WIDTH)
        encoder = chosen.make_encoder(reader.output_size, **ENCODER)
        embedding = TextInput.embedding(None, target, chosen, WIDTH)
        inner, head = chosen.encoder.over(**ENCODER), chosen.head
        options = head.decoding(inner, head.copying)
        return Decode(reader, encoder, embedding, self.fields["target"].size, options)

    def make_training(self, data: Examples[Pair], *, scored: bool) -> TrainOptions:
        # A small set is cut into batches small enough for some steps an epoch.
        budget = max(min(TOKENS, int(data.lengths.sum()) // BATCHES), int(data.lengths.max(initial=1)))
        epochs = enough_epochs(EPOCHS, int(data.lengths.sum()) // budget, UPDATES)
        usual: dict[str, object] = {
            "learning_rate": 2e-3, "epochs": epochs, "schedule": "cosine", "weight_decay": 0.0,
            "warmup": min(WARMUP, epochs * int(data.lengths.sum()) // budget // 10),
        }  # fmt: skip
        if "batch_size" not in self.options.train.given():
            usual["token_budget"] = budget
        if scored:
            usual["patience"] = PATIENCE
        return self.options.training(**usual)

    def made_up(self, seed: int, rows: int) -> Pairs:
        draw = generators(seed, rows)
        source, target = self._sides
        sources = self.kind.made_up(source, self.options, draw)
        return Pairs(sources, TextInput.made_up(target, self.options, draw))

    @property
    def columns(self) -> PairColumns:
        """The columns of a table that hold the texts, as in the training data."""
        return PairColumns(*self.notes.columns)

    @property
    def kind(self) -> type[Input[Any]]:
        """The kind of sources that it learned from."""
        return input_of(self._sides[0])

    @property
    def _sides(self) -> tuple[Fields, Fields]:
        """The fields of the sources and of the targets, under the names that their kinds give them."""
        named = {TextInput.field if name == "source" else name: field for name, field in self.fields.items()}
        target = {TextInput.field: named.pop("target")}
        return named, target

    @property
    def _shape(self) -> Text:
        return self.options.text.shape

    def _columns(self, source: object) -> PairColumns:
        """The columns of the training data; only delimited text has no names of its own."""
        return self.columns if is_delimited(source) else replace(self.columns, names=None)

    def _writer(self) -> Writer:
        net, fields = cast("Decode[object]", self.fitted()), self.fields
        copying = self.options.head.copying
        return Writer(net, fields["target"], self.notes.longest, copying, fields.get("source"))

    def _read(self, source: object, target: object = None) -> Pairs:
        return read_pairs(source, target, self._columns(source), self._shape, self._shape)
