"""Lists of files, such as pictures or videos, with captions of each, one or several: tables, and the JSON of COCO."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from unrolled.data.read.door import reader, require_file
from unrolled.data.read.files import Places, file_name, read_bytes, require_names, suffix
from unrolled.data.read.records import Records, Values, read_records
from unrolled.data.read.sources import holds_columns, is_path, is_several
from unrolled.errors import DataError, OptionError, how_many, listed, said_by
from unrolled.types import TABLES, Json

__all__ = ["CaptionColumns", "CaptionList", "read_captions"]

_FILES = (
    "image", "image_path", "img", "picture", "video", "video_path", "clip", "audio", "audio_filepath", "path", "file",
    "file_name", "filename", "filepath",
)  # fmt: skip
_CAPTIONS = ("caption", "captions", "text", "sentence", "sentences", "title", "description")
_PARTS = ("split", "part", "subset")
# What a caption is called where it is an object with more beside it, as in Karpathy's lists.
_RAW = ("raw", "caption", "text")


@dataclass(frozen=True)
class CaptionColumns:
    """Where captions stand.

    files, caption: the columns of paths and of captions; None: those of usual names. folder: that paths are relative
    to; None: that of the list. part: only rows whose column split (part, subset) says so; None: all.
    """

    files: str | None = None
    caption: str | None = None
    folder: Path | None = None
    part: str | None = None

    def check_unused(self, source: str) -> None:
        """Raises `OptionError` where a folder or a part is asked of what is no list."""
        given = {"images": self.folder, "part": self.part}
        name = next((name for name, value in given.items() if value is not None), None)
        if name is not None:
            raise OptionError(
                f"{name}= is for a list of files with captions, but {source} is none: leave it out, or give a table "
                "with a column of paths."
            )


class CaptionList(NamedTuple):
    """paths: of each file, once; files: as the list names them. captions: of each, () where there is none. remarks:
    what was understood without being told."""

    paths: list[str]
    files: tuple[str, ...]
    captions: list[tuple[str, ...]]
    places: Places
    remarks: tuple[str, ...]


class _Row(NamedTuple):
    """A file as it is named, the captions beside it, and its part."""

    file: object
    captions: object
    part: object


class _Rows(NamedTuple):
    """rows: of the list, and the place of each. told: where captions stand, in words; None where there are none.
    parted: where the part of a row stands; None where nothing says it."""

    rows: list[_Row]
    places: Places
    told: str | None
    parted: str | None

    @property
    def source(self) -> str:
        """What messages call it."""
        return self.places.source


@reader
def read_captions(source: object, columns: CaptionColumns, *, captioned: bool = True) -> CaptionList | None:
    """The files that a list names, each once, with all captions of each; None where it names no files.

    Args:
        source: a table (.csv, .tsv, .jsonl, .parquet, in memory: what `read_records` takes) with a column of paths and
            one of captions: a text, or a list of texts; several rows may name the same file. Or .json: the captions of
            COCO (images and annotations), Karpathy's lists (images with sentences), or a list of objects.
        columns: the columns, and where the files are.
        captioned: there must be captions; else they are not looked for.

    Raises:
        DataError: no such list, a file that is not there (its line is named), several columns that could be meant, no
            captions, or no row of that part.
    """
    if is_path(source) and suffix(source) == ".json":
        found = _of_json(source, columns)
    elif holds_columns(source) or (is_path(source) and suffix(source) in TABLES):
        table = _of_table(read_records(source), columns, captioned)
        if table is None:
            return None
        found = table
    else:
        return None
    remarks: tuple[str, ...] = ()
    if columns.part is not None:
        found = _of_part(found, columns.part)
    elif found.parted is not None:
        parts = listed(sorted({str(row.part) for row in found.rows}))
        remarks = (f"{found.parted} says {parts}: all are read; part= chooses one",)
    if captioned and found.told is None:
        raise DataError(
            f"{found.source}: expected captions in a column {listed(_CAPTIONS[:-1])} or {_CAPTIONS[-1]}; name it "
            "with caption=."
        )
    folder = columns.folder
    if folder is None:
        folder = Path(source).parent if is_path(source) and str(source) != "-" else Path()
    return _gathered(found, folder, columns.folder is None, captioned, remarks)


def _of_table(records: Records, columns: CaptionColumns, captioned: bool) -> _Rows | None:
    """The rows of a table; None where it has no column of paths."""
    names = list(records.columns)
    files = _column(columns.files, _FILES, names, records.source, "image")
    if files is None:
        return None
    rest = [name for name in names if name != files]
    caption = _column(columns.caption, _CAPTIONS, rest, records.source, "caption") if captioned else None
    part = next((name for name in _PARTS if name in rest and name != caption), None)
    nothing: Values = [None] * len(records)
    beside = nothing if caption is None else records.columns[caption]
    parts = nothing if part is None else records.columns[part]
    rows = [_Row(*row) for row in zip(records.columns[files], beside, parts, strict=True)]
    told = None if caption is None else f"column {caption!r}"
    return _Rows(rows, records.places, told, None if part is None else f"column {part!r}")


def _column(named: str | None, usual: Sequence[str], present: Sequence[str], source: str, option: str) -> str | None:
    """The column named, else the one of the usual names that is there; None: there is none of them."""
    if named is not None:
        require_names([named], present, source)
        return named
    found = [name for name in usual if name in present]
    if len(found) > 1:
        raise DataError(f"{source} has the columns {listed(found)}, and one is expected: name it with {option}=.")
    return found[0] if found else None


def _of_json(source: str | Path, columns: CaptionColumns) -> _Rows:
    name = file_name(source)
    try:
        content: Any = json.loads(read_bytes(source))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is no JSON ({said_by(error)}): check that it is whole.") from error
    if isinstance(content, list) and content and all(isinstance(row, Mapping) for row in content):
        records = read_records(content)
        found = _of_table(Records(records.columns, name, Places(name, "object", records.places.numbers)), columns, True)
        if found is not None:
            return found
    if not isinstance(content, Mapping) or not _are_objects(content.get("images")):
        raise DataError(
            f"{name}: expected the captions of COCO, with images (id, file_name) and annotations (image_id, caption), "
            "or a list of objects with a path each; give such a file, or a table."
        )
    images: list[Json] = list(content["images"])
    for number, image in enumerate(images):
        if _named(image) is None:
            raise DataError(f"Expected a file_name of image {number} of {name}, got none: write it.")
    beside = [image.get("sentences") for image in images]
    told: str | None = "as the sentences of each image"
    if "annotations" in content:
        beside, told = _annotated(images, content["annotations"], name), "as its annotations"
    elif all(one is None for one in beside):
        told = None
    parted = "'split' of the images" if any("split" in image for image in images) else None
    rows = [_Row(_named(image), some, image.get("split")) for image, some in zip(images, beside, strict=True)]
    return _Rows(rows, Places(name, "image", np.arange(len(rows))), told, parted)


def _are_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def _named(image: Json) -> object:
    """The file of an image, in Karpathy's lists in a folder that is named apart."""
    name = image.get("file_name", image.get("filename"))
    folder = image.get("filepath")
    return name if name is None or folder is None else f"{folder}/{name}"


