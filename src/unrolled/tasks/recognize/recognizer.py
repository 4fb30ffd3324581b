"""Recognition: the words of a sound, of a series of features, of pen strokes or of a picture of a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from torch import nn

from unrolled.align.ctc import CTC, CTCOptions, Transcribed
from unrolled.data.batch.examples import Examples, PaddedColumn
from unrolled.data.batch.ragged import Items, Ragged
from unrolled.data.read.files import Places
from unrolled.errors import DataError, how_many, listed
from unrolled.fields.text import Text
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import version_rows
from unrolled.score.speech import character_error_rate, word_error_rate
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source
from unrolled.tasks.laws import generators
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import enough_epochs
from unrolled.tasks.reading.transcripts import Utterances, check_listed, read_utterances
from unrolled.tasks.recognize.coding import Coding, frames_needed
from unrolled.tasks.recognize.live import LiveRecognition
from unrolled.tasks.recognize.options import RecognizerOptions, SearchOptions
from unrolled.tasks.recognize.report import RecognitionReport
from unrolled.tasks.recognize.scorers import make_scorers
from unrolled.tasks.recognize.steps import lingering
from unrolled.tasks.recognize.transcription import Clock, Transcription, hear
from unrolled.train import Callback, TrainOptions

__all__ = ["Recognizer"]

# As in the trials of docs/tasks.md.
ENCODER = {"cell": "lstm", "hidden_size": 128, "layers": 3, "dropout": 0.2}
BATCH, EPOCHS = 16, 40
# Steps that a small set is trained for at least, and those in which the learning rate rises.
STEPS, WARMUP = 600, 100
# Fewer held-out inputs than this say nothing about which step is the best.
ENOUGH = 20


@dataclass(frozen=True)
class RecognizerNotes(Notes):
    """columns: of the transcripts and of the paths. words: those of the training transcripts."""

    columns: tuple[str | None, str | None] = (None, None)
    words: tuple[str, ...] = ()


class Recognizer(SequenceTask[Utterances, Examples[Transcribed]]):
    """Learns to write down what is said in a sound, what a pen writes, or what stands in a line of print.

    options: any of `RecognizerOptions`, flat. Raises `OptionError` for an unknown option or a bad value.

    What is written keeps its case and its spaces as they stand in the transcripts. `predict`, `transcribe`, `evaluate`
    and `stream` take the options of the search, `SearchOptions`, by name: beam, nbest, language_model, lm_weight,
    word_bonus, lexicon, hot_words.
    """

    task = "recognize"
    score_name = "character error rate"
    options_kind = RecognizerOptions
    options: RecognizerOptions
    notes_kind = RecognizerNotes
    notes: RecognizerNotes

    def fit(
        self,
        source: object,
        y: Iterable[str] | None = None,
        *,
        text: str | None = None,
        audio: str | None = None,
        image: str | None = None,
        valid: object = 0.1,
        refit: bool = False,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from inputs and their texts.

        Args:
            source: a list of recordings (JSON lines, a table with a column of paths, a folder of x.wav with x.txt, one
                of Kaldi's) or of pictures of lines (a table, or a folder of x.png with x.gt.txt); or an .npz file of
                features: `x` (N, T, D) or, one after another, (sum of lengths, D), with `lengths`, and the texts as its
                array `text`, or in a table or a .txt of the same name beside it; or the inputs themselves, with their
                texts in `y`: a list of `Sound`s, of arrays (T_i, D), or of lines (height, width) uint8.
            y: one text for each input; "" where nothing is said.
            text, audio, image: the columns of a table with the texts, and with the paths of recordings or of pictures.
            valid: what tells which step was the best: a part of these (0.1), a source of the same kind, or (inputs,
                texts). 0: none, then the last step counts.
            refit: learn from the part that told which step was the best, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence; so where a text is too long
                for its input.
        """
        files = check_listed(source, audio=audio, image=image)
        columns = LabelColumns(label=text, files=files, said=True)
        corpus = read_utterances(source, y, columns, self.options, labelled=True)
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.anew(RecognizerNotes((text, files))):
            part, later = given_source(valid, self._read)
            corpus.check_held(later)
            remarks = (*corpus.remarks, *self._remarks(corpus, later))
            return self.learn(corpus, later, part=part, refit=refit, training=training, remarks=remarks)

    def predict(self, source: object, **search: object) -> np.ndarray:
        """The text of each input, (N,) of str: of any source as in `fit`, or a sound file."""
        return np.array([found.text for found in self.transcribe(source, **search)], dtype=np.str_)

    def transcribe(self, source: object, **search: object) -> list[Transcription]:
        """Of each input the text, the next best ones, and the words with their times and how sure they are."""
        corpus = self._read(source, labelled=False)
        corpus.check_kind("predict", self.kind.kind)
        return self._transcribe(corpus, search)

    def evaluate(
        self, source: object, y: Iterable[str] | None = None, *, normaliser: str = "none", **search: object
    ) -> RecognitionReport:
        """Word and character error rate on inputs with their texts, as in `fit`.

        normaliser: what both sides go through first, see `unrolled.score.speech.normalise_text`.
        """
        corpus = self._read(source, y)
        corpus.check_kind("evaluate", self.kind.kind)
        heard, said = [found.text for found in self._transcribe(corpus, search)], corpus.said
        unknown = {token: None for text in said for token in self._coding.unknown(text)}
        words = word_error_rate(heard, said, normaliser=normaliser)
        return RecognitionReport(words, character_error_rate(heard, said, normaliser=normaliser), tuple(unknown))

    def plot(self, source: object, path: str | Path, *, row: int = 0, **search: object) -> Path:
        """Draw one input of a source: a sound's spectrogram, or a series, with the words at their times; of a drawing
        the strokes in the colours of their letters; a line of print under its letters."""
        from unrolled.tasks.recognize.picture import draw_found

        corpus = self._read(source, labelled=False)
        corpus.check_kind("plot", self.kind.kind)
        if not 0 <= row < len(corpus):
            raise DataError(f"plot: expected a row from 0 to {len(corpus) - 1}, got {row}; choose one that is there.")
        data = self.make_data(replace(corpus, texts=None), np.array([row]))
        [found] = self._hear(data, self.fitted(), SearchOptions.signed("plot", search))
        features = self._plain_steps(corpus)[row]
        inked, line = corpus.inputs.inked(row, self.fields), corpus.inputs.shown(row, self.fields)
        return draw_found(features, inked, line, found, path, step=self.kind.seconds(self.fields))

    def stream(self, *, pause: float | None = None, **search: object) -> LiveRecognition:
        """Hear while it is said: `push` takes pieces, `finish` says it all; any split into pieces says the same.

        pause: after something was said and then nothing for so long, in seconds (in steps of the input where nobody
            knows seconds), the utterance is over; None: it never is.

        Raises:
            NotStreamable: the model reads both ways (fit it with streaming=True), or its features need the end.
        """
        net, asked = cast("CTC[Any]", self.fitted()), SearchOptions.signed("stream", search)
        coding, clock = self._coding, self._clock
        frames = None if pause is None else math.ceil(pause / clock.frame)
        return LiveRecognition(
            net, self.kind.front(self.fields), coding, clock, asked.width, asked.nbest,
            make_scorers(asked, coding, self.notes.words), stride=self.options.stride, after=self.options.after,
            pause=frames,
        )  # fmt: skip

    @property
    def streamable(self) -> bool:
        """Whether `stream` can hear while it is said."""
        return cast("CTC[Any]", self.fitted()).streamable

    def make_fields(self, corpus: Utterances, rows: np.ndarray) -> Fields:
        chosen, said = self.options.transcript, corpus.said
        texts = [said[i] for i in rows.tolist()]
        field = Text.fit(
            texts, level=chosen.level, lower=chosen.lower, split="space", min_count=chosen.min_count,
            max_size=chosen.max_size,
        )  # fmt: skip
        if Coding(field).size < 2:
            raise DataError(f"fit: all {len(texts)} transcripts to learn from are empty; give some in which words are.")
        self.notes = replace(self.notes, words=tuple(sorted({word for one in texts for word in one.split()})))
        return {"transcript": field, **corpus.inputs.fit(rows, self.options)}

    def make_data(self, corpus: Utterances, rows: np.ndarray) -> Examples[Transcribed]:
        steps, codes = self._steps(corpus), self._codes(corpus)
        if corpus.texts is not None:
            self._check_room(corpus, rows, codes, steps.lengths)
        return Examples(Transcribed, (PaddedColumn(steps), PaddedColumn(codes)), steps.lengths).select(rows)

    def make_training_data(self, corpus: Utterances, rows: np.ndarray) -> Examples[Transcribed]:
        """The rows in all versions; one that has no room for its text at a higher speed is left out."""
        data, heard = self.make_data(corpus, rows), corpus.versions(self.options)
        if heard is corpus:
            return data
        every, steps, codes = version_rows(rows, len(corpus), len(heard)), self._steps(heard), self._codes(heard)
        needed = np.array([frames_needed(codes[row]) for row in every.tolist()])
        room = every[needed <= -(-steps.lengths[every] // self.options.stride)]
        return Examples(Transcribed, (PaddedColumn(steps), PaddedColumn(codes)), steps.lengths).select(room)

    def make_net(self, corpus: Utterances | None = None) -> nn.Module:
        chosen = self.options
        inputs = None if corpus is None else corpus.inputs
        reader = self.kind.frame_reader(inputs, self.fields, chosen, None, chosen.stride)
        encoder = chosen.make_encoder(reader.output_size, **{**ENCODER, "bidirectional": not chosen.streaming})
        return CTC(reader, encoder, self._coding.size, CTCOptions(dropout=chosen.head_dropout))

    def make_training(self, data: Examples[Transcribed], *, scored: bool) -> TrainOptions:
        # Rows at several speeds are rows seen several times.
        usual_epochs = EPOCHS // (1 + len(self.options.augment.speeds)) or 1
        epochs = enough_epochs(usual_epochs, len(data) // BATCH, STEPS)
        usual: dict[str, object] = {"learning_rate": 2e-3, "epochs": epochs, "schedule": "cosine", "warmup": WARMUP}
        if "token_budget" not in self.options.train.given():
            usual["batch_size"] = BATCH
        return self.options.training(**usual)

    def stops_by(self, held: int) -> bool:
        return held >= ENOUGH

    def split(self, corpus: Utterances, part: float) -> tuple[np.ndarray, np.ndarray]:
        """As for every task, but no character is held out whole: what is never learned from is never written."""
        rows, held = super().split(corpus, part)
        if self.options.transcript.level != "char":
            return rows, held
        said = corpus.said
        known = self._characters(said[i] for i in rows.tolist())
        strange = np.array([not known >= self._characters([said[i]]) for i in held.tolist()], bool)
        return np.sort(np.concatenate([rows, held[strange]])), held[~strange]

    def score_on(self, corpus: Utterances, rows: np.ndarray) -> Callable[[nn.Module], float] | None:
        data, said, plain = self.make_data(corpus, rows), [corpus.said[i] for i in rows.tolist()], SearchOptions()
        if not any(text.strip() for text in said):
            return None
        return lambda net: character_error_rate([one.text for one in self._hear(data, net, plain)], said).rate

    def made_up(self, seed: int, rows: int) -> Utterances:
        draw = generators(seed, rows)
        inputs = self.kind.made_up(self.fields, self.options, draw)
        places = Places("the made-up inputs", "row", np.arange(rows))
        made = Utterances(inputs, places, LabelColumns(said=True))
        lengths = self._steps(made).lengths.tolist()
        texts = [self._fitting(random, length) for random, length in zip(draw, lengths, strict=True)]
        return replace(made, texts=texts)

    @property
    def _coding(self) -> Coding:
        return Coding(self.fields["transcript"])

    @property
    def _clock(self) -> Clock:
        """How long a frame lasts."""
        step = self.kind.seconds(self.fields)
        return Clock(self.options.stride * (1.0 if step is None else step), step is not None)

    def _read(self, source: object, y: object = None, *, labelled: bool = True) -> Utterances:
        """A source as `fit` reads it, with the columns that were named there."""
        text, files = self.notes.columns
        return read_utterances(
            source, y, LabelColumns(label=text, files=files, said=True), self.options, labelled=labelled
        )

    def _remarks(self, corpus: Utterances, later: Utterances | None) -> tuple[str, ...]:
        """What was understood of the options, and of the data that tell which step is the best."""
        said = []
        if self.options.streaming:
            said.append(
                "streaming: the encoder reads forwards alone, so that it hears while it is said; it makes more errors "
                "than one that reads both ways"
            )
        strange = sorted(self._characters(later.said if later else ()) - self._characters(corpus.said))
        if strange:
            said.append(
                f"valid: {listed(map(repr, strange))} never stand in the training transcripts, so they count as errors"
            )
        return tuple(said)

    def _characters(self, texts: Iterable[str]) -> set[str]:
        """The characters of texts, as they are written."""
        lower = self.options.transcript.lower
        return {character for text in texts for character in (text.lower() if lower else text)}

    def _plain_steps(self, corpus: Utterances) -> Items:
        """The steps of all inputs, by the fields."""
        column, _ = corpus.inputs.column(self.fields)
        return cast(PaddedColumn, column).ragged

    def _steps(self, corpus: Utterances) -> Items:
        return lingering(self._plain_steps(corpus), self.options.after)

    def _codes(self, corpus: Utterances) -> Ragged:
        """What is said in each input; nothing where nobody told."""
        coding = self._coding
        said = ["" for _ in range(len(corpus))] if corpus.texts is None else corpus.texts
        return Ragged.from_list((coding.encode(text) for text in said), np.int64)

    def _transcribe(self, corpus: Utterances, search: dict[str, object]) -> list[Transcription]:
        asked, silent = SearchOptions.signed("predict", search), replace(corpus, texts=None)
        return self._hear(self.make_data(silent, np.arange(len(corpus))), self.fitted(), asked)

    def _hear(self, data: Examples[Transcribed], net: nn.Module, asked: SearchOptions) -> list[Transcription]:
        coding = self._coding
        scorers = make_scorers(asked, coding, self.notes.words)
        return hear(cast("CTC[Any]", net), data, coding, self._clock, asked.width, asked.nbest, scorers)

    def _check_room(self, corpus: Utterances, rows: np.ndarray, codes: Ragged, lengths: np.ndarray) -> None:
        """Raises DataError for the first text that is too long for its input."""
        stride = self.options.stride
        for row in rows.tolist():
            needed, frames = frames_needed(codes[row]), -(-int(lengths[row]) // stride)
            if needed > frames:
                raise DataError(
                    f"fit: {corpus.places.of(row)} has {how_many(frames, 'frame')} "
                    f"({how_many(int(lengths[row]), 'step')}, {stride} read at once), "
                    f"but its transcript {corpus.said[row][:40]!r} needs {needed}; choose a smaller stride, mend the "
                    "transcript, or leave it out."
                )

    def _fitting(self, random: np.random.Generator, length: int) -> str:
        """A text that has room in so many steps."""
        field, coding = self.fields["transcript"], self._coding
        tokens = field.split_text(field.draw(random))
        while frames_needed(coding.encode(text := field.join(tokens))) > -(-length // self.options.stride):
            tokens = tokens[:-1]
        return str(text)
