"""Pieces of music as notes in time, what can be wrong with one, and on which grid notes stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from unrolled.errors import DataError
from unrolled.types import Json

__all__ = ["LONGEST", "TEMPO", "VELOCITY", "Note", "MusicPiece", "beat_of", "finest_step", "pitch_name"]

TEMPO, VELOCITY = 120.0, 80
# A day and a half at the usual tempo: who claims more is broken.
LONGEST = 250_000.0
NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# Steps that a grid may have, in beats, the coarsest first: halves and thirds of a quarter, and of those.
STEPS = (1.0, 1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8, 1 / 12, 1 / 16, 1 / 24)
# A note is on a grid if it begins so near to it, in beats; a grid fits if so many notes are on it.
NEAR, FIT = 1 / 64, 0.95


class Note(NamedTuple):
    """One note. start, duration: in beats, which are quarters. pitch: 0 to 127, 60 is the middle C. velocity: 1 to
    127."""

    start: float
    duration: float
    pitch: int
    velocity: int = VELOCITY


@dataclass(frozen=True)
class MusicPiece:
    """Notes in the order in which they begin, the lowest first.

    tempo: beats a minute. length: beats in all, with the silence at the end; at least up to the end of the last note.
    step: the beats of the grid that it came on, None where it came on none. given: the beats at its beginning that were
    given to whoever composed the rest; 0 where nothing was.
    """

    notes: tuple[Note, ...]
    tempo: float = TEMPO
    length: float = 0.0
    step: float | None = None
    given: float = 0.0

    @classmethod
    def of(
        cls, notes: Iterable[Sequence[float]], tempo: float = TEMPO, length: float = 0.0, step: float | None = None
    ) -> Self:
        """A piece of (start, duration, pitch[, velocity]) in any order. Raises DataError for what is no note."""
        found = sorted((_note(note) for note in notes), key=lambda note: (note.start, note.pitch, note.duration))
        for name, value in (("tempo", tempo), ("step", 1.0 if step is None else step)):
            if not 0 < value < math.inf:
                raise DataError(f"MusicPiece: expected a {name} above 0, got {value!r}: give a finite one.")
        end = max((note.start + note.duration for note in found), default=0.0)
        if not max(end, length) <= LONGEST or length < 0:
            raise DataError(
                f"MusicPiece: expected a piece of at most {LONGEST:,.0f} beats, got {max(end, length):,.6g}: cut it, "
                "or correct the times of its notes."
            )
        return cls(tuple(found), float(tempo), max(float(length), end), step)

    @classmethod
    def of_steps(cls, steps: Sequence[Iterable[int]], step: float = 1.0, tempo: float = TEMPO) -> Self:
        """A piece of the pitches that sound at each step: one that sounds on is one note.

        >>> MusicPiece.of_steps([[60, 64], [60], []]).notes
        (Note(start=0.0, duration=2.0, pitch=60, velocity=80), Note(start=0.0, duration=1.0, pitch=64, velocity=80))
        """
        notes, sounding = list[Note](), dict[int, int]()
        for at, pitches in enumerate([*steps, []]):
            now = set(pitches)
            for pitch in [pitch for pitch in sounding if pitch not in now]:
                begin = sounding.pop(pitch)
                notes.append(Note(begin * step, (at - begin) * step, pitch))
            for pitch in now:
                sounding.setdefault(pitch, at)
        return cls.of(notes, tempo, len(steps) * step, step)

    @classmethod
    def from_json(cls, data: Json) -> Self:
        """What `to_json` wrote. Raises DataError for anything else."""
        notes, tempo, length = data.get("notes"), data.get("tempo", TEMPO), data.get("length", 0.0)
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (tempo, length))
        if not isinstance(notes, list) or not all(isinstance(note, list) for note in notes) or not numbers:
            raise DataError(
                'MusicPiece: expected {"notes": [[start, duration, pitch, velocity], ...], "tempo": 120}, got another '
                "form: write notes as lists of numbers."
            )
        return cls.of(notes, tempo, length)

    def to_json(self) -> Json:
        """Plain JSON: times in beats."""
        return {"notes": [list(note) for note in self.notes], "tempo": self.tempo, "length": self.length}


def finest_step(pieces: Iterable[MusicPiece]) -> tuple[float, float]:
    """The step in beats of a grid for these pieces, and how far off it their notes begin, in beats on average.

    That of the grid on which pieces came; else the coarsest of a quarter, an eighth, a third of a quarter and so on to
    the 24th part on which 95 % of the notes begin; and a sixteenth note where they begin on none of them.
    """
    several = list(pieces)
    given = [piece.step for piece in several if piece.step is not None]
    starts = np.array([note.start for piece in several for note in piece.notes])
    steps = [step for step in STEPS if not given and len(starts) and np.mean(_off(starts, step) <= NEAR) >= FIT]
    step = min(given) if given else steps[0] if steps else STEPS[3] if len(starts) else STEPS[0]
    return step, float(_off(starts, step).mean()) if len(starts) else 0.0


def pitch_name(pitch: int) -> str:
    """How musicians name a pitch: 60 is "C4"."""
    return f"{NAMES[pitch % 12]}{pitch // 12 - 1}"


def beat_of(step: float) -> str:
    """A step in words: "a quarter note", "1/3 of a quarter note".

    >>> beat_of(0.25), beat_of(1 / 3), beat_of(1.0)
    ('1/4 of a quarter note', '1/3 of a quarter note', 'a quarter note')
    """
    if step == 1:
        return "a quarter note"
    parts = 1 / step
    return f"1/{round(parts)} of a quarter note" if abs(parts - round(parts)) < 1e-9 else f"{step:g} quarter notes"


def _off(starts: np.ndarray, step: float) -> np.ndarray:
    """How far each start is from the grid."""
    return np.asarray(np.abs(starts - np.rint(starts / step) * step))


def _note(note: Sequence[float]) -> Note:
    plain = all(isinstance(value, int | float | np.number) and not isinstance(value, bool) for value in note)
    if len(note) not in (3, 4) or not plain:
        raise DataError(
            f"MusicPiece: expected a note as start, duration, pitch and velocity, got {str(note)[:60]}: mend it."
        )
    start, duration, pitch = note[:3]
    velocity = note[3] if len(note) == 4 else VELOCITY
    if not (0 <= start < math.inf and 0 < duration < math.inf):
        raise DataError(
            f"MusicPiece: expected a note from beat 0 on that lasts, got {start!r} and {duration!r}: mend it."
        )
    # What is no number is in no range, so it is not asked to be whole.
    if not (0 <= pitch <= 127 and 1 <= velocity <= 127) or pitch != int(pitch) or velocity != int(velocity):
        raise DataError(
            f"MusicPiece: expected a pitch in 0..127 and a velocity in 1..127, got {pitch!r} and {velocity!r}: mend it."
        )
    return Note(float(start), float(duration), int(pitch), int(velocity))
