"""What was composed, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from unrolled.data.read.music import MIDI
from unrolled.errors import OptionError, SaveError
from unrolled.fields.notes import MusicPiece, to_midi
from unrolled.model import write_atomically

__all__ = ["write_midi"]


def write_midi(pieces: MusicPiece | Sequence[MusicPiece], path: Path) -> list[Path]:
    """The files of pieces: `path` itself for one piece, 1.mid, 2.mid and so on in a folder of that name for several.

    Raises:
        OptionError: the name of a single file does not end in .mid, or mido is not installed.
        SaveError: the place cannot be written.
    """
    if isinstance(pieces, MusicPiece):
        if path.suffix.lower() not in MIDI:
            raise OptionError(f"write: expected a name that ends in .mid, got {path.name!r}; rename it.")
        return [_written(pieces, path)]
    return [_written(piece, path / f"{number}.mid") for number, piece in enumerate(pieces, start=1)]


def _written(piece: MusicPiece, path: Path) -> Path:
    data = to_midi(piece)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        raise SaveError(f"write: cannot write {path}: {error.strerror or error}; choose another place.") from error
    return path
