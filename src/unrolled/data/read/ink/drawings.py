"""Sets of drawings with labels: one file, or a folder or zip of files."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from unrolled.data.read.door import check_members, reader, require_file
from unrolled.data.read.files import Places, file_name, read_bytes, suffix
from unrolled.data.read.ink.clock import TIMES, Times
from unrolled.data.read.ink.inkml import parse_inkml
from unrolled.data.read.ink.omniglot import parse_omniglot
from unrolled.data.read.ink.quickdraw import iterate_quickdraw
from unrolled.data.read.ink.stroke3 import read_stroke3
from unrolled.data.read.labelled import LabelledValues
from unrolled.data.read.lines import visible_files
from unrolled.errors import DataError, OptionError, listed, suggest
from unrolled.fields.ink import Drawing

__all__ = ["Drawings", "read_drawings"]

_ALONE = (".txt", ".inkml")
_LINES = (".ndjson", ".jsonl")
# The ways of packing that Python unpacks everywhere, and whose faults it tells as a fault of the zip.
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Drawings(LabelledValues[Drawing]):
    """n drawings: the strokes of each."""


@reader
def read_drawings(
    source: str | Path,
    *,
    label: Callable[[str], str] | None = None,
    part: str | None = None,
    times: Times = "strict",
    names: Sequence[str] = ("word", "labels", "y", "truth"),
) -> Drawings:
    """The drawings that `source` holds; y grows downwards, times are in seconds.

    Args:
        source: a path to .txt (Omniglot's: START, lines "x,y,milliseconds", BREAK after each stroke; its y, which
            grows upwards, is turned over), .inkml (plain traces; an annotation is the label, see `names`), .ndjson
            (Quick Draw, simplified or raw; "word" is the label, or see `names`), each also with .gz; .npz (rows of dx,
            dy and pen lifted, the arrays `part` and `part_lengths`, and labels as `part_labels` or see `names`; of
            several parts with other names than those of a training set each is a class); a folder of any of these, or
            a .zip of .txt and .inkml files, in the order of their paths, hidden ones left out.
        label: of the path of a file below `source`, the label of its drawing: `folder_label`, `omniglot_label`, or any
            function; None: that of the file, if it has one. Files of many drawings, in a folder, may have labels of
            their own; what has none has this one, such as by `file_label`.
        part: which part of an .npz file that has several, such as "train".
        times: "strict": a clock that runs back is an error; "held": a time that runs back is held at the latest before
            it (sixteen files of Omniglot's small sets need it, by up to 27 milliseconds); "none": left out.
        names: what the label of a line of .ndjson, the array of labels of an .npz, or the type of an annotation of an
            .inkml may be called; the first of them that is there.

    Raises:
        OptionError: an option that there is not, or not for this kind of source.
        DataError: no such file, an unknown kind, a file cut short, a stroke without points, a number that is none,
            labels for some drawings alone, or more or fewer of them; the file and its line or row are named.
    """
    if times not in TIMES:
        raise OptionError(f"read_drawings: times must be one of {listed(TIMES)}, got {times!r}.{suggest(times, TIMES)}")
    path, ending, name = require_file(source), suffix(source), file_name(source)
    files = path.is_dir() or ending in (*_ALONE, ".zip")
    if (label is not None and not files) or (part is not None and ending != ".npz" and not path.is_dir()):
        wrong = "label= is for .txt and .inkml files" if label is not None else "part= is for .npz files"
        raise OptionError(f"read_drawings: {wrong}, got {name}: leave it out.")
    if files:
        return _labelled(path, ending, label, part, times, names)
    if ending in _LINES:
        lines = list(iterate_quickdraw(source, times, names))
        places = Places(name, "line", np.array([line for line, _, _ in lines], np.int64))
        return _checked([drawing for _, drawing, _ in lines], [word for _, _, word in lines], name, places)
    if ending == ".npz" and path.suffix.lower() != ".gz":
        values, own, told = read_stroke3(source, part, names)
        return Drawings(values, own, name, Places(name, "file", np.arange(len(values)), tuple(told)))
    raise DataError(
        f"{name}: expected a folder, or a .txt, .inkml, .ndjson, .npz or .zip file, but it ends in {path.suffix!r}: "
        "convert or rename it."
    )


def _labelled(
    path: Path, ending: str, label: Callable[[str], str] | None, part: str | None, times: Times, names: Sequence[str]
) -> Drawings:
    values, labels, told = list[Drawing](), list[str | None](), list[str]()
    for file, data in _files(path, ending):
        if data is None:
            some, own, places = _set(path / file, part, times, names)
            values += some
            labels += [label(file) if one is None and label is not None else one for one in own]
            told += places
            continue
        if suffix(file) == ".txt":
            drawing, truth = parse_omniglot(data, file, times), None
        else:
            drawing, truth = parse_inkml([data], file, times, names)
        values.append(drawing)
        labels.append(truth if label is None else label(file))
        told.append(file)
    return _checked(values, labels, path.name, Places(path.name, "file", np.arange(len(told)), tuple(told)))


def _set(
    file: Path, part: str | None, times: Times, names: Sequence[str]
) -> tuple[list[Drawing], Sequence[str | None], list[str]]:
    """The drawings of a file that holds many, the label of each, and its place."""
    if suffix(file) in _LINES:
        lines = list(iterate_quickdraw(file, times, names))
        places = [f"line {line} of {file.name}" for line, _, _ in lines]
        return [drawing for _, drawing, _ in lines], [word for _, _, word in lines], places
    drawings, labels, places = read_stroke3(file, part, names)
    return drawings, [None] * len(drawings) if labels is None else labels, places


def _checked(values: list[Drawing], labels: list[str | None], name: str, places: Places) -> Drawings:
    if not values:
        raise DataError(f"{name} holds no drawings: give at least one.")
    known = [label for label in labels if label is not None]
    if known and len(known) < len(labels):
        first = labels.index(None)
        raise DataError(
            f"Expected a label for each drawing of {name} or for none, but {places.of(first)} has none: add it, or "
            "leave that drawing out."
        )
    return Drawings(values, known or None, name, places)


def _files(path: Path, ending: str) -> Iterator[tuple[str, bytes | None]]:
    """The path below the source of each file with drawings, and its bytes, of one of many drawings None."""
    if path.is_dir():
        for file in visible_files(path):
            below = file.relative_to(path).as_posix()
            if suffix(file) in _LINES or (suffix(file) == ".npz" and file.suffix.lower() == ".npz"):
                yield below, None
                continue
            _require_known(below)
            yield below, read_bytes(file)
    elif ending == ".zip":
        yield from _members(path)
    else:
        yield path.name, read_bytes(path)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = [member for member in archive.infolist() if not member.is_dir() and _visible(member.filename)]
        check_members(members, path.stat().st_size, path.name)
        for member in sorted(members, key=lambda member: member.filename):
            _require_known(member.filename, packed=True)
            if member.compress_type not in _PACKED or member.flag_bits & 1:
                raise DataError(
                    f"{member.filename} in {path.name} is packed in another way than a plain zip's: unpack it first."
                )
            yield member.filename, archive.read(member)


def _visible(name: str) -> bool:
    # What a Mac puts beside the files of a zip stands under a name of its own.
    return not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _require_known(name: str, *, packed: bool = False) -> None:
    if suffix(name) not in _ALONE or (packed and name.lower().endswith(".gz")):
        raise DataError(f"{name}: expected a .txt or .inkml file with a drawing: convert or remove it.")
