"""Pieces of music in JSON: lists of the notes of each step, one piece or many, in parts or in none."""

from __future__ import annotations

from collections.abc import Mapping

from unrolled.errors import DataError, listed
from unrolled.fields.notes import MusicPiece

__all__ = ["parts_in", "pieces_in"]

# What a rest is written as where each step has as many voices.
RESTS = (None, -1)
# How deep lists may be: pieces of steps of notes.
DEEPEST = 3


def parts_in(content: object) -> list[str]:
    """The names of the parts of what a file of JSON holds; none where it is not in parts."""
    if not isinstance(content, Mapping) or "notes" in content:
        return []
    return [str(name) for name, value in content.items() if isinstance(value, list)]


def pieces_in(content: object, name: str, step: float) -> list[MusicPiece]:
    """The pieces of what a file of JSON holds, its parts apart.

    A piece is a list of steps, each a list of MIDI numbers that sound there (null or -1 where a voice rests), or
    {"notes": [[start, duration, pitch, velocity], ...], "tempo": 120} in beats; several stand in a list.

    step: the beats of a step of a list.

    Raises DataError for anything else; the place is named.
    """
    if isinstance(content, Mapping):
        return [_told(content, name)]
    depth = _depth(content)
    if isinstance(content, list) and content and isinstance(content[0], Mapping):
        return [_told(piece, f"piece {number} of {name}") for number, piece in enumerate(content)]
    if depth == DEEPEST and isinstance(content, list):
        return [_piece(piece, f"piece {number} of {name}", step) for number, piece in enumerate(content)]
    if depth == DEEPEST - 1:
        return [_piece(content, name, step)]
    raise DataError(
        f"{name}: expected pieces as lists of the notes of each step, [[60, 64, 67], [60], ...], got "
        f"{_shown(content)}: write MIDI numbers."
    )


def _told(piece: object, place: str) -> MusicPiece:
    if not isinstance(piece, Mapping):
        raise DataError(f"{place}: expected a piece like those before it, got {_shown(piece)}: mend it.")
    try:
        return MusicPiece.from_json(dict(piece))
    except DataError as error:
        raise DataError(f"{place}: {error}") from error


def _piece(steps: object, place: str, step: float) -> MusicPiece:
    """The piece of a list of steps."""
    if not isinstance(steps, list):
        raise DataError(f"{place}: expected a list of steps, got {_shown(steps)}: write [[60, 64, 67], [60], ...].")
    found = [_pitches(pitches, f"step {at} of {place}") for at, pitches in enumerate(steps)]
    return MusicPiece.of_steps(found, step)


def _pitches(pitches: object, place: str) -> list[int]:
    if not isinstance(pitches, list):
        raise DataError(f"{place}: expected a list of MIDI numbers, got {_shown(pitches)}: write [60, 64, 67] or [].")
    sounding = [pitch for pitch in pitches if pitch not in RESTS]
    for pitch in sounding:
        whole = isinstance(pitch, int | float) and not isinstance(pitch, bool) and pitch == int(pitch)
        if not whole or not 0 <= pitch <= 127:
            raise DataError(f"{place}: expected MIDI numbers in 0..127, got {_shown(pitch)}: mend it.")
    return [int(pitch) for pitch in sounding]


def _depth(content: object) -> int:
    """How deep lists are, as the first one that holds anything shows; a number has none."""
    if not isinstance(content, list):
        return 0
    return 1 + max((_depth(one) for one in content[:1] + [one for one in content if one][:1]), default=0)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return f"an object of {listed(value, 4)}"
    return "a list" if isinstance(value, list) else repr(value)[:40]
