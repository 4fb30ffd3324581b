"""Composing: a network learns from pieces of music what comes next, goes on from a piece, or makes one up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import nn

from unrolled.align.mode import evaluating
from unrolled.align.next import Next
from unrolled.check import check_size
from unrolled.data.batch.batching import plan_batches
from unrolled.data.batch.following import Following
from unrolled.data.batch.ragged import Items, Ragged
from unrolled.data.read.files import Places
from unrolled.errors import DataError, OptionError
from unrolled.fields.notes import MusicPiece, NoteEvents, NoteGrid
from unrolled.fields.notes.laid import laid
from unrolled.heads.grid import ConditionedNotesHead, NotesHead
from unrolled.heads.softmax import OutputLayer
from unrolled.inputs.notes import NotesInput
from unrolled.inspect.notes import draw_notes
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.reader import NumberReader
from unrolled.padding import valid_mask
from unrolled.state import map_state
from unrolled.tasks.batches import unit_length
from unrolled.tasks.compose.bounds import allowed_pitches
from unrolled.tasks.compose.files import write_midi
from unrolled.tasks.compose.metre import Metre
from unrolled.tasks.compose.network import ComposerNet
from unrolled.tasks.compose.options import ComposerOptions
from unrolled.tasks.compose.playing import BEGIN, END, play_events, play_grid
from unrolled.tasks.compose.reading import JUDGED, LEARNED, STOPPED, Repertoire, read_repertoire, usual_part
from unrolled.tasks.compose.report import MusicReport
from unrolled.tasks.frame import Fields, SequenceTask, Training, given_source
from unrolled.tasks.laws import generators
from unrolled.train import Callback, TrainOptions

__all__ = ["Composer"]

# Chosen on the valid part of the chorales of benchmarks/tasks.py, see docs/tasks.md.
ENCODER = {"cell": "lstm", "hidden_size": 256, "recurrent_dropout": 0.5}
BATCH, WARMUP = 16, 50
# Steps of pieces that training sees in all, and the fewest and most epochs that make them.
SEEN, EPOCHS = 4_000_000, (20, 300)
# A small set has so many batches an epoch, if it has as many pieces.
BATCHES = 8
# Pieces whose notes are counted before training begins.
COUNTED = 1000
# The part that is held out where nobody says which.
HELD = 0.1
# Steps of a batch when pieces are judged.
STEPS = 8192


class Composer(SequenceTask[Repertoire, Following]):
    """Learns from pieces of music what comes next.

    options: any of `ComposerOptions`, flat. Raises `OptionError` for an unknown option or a bad value.
    """

    task = "compose"
    score_name = "nats a step"
    options_kind = ComposerOptions
    options: ComposerOptions
    _shares: np.ndarray | None = None

    def fit(
        self,
        source: object,
        *,
        part: str | None = None,
        valid: object = None,
        refit: bool = False,
        run: str | Path | None = None,
        progress: bool = False,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:
        """Learn from pieces.

        Args:
            source: a MIDI file, a folder or zip of MIDI files, JSON of the notes of each step (one piece, several, or
                parts of several by name), or pieces in memory, see `unrolled.data.read.music.read_pieces`.
            part: the part of a source in parts that is learned from; None: "train".
            valid: what decides when to stop: a part of the pieces (0.1), or a source. None: the part "valid" of a
                source in parts, else a tenth of the pieces; 0: nothing, then `epochs` are trained to the end.
            refit: learn from the part that decided when to stop, too, in the end.
            run, progress, resume, callbacks: as in `unrolled.train.fit`.

        Raises:
            DataError, OptionError: the data or an option cannot be used, in one sentence.
        """
        corpus = read_repertoire(source, self.options.notes, part, LEARNED)
        if not corpus.inputs.filled.any():
            raise DataError("fit: expected pieces with notes, got silence alone; give some that are heard.")
        own = usual_part(source, STOPPED) if valid is None else None
        held: object = HELD if valid is None else valid
        share, later = (None, self._read(source, own)) if own is not None else given_source(held, self._held)
        if share and len(corpus) < 2:
            raise DataError("fit: expected several pieces, of which some are held out, got one; give valid=0.")
        remarks = (*corpus.remarks, *self._beyond(corpus), *((f"valid: part {own!r}",) if own is not None else ()))
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.attempt():
            return self.learn(corpus, later, part=share, refit=refit, training=training, remarks=remarks, least=1)

    def evaluate(self, source: object, *, part: str | None = None) -> MusicReport:
        """How well the model foretells pieces: every step given all before it, the first from nothing.

        part: of a source in parts; None: "test".
        """
        net = self._next
        corpus = self._read(source, part)
        rows = np.arange(len(corpus))
        data, nats = self.make_data(corpus, rows), 0.0
        plan = plan_batches(
            data, batch_size=None, token_budget=max(STEPS, int(data.lengths.max(initial=1))), seed=0, epoch=0,
            shuffle=False,
        )  # fmt: skip
        with evaluating(net):
            for some in plan:
                total, _, _ = net.loss(map_state(lambda leaf: leaf.to(self.device), data.batch(some)))
                nats += float(total)
        played = [laid(piece, self._field.measure) for piece in corpus.inputs.pieces]
        steps, notes = sum(length for _, length in played), sum(len(found) for found, _ in played)
        events = int(data.lengths.sum()) if isinstance(self._field, NoteEvents) else 0
        return MusicReport(nats, len(corpus), steps, notes, events, corpus.part)

    def generate(
        self,
        prompt: object = None,
        *,
        length: float = 64,
        samples: int = 1,
        temperature: float = 1.0,
        key: str | None = None,
        lowest: int | None = None,
        highest: int | None = None,
        tempo: float | None = None,
        seed: int = 0,
    ) -> list[MusicPiece]:
        """New pieces.

        Args:
            prompt: how each begins: a piece, or a source of one; None: with nothing. It stands at their begin, `given`
                beats long, as the field reads it.
            length: beats to compose; an event model may end sooner.
            samples: how many; piece i of a seed is the same however many are asked for.
            temperature: below 1 safer, above 1 wilder; 0: the likeliest.
            key: of what is composed, such as "D minor": its scale alone, with both sevenths in minor.
            lowest, highest: the range of what is composed, MIDI numbers.
            tempo: beats a minute; None: that of the prompt, else the median of the training part.
            seed: the same seed gives the same pieces.
        """
        check_size("generate", "samples", samples)
        begun = MusicPiece((), self._field.measure.tempo) if prompt is None else self._one(prompt)
        return self._play(
            [begun] * samples, list(range(samples)), length, temperature, key, lowest, highest, tempo, seed
        )

    def predict(
        self,
        source: object,
        *,
        part: str | None = None,
        given: float | None = None,
        length: float = 32,
        temperature: float = 1.0,
        key: str | None = None,
        lowest: int | None = None,
        highest: int | None = None,
        tempo: float | None = None,
        seed: int = 0,
    ) -> list[MusicPiece]:
        """Each piece of a source, and how it might go on.

        given: go on from so many beats of its beginning; None: from its end. The others are those of `generate`.
        """
        pieces = self._read(source, part).inputs.pieces
        begun = [piece if given is None else _beginning(piece, given) for piece in pieces]
        return self._play(begun, list(range(len(begun))), length, temperature, key, lowest, highest, tempo, seed)

    def embed(self, source: object, *, part: str | None = None) -> np.ndarray:
        """A vector of unit length for each piece, (N, D) float64: the mean of what the encoder makes of its steps."""
        net, corpus = self._next, self._read(source, part)
        data = self.make_data(corpus, np.arange(len(corpus)))
        found = []
        with evaluating(net):
            for row in range(len(data)):
                batch = map_state(lambda leaf: leaf.to(self.device), data.batch(np.array([row])))
                y, _ = net.vectors(batch.x, batch.lengths)
                valid = valid_mask(batch.lengths, y.shape[1])[..., None]
                found.append(torch.where(valid, y, 0).double().sum((0, 1)).cpu().numpy())
        vectors = np.stack(found) if found else np.zeros((0, net.encoder.output_size))
        return unit_length(vectors)

    @staticmethod
    def write(pieces: MusicPiece | Sequence[MusicPiece], path: str | Path) -> list[Path]:
        """MIDI files: of one piece the file of this name, of several 1.mid, 2.mid and so on in a folder of it.

        Raises OptionError for a name that does not end as MIDI files do, or where mido is not installed.
        """
        return write_midi(pieces, Path(path))

    def plot(self, source: object, path: str | Path, *, row: int = 0) -> Path:
        """Draw the piano roll of a piece, such as of those that `generate` and `predict` gave: what was given in grey,
        what was composed in blue; the name's ending says which kind of picture."""
        pieces = self._read(source).inputs.pieces
        if not 0 <= row < len(pieces):
            raise DataError(f"plot: expected a row from 0 to {len(pieces) - 1}, got {row}; choose one that is there.")
        return draw_notes(pieces[row], path)

    def make_fields(self, corpus: Repertoire, rows: np.ndarray) -> Fields:
        return corpus.inputs.fit(rows, cast(Any, self.options))

    def make_data(self, corpus: Repertoire, rows: np.ndarray) -> Following:
        items = self._items(corpus.inputs)
        if isinstance(self._field, NoteEvents):
            return Following(items, BEGIN, rows)
        return Following(items, np.nan, rows, self._metre)

    def take_notes(self, data: Following, rows: np.ndarray) -> None:
        if not isinstance(self._field, NoteEvents):
            self._shares = _shares(data)

    def make_net(self, corpus: Repertoire | None = None) -> nn.Module:
        chosen, field = self.options, self._field
        following = self._events_net(field) if isinstance(field, NoteEvents) else self._grid_net(field, corpus)
        return ComposerNet(following, chosen.notes.keys(field))

    def _events_net(self, field: NoteEvents) -> Next[Any]:
        embedding = Embedding(field.size, self.options.notes.notes_size)
        encoder = self.options.make_encoder(embedding.output_size, **ENCODER)
        output = OutputLayer(encoder.output_size, field.size, embedding)
        return Next(embedding, encoder, output, self.options.head.settled("events"))

    def _grid_net(self, field: NoteGrid, corpus: Repertoire | None) -> Next[Any]:
        chosen, reader = self.options, NumberReader(field.width, self._metre.width)
        encoder = chosen.make_encoder(reader.output_size, **ENCODER)
        head: NotesHead | ConditionedNotesHead
        if chosen.head.voicing == "independent":
            head = NotesHead(encoder.output_size, field.width)
        else:
            head = ConditionedNotesHead(encoder.output_size, field.width, chosen.head.voicing_size)
        if corpus is not None and self._shares is not None:
            # It begins with how often each note sounds.
            with torch.no_grad():
                head.bias.copy_(torch.from_numpy(np.log(self._shares / (1 - self._shares))))
        return Next(reader, encoder, head, chosen.head.settled("grid"))

    def make_training(self, data: Following, *, scored: bool) -> TrainOptions:
        epochs = int(np.clip(SEEN // max(1, int(data.lengths.sum())), *EPOCHS))
        usual: dict[str, object] = {
            "learning_rate": 2e-3, "epochs": epochs, "schedule": "cosine", "final_factor": 0.02, "warmup": WARMUP,
            "average": "ema", "average_decay": 0.99,
        }  # fmt: skip
        if "token_budget" not in self.options.train.given():
            usual["batch_size"] = min(BATCH, max(1, len(data) // BATCHES))
        return self.options.training(**usual)

    def made_up(self, seed: int, rows: int) -> Repertoire:
        inputs = NotesInput.made_up(self.fields, cast(Any, self.options), generators(seed, rows))
        return Repertoire(inputs, Places("the made-up pieces", "row", np.arange(rows)))

    @property
    def _field(self) -> NoteGrid | NoteEvents:
        if not self.fields:
            self.fitted()
        field: NoteGrid | NoteEvents = self.fields["notes"]
        return field

    @property
    def _next(self) -> Next[Any]:
        """What the fitted network says of what comes next."""
        return cast("ComposerNet[Any]", self.fitted()).following

    @property
    def _metre(self) -> Metre:
        return Metre(self._field.measure.step, self.options.head.metre_beats)

    def _read(self, source: object, part: str | None = None) -> Repertoire:
        return read_repertoire(source, self.options.notes, part, JUDGED)

    def _held(self, source: object, _: object = None) -> Repertoire:
        """A source that tells when to stop."""
        return read_repertoire(source, self.options.notes, None, STOPPED)

    def _items(self, inputs: NotesInput) -> Items:
        """The steps of all pieces; of events the end is one."""
        items = inputs.items(self.fields)
        if not isinstance(self._field, NoteEvents):
            return items
        return Ragged.from_list((np.append(items[row], END) for row in range(len(items))), np.int64)

    def _one(self, prompt: object) -> MusicPiece:
        pieces = self._read(prompt).inputs.pieces
        if len(pieces) != 1:
            raise DataError(f"generate: expected one piece as a prompt, got {len(pieces)}; use predict for several.")
        return pieces[0]

    def _play(
        self, begun: Sequence[MusicPiece], numbers: Sequence[int], length: float, temperature: float, key: str | None,
        lowest: int | None, highest: int | None, tempo: float | None, seed: int,
    ) -> list[MusicPiece]:  # fmt: skip
        """The pieces, each with what is composed after it."""
        net, field = self._next, self._field
        steps = round(length / field.measure.step) if 0 <= length < np.inf else -1
        if steps < 1:
            raise OptionError(f"generate: length must be a number of beats, one step or more, got {length!r}.")
        if tempo is not None and not 0 < tempo < np.inf:
            raise OptionError(f"generate: tempo must be a number of beats a minute above 0, got {tempo!r}.")
        allowed = allowed_pitches(field.measure, key, lowest, highest)
        given = [field.encode(piece) for piece in begun]
        how: dict[str, Any] = {"numbers": numbers, "seed": seed, "temperature": temperature}
        with evaluating(net):
            if isinstance(field, NoteEvents):
                before = [laid(piece, field.measure)[1] for piece in begun]
                whole = play_events(net, field, given, [had + steps for had in before], allowed=allowed, **how)
            else:
                before = [len(grid) for grid in given]
                columns = allowed if allowed is None or not field.struck else np.tile(allowed, 2)
                new = play_grid(net, given, steps, allowed=columns, metre=self._metre, **how) if given else []
                whole = [np.concatenate(both) for both in zip(given, new, strict=True)]
        return [
            replace(
                field.decode(array), given=had * field.measure.step,
                tempo=piece.tempo if tempo is None else tempo,
            )
            for array, had, piece in zip(whole, before, begun, strict=True)
        ]  # fmt: skip

    def _beyond(self, corpus: Repertoire) -> tuple[str, ...]:
        """What is said of notes that no field of these options holds."""
        low, high = self.options.notes.notes_lowest, self.options.notes.notes_highest
        out = sum(not low <= note.pitch <= high for piece in corpus.inputs.pieces for note in piece.notes)
        return (f"{out:,} notes beyond {low}..{high} are left out",) if out else ()


def _shares(data: Following) -> np.ndarray:
    """(width,) how often each note is on, never quite 0 or 1."""
    chosen = data.rows[:COUNTED].tolist()
    counts = sum((data.items[row].sum(0, dtype=np.float64) for row in chosen), np.zeros(1))
    shares: np.ndarray = np.clip(counts / max(1, int(data.lengths[:COUNTED].sum())), 1e-3, 1 - 1e-3)
    return shares


def _beginning(piece: MusicPiece, beats: float) -> MusicPiece:
    """So many beats of a piece."""
    if not 0 <= beats < np.inf:
        raise OptionError(f"predict: given must be a number of beats of at least 0, got {beats!r}.")
    kept = [note for note in piece.notes if note.start < beats]
    cut = tuple(note._replace(duration=min(note.duration, beats - note.start)) for note in kept)
    return replace(piece, notes=cut, length=min(piece.length, beats))
