"""Notes laid on a grid: what both encodings begin from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unrolled.errors import DataError, ModelFileError, OptionError
from unrolled.fields.notes.piece import MusicPiece, Note, beat_of, finest_step, pitch_name
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["HIGHEST", "LOWEST", "Laid", "Measure", "laid"]

# The keys of a piano.
LOWEST, HIGHEST = 21, 108
# Steps of a piece: at a 24th part of a quarter more than three hours.
MOST = 1 << 19
OCTAVE = 12


class Laid(NamedTuple):
    """A note in steps: it sounds from `begin` up to, but without, `end`."""

    begin: int
    end: int
    pitch: int
    velocity: int


class Measure(NamedTuple):
    """The range of pitches, both ends in it, the step of the grid in beats, and the tempo of what is decoded."""

    lowest: int
    highest: int
    step: float
    tempo: float

    @classmethod
    def fit(cls, pieces: Sequence[MusicPiece], lowest: int, highest: int, step: float | None) -> Measure:
        """The measure of these pieces; step None: `finest_step`. Raises OptionError for a range or step that is none.

        The tempo is the median of theirs.
        """
        if not 0 <= lowest <= highest <= 127:
            raise OptionError(f"notes: expected a range of pitches in 0..127, got {lowest!r} to {highest!r}.")
        if step is not None and not 0 < step <= 64:
            raise OptionError(f"notes: a step must be above 0 and at most 64 beats, got {step!r}.")
        if not pieces:
            raise DataError("notes: expected at least one piece to fit, got none: give the training pieces.")
        tempo = float(np.median([piece.tempo for piece in pieces]))
        return cls(lowest, highest, finest_step(pieces)[0] if step is None else float(step), tempo)

    @property
    def pitches(self) -> int:
        """How many there are."""
        return self.highest - self.lowest + 1

    def moved(self, by: int) -> np.ndarray:
        """(pitches,) where each pitch of the range is when it is so many semitones higher, from the lowest.

        What would leave the range is an octave or more nearer, and -1 where the range is too small for that.
        """
        places = np.arange(self.pitches) + by
        for _ in range(abs(by) // OCTAVE + 1):
            places = np.where(places < 0, places + OCTAVE, np.where(places >= self.pitches, places - OCTAVE, places))
        found: np.ndarray = np.where((places >= 0) & (places < self.pitches), places, -1)
        return found

    def piece(self, notes: Sequence[Laid], steps: int) -> MusicPiece:
        """The piece of so many steps."""
        found = [
            Note(one.begin * self.step, (one.end - one.begin) * self.step, one.pitch, one.velocity) for one in notes
        ]
        return MusicPiece.of(found, self.tempo, steps * self.step, self.step)

    def draw(self, random: np.random.Generator) -> MusicPiece:
        """One to two dozen notes, some struck again, some between the steps, some silence at the end."""
        count = int(random.integers(1, 25))
        pitches = random.integers(self.lowest, self.highest + 1, count)
        pitches[random.random(count) < 0.4] = pitches[0]
        starts = random.integers(0, 24, count) * self.step + random.choice([0.0, 0.2], count) * self.step
        lasts = random.integers(1, 7, count) * self.step
        velocities = random.integers(1, 128, count)
        notes = np.stack([starts, lasts, pitches, velocities], 1).tolist()
        end = float((starts + lasts).max()) + int(random.integers(0, 3)) * self.step
        tempo = float(random.integers(40, 200))
        return MusicPiece.of([(start, last, int(pitch), int(loud)) for start, last, pitch, loud in notes], tempo, end)

    def describe(self) -> str:
        """In words."""
        return f"{pitch_name(self.lowest)} to {pitch_name(self.highest)}, steps of {beat_of(self.step)}"

    def to_json(self) -> Json:
        """Plain JSON."""
        return dict(self._asdict())

    @classmethod
    def from_json(cls, data: Json) -> Measure:
        """What `to_json` wrote. Raises ModelFileError for numbers that no data have."""
        lowest, highest = (typed(int, data[name], name) for name in ("lowest", "highest"))
        step, tempo = (typed(float, data[name], name) for name in ("step", "tempo"))
        if not (0 <= lowest <= highest <= 127 and 0 < step <= 64 and 0 < tempo < float("inf")):
            raise ModelFileError(
                f"load: expected notes in 0..127, a step of up to 64 beats and a tempo, got {lowest} to {highest}, "
                f"{step} and {tempo}."
            )
        return cls(lowest, highest, step, tempo)


def laid(piece: MusicPiece, measure: Measure) -> tuple[list[Laid], int]:
    """The notes in the range, on the grid, and the steps of the piece.

    A note begins and ends with the step that is nearest, and takes one at least. A note that is struck again while it
    sounds ends there, and what is struck last sounds as long as any of them; of notes that begin at one step together
    the loudest counts. Sorted by their begin and pitch.

    Raises DataError for a piece of more than half a million steps.
    """
    steps = max(round(piece.length / measure.step), 0)
    by_pitch = dict[int, list[Laid]]()
    for note in piece.notes:
        begin = round(note.start / measure.step)
        end = max(begin + 1, round((note.start + note.duration) / measure.step))
        steps = max(steps, end)
        if measure.lowest <= note.pitch <= measure.highest:
            by_pitch.setdefault(note.pitch, []).append(Laid(begin, end, note.pitch, note.velocity))
    if steps > MOST:
        raise DataError(
            f"notes: expected a piece of at most {MOST:,} steps of {beat_of(measure.step)}, got {steps:,}: cut the "
            "piece, or choose a longer step."
        )
    return sorted(note for notes in by_pitch.values() for note in _apart(notes)), steps


def _apart(notes: list[Laid]) -> list[Laid]:
    """The notes of one pitch so that none sounds when the next begins."""
    found = list[Laid]()
    for note in sorted(notes):
        last = found[-1] if found else None
        if last is None or last.end <= note.begin:
            found.append(note)
            continue
        end = max(last.end, note.end)
        if last.begin == note.begin:
            found[-1] = last._replace(end=end, velocity=max(last.velocity, note.velocity))
        else:
            found[-1] = last._replace(end=note.begin)
            found.append(note._replace(end=end))
    return found
