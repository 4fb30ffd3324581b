"""Lists of recordings with their transcripts or labels; the samples are read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unrolled.data.read.audio import SOUNDS, Clip
from unrolled.data.read.door import reader
from unrolled.data.read.files import Places, iterate_text
from unrolled.data.read.listing import FileKind, checked_folder, files_of_folder, files_of_table, there
from unrolled.data.read.records import Records, Values
from unrolled.errors import DataError

__all__ = ["RECORDINGS", "read_recordings"]

RECORDINGS = FileKind(
    column="audio", noun="sound file", short="sound", plural="recordings", endings=SOUNDS,
    paths=("audio_filepath", "path", "file", "audio", "filename"), or_else=" and no wav.scp",
)  # fmt: skip


@reader
def read_recordings(source: object, *, audio: str | None = None, text: str | None = None) -> Records:
    """The recordings that a list or a folder names, and what is said of each.

    Args:
        source: one of
            a table (.jsonl, .csv, .tsv, .parquet, "-", or in memory: what `read_records` takes) with a column of paths,
            and, if it has them, columns of transcripts, "offset" and "duration" (seconds); other columns stay;
            a folder of sound files, each with its transcript beside it: x.wav and x.txt, also in folders below;
            a folder with Kaldi's wav.scp, and text and segments if there are any;
            a folder with a folder of sound files for each class.
            Paths are relative to the list, or to the folder of wav.scp.
        audio: the column of paths of a table; None: audio_filepath, path, file, audio or filename, whichever is there.
        text: the column of transcripts; None: text, sentence or transcript, if one of them is there.

    Returns:
        Records with the columns "audio" (a `Clip` each, for `read_clip`), "text" (str, None where missing) if there are
        transcripts, "label" (str) of a folder of classes, and the other columns of a table. No sound file is opened.

    Raises:
        DataError: no such list, a file that is not there (its line is named), no column of paths or several, a number
            that is none, a command in wav.scp, a sound without a transcript, or files that are laid out otherwise.
    """
    folder = checked_folder(source, RECORDINGS, audio, text)
    if folder is None:
        return files_of_table(source, RECORDINGS, audio, text, _clip, ("offset", "duration"))
    if (folder / "wav.scp").is_file():
        return _from_kaldi(folder)
    return files_of_folder(folder, RECORDINGS, lambda path, place: Clip(path, place=place))


def _clip(records: Records, index: int, path: Path, place: str) -> Clip:
    offset = _seconds(records, "offset", index)
    if offset is not None and offset < 0:
        raise DataError(f"Expected an offset of 0 or more in {place}, got {offset:g}: give seconds.")
    duration = _seconds(records, "duration", index)
    if duration is not None and duration <= 0:
        raise DataError(f"Expected a duration above 0 in {place}, got {duration:g}: give seconds.")
    return Clip(there(path, place, RECORDINGS), offset or 0.0, duration, place)


def _seconds(records: Records, column: str, index: int) -> float | None:
    value = records.columns[column][index] if column in records.columns else None
    return None if value is None or value == "" else _number(value, column, records.place(index))


def _number(value: object, name: str, place: str) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"Expected seconds as {name!r} in {place}, got {str(value)[:40]!r}: write a number.")
    return number


class _Entry(NamedTuple):
    """A line of a table of Kaldi's: what stands after the key, the line's number and its name for messages."""

    value: str
    number: int
    place: str


def _from_kaldi(folder: Path) -> Records:
    recordings = _kaldi_table(folder / "wav.scp")
    paths: dict[str, Path] = {}
    for key, entry in recordings.items():
        if entry.value.startswith("|") or entry.value.endswith("|"):
            raise DataError(
                f"Expected the path of a sound file in {entry.place}, got the command {entry.value[:60]!r}: commands "
                "are not run, so run it yourself, and write the path of what it gives."
            )
        paths[key] = there(folder / entry.value, entry.place, RECORDINGS)
    if (folder / "segments").is_file():
        source, entries = "segments", _kaldi_table(folder / "segments")
        clips = {key: _segment(entry, paths) for key, entry in entries.items()}
    else:
        source, entries = "wav.scp", recordings
        clips = {key: Clip(paths[key], place=entry.place) for key, entry in entries.items()}
    columns: dict[str, Values] = {"audio": list(clips.values()), "utterance": list(clips)}
    if (folder / "text").is_file():
        texts = _kaldi_table(folder / "text")
        _require_keys(texts, clips, source)
        _require_keys(entries, texts, "text")
        columns["text"] = [texts[key].value for key in clips]
    numbers = np.array([entry.number for entry in entries.values()], np.int64)
    return Records(columns, source, Places(source, "line", numbers))


def _kaldi_table(path: Path) -> dict[str, _Entry]:
    """The lines "key value" of a file, by key."""
    table: dict[str, _Entry] = {}
    for number, line in enumerate(iterate_text(path), start=1):
        key, _, value = line.strip().replace("\t", " ", 1).partition(" ")
        place = f"line {number} of {path.name}"
        if key in table:
            raise DataError(f"{key[:60]!r} of {place} stands in {table[key].place} already: name each once.")
        if key:
            table[key] = _Entry(value.strip(), number, place)
    if not table:
        raise DataError(f"{path.name} is empty: give a line for each recording.")
    return table


def _segment(entry: _Entry, paths: dict[str, Path]) -> Clip:
    fields = entry.value.split()
    if len(fields) != 3 or fields[0] not in paths:
        raise DataError(
            f"Expected a recording of wav.scp, its begin and its end after the name in {entry.place}, got "
            f"{entry.value[:60]!r}: mend that line."
        )
    begin, end = (_number(field, name, entry.place) for field, name in zip(fields[1:], ("begin", "end"), strict=True))
    if not 0 <= begin < end:
        raise DataError(f"Expected begin before end in {entry.place}, got {begin:g} and {end:g}: mend that line.")
    return Clip(paths[fields[0]], begin, end - begin, entry.place)


def _require_keys(entries: Mapping[str, _Entry], known: Container[str], source: str) -> None:
    missing = next((key for key in entries if key not in known), None)
    if missing is not None:
        raise DataError(
            f"Expected {missing[:60]!r} of {entries[missing].place} in {source}, too, but it is not there: add it, or "
            "remove that line."
        )