def _annotated(images: Sequence[Json], annotations: object, name: str) -> list[object]:
    """The captions of each image, by its id."""
    captions: dict[str, list[object]] = {str(image.get("id")): [] for image in images}
    if len(captions) < len(images):
        raise DataError(f"{name}: expected an id of its own for each of the {len(images)} images, but some share one.")
    if not isinstance(annotations, list):
        raise DataError(f"{name}: expected annotations as a list of objects, got {type(annotations).__name__}.")
    for number, one in enumerate(annotations):
        place = f"annotation {number} of {name}"
        if not isinstance(one, Mapping) or "image_id" not in one or "caption" not in one:
            raise DataError(f"Expected image_id and caption in {place}, got {str(one)[:60]}: mend it.")
        if str(one["image_id"]) not in captions:
            raise DataError(
                f"{place[:1].upper()}{place[1:]} is of the image {str(one['image_id'])[:40]}, which is not among the "
                f"{how_many(len(images), 'image')}: add it there, or remove the annotation."
            )
        captions[str(one["image_id"])].append(one["caption"])
    return [captions[str(image.get("id"))] for image in images]


def _of_part(found: _Rows, part: str) -> _Rows:
    if found.parted is None:
        raise DataError(
            f"{found.source}: part={part!r} needs a column that says the part of each row, {listed(_PARTS[:-1])} or "
            f"{_PARTS[-1]}, but there is none: add it, or leave part= out."
        )
    rows = [index for index, row in enumerate(found.rows) if str(row.part) == part]
    if not rows:
        there = listed(sorted({str(row.part) for row in found.rows}))
        raise DataError(f"{found.source}: no row is of the part {part!r}; {found.parted} says {there}.")
    return found._replace(rows=[found.rows[index] for index in rows], places=found.places.select(rows))


def _gathered(found: _Rows, folder: Path, own: bool, captioned: bool, remarks: tuple[str, ...]) -> CaptionList:
    """Each file once, with the captions of all rows that name it; files without any are left out if there must be."""
    places = found.places
    captions: dict[str, list[str]] = {}
    first: dict[str, int] = {}
    empty = 0
    for index, row in enumerate(found.rows):
        path = _there(row.file, folder, places.of(index), own)
        if path not in first:
            first[path], captions[path] = index, []
        texts = list(_texts(row.captions, places.of(index)))
        captions[path] += filter(str.strip, texts)
        empty += not any(map(str.strip, texts))
    paths = [path for path in first if captions[path] or not captioned]
    if captioned and not paths:
        raise DataError(f"All captions of {found.source} are empty: write what is to be seen.")
    if captioned:
        count = sum(len(captions[path]) for path in paths)
        remarks = (f"captions: {count:,} of {how_many(len(paths), 'file')}, {found.told}", *remarks)
        if empty:
            remarks = (*remarks, f"{how_many(empty, 'row')} without a caption left out")
    rows = [first[path] for path in paths]
    files = tuple(str(found.rows[row].file) for row in rows)
    return CaptionList(paths, files, [tuple(captions[path]) for path in paths], places.select(rows), remarks)


def _there(file: object, folder: Path, place: str, own: bool) -> str:
    """The path of a file that is there."""
    where = f"{place[:1].upper()}{place[1:]}"
    if not isinstance(file, str | Path) or not str(file).strip():
        raise DataError(f"Expected the path of a file in {place}, got {file!r}: write it.")
    path = os.path.normpath(folder / file)
    if not os.path.exists(path):
        try:
            require_file(path)
        except DataError as error:
            elsewhere = " Is it in another folder, name that with images=." if own else ""
            raise DataError(f"{where}: {error}{elsewhere}") from error
    return path


def _texts(value: object, place: str) -> Iterable[str]:
    """The captions of a row: a text, a list of them, or objects that hold one each."""
    if value is None or (isinstance(value, float) and value != value):
        return
    if isinstance(value, Mapping):
        value = next((value[name] for name in _RAW if name in value), value)
    if isinstance(value, str | int | float):
        yield str(value)
        return
    if not is_several(value) or isinstance(value, Mapping):
        raise DataError(f"Expected a caption, or a list of them, in {place}, got {str(value)[:60]}: write a text.")
    for one in value:
        yield from _texts(one, place)
