"""Pictures as inputs: folders of them, tables that name them, pixels in memory; of one size, or lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeAlias, TypeGuard

import numpy as np

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.lazy import MEGABYTE, LazyRagged
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.images import PICTURES, ImageFile, PictureSize, image_name, measure_image, read_image
from unrolled.data.read.lines import visible_files
from unrolled.data.read.listing import names_files
from unrolled.data.read.pictures import LISTED_PICTURES, read_pictures
from unrolled.data.read.sources import holds_columns, is_path
from unrolled.errors import OptionError, how_many
from unrolled.fields.image import Image, LineFront
from unrolled.fields.picture import checked_picture, coloured, is_pillow
from unrolled.inputs.augment import MaskOptions, masked
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.image_options import ImageOptions
from unrolled.inputs.input import Fields, Input, ReadSource
from unrolled.inputs.listed import ListWords, files_alone, with_what_belongs
from unrolled.inputs.series import SeriesInput
from unrolled.nn.reading.reader import Reader
from unrolled.types import TABLES

__all__ = ["ImageInput", "Picture"]

Picture: TypeAlias = ImageFile | np.ndarray
"""A file, or pixels (height, width, 1 or 3) of 8 bits."""

WORDS = ListWords("pictures", "pictures", "what is written in each picture", "transcripts", "a .gt.txt file")
# So many pictures of the training part, spread over all of it, tell what pictures are like: more are not opened twice.
LOOKED_AT = 1000


class ImageGroups(Protocol):
    """The options of a task that pictures need. live: whether inputs are read while they come."""

    @property
    def image(self) -> ImageOptions: ...
    @property
    def augment(self) -> MaskOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...
    @property
    def feature_cache(self) -> float: ...
    @property
    def live(self) -> bool: ...


class ImageInput(Input[ImageGroups]):
    """Pictures, read from their files when a batch asks for them.

    cache: how many megabytes of their pixels, as the network takes them, are kept for the next time.
    """

    kind, field, lines, head_dropout = "pictures", "image", False, SeriesInput.head_dropout
    encoder: ClassVar[Mapping[str, object]] = {"cell": "gru", "hidden_size": 128, "bidirectional": True}

    def __init__(self, pictures: Sequence[Picture], cache: float) -> None:
        self.pictures, self.cache = list(pictures), cache
        self._column: tuple[Image, PaddedColumn] | None = None

    @cached_property
    def sizes(self) -> list[PictureSize]:
        """What each picture is, by the head of its file. Raises `DataError` for what is no picture, or too large."""
        return [_size(one) for one in self.pictures]

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Picture files, folders most of whose files but texts are, tables with a column of their paths, and lists of
        pictures in memory: pixels of 8 bits, of three or four channels, or Pillow's."""
        if is_path(source) and Path(source).is_dir():
            return _holds_pictures(Path(source))
        if is_path(source) and suffix(source) in PICTURES:
            return True
        if holds_columns(source) or (is_path(source) and suffix(source) in TABLES):
            # Who names a column of texts means them, though the table may name pictures, too.
            return columns.text is None and names_files(source, LISTED_PICTURES, columns.files)
        return _are_pictures(source)

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: ImageGroups, *, labelled: bool) -> ReadSource:
        if _are_pictures(source):
            pictures = [one if isinstance(one, ImageFile) else checked_picture(one, f"picture {row}")
                        for row, one in enumerate(source)]  # fmt: skip
            return ReadSource(cls.of(pictures, options), Places("the pictures", "row", np.arange(len(source))), columns)
        if is_path(source) and (suffix(source) in PICTURES or (Path(source).is_dir() and not labelled)):
            return cls._of_files(Path(source), columns, options)
        # What is written has one name in what is read, whatever its column was called.
        found = read_pictures(source, image=columns.files, text=columns.label if columns.said and labelled else None)
        inputs, folder = cls.of(found.columns["image"], options), is_path(source) and Path(source).is_dir()
        more = inputs.remarks() if labelled else ()
        return with_what_belongs(found, inputs, columns, WORDS, labelled=labelled, by_folder=folder, more=more)

    @classmethod
    def _of_files(cls, path: Path, columns: LabelColumns, options: ImageGroups) -> ReadSource:
        """A picture file, or all that stand in a folder and below it, whatever they are of."""
        files = [file for file in visible_files(path) if file.suffix.lower() in PICTURES] if path.is_dir() else [path]
        pictures, places = files_alone(path, files, ImageFile)
        return ReadSource(cls.of(pictures, options), places, columns, filed=True)

    @classmethod
    def of(cls, values: Sequence[Picture], options: ImageGroups) -> Self:
        return cls(values, options.feature_cache)

    def __len__(self) -> int:
        return len(self.pictures)

    def remarks(self) -> tuple[str, ...]:
        """What is to be said of the pictures."""
        several = sum(size.several for size in self.sizes)
        return (f"{how_many(several, 'file')} of several pictures: the first is read",) if several else ()

    def fit(self, rows: np.ndarray, options: ImageGroups) -> Fields:
        chosen = options.image
        size = chosen.size_of([self.sizes[row][:2] for row in rows.tolist()])
        some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).round().astype(np.int64))]
        seen = (self.picture(row, (size[0], size[1] or 1)) for row in some.tolist())
        return {"image": Image.fit(seen, size=size, colour=chosen.image_colour, steps=chosen.field_steps)}

    def picture(self, row: int, least: tuple[int, int] | None = None) -> np.ndarray:
        """The pixels of one picture, (height, width, 1 or 3); see `read_image`."""
        return _pixels(self.pictures[row], least)

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        field: Image = fields["image"]
        if self._column is None or self._column[0] is not field:
            made, lengths = _Made(self.pictures, field), [field.length(size[:2]) for size in self.sizes]
            room = int(self.cache * MEGABYTE)
            ragged = LazyRagged(made.of, lengths, room=room, name=made.name, shape=(field.width,))
            self._column = field, PaddedColumn(ragged)
        column = self._column[1]
        return column, column.ragged.lengths

    def width(self, options: ImageGroups) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: ImageGroups, width: int | None) -> Reader:
        return cls.frame_reader(inputs, fields, options, width, 1)

    @classmethod
    def frame_reader(
        cls, inputs: Self | None, fields: Fields, options: ImageGroups, width: int | None, stride: int
    ) -> Reader:
        if options.augment.perturbs or options.augment.changes_speed:
            raise OptionError(
                "Speeds, warping, channel, gain and noise in decibels are of sounds, got pictures; leave them out, or "
                "choose image_shift, image_degrees, image_slant, image_stretch, image_light or image_flip."
            )
        dropout, fresh = options.reading_dropout or 0.0, inputs is not None
        drawn = options.image.reader(fields["image"], stride, dropout, causal=options.live, fresh=fresh)
        return masked(drawn, options.augment)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        field: Image = fields["image"]
        height, width = field.size
        size = f"lines, {height} pixels high" if width is None else f"pictures, {width} x {height} pixels"
        return [f"{size}, in {'grey' if field.channels == 1 else 'colours'}"]

    @classmethod
    def grid(cls, fields: Fields, options: ImageGroups) -> tuple[int, int] | None:
        return options.image.grid(fields["image"])

    def pictured(self, row: int, fields: Fields) -> np.ndarray:
        """As the network sees it: in the size and the colours of the field."""
        field: Image = fields["image"]
        seen = field.decode(field.encode(self.picture(row)))
        return coloured(checked_picture(seen, "pictured"), field.channels)[None] / 255

    @classmethod
    def front(cls, fields: Fields) -> LineFront:
        """Takes the next columns of a line, pixels (height, n) or (height, n, channels) of the field's height."""
        field: Image = fields["image"]
        return field.front()

    def shown(self, row: int, fields: Fields) -> np.ndarray:
        field: Image = fields["image"]
        return field.decode(field.encode(self.picture(row)))

    @classmethod
    def made_up(cls, fields: Fields, options: ImageGroups, draw: Sequence[np.random.Generator]) -> Self:
        return cls([checked_picture(fields["image"].draw(random), "made up") for random in draw], options.feature_cache)


