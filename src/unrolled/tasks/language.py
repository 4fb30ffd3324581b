"""Language modelling: which character, word or piece comes next; text that goes on; words that complete themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self, cast

import numpy as np
from torch import nn

from unrolled.align.mode import evaluating, require_finite
from unrolled.align.next import Next
from unrolled.check import check_size
from unrolled.data.batch.stream import Stream
from unrolled.errors import DataError, OptionError
from unrolled.fields.text import UNKNOWN
from unrolled.inputs.text import TextInput, TextUse
from unrolled.inputs.texts import SpellingOptions, TextOptions, Texts, random_texts
from unrolled.nn.build import ForwardOptions
from unrolled.search import sample, stream
from unrolled.state import map_state
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source, held_out
from unrolled.tasks.laws import generators
from unrolled.tasks.notes import Notes
from unrolled.tasks.options import TaskOptions, enough_epochs
from unrolled.tasks.reading.running import Running, StreamOptions, read_running, running_codes
from unrolled.tasks.reports import LanguageReport
from unrolled.tasks.writing.complete import Completion, complete
from unrolled.tasks.writing.prompts import Prompt, newline_of
from unrolled.tasks.writing.successor import SuccessorOptions
from unrolled.train import Callback, RunOptions, TrainOptions

__all__ = ["LanguageModel", "LanguageOptions", "LanguageReport"]


class LanguageOptions(TaskOptions):
    """Every option of a `LanguageModel`, in groups.

    text: `TextOptions`. encoder: `ForwardOptions`, but for the two masks that the head draws. head: `SuccessorOptions`.
    window: `StreamOptions`. train: `RunOptions`.
    """

    owner = "LanguageModel"
    absent: ClassVar[Mapping[str, str]] = {
        "batch_size": "for running text has no rows; say with streams= how many texts are read side by side",
        "token_budget": "for running text has no rows; say with streams= how many texts are read side by side",
        "bidirectional": "for what comes next is what is learned",
        "spelling": "for what it reads is what it writes; choose level='char'",
        "spelling_size": "for what it reads is what it writes; choose level='char'",
        "reading_dropout": "use input_dropout",
    }

    use: ClassVar[TextUse] = TextUse(word_dropout=0.0, dropout=0.0, extended=False)
    spelled: ClassVar[SpellingOptions] = SpellingOptions()
    reading_dropout: ClassVar[None] = None

    text: TextOptions = TextOptions(lower=False)
    encoder: ForwardOptions = ForwardOptions()
    head: SuccessorOptions = SuccessorOptions()
    window: StreamOptions = StreamOptions()
    train: RunOptions = RunOptions()


# Chosen by measurement on the data of benchmarks/tasks.py.
CELL = "lstm"
HIDDEN = {"word": 400, "subword": 400, "char": 512}
WIDTH = {"word": 400, "subword": 400, "char": 64}
STREAMS, STEPS = 32, {"word": 35, "subword": 50, "char": 100}
EPOCHS, PATIENCE = 10, 3
# Steps that a short text is trained for at least.
UPDATES, WARMUP = 400, 100


@dataclass(frozen=True)
class LanguageNotes(Notes):
    """streams: texts read side by side in training. width: of the file of vectors."""

    streams: int | None = None
    width: int | None = None


class LanguageModel(SequenceTask[Running, Stream]):
    """Learns from text what comes next.

    options: any of `LanguageOptions`, flat. Raises `OptionError` for an unknown option or a bad value.
    """

    task = "language"
    options_kind = LanguageOptions
    options: LanguageOptions
    notes_kind = LanguageNotes
    notes: LanguageNotes

    def fit(
        self,
        source: object,
        *,
        valid: object = 0.05,
        refit: bool = False,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from text.

        Args:
            source: a text file (also .gz), "-", or a folder of text files, read as one text; or a list of texts, each
                a document that knows nothing of the others.
            valid: the part of the lines at the end, or a source, that decides when to stop; 0: none.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.
        """
        corpus = read_running(source, self.options.text.shape)
        # A tuple of texts is documents as a list of them is, not a pair of inputs and labels.
        held = list(valid) if isinstance(valid, tuple) else valid
        part, later = given_source(held, lambda text, _: read_running(text, self.options.text.shape))
        if part and len(corpus) < 2:
            raise DataError("fit: expected several lines, of which the last are held out, got one line; give valid=0.")
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.anew(LanguageNotes()):
            return self.learn(corpus, later, part=part, refit=refit, training=training, remarks=corpus.remarks, least=1)

    def evaluate(self, source: object) -> LanguageReport:
        """How well the model predicts a text: every token given all before it in its document."""
        net = cast("Next[object]", self.fitted())
        running = read_running(source, self.options.text.shape)
        codes, starts = running_codes(running, np.arange(len(running)), self.fields["text"])
        data = Stream(codes, 1, 512, first=self._first, starts=starts)
        nats, state = 0.0, None
        with evaluating(net):
            for item in range(len(data)):
                batch = map_state(lambda leaf: leaf.to(self.device), data.batch(np.array([item])))
                total, _, state = net.loss(batch, state)
                nats += float(total)
        unknown = float(np.mean(codes == UNKNOWN)) if len(codes) else 0.0
        return LanguageReport(nats, len(codes), int(running.characters.sum()), unknown)

    def score(self, text: str) -> float:
        """log p(text) in nats, the end of its last line included."""
        return -self.evaluate([text]).nats

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 100,
        samples: int = 1,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        no_repeat: int | None = None,
        one_line: bool = False,
        seed: int = 0,
    ) -> list[str]:
        """Texts that go on from the prompt, which is not repeated in them.

        Args:
            prompt: how the text begins.
            length: tokens at most. one_line: stop at the end of the line.
            samples: how many texts; text i of a seed is the same however many are asked for.
            temperature, top_k, top_p: what is drawn, see `unrolled.search.sample`; temperature 0: the likeliest.
            no_repeat: no run of so many tokens twice.
            seed: the same seed gives the same texts.
        """
        net = cast("Next[object]", self.fitted())
        check_size("generate", "samples", samples)
        begun = Prompt(prompt, self.fields["text"], length)
        # A prompt of several lines holds the end of a line; the search ends at the first it writes itself.
        end = self._first if one_line and self._first not in begun.codes else None
        with evaluating(net):
            found = sample(
                net.step, net.begin(samples), begin=self._first, end=end, limit=begun.length, temperature=temperature,
                top_k=top_k, top_p=top_p, seed=seed, prefix=[begun.codes] * samples,
                constraints=begun.constraints(no_repeat),
            )  # fmt: skip
        texts = [begun.written(each.codes) for each in found]
        return [text.split("\n")[0] for text in texts] if one_line else texts

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 100,
        seed: int = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Iterator[str]:
        """The text that `generate` would give of these, piece by piece as it is drawn."""
        net = cast("Next[object]", self.fitted()).eval()
        require_finite(net)
        begun = Prompt(prompt, self.fields["text"], length)
        live = stream(
            net.step, net.begin(1), begin=self._first, end=None, limit=begun.length, seed=seed, prefix=begun.codes,
            constraints=begun.constraints(), temperature=temperature, top_k=top_k, top_p=top_p,
        )  # fmt: skip
        return begun.pieces(live)

    def complete(self, prefix: str, k: int = 5) -> list[Completion]:
        """The k likeliest words that go on from the text typed so far, also inside a half-typed word, best first."""
        if k < 1:
            raise OptionError(f"complete: k must be at least 1, got {k}.")
        net = cast("Next[object]", self.fitted())
        with evaluating(net):
            return complete(net, self.fields["text"], prefix, k, first=self._first)

    def make_fields(self, corpus: Running, rows: np.ndarray) -> Fields:
        return corpus.lines.fit(rows, self.options)

    def make_data(self, corpus: Running, rows: np.ndarray) -> Stream:
        codes, starts = running_codes(corpus, rows, self.fields["text"])
        steps = self.options.window.steps or STEPS[self.options.text.level]
        # A short text has no room for many streams of a window each.
        room = max(1, len(codes) // (2 * steps))
        if self.notes.streams is None:
            self.notes = replace(self.notes, streams=self.options.window.streams or min(STREAMS, room))
        return Stream(codes, self._streams, steps, first=self._first, starts=starts)

    def make_net(self, corpus: Running | None = None) -> nn.Module:
        chosen, text, head = self.options, self.fields["text"], self.options.head
        level = chosen.text.level
        lines = None if corpus is None else corpus.lines
        if lines is not None:
            self.notes = replace(self.notes, width=lines.width(chosen))
        embedding = TextInput.embedding(lines, self.fields, chosen, self.notes.width or WIDTH[level])
        encoder = chosen.make_encoder(embedding.output_size, cell=CELL, hidden_size=HIDDEN[level])
        output = head.make_head(embedding, encoder.output_size, text.size)
        return Next(embedding, encoder, output, head.settled(level))

    @classmethod
    def renamed(cls, name: str) -> str:
        """Codes alone were once read and told."""
        for before, after in (("embedding.", "reader."), ("output.", "head.")):
            if name.startswith(before):
                return after + name.removeprefix(before)
        return name

    def make_training(self, data: Stream, *, scored: bool) -> TrainOptions:
        batches = len(data) // self._streams
        epochs = enough_epochs(EPOCHS, batches, UPDATES)
        stopped: dict[str, object] = {"patience": PATIENCE} if scored else {}
        return self.options.training(
            learning_rate=4e-3,
            epochs=epochs,
            schedule="cosine",
            warmup=min(WARMUP, batches * epochs // 10),
            weight_decay=0.0,
            clip_norm=1.0,
            batch_size=self._streams,
            **stopped,
        )

    def split(self, corpus: Running, part: float) -> tuple[np.ndarray, np.ndarray]:
        """The last lines are held out: lines in between would tell what stands around them."""
        cut = len(corpus) - held_out(len(corpus), part)
        rows = np.arange(len(corpus))
        return rows[:cut], rows[cut:]

    def made_up(self, seed: int, rows: int) -> Running:
        texts = random_texts(self.fields["text"], generators(seed, rows))
        sizes = np.array([len(text) + 1 for text in texts], np.int64)
        ends = "" if self.options.text.level == "word" else "\n"
        lines = TextInput(Texts([text + ends for text in texts], self.options.text.shape))
        return Running(lines, np.array([0]), sizes)

    @property
    def _streams(self) -> int:
        return self.notes.streams or 1

    @property
    def _first(self) -> int:
        """What stands before a text: the end of a line, as if one had just ended."""
        return newline_of(self.fields["text"])
