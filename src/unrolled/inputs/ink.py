"""Drawings of a pen as inputs: files of strokes, folders of them, strokes in memory."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, Protocol, Self, TypeGuard

import numpy as np
from pydantic import Field

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.data.read.door import reader
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.ink import (
    are_classes,
    begins_omniglot,
    begins_quickdraw,
    file_label,
    read_drawings,
    stroke3_parts,
)
from unrolled.data.read.lines import visible_files
from unrolled.data.read.sources import is_path
from unrolled.errors import DataError, OptionError, listed
from unrolled.fields.ink import Drawing, Ink, InkFront
from unrolled.fields.ink.drawing import checked
from unrolled.inputs.augment import MaskOptions, masked
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Fields, Inked, Input, ReadSource
from unrolled.inputs.series import SeriesInput
from unrolled.nn.reading.pen import PenReader
from unrolled.nn.reading.reader import Reader, SeriesReader
from unrolled.options import Options

__all__ = ["InkInput", "InkOptions"]

LINES = (".ndjson", ".jsonl")
# Files of many drawings.
SETS = (*LINES, ".npz")


class InkOptions(Options):
    """How a task reads drawings, see `Ink`, and what other hands training makes of each, see `PenReader`.

    ink_size: how large a drawing is: measured by itself, or by the training part, which is known while one is drawn;
    left out: as the task needs it.
    """

    ink_size: Literal["drawing", "training"] | None = Field(
        default=None, description="How large a drawing is: by itself, or by the training part.  [by the task]"
    )
    # Chosen on two hands of Omniglot that were held out, see docs/tasks.md.
    ink_distance: float | None = Field(
        default=0.08, ge=0.001, le=1, description="Distance of points, in sizes of a drawing; None: as they came."
    )
    ink_position: bool = Field(default=True, description="Read where the pen is, beside its moves.")
    ink_speed: bool = Field(default=False, description="Read how fast the pen is.")
    ink_curvature: bool = Field(default=False, description="Read how the pen turns.")
    pen_degrees: float = Field(default=8.0, ge=0, le=180, description="Drawings turned by up to so much in training.")
    pen_slant: float = Field(default=0.2, ge=0, le=10, description="Drawings slanted by up to so much in training.")
    pen_stretch: float = Field(
        default=0.2, ge=0, le=10, description="Width and height each changed in training, by a factor up to 1 + this."
    )
    pen_jitter: float = Field(
        default=0.0, ge=0, le=1, description="Points moved in training, deviation in sizes of a drawing."
    )

    def fitted(self, drawings: Sequence[Drawing], *, live: bool) -> Ink:
        """The field of these drawings; live: they are read while they are drawn."""
        per = self.ink_size or ("training" if live else "drawing")
        return Ink.fit(
            drawings, per, distance=self.ink_distance, speed=self.ink_speed, curvature=self.ink_curvature,
            position=self.ink_position,
        )  # fmt: skip


class InkGroups(Protocol):
    """The options of a task that drawings need. live: whether inputs are read while they come."""

    @property
    def ink(self) -> InkOptions: ...
    @property
    def augment(self) -> MaskOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...
    @property
    def live(self) -> bool: ...


class InkInput(Input[InkGroups]):
    """Drawings of any number of strokes."""

    kind, field, lines, head_dropout = "drawings", "ink", False, SeriesInput.head_dropout
    encoder: ClassVar[Mapping[str, object]] = {
        "cell": "gru", "hidden_size": 128, "bidirectional": True, "layers": 2, "dropout": 0.2,
    }  # fmt: skip

    def __init__(self, drawings: Sequence[Drawing]) -> None:
        self.drawings = list(drawings)

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Files of strokes (.inkml, .ndjson of drawings, .npz of moves), folders of them, Omniglot's texts among those,
        and zips of the files of one drawing each; lists of lists of strokes."""
        return _holds_strokes(Path(source)) if is_path(source) else _are_drawings(source)

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: InkGroups, *, labelled: bool) -> ReadSource:
        if not is_path(source):
            assert _are_drawings(source)
            places = Places("the drawings", "row", np.arange(len(source)))
            return ReadSource(cls([checked(one, places.of(row)) for row, one in enumerate(source)]), places, columns)
        path = Path(source)
        times: Literal["held", "none"] = "held" if options.ink.ink_speed else "none"
        _check_parts(path)
        by_name, where = _naming(path, columns) if labelled else (None, "")
        named = (columns.label,) if columns.label is not None else ("word", *columns.usual, "labels", "truth")
        found = read_drawings(source, label=by_name, times=times, names=named if labelled else ())
        labels = found.labels if labelled else None
        if labelled and labels is None and columns.label is not None:
            what = "line" if suffix(source) in LINES else "drawing"
            raise DataError(f"No {what} of {found.source} has a {columns.label!r}: name what says the label of each.")
        said = (f"drawings: {len(found):,} of {found.source}; labels: {where}",) if labels is not None else ()
        return ReadSource(cls(found.values), found.places, columns, labels, filed=True, remarks=said)

    @classmethod
    def of(cls, values: Sequence[Drawing], options: InkGroups) -> Self:
        return cls(values)

    def __len__(self) -> int:
        return len(self.drawings)

    @property
    def filled(self) -> np.ndarray:
        return np.array([bool(drawing) for drawing in self.drawings], bool)

    def fit(self, rows: np.ndarray, options: InkGroups) -> Fields:
        return {"ink": options.ink.fitted([self.drawings[i] for i in rows.tolist()], live=options.live)}

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        column = PaddedColumn(Ragged.from_list(fields["ink"].encode(drawing) for drawing in self.drawings))
        return column, column.ragged.lengths

    def width(self, options: InkGroups) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: InkGroups, width: int | None) -> Reader:
        field: Ink = fields["ink"]
        chosen, features = options.ink, field.features
        if options.augment.perturbs or options.augment.changes_speed:
            raise OptionError(
                "Speeds, warping, channel, gain and noise in decibels are of sounds, got drawings; leave them out, or "
                "choose pen_degrees, pen_slant, pen_stretch or pen_jitter."
            )
        plain = SeriesReader(field.width, options.reading_dropout or 0.0)
        drawn = PenReader(
            plain, degrees=chosen.pen_degrees, slant=chosen.pen_slant, stretch=chosen.pen_stretch,
            jitter=chosen.pen_jitter, size=field.scales, places=features.index("x") if "x" in features else None,
            turns=features.index("curvature") if "curvature" in features else None,
        )  # fmt: skip
        return masked(drawn, options.augment)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        return [f"drawings, of each point {', '.join(fields['ink'].features)}"]

    @classmethod
    def front(cls, fields: Fields) -> InkFront:
        """Takes points (n, 3), x, y and 1 where the pen leaves the paper; (n, 4) with seconds before that mark."""
        field: Ink = fields["ink"]
        return field.front()

    def inked(self, row: int, fields: Fields) -> Inked:
        field: Ink = fields["ink"]
        up = field.encode(self.drawings[row])[:, field.features.index("pen up")] > 0
        return Inked(self.drawings[row], np.concatenate([[0], np.cumsum(up)[:-1]]).astype(np.int64)[: len(up)])

    @classmethod
    def made_up(cls, fields: Fields, options: InkGroups, draw: Sequence[np.random.Generator]) -> Self:
        return cls([fields["ink"].draw(random) for random in draw])


