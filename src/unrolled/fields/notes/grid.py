"""A field for music: which notes sound at each step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unrolled.errors import DataError, how_many
from unrolled.fields.field import Field, register_field
from unrolled.fields.notes.laid import HIGHEST, LOWEST, Laid, Measure, laid
from unrolled.fields.notes.piece import VELOCITY, MusicPiece
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["NoteGrid"]


@register_field
@dataclass(frozen=True)
class NoteGrid(Field[MusicPiece]):
    """A piece as a grid of 0 and 1: (steps, width) float32, a row a step, a column a pitch from the lowest up.

        sounding[t, p] = 1 where pitch p sounds at step t
        struck[t, p]   = 1 where it begins there             with `struck`, in as many columns again

    Without `struck`, a note that is struck again with no step between is one long note.

    Args:
        measure: the range of pitches, the step in beats, the tempo of what is decoded.
        struck: whether the columns of strikes are there.
    """

    kind: ClassVar[str] = "NoteGrid"
    lossy: ClassVar[str] = (
        "how loud notes are, the tempo, where they stand between steps, notes out of the range, and without struck "
        "where a note is struck again at once"
    )
    measure: Measure
    struck: bool = False

    @classmethod
    def fit(
        cls,
        pieces: Iterable[MusicPiece],
        *,
        lowest: int = LOWEST,
        highest: int = HIGHEST,
        step: float | None = None,
        struck: bool = False,
    ) -> NoteGrid:
        """The field of the pieces given; hand in the training part only.

        lowest, highest: the range of pitches, both in it. step: in beats; None: `finest_step` of the pieces.

        Raises:
            OptionError: a range or step that is none.
            DataError: there is no piece.
        """
        return cls(Measure.fit(list(pieces), lowest, highest, step), struck)

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.measure.pitches * (1 + self.struck)

    def encode(self, value: MusicPiece) -> np.ndarray:
        """The grid of a piece: (steps, width) float32. Raises DataError for one of more than half a million steps."""
        notes, steps = laid(value, self.measure)
        grid, pitches, lowest = np.zeros((steps, self.width), np.float32), self.measure.pitches, self.measure.lowest
        for note in notes:
            grid[note.begin : note.end, note.pitch - lowest] = 1
            if self.struck:
                grid[note.begin, pitches + note.pitch - lowest] = 1
        return grid

    def decode(self, array: np.ndarray) -> MusicPiece:
        """The piece of a grid; what is above one half counts. A struck note sounds, whatever the grid says.

        Raises DataError for another width, or a value that is not finite.
        """
        grid = np.asarray(array, np.float64)
        if grid.ndim != 2 or grid.shape[1] != self.width or not np.isfinite(grid).all():
            raise DataError(
                f"NoteGrid: expected finite numbers as (steps, {self.width}), got {grid.shape}: give whole steps."
            )
        pitches = self.measure.pitches
        marks = grid > 0.5
        struck = marks[:, pitches:] if self.struck else np.zeros_like(marks)
        sounding = marks[:, :pitches] | struck
        notes = [
            note for column in range(pitches) for note in self._runs(sounding[:, column], struck[:, column], column)
        ]
        return self.measure.piece(notes, len(grid))

    def _runs(self, sounding: np.ndarray, struck: np.ndarray, column: int) -> list[Laid]:
        """The notes of one pitch."""
        if not sounding.any():
            return []
        before, after = np.append(False, sounding[:-1]), np.append(sounding[1:], False)
        begins = np.flatnonzero(sounding & (~before | struck))
        next_struck = np.append(struck[1:], False)
        ends = np.flatnonzero(sounding & (~after | next_struck)) + 1
        pitch = self.measure.lowest + column
        return [Laid(begin, end, pitch, VELOCITY) for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]

    def moves(self, most: int) -> np.ndarray:
        """(2 most + 1, width) where each column goes when a piece is -most to most semitones higher, see `Measure`."""
        pitches = np.stack([self.measure.moved(by) for by in range(-most, most + 1)])
        struck = np.where(pitches < 0, -1, pitches + self.measure.pitches)
        return np.concatenate([pitches, struck], 1) if self.struck else pitches

    def draw(self, random: np.random.Generator) -> MusicPiece:
        """One to two dozen notes, some struck again, some between the steps."""
        return self.measure.draw(random)

    def say(self, value: MusicPiece) -> str:
        """The notes and beats of the piece, as in "3 notes in 8 beats"."""
        return f"{how_many(len(value.notes), 'note')} in {value.length:g} beats"

    def describe(self) -> str:
        """The range and the step in words."""
        return f"a grid of {self.measure.describe()}" + (", notes sounding and struck" if self.struck else "")

    def to_json(self) -> Json:
        """Plain JSON; `NoteGrid.from_json` gives the field back."""
        return {**self.measure.to_json(), "struck": self.struck}

    @classmethod
    def from_json(cls, data: Json) -> NoteGrid:
        """The field that `to_json` wrote. Raises `ModelFileError` for numbers that no data have."""
        return cls(Measure.from_json(data), typed(bool, data["struck"], "struck"))
