"""Pieces of music on their way into a composer: which part of a source is learned from, and which is judged by."""

from __future__ import annotations

from dataclasses import dataclass

from unrolled.data.read.files import Places
from unrolled.data.read.music import music_parts, read_pieces
from unrolled.errors import DataError, listed
from unrolled.inputs.notes import NotesInput, NotesOptions

__all__ = ["JUDGED", "LEARNED", "STOPPED", "Repertoire", "read_repertoire", "usual_part"]

# What the parts of a file are called that is learned from, that tells when to stop, and that is judged by.
LEARNED, STOPPED, JUDGED = ("train", "training"), ("valid", "validation", "val", "dev"), ("test",)


@dataclass(frozen=True, eq=False)
class Repertoire:
    """n pieces of music. part: of the source, None where it is not in parts. remarks: what was understood."""

    inputs: NotesInput
    places: Places
    part: str | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)


def read_repertoire(source: object, options: NotesOptions, part: str | None, usual: tuple[str, ...]) -> Repertoire:
    """The pieces of a source as `read_pieces` knows them; of one in parts that of this name, or the usual one.

    Raises DataError where it is in parts of which none is usual and none is asked for.
    """
    chosen = usual_part(source, usual) if part is None else part
    parts = music_parts(source)
    if parts and chosen is None:
        raise DataError(
            f"Expected a part called {' or '.join(usual)}, but the source has {listed(parts)}: say which with part=."
        )
    found = read_pieces(source, part=chosen, step=options.notes_step)
    return Repertoire(NotesInput(found.values), found.places, chosen, found.remarks)


def usual_part(source: object, usual: tuple[str, ...]) -> str | None:
    """The part of a source that has a usual name, None where there is none."""
    parts = music_parts(source)
    return next((name for name in usual if name in parts), None)
