"""Sets of pieces of music: one file, a folder or zip of files, or pieces in memory."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from unrolled.data.read.door import check_members, reader, require_file
from unrolled.data.read.files import Places, file_name, iterate_text, read_bytes, suffix
from unrolled.data.read.labelled import LabelledValues
from unrolled.data.read.lines import visible_files
from unrolled.data.read.music.lists import parts_in, pieces_in
from unrolled.data.read.music.midi import Heard, parse_midi
from unrolled.data.read.sources import is_path
from unrolled.errors import DataError, foreign_told, how_many, listed, suggest
from unrolled.fields.notes import MusicPiece

__all__ = ["MIDI", "Pieces", "music_parts", "read_pieces"]

MIDI = (".mid", ".midi", ".kar", ".smf")
"""The endings of files that folders are searched for."""

LISTS = (".json", ".jsonl")
# The ways of packing that Python unpacks everywhere, and whose faults it tells as a fault of the zip.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, eq=False)
class Pieces(LabelledValues[MusicPiece]):
    """n pieces of music. remarks: what was understood without being told."""

    remarks: tuple[str, ...] = ()


def music_parts(source: object) -> list[str]:
    """The names of the parts, such as "train", of a file of JSON that is in parts; none for any other source."""
    if isinstance(source, Mapping):
        return parts_in(source)
    if not is_path(source) or suffix(source) != ".json":
        return []
    path = require_file(source)
    stat = path.stat()
    return list(_names(path, stat.st_mtime_ns, stat.st_size))


@reader
def read_pieces(
    source: object, *, part: str | None = None, step: float | None = None, label: Callable[[str], str] | None = None
) -> Pieces:
    """The pieces that `source` holds.

    Args:
        source: a path to a MIDI file, to .json (a piece, a list of pieces, or parts of lists by name) or .jsonl (a
            piece a line), each also with .gz; a folder of these and below it, hidden files and other kinds left out,
            or a .zip of MIDI files; or what such JSON holds, or a list of `MusicPiece`s.
        part: which part of JSON that is in parts.
        step: how many beats a step of a list lasts; None: one.
        label: of the path of a file below `source`, the label of its pieces; None: they have none.

    Raises:
        DataError: no such file or part, an unknown kind, a broken file, no piece; the file and its place are named.
        OptionError: mido is not installed, and there are MIDI files.
    """
    beats = 1.0 if step is None else step
    if not is_path(source):
        return _in_memory(source, part, beats)
    path, ending, name = require_file(source), suffix(source), file_name(source)
    if part is not None and ending != ".json":
        raise DataError(f"{name}: got part={part!r}, but it is not in parts: leave the part out.")
    values, told, labels, heard, other = list[MusicPiece](), list[str](), list[str](), Heard(), 0
    strange = _strange(path) if path.is_dir() else []
    for file, data in _files(path, ending):
        found, seen = _parsed(path / file if path.is_dir() else path, file, data, part, beats)
        other += seen is None
        if seen is not None:
            heard.add(seen)
        values += found
        told += [file] if len(found) == 1 else [f"piece {number} of {file}" for number in range(len(found))]
        labels += [label(file)] * len(found) if label is not None else []
    if not values:
        raise DataError(f"{name} holds no pieces of music: give MIDI files, or JSON of the notes of each step.")
    places = Places(name, "file", np.arange(len(told)), tuple(told))
    left = (f"{how_many(len(strange), 'file')} of other kinds left out: {listed(strange, 3)}",) if strange else ()
    remarks = (*_counted(values, name, part), *left, *(_lists(beats) if other else ()), *heard.remarks())
    return Pieces(values, labels or None, name, places, remarks)


def _counted(values: Sequence[MusicPiece], name: str, part: str | None) -> tuple[str]:
    notes, beats = sum(len(piece.notes) for piece in values), sum(piece.length for piece in values)
    where = name if part is None else f"{name}, part {part!r}"
    return (f"music: {how_many(len(values), 'piece')} of {where}, {how_many(notes, 'note')} in {beats:,.0f} beats",)


def _lists(step: float) -> tuple[str]:
    return (f"lists: one step of them is {step:g} of a quarter note, notes that sound on are not struck again",)


def _in_memory(source: object, part: str | None, step: float) -> Pieces:
    name = "the pieces"
    if isinstance(source, MusicPiece):
        values = [source]
    elif isinstance(source, list | tuple) and source and all(isinstance(one, MusicPiece) for one in source):
        values = list(source)
    else:
        values = pieces_in(_chosen(_plain(source), part, name), name, step)
        if not values:
            raise DataError("Expected pieces of music, got none: give MIDI files, or lists of the notes of each step.")
    places = Places(name, "row", np.arange(len(values)))
    return Pieces(values, None, name, places, _counted(values, "memory", part))


def _plain(source: object) -> object:
    """Tuples, sets and arrays as lists, which is what JSON has."""
    if isinstance(source, np.ndarray):
        return source.tolist()
    if isinstance(source, np.generic):
        return source.item()
    if isinstance(source, list | tuple | set | frozenset):
        return [_plain(one) for one in (sorted(source) if isinstance(source, set | frozenset) else source)]
    return {str(name): _plain(value) for name, value in source.items()} if isinstance(source, Mapping) else source


def _chosen(content: object, part: str | None, name: str) -> object:
    """The part that is asked for of what JSON holds."""
    parts = parts_in(content)
    if part is None and not parts:
        return content
    if part is None:
        raise DataError(f"{name} has the parts {listed(parts)}, but one is expected: say which with part=.")
    if part not in parts or not isinstance(content, Mapping):
        found = f"has the parts {listed(parts)}" if parts else "is not in parts"
        raise DataError(f"{name} {found}, but part {part!r} is asked for: name one of its own.{suggest(part, parts)}")
    return content[part]


def _parsed(
    path: Path, file: str, data: bytes | None, part: str | None, step: float
) -> tuple[list[MusicPiece], Heard | None]:
    """The pieces of a file, and what was understood of it where it is a MIDI file. data: None for JSON."""
    if data is not None:
        return parse_midi(data, file)
    if suffix(file) == ".json":
        return pieces_in(_chosen(_json(path), part, file), file, step), None
    found = list[MusicPiece]()
    for number, line in enumerate(iterate_text(path), start=1):
        if line.strip():
            place = f"line {number} of {file}"
            with foreign_told(DataError, f"{place} is no JSON", "write a piece a line"):
                content = json.loads(line)
            found += pieces_in(content, place, step)
    return found, None


@lru_cache(maxsize=16)
def _names(path: Path, changed: int, size: int) -> tuple[str, ...]:
    """The parts of a file as it was then: a large one is not read again for their names alone."""
    return tuple(parts_in(_json(path)))


def _json(path: Path) -> object:
    with foreign_told(DataError, f"{path.name} is no JSON", "mend it"):
        content: object = json.loads(read_bytes(path))
    return content


def _strange(folder: Path) -> list[str]:
    """The files of a folder that are of no kind of music by their names."""
    files = visible_files(folder)
    return [file.relative_to(folder).as_posix() for file in files if suffix(file) not in (*MIDI, *LISTS)]


def _files(path: Path, ending: str) -> Iterator[tuple[str, bytes | None]]:
    """The path below the source of each file, and its bytes, of JSON None."""
    if path.is_dir():
        for file in visible_files(path):
            below = file.relative_to(path).as_posix()
            if suffix(below) in (*MIDI, *LISTS):
                yield below, None if suffix(below) in LISTS else read_bytes(file)
    elif ending == ".zip":
        yield from _members(path)
    else:
        _require_known(path.name, (*MIDI, *LISTS))
        yield path.name, None if ending in LISTS else read_bytes(path)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir() and _visible(member.filename)]
        check_members(members, path.stat().st_size, path.name)
        for member in sorted(members, key=lambda member: member.filename):
            _require_known(member.filename, MIDI)
            if member.compress_type not in _PACKED or member.flag_bits & 1:
                raise DataError(
                    f"{member.filename} in {path.name} is packed in another way than a plain zip's: unpack it first."
                )
            yield member.filename, archive.read(member)


def _visible(name: str) -> bool:
    # What a Mac puts beside the files of a zip stands under a name of its own.
    return not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _require_known(name: str, known: tuple[str, ...]) -> None:
    if suffix(name) not in known:
        raise DataError(f"{name}: expected music as a {' or '.join(known)} file: convert or remove it.")
