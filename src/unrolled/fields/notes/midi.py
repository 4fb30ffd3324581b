"""Pieces as MIDI files."""

from __future__ import annotations

import io
from types import ModuleType

from unrolled.errors import OptionError
from unrolled.fields.notes.piece import MusicPiece

__all__ = ["require_mido", "to_midi"]

# Ticks of a quarter: divisible by all steps of grids.
TICKS = 480
# Microseconds of a quarter that a file can say.
LONGEST = (1 << 24) - 1
MINUTE = 60_000_000


def to_midi(piece: MusicPiece) -> bytes:
    """The piece as the bytes of a MIDI file of one track, 480 ticks a quarter; notes of no tick get one.

    Raises OptionError where mido is not installed.
    """
    mido = require_mido()
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS)
    track = mido.MidiTrack()
    file.tracks.append(track)
    quarter = min(max(1, round(MINUTE / piece.tempo)), LONGEST)
    track.append(mido.MetaMessage("set_tempo", tempo=quarter, time=0))
    now = 0
    for at, _, kind, pitch, velocity in sorted(_events(piece)):
        track.append(mido.Message(kind, note=pitch, velocity=velocity, time=at - now))
        now = at
    end = max(now, round(piece.length * TICKS))
    track.append(mido.MetaMessage("end_of_track", time=end - now))
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


def _events(piece: MusicPiece) -> list[tuple[int, int, str, int, int]]:
    """(tick, order, kind, pitch, velocity): a note that is struck again ends first."""
    found = list[tuple[int, int, str, int, int]]()
    for note in piece.notes:
        begin = round(note.start * TICKS)
        end = max(begin + 1, round((note.start + note.duration) * TICKS))
        found += [(begin, 1, "note_on", note.pitch, note.velocity), (end, 0, "note_off", note.pitch, 0)]
    return found


def require_mido() -> ModuleType:
    """The package that reads and writes MIDI files. Raises OptionError where it is not installed."""
    try:
        import mido
    except ModuleNotFoundError as error:
        raise OptionError(
            "MIDI files need the package mido, which is not installed; pip install 'unrolled[music]'."
        ) from error
    package: ModuleType = mido
    return package
