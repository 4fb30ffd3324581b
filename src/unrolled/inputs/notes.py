"""Pieces of music as inputs: MIDI files, folders of them, pieces in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from pydantic import Field

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.lazy import LazyRagged
from unrolled.data.batch.ragged import Items, Ragged
from unrolled.data.read.door import reader
from unrolled.data.read.files import suffix
from unrolled.data.read.lines import visible_files
from unrolled.data.read.music import MIDI, read_pieces
from unrolled.data.read.sources import is_path
from unrolled.errors import DataError, OptionError
from unrolled.fields.notes import MusicPiece, NoteEvents, NoteGrid
from unrolled.fields.notes.laid import HIGHEST, LOWEST, laid
from unrolled.inputs.augment import MaskOptions, masked
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Fields, Input, ReadSource
from unrolled.inputs.series import SeriesInput
from unrolled.nn.reading.embedding import Embedding
from unrolled.nn.reading.keys import OtherKeys, TransposedReader
from unrolled.nn.reading.reader import Reader, SeriesReader, WordReader
from unrolled.options import Options

__all__ = ["NotesInput", "NotesOptions"]

# Bytes of grids that are kept: of 88 notes at sixteenths some fifty hours of music; others are made anew.
ROOM = 512 << 20


class NotesOptions(Options):
    """How a task reads music: a `NoteGrid` or `NoteEvents`, and how often training hears a piece in another key.

    notes_step: in beats; left out, `finest_step` of the training part. A step of a list of notes is one of these, and
    lasts a beat where nothing is said.
    """

    notes_encoding: Literal["grid", "events"] = Field(
        default="grid", description="Read which notes sound at each step, or one event after another."
    )
    notes_lowest: int = Field(default=LOWEST, ge=0, le=127, description="Lowest note, 60 is the middle C.")
    notes_highest: int = Field(default=HIGHEST, ge=0, le=127, description="Highest note.")
    notes_step: float | None = Field(
        default=None, gt=0, le=64, description="Beats (quarter notes) of a step.  [by the data]"
    )
    notes_struck: bool = Field(default=False, description="In a grid, tell notes struck again from those held on.")
    notes_velocities: int = Field(default=1, ge=1, le=64, description="In events, degrees of loudness told apart.")
    notes_size: int = Field(default=128, ge=1, description="Features of the vector of an event.")
    notes_transpose: int = Field(
        default=5, ge=0, le=12, description="Pieces heard up to so many semitones higher or lower in training."
    )
    notes_transpose_rate: float = Field(
        default=0.5, ge=0, le=1, description="Share of the pieces that are heard in another key in training."
    )

    def fitted(self, pieces: Sequence[MusicPiece]) -> NoteGrid | NoteEvents:
        """The field of these pieces."""
        lowest, highest, step = self.notes_lowest, self.notes_highest, self.notes_step
        if self.notes_encoding == "events":
            return NoteEvents.fit(pieces, lowest=lowest, highest=highest, step=step, velocities=self.notes_velocities)
        return NoteGrid.fit(pieces, lowest=lowest, highest=highest, step=step, struck=self.notes_struck)

    def keys(self, field: NoteGrid | NoteEvents) -> OtherKeys:
        """What makes training hear pieces in other keys."""
        maps = torch.from_numpy(field.moves(self.notes_transpose))
        return OtherKeys(maps, self.notes_transpose_rate, codes=isinstance(field, NoteEvents))

    def check(self, owner: str) -> None:
        """Raises OptionError for options that do not go together."""
        if self.notes_lowest > self.notes_highest:
            raise OptionError(
                f"{owner}: notes_lowest={self.notes_lowest} lies above notes_highest={self.notes_highest}; "
                "give a range."
            )
        if self.notes_encoding == "events" and self.notes_struck:
            raise OptionError(f"{owner}: notes_struck is of a grid, and events tell it by themselves; leave it out.")
        if self.notes_encoding == "grid" and self.notes_velocities > 1:
            raise OptionError(
                f"{owner}: notes_velocities={self.notes_velocities} is of events, and a grid tells no loudness; choose "
                "notes_encoding='events', or leave it out."
            )


class NotesGroups(Protocol):
    """The options of a task that music needs."""

    @property
    def notes(self) -> NotesOptions: ...
    @property
    def augment(self) -> MaskOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...


class NotesInput(Input[NotesGroups]):
    """Pieces of music of any length."""

    kind, field, lines, head_dropout = "pieces of music", "notes", False, SeriesInput.head_dropout
    # As for series: no other was tried on music.
    encoder: ClassVar[Mapping[str, object]] = SeriesInput.encoder

    def __init__(self, pieces: Sequence[MusicPiece]) -> None:
        self.pieces = list(pieces)

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """MIDI files, folders and zips of them, and lists of `MusicPiece`s."""
        if not is_path(source):
            several = isinstance(source, list | tuple) and len(source) > 0
            return several and all(isinstance(one, MusicPiece) for one in source)  # type: ignore[attr-defined]
        return _holds_midi(Path(source))

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: NotesGroups, *, labelled: bool) -> ReadSource:
        folders = labelled and is_path(source) and (Path(source).is_dir() or suffix(source) == ".zip")
        label = partial(_folders_of, Path(str(source)).stem) if folders else None
        found = read_pieces(source, step=options.notes.notes_step, label=label)
        where = ("labels: the names of their folders",) if folders else ()
        return ReadSource(
            cls(found.values), found.places, columns, found.labels, filed=True, remarks=(*found.remarks, *where)
        )

    @classmethod
    def of(cls, values: Sequence[MusicPiece], options: NotesGroups) -> Self:
        return cls(values)

    def __len__(self) -> int:
        return len(self.pieces)

    @property
    def filled(self) -> np.ndarray:
        return np.array([bool(piece.notes) for piece in self.pieces], bool)

    def fit(self, rows: np.ndarray, options: NotesGroups) -> Fields:
        return {"notes": options.notes.fitted([self.pieces[row] for row in rows.tolist()])}

    def items(self, fields: Fields) -> Items:
        """All pieces by their field: grids are made when they are asked for, events at once."""
        field: NoteGrid | NoteEvents = fields["notes"]
        if isinstance(field, NoteEvents):
            return Ragged.from_list((field.encode(piece) for piece in self.pieces), np.int64)
        return LazyRagged(
            lambda row: field.encode(self.pieces[row]),
            [laid(piece, field.measure)[1] for piece in self.pieces],
            room=ROOM, name=lambda row: f"piece {row}", shape=(field.width,),
        )  # fmt: skip

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        column = PaddedColumn(self.items(fields))
        return column, column.ragged.lengths

    def width(self, options: NotesGroups) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: NotesGroups, width: int | None) -> Reader:
        field: NoteGrid | NoteEvents = fields["notes"]
        if options.augment.perturbs or options.augment.changes_speed:
            raise OptionError(
                "Speeds, warping, channel, gain and noise in decibels are of sounds, got pieces of music; leave them "
                "out, or choose notes_transpose."
            )
        dropped, keys = options.reading_dropout or 0.0, options.notes.keys(field)
        if isinstance(field, NoteEvents):
            return TransposedReader(WordReader(Embedding(field.size, options.notes.notes_size), None, dropped), keys)
        return masked(TransposedReader(SeriesReader(field.width, dropped), keys), options.augment)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        return [fields["notes"].describe()]

    @classmethod
    def made_up(cls, fields: Fields, options: NotesGroups, draw: Sequence[np.random.Generator]) -> Self:
        return cls([fields["notes"].draw(random) for random in draw])


@reader
def _holds_midi(path: Path) -> bool:
    """Whether a file, folder or zip is of MIDI files, by the names of its files."""
    if path.is_dir():
        return any(suffix(file) in MIDI for file in visible_files(path))
    if suffix(path) == ".zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(suffix(name) in MIDI for name in archive.namelist())
    return suffix(path) in MIDI


def _folders_of(root: str, name: str) -> str:
    """The folders that a file is in, as its class; an archive's folder of its own name is none."""
    folders = PurePosixPath(name).parent.parts
    found = "/".join(folders[1:] if len(folders) > 1 and folders[0] == root else folders)
    if not found:
        raise DataError(f"Expected a folder as the class of {name}, but it is in none: put it in one, or give labels.")
    return found
