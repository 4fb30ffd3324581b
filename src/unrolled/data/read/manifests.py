"""Lists of recordings with their transcripts or labels; the samples are read when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unrolled.data.read.audio import SOUNDS, Clip
from unrolled.data.read.door import reader, require_file
from unrolled.data.read.files import Places, iterate_text, require_names
from unrolled.data.read.lines import visible_files
from unrolled.data.read.records import Records, Values, read_records
from unrolled.errors import DataError, OptionError, listed

__all__ = ["path_column", "read_recordings"]

_PATHS = ("audio_filepath", "path", "file", "audio", "filename")
_TRANSCRIPTS = ("text", "sentence", "transcript")
_WANTED = "a column audio_filepath, path, file, audio or filename"


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
    if not (isinstance(source, str | Path) and str(source) != "-" and require_file(source).is_dir()):
        return _from_table(source, audio, text)
    if audio is not None or text is not None:
        raise OptionError("audio= and text= name columns of a table, but the recordings are a folder: leave them out.")
    folder = Path(source)
    if (folder / "wav.scp").is_file():
        return _from_kaldi(folder)
    sounds = [file for file in visible_files(folder) if file.suffix.lower() in SOUNDS]
    if not sounds:
        raise DataError(
            f"The folder {folder.name!r} holds no sound files and no wav.scp: put {listed(SOUNDS)} files there, or "
            "pass the list that names them."
        )
    if any(file.with_suffix(".txt").is_file() for file in sounds):
        return _from_pairs(folder, sounds)
    return _from_classes(folder, sounds)


def _from_table(source: object, audio: str | None, text: str | None) -> Records:
    records = read_records(source)
    names = list(records.columns)
    path = _column(audio, _PATHS, names, records.source, "audio")
    if path is None:
        raise DataError(f"{records.source}: expected {_WANTED}; it has: {listed(names)}. Name it with audio=.")
    said = _column(text, _TRANSCRIPTS, names, records.source, "text")
    folder = Path(source).parent if isinstance(source, str | Path) and str(source) != "-" else Path()
    columns: dict[str, Values] = {"audio": _clips(records, path, folder)}
    if said is not None:
        columns["text"] = list(records.texts(said))
    taken = {path, said, "offset", "duration", "audio", "text"}
    columns |= {name: values for name, values in records.columns.items() if name not in taken}
    return Records(columns, records.source, records.places)


def path_column(present: Sequence[str]) -> str | None:
    """The usual column of paths among those present, None if there is none or more than one."""
    found = [name for name in _PATHS if name in present]
    return found[0] if len(found) == 1 else None


def _column(named: str | None, usual: Sequence[str], present: Sequence[str], source: str, option: str) -> str | None:
    """The column named, else the one of the usual names that is there; None: there is none of them."""
    if named is not None:
        require_names([named], present, source)
        return named
    found = [name for name in usual if name in present]
    if len(found) > 1:
        raise DataError(f"{source} has the columns {listed(found)}, and one is expected: name it with {option}=.")
    return found[0] if found else None


def _clips(records: Records, column: str, folder: Path) -> Values:
    clips: Values = []
    for index, value in enumerate(records.columns[column]):
        place = records.place(index)
        if not isinstance(value, str | Path) or not str(value).strip():
            raise DataError(f"Expected the path of a sound file as {column!r} in {place}, got {value!r}: write it.")
        offset = _seconds(records, "offset", index)
        if offset is not None and offset < 0:
            raise DataError(f"Expected an offset of 0 or more in {place}, got {offset:g}: give seconds.")
        duration = _seconds(records, "duration", index)
        if duration is not None and duration <= 0:
            raise DataError(f"Expected a duration above 0 in {place}, got {duration:g}: give seconds.")
        clips.append(Clip(_there(folder / value, place), offset or 0.0, duration, place))
    return clips


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


def _there(path: Path, place: str) -> Path:
    """The path, if a file stands there; else DataError with the place that names it."""
    try:
        file = require_file(path)
    except DataError as error:
        raise DataError(f"{place[:1].upper()}{place[1:]}: {error}") from error
    if file.is_dir():
        raise DataError(f"Expected a sound file in {place}, but {path.name!r} is a folder: name one of its files.")
    return file


def _from_pairs(folder: Path, sounds: Sequence[Path]) -> Records:
    texts: Values = []
    for file in sounds:
        if not file.with_suffix(".txt").is_file():
            raise DataError(
                f"Expected a transcript beside each sound file of {folder.name!r}, but {file.name} has no "
                f"{file.with_suffix('.txt').name}: write it, or remove the sound."
            )
        texts.append(" ".join(line for line in map(str.strip, iterate_text(file.with_suffix(".txt"))) if line))
    return _of_files(folder, sounds, {"text": texts})


def _from_classes(folder: Path, sounds: Sequence[Path]) -> Records:
    for file in sounds:
        if file.parent.parent != folder:
            raise DataError(
                f"{file.relative_to(folder)}: expected a folder of sound files for each class in {folder.name!r}, or a "
                ".txt beside each sound: sort the files so, or pass a list of them (.csv or .jsonl)."
            )
    held = {file.parent for file in sounds}
    for other in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        strange = [file.name for file in visible_files(other) if file.suffix.lower() not in SOUNDS]
        if strange or other not in held:
            holds = listed(strange) if strange else "nothing"
            raise DataError(
                f"Expected sound files in the class folder {other.name!r}, but it holds {holds}: remove it."
            )
    return _of_files(folder, sounds, {"label": [file.parent.name for file in sounds]})


def _of_files(folder: Path, sounds: Sequence[Path], columns: dict[str, Values]) -> Records:
    names = tuple(file.relative_to(folder).as_posix() for file in sounds)
    clips = [Clip(file, place=name) for file, name in zip(sounds, names, strict=True)]
    places = Places(folder.name, "file", np.arange(len(sounds)), names)
    return Records({"audio": clips, **columns}, folder.name, places)


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
        paths[key] = _there(folder / entry.value, entry.place)
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
