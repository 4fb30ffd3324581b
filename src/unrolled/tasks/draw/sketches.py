"""What a drawer learns from: drawings of strokes or small pictures, and what each is called."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import numpy as np

from unrolled.data.read.files import Places
from unrolled.data.read.sources import is_several
from unrolled.errors import DataError
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.ink import InkInput
from unrolled.tasks.draw.medium import Medium
from unrolled.tasks.draw.options import DrawerOptions
from unrolled.tasks.draw.pixels import Pixels
from unrolled.tasks.draw.strokes import Strokes
from unrolled.tasks.reading.labelled import is_missing

__all__ = ["MEDIA", "Sketches", "read_sketches"]

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
    source: object, y: Iterable[object] | None, label: str | None, options: DrawerOptions, *, labelled: bool = True
) -> Sketches:
    """Drawings of any source, and what they are called, in it or in `y`. label: the column, or the name of the array.

    labelled: what drawings are called is looked for.
    """
    source = list(source) if is_several(source) and not isinstance(source, str | np.ndarray) else source
    columns, wanted = LabelColumns(label=label), labelled and y is None
    if _are_pictures(source):
        found = Sketches(Pixels, list(source), None, Places("the pictures", "row", np.arange(len(source))))
    elif InkInput.recognises(source, columns):
        read = InkInput.read(source, columns, options, labelled=wanted)
        assert isinstance(read.inputs, InkInput)
        captions = None if read.labels is None else _captions(read.labels, read.places)
        found = Sketches(Strokes, read.inputs.drawings, captions, read.places, read.remarks)
    else:
        shown = str(source)[:60] if isinstance(source, str) else type(source).__name__
        raise DataError(
            f"Drawer: expected drawings (.ndjson, .inkml, .npz of moves, Omniglot's texts, a folder of them, or lists "
            f"of strokes) or pictures, got {shown!r}; give one of these."
        )
    if y is None:
        return found
    given = list(y)
    if len(given) != len(found):
        raise DataError(f"Expected what each of {len(found)} drawings is called, got {len(given)}: pair them up.")
    return replace(found, captions=_captions(given, found.places))


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