@reader
def _holds_strokes(path: Path) -> bool:
    """Whether a file or folder holds drawings, by its name and, where that does not tell, by its beginning."""
    ending = suffix(path)
    if path.is_dir():
        files = visible_files(path)
        # One file of each folder and kind tells: whoever reads drawings then names a file that is none.
        some = {(file.parent, suffix(file)): file for file in reversed(files)}
        return any(_begins_strokes(file) for file in some.values())
    if not path.is_file():
        return ending in (".inkml", ".ndjson")
    if ending == ".zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [member.filename for member in archive.infolist() if not member.is_dir()]
        return bool(names) and all(suffix(name) in (".txt", ".inkml") for name in names if not _hidden(name))
    return _begins_strokes(path)


def _begins_strokes(file: Path) -> bool:
    """Whether a file, but a zip, holds drawings."""
    ending = suffix(file)
    if ending in LINES:
        return begins_quickdraw(file)
    if ending == ".npz":
        return zipfile.is_zipfile(file) and bool(stroke3_parts(file))
    return ending == ".inkml" or (ending == ".txt" and begins_omniglot(file))


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def _check_parts(path: Path) -> None:
    """Raises DataError for arrays of several parts that are no classes: none of them is the one that is meant."""
    for file in visible_files(path) if path.is_dir() else [path]:
        parts = stroke3_parts(file) if suffix(file) == ".npz" and zipfile.is_zipfile(file) else []
        if len(parts) > 1 and not are_classes(parts):
            raise DataError(
                f"{file.name} has the parts {listed(parts)}, but one is expected: save each in a file of its own, or "
                "pass the drawings that read_drawings(part=...) gives."
            )


def _naming(path: Path, columns: LabelColumns) -> tuple[Callable[[str], str] | None, str]:
    """What the names of files say of the labels of drawings, and where labels come from, for whoever asks."""
    own = "as they stand there"
    if columns.said or (suffix(path) != ".zip" and not path.is_dir()):
        return None, own
    files = visible_files(path) if path.is_dir() else []
    sets = bool(files) and all(suffix(file) in SETS for file in files)
    if sets and columns.label is not None:
        return None, own
    if _in_folders(path) and not (sets and len({file.parent for file in files}) < 2):
        where = f"{own}, or the names of their folders" if sets else "the names of their folders"
        return partial(_folders_of, path.stem), where
    return (file_label, f"{own}, or the names of their files") if sets else (None, own)


def _in_folders(path: Path) -> bool:
    """Whether the drawings of a folder or zip stand in folders of their own, which say their classes."""
    if path.is_dir():
        return all(file.parent != path for file in visible_files(path))
    if suffix(path) != ".zip":
        return False
    with zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist() if not member.is_dir()]
    return all("/" in name for name in names if not _hidden(name))


def _folders_of(root: str, name: str) -> str:
    """The folders that a file is in, as its class: "Latin/character01"; an archive's folder of its own name is none."""
    folders = PurePosixPath(name).parent.parts
    return "/".join(folders[1:] if len(folders) > 1 and folders[0] == root else folders)


def _are_drawings(source: object) -> TypeGuard[Sequence[Sequence[np.ndarray]]]:
    """Whether it is a list of lists of strokes, each of which holds points."""
    if not isinstance(source, list | tuple) or not source:
        return False
    strokes = next((drawing for drawing in source if isinstance(drawing, list | tuple) and len(drawing)), None)
    return strokes is not None and all(isinstance(one, list | tuple) for one in source) and _depth(strokes[0]) == 2


def _depth(value: object) -> int:
    """How deep lists or the dimensions of an array are."""
    if isinstance(value, np.ndarray):
        return value.ndim
    if isinstance(value, list | tuple):
        return 1 + (_depth(value[0]) if value else 0)
    return 0
