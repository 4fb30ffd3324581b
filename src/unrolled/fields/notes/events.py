"""A field for music: what happens, one event after another."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from unrolled.errors import DataError, ModelFileError, OptionError, how_many
from unrolled.fields.field import Field, register_field
from unrolled.fields.notes.laid import HIGHEST, LOWEST, Laid, Measure, laid
from unrolled.fields.notes.piece import VELOCITY, MusicPiece
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["NoteEvents"]

# Codes that are no events: the padding, what stands before a piece, and its end.
BEGIN, END, OTHERS = 1, 2, 3
# The longest time that one event lets pass, in beats: a whole note.
LONGEST_SHIFT = 4.0
# Of degrees that are wider than one velocity the middle is in them.
MOST_DEGREES = 64


class _Codes(NamedTuple):
    """The first code of each kind of event, and how many codes there are."""

    on: int
    off: int
    shift: int
    velocity: int
    size: int


@register_field
@dataclass(frozen=True)
class NoteEvents(Field[MusicPiece]):
    """A piece as codes of events, (events,) int64: notes go on and off, time passes.

        0 padding   1 before a piece   2 its end                  none of the three is in what is encoded
        on(p), off(p)     for each pitch p of the range
        shift(n)          n steps pass, n = 1 to `shifts`
        velocity(b)       from here on notes are struck so hard, of b = 0 to velocities - 1; with velocities > 1 alone

    At one step notes go off before others go on, lower ones first.

    Args:
        measure: the range of pitches, the step in beats, the tempo of what is decoded.
        shifts: how many steps one event may let pass.
        velocities: how many degrees of loudness are told apart, 1 for none.
    """

    kind: ClassVar[str] = "NoteEvents"
    lossy: ClassVar[str] = (
        "how loud notes are but for their degree, the tempo, where they stand between steps, notes out of the range"
    )
    measure: Measure
    shifts: int
    velocities: int = 1

    @classmethod
    def fit(
        cls,
        pieces: Iterable[MusicPiece],
        *,
        lowest: int = LOWEST,
        highest: int = HIGHEST,
        step: float | None = None,
        velocities: int = 1,
    ) -> NoteEvents:
        """The field of the pieces given; hand in the training part only. Options and errors as in `NoteGrid.fit`."""
        if not 1 <= velocities <= MOST_DEGREES:
            raise OptionError(f"notes: velocities must lie in 1..{MOST_DEGREES}, got {velocities!r}.")
        measure = Measure.fit(list(pieces), lowest, highest, step)
        return cls(measure, max(1, round(LONGEST_SHIFT / measure.step)), velocities)

    @property
    def codes(self) -> _Codes:
        """Where each kind of event begins."""
        pitches = self.measure.pitches
        shift = OTHERS + 2 * pitches
        velocity = shift + self.shifts
        return _Codes(
            OTHERS, OTHERS + pitches, shift, velocity, velocity + (self.velocities if self.velocities > 1 else 0)
        )

    @property
    def size(self) -> int:
        """The number of codes."""
        return self.codes.size

    def encode(self, value: MusicPiece) -> np.ndarray:
        """The events of a piece, (events,) int64. Raises DataError for one of more than half a million steps."""
        notes, steps = laid(value, self.measure)
        first, lowest, now, loud = self.codes, self.measure.lowest, 0, self._degree(VELOCITY)
        found = list[int]()
        ends = [(note.end, 0, note.pitch, 0) for note in notes]
        begins = [(note.begin, 1, note.pitch, note.velocity) for note in notes]
        for at, begun, pitch, velocity in sorted(ends + begins):
            found += self._passing(at - now)
            now = at
            if not begun:
                found.append(first.off + pitch - lowest)
                continue
            if self._degree(velocity) != loud:
                loud = self._degree(velocity)
                found.append(first.velocity + loud)
            found.append(first.on + pitch - lowest)
        return np.array([*found, *self._passing(steps - now)], np.int64)

    def decode(self, array: np.ndarray) -> MusicPiece:
        """The piece of codes, up to the first end; padding and what stands before a piece are left out.

        Notes that never go off sound to the end, those that go off where they went on one step.

        Raises DataError for what is no row of codes.
        """
        codes = np.asarray(array)
        if codes.ndim != 1 or (
            codes.size and (codes.dtype.kind not in "iu" or codes.min() < 0 or codes.max() >= self.size)
        ):
            raise DataError(
                f"NoteEvents: expected a row of codes in 0..{self.size - 1}, got {codes.dtype} {codes.shape}: give "
                "what encode gave, or a network of this field."
            )
        first, lowest, now, loud = self.codes, self.measure.lowest, 0, self._degree(VELOCITY)
        notes, sounding = list[Laid](), dict[int, tuple[int, int]]()

        def stop(pitch: int) -> None:
            begin, velocity = sounding.pop(pitch)
            notes.append(Laid(begin, max(begin + 1, now), pitch, velocity))

        for code in codes.tolist():
            if code == END:
                break
            if code >= first.velocity:
                loud = code - first.velocity
            elif code >= first.shift:
                now += code - first.shift + 1
            elif code >= first.off:
                if lowest + code - first.off in sounding:
                    stop(lowest + code - first.off)
            elif code >= first.on:
                pitch = lowest + code - first.on
                if pitch in sounding:
                    stop(pitch)
                sounding[pitch] = now, self._loudness(loud)
        for pitch in sorted(sounding):
            stop(pitch)
        return self.measure.piece(notes, now)

    def moves(self, most: int) -> np.ndarray:
        """(2 most + 1, size) what each code becomes when a piece is -most to most semitones higher, see `Measure`.

        A note for which the range is too small stays.
        """
        first = self.codes
        found = np.tile(np.arange(self.size), (2 * most + 1, 1))
        for row, by in enumerate(range(-most, most + 1)):
            places = self.measure.moved(by)
            places = np.where(places < 0, np.arange(len(places)), places)
            found[row, first.on : first.off] = first.on + places
            found[row, first.off : first.shift] = first.off + places
        return found

    def draw(self, random: np.random.Generator) -> MusicPiece:
        """One to two dozen notes, some struck again, some between the steps."""
        return self.measure.draw(random)

    def say(self, value: MusicPiece) -> str:
        """The notes and beats of the piece, as in "3 notes in 8 beats"."""
        return f"{how_many(len(value.notes), 'note')} in {value.length:g} beats"

    def describe(self) -> str:
        """The range and the step in words."""
        more = f", {self.velocities} degrees of loudness" if self.velocities > 1 else ""
        return f"{self.size:,} events of {self.measure.describe()}{more}"

    def to_json(self) -> Json:
        """Plain JSON; `NoteEvents.from_json` gives the field back."""
        return {**self.measure.to_json(), "shifts": self.shifts, "velocities": self.velocities}

    @classmethod
    def from_json(cls, data: Json) -> NoteEvents:
        """The field that `to_json` wrote. Raises `ModelFileError` for numbers that no data have."""
        shifts, velocities = (typed(int, data[name], name) for name in ("shifts", "velocities"))
        if shifts < 1 or not 1 <= velocities <= MOST_DEGREES:
            raise ModelFileError(
                f"load: expected events that let time pass and 1 to 64 velocities, got {shifts} and {velocities}."
            )
        return cls(Measure.from_json(data), shifts, velocities)

    def _passing(self, steps: int) -> list[int]:
        """The events that let so many steps pass."""
        longest, first = self.shifts, self.codes.shift
        whole, rest = divmod(steps, longest)
        return [first + longest - 1] * whole + ([first + rest - 1] if rest else [])

    def _degree(self, velocity: int) -> int:
        return velocity * self.velocities // 128

    def _loudness(self, degree: int) -> int:
        """The velocity in the middle of a degree; without degrees the usual one."""
        return VELOCITY if self.velocities == 1 else (2 * degree + 1) * 128 // (2 * self.velocities)