@dataclass(frozen=True, eq=False)
class _Made:
    """The steps of pictures by a field."""

    pictures: Sequence[Picture]
    field: Image

    def of(self, row: int) -> np.ndarray:
        height, width = self.field.size
        return self.field.encode(_pixels(self.pictures[row], (height, width or 1)))

    def name(self, row: int) -> str:
        one = self.pictures[row]
        return image_name(one) if isinstance(one, ImageFile) else f"picture {row}"


def _pixels(picture: Picture, least: tuple[int, int] | None) -> np.ndarray:
    return read_image(picture, least) if isinstance(picture, ImageFile) else picture


def _size(picture: Picture) -> PictureSize:
    if isinstance(picture, ImageFile):
        return measure_image(picture)
    height, width, channels = picture.shape
    return PictureSize(height, width, channels == 1, False)


def _holds_pictures(folder: Path) -> bool:
    """Whether most of the files of a folder, but texts, are pictures."""
    endings = [file.suffix.lower() for file in visible_files(folder)]
    found = sum(ending in PICTURES for ending in endings)
    return 2 * found > sum(ending != ".txt" for ending in endings)


def _are_pictures(source: object) -> TypeGuard[Sequence[object]]:
    """Whether it is a list, or one array, of pictures in memory, by the first of them."""
    if isinstance(source, np.ndarray) and source.dtype != object:
        return source.ndim in (3, 4) and len(source) > 0 and _is_picture(source[0])
    return isinstance(source, list | tuple | np.ndarray) and len(source) > 0 and _is_picture(source[0])


def _is_picture(value: object) -> bool:
    """Whether it is a picture, and nothing else: numbers (height, width) that are not of 8 bits may be a series."""
    if isinstance(value, ImageFile) or is_pillow(value):
        return True
    if not isinstance(value, np.ndarray):
        return False
    if value.ndim == 3 and value.shape[2] in (1, 3, 4):
        return value.dtype.kind in "buf"
    return value.ndim == 2 and value.dtype == np.uint8
