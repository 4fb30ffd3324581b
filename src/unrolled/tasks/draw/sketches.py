"""What a drawer learns from: drawings of strokes or small pictures, and what each is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from unrolled.data.read.files import Places, require_names, suffix
from unrolled.data.read.images import PICTURES, ImageFile, read_image
from unrolled.data.read.lines import visible_files
from unrolled.data.read.pictures import read_pictures
from unrolled.data.read.sources import holds_columns, is_several
from unrolled.errors import DataError
from unrolled.fields.palette import reduced
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.images import ImageInput
from unrolled.inputs.ink import InkInput
from unrolled.tasks.draw.medium import Medium
from unrolled.tasks.draw.options import DrawerOptions
from unrolled.tasks.draw.pixels import Pixels
from unrolled.tasks.draw.strokes import Strokes
from unrolled.tasks.reading.labelled import is_missing
from unrolled.types import TABLES

__all__ = ["MEDIA", "Sketches", "read_sketches"]

# Columns of a table that say what its pictures are called, and what a folder says of them.
NAMES = ("caption", "keyword", "word", "label", "class", "text", "title", "name")

MEDIA: dict[str, type[Medium[Any]]] = {Strokes.name: Strokes, Pixels.name: Pixels}
"""The kinds of drawings, by the names of their fields."""


@dataclass(frozen=True, eq=False)
class Sketches:
    """n drawings of one medium. captions: what each is called, None where nobody says."""

    medium: type[Medium[Any]]
    values: Sequence[Any]
    captions: list[str] | None
    places: Places
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def nameless(self) -> Sketches:
        """The same drawings, called nothing."""
        return replace(self, captions=None)

    def check_medium(self, owner: str, wanted: type[Medium[Any]]) -> None:
        """Raises `DataError` where they are of another medium."""
        if len(self) and self.medium is not wanted:
            raise DataError(f"{owner}: expected {wanted.said}, as in training, got {self.medium.said}.")


def read_sketches(
    source: object, y: Iterable[object] | None, label: str | None, options: DrawerOptions, *, labelled: bool = True,
    whole: bool = True,
) -> Sketches:  # fmt: skip
    """Drawings of any source, and what they are called, in it or in `y`. label: the column, or the name of the array.

    labelled: what drawings are called is looked for. whole: pictures are kept as small as they are learned; else as
    they are, for their upper rows may be all there is.
    """
    plain = is_several(source) and not isinstance(source, str | np.ndarray) and not holds_columns(source)
    source = list(source) if plain and isinstance(source, Iterable) else source
    columns, wanted = LabelColumns(label=label), labelled and y is None
    size = options.picture.size if whole else None
    if _are_pictures(source):
        pictures = [_small(one, size) for one in source]
        found = Sketches(Pixels, pictures, None, Places("the pictures", "row", np.arange(len(source))))
    elif ImageInput.recognises(source, columns):
        found = _of_files(source, label, size, named=wanted)
    elif InkInput.recognises(source, columns):
        read = InkInput.read(source, columns, options, labelled=wanted)
        assert isinstance(read.inputs, InkInput)
        captions = None if read.labels is None else _captions(read.labels, read.places)
        found = Sketches(Strokes, read.inputs.drawings, captions, read.places, read.remarks)
    else:
        shown = str(source)[:60] if isinstance(source, str) else type(source).__name__
        raise DataError(
            f"Drawer: expected drawings (.ndjson, .inkml, .npz of moves, Omniglot's texts, a folder of them, or lists "
            f"of strokes) or pictures (a table or folder of files, or arrays), got {shown!r}; give one of these."
        )
    if y is None:
        return found
    given = list(y)
    if len(given) != len(found):
        raise DataError(f"Expected what each of {len(found)} drawings is called, got {len(given)}: pair them up.")
    return replace(found, captions=_captions(given, found.places))


def _of_files(source: object, label: str | None, size: int | None, *, named: bool) -> Sketches:
    """The pictures of a table or a folder, and what they are called: a column, a text beside each, or its folder."""
    if isinstance(source, str | Path) and (suffix(source) in PICTURES or (Path(source).is_dir() and not named)):
        path = Path(source)
        files = [file for file in visible_files(path) if file.suffix.lower() in PICTURES] if path.is_dir() else [path]
        places = Places(path.name, "file", np.arange(len(files)), tuple(file.name for file in files))
        return Sketches(Pixels, [_small(read_image(ImageFile(file)), size) for file in files], None, places)
    found = read_pictures(source)
    pictures = [_small(read_image(file, None if size is None else (4 * size, 4 * size)), size)
                for file in found.columns["image"] if isinstance(file, ImageFile)]  # fmt: skip
    column = label or next((name for name in NAMES if name in found.columns), None)
    if not named or column is None:
        return Sketches(Pixels, pictures, None, found.places)
    require_names([column], list(found.columns), found.source)
    where = column if suffix(str(source)) in TABLES or holds_columns(source) else "as they stand beside them"
    remarks = (f"pictures: {len(pictures):,} of {found.source}; what they are called: {where}",)
    return Sketches(Pixels, pictures, _captions(found.columns[column], found.places), found.places, remarks)


def _small(picture: np.ndarray, size: int | None) -> np.ndarray:
    return picture if size is None else reduced(picture, size)


def _captions(labels: Sequence[object], places: Places) -> list[str]:
    for row, label in enumerate(labels):
        if is_missing(label):
            raise DataError(f"{places.of(row)} has nothing that it is called: name it, or leave the drawing out.")
    return [str(label) for label in labels]


def _are_pictures(source: object) -> TypeGuard[Sequence[np.ndarray]]:
    """Whether it is an array (N, height, width[, 3 or 4]) of whole numbers, or a list of pictures."""
    if isinstance(source, np.ndarray) and source.dtype != object:
        return source.ndim in (3, 4) and source.dtype.kind in "iu"
    if not isinstance(source, list) or not source:
        return False
    return all(isinstance(one, np.ndarray) and one.ndim in (2, 3) and one.dtype.kind in "iu" for one in source)
