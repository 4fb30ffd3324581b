"""A field for pictures: of one size, or lines of one height, whose rows, columns or pixels are the steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

import numpy as np

from unrolled.errors import DataError, ModelFileError, NotStreamable, OptionError
from unrolled.fields.field import Field, register_field
from unrolled.fields.number import Number
from unrolled.fields.picture import checked_picture, coloured, fitted_into, line_width, resized, usual_size
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["COLUMNS", "LONGEST", "Colour", "Image", "LineFront", "Steps"]

Colour: TypeAlias = Literal["grey", "colour"]
Steps: TypeAlias = Literal["rows", "columns", "pixels"]

LONGEST = 64
"""Pixels of the longer side of pictures whose size nobody asked for, where they are not smaller themselves."""

COLUMNS = 20_000
"""The longest line, in columns of the field's height: another is no line."""

_BLACK_TO_WHITE = 255
# A pixel that never changes is measured by one step of its 256.
_LEAST = 1 / _BLACK_TO_WHITE


@register_field
@dataclass(frozen=True, eq=False)
class Image(Field[np.ndarray]):
    """Pictures as steps: (height, width) or (height, width, 3) uint8 to (steps, width) float32, and back.

        x = (v / 255 - center) / scale        of each channel v of each pixel

        steps = "rows":     (height, width * channels)
                "columns":  (width, height * channels)
                "pixels":   (height * width, channels), in reading order

    center is the mean colour of the edges of the training pictures, so that what is around a picture is 0; scale is how
    far their pixels are from it, as a root of the mean square.

    A picture of another size is made as large as it fits in its own shape, and what is left at its sides is `center`;
    a line, the size of which says no width, is made as high as that, and its width follows. So a picture of the field's
    size comes back bit for bit, another as it was fitted in.

    Args:
        size: height and width of each picture; width None: lines, whose width is their own; then steps="columns".
        colour: "grey" or "colour": one channel or three.
        steps: what a step is.
        number: center and scale, one group of the channels.
    """

    kind: ClassVar[str] = "Image"
    size: tuple[int, int | None]
    colour: Colour
    steps: Steps
    number: Number

    def __post_init__(self) -> None:
        height, width = self.size
        if height < 1 or (width is not None and width < 1):
            raise OptionError(f"Image: size must be at least 1 x 1, got {height} x {width}; give pixels.")
        if width is None and self.steps != "columns":
            raise OptionError(
                f"Image: lines of any width are read by columns, got steps={self.steps!r}: give a width, or "
                "steps='columns'."
            )

    @classmethod
    def fit(
        cls,
        pictures: Iterable[np.ndarray],
        *,
        size: tuple[int, int | None] | None = None,
        colour: Colour | None = None,
        steps: Steps = "rows",
    ) -> Image:
        """The field whose statistics come from the pictures given; hand in the training part only.

        Args:
            pictures: as `checked_picture` of `unrolled.fields.picture` takes them.
            size: height and width; None: those in the middle of the pictures, at most 64 of the longer side. A width of
                None: lines.
            colour: None: grey, if all pictures are.
            steps: what a step is.

        Raises:
            DataError: there is no picture, or one that is none.
        """
        checked: Iterable[np.ndarray] = (checked_picture(one, f"picture {row}") for row, one in enumerate(pictures))
        if size is None:
            checked = list(checked)
            size = usual_size([one.shape[:2] for one in checked], LONGEST) if checked else (1, 1)
        small, grey = list[np.ndarray](), True
        for picture in checked:
            # What is large is kept no longer than it takes.
            small.append(_scaled(picture, size))
            grey = grey and _is_grey(picture)
        if not small:
            raise DataError("Image: expected at least one picture to fit, got none: give the training pictures.")
        if colour is None:
            colour = "grey" if grey else "colour"
        return cls(size, colour, steps, _statistics([coloured(one, _channels(colour)) for one in small]))

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colours."""
        return _channels(self.colour)

    @property
    def width(self) -> int:
        """The numbers of a step."""
        height, width = self.size
        return self.channels * {"rows": width or 1, "columns": height, "pixels": 1}[self.steps]

    @property
    def is_line(self) -> bool:
        """Whether each picture keeps a width of its own."""
        return self.size[1] is None

    def length(self, size: tuple[int, int]) -> int:
        """The steps of a picture of that height and width."""
        height, width = self.size
        if width is None:
            return line_width(size, height)
        return {"rows": height, "columns": width, "pixels": height * width}[self.steps]

    def encode(self, value: np.ndarray) -> np.ndarray:
        """The steps of a picture, (steps, width) float32.

        Args:
            value: as `checked_picture` of `unrolled.fields.picture` takes it: (height, width), or with 1, 3 or 4
                channels.

        Raises:
            DataError: no picture, or a line of more than 20,000 columns.
        """
        picture = self._fitted(checked_picture(value, "Image"))
        return self._as_steps(self.number.encode(picture / _BLACK_TO_WHITE).astype(np.float32))

    def decode(self, array: np.ndarray) -> np.ndarray:
        """The picture of steps, (height, width) of grey or (height, width, 3) uint8; beyond black or white is cut.

        Raises:
            DataError: steps of another shape, or a value that is not finite.
        """
        steps = np.asarray(array)
        height, width = self.size
        expected = None if width is None else self.length((height, width))
        fits = steps.ndim == 2 and steps.shape[1] == self.width and (expected is None or len(steps) == expected)
        if not fits or not len(steps) or not np.isfinite(steps).all():
            raise DataError(
                f"Image: expected finite numbers ({'columns' if expected is None else expected}, {self.width}), got "
                f"{steps.dtype} {steps.shape}: give the steps of one picture."
            )
        shown = self.number.decode(self._as_picture(steps)) * _BLACK_TO_WHITE
        picture: np.ndarray = np.clip(np.rint(shown), 0, _BLACK_TO_WHITE).astype(np.uint8)
        return picture[..., 0] if self.channels == 1 else picture

    def front(self) -> LineFront:
        """A live front end for one line after another: pieces (height, n) give the steps of the whole.

        Raises:
            NotStreamable: pictures that are no lines, whose size is fitted in.
        """
        if not self.is_line:
            raise NotStreamable("Image: pictures of one size cannot be read while they come; give whole ones.")
        return LineFront(self)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """A picture of the field's size, of coarse squares of any colour; of lines up to four times as wide as high."""
        height, width = self.size
        if width is None:
            width = int(random.integers(1, 4 * height + 1))
        coarse = random.integers(0, 256, (-(-height // 2), -(-width // 2), self.channels), dtype=np.uint8)
        picture = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
        return np.ascontiguousarray(picture[..., 0] if self.channels == 1 else picture)

    def say(self, value: np.ndarray) -> str:
        """The size of the picture, as in "28 x 20 pixels, grey"."""
        height, width, channels = checked_picture(value, "Image").shape
        return f"{width:,} x {height:,} pixels, {'grey' if channels == 1 else 'colour'}"

    def to_json(self) -> Json:
        """Plain JSON; `from_json` gives the field back."""
        return {
            "size": list(self.size),
            "colour": self.colour,
            "steps": self.steps,
            "number": self.number.to_json(),
        }

    @classmethod
    def from_json(cls, data: Json) -> Image:
        """The field that `to_json` wrote. Raises `ModelFileError` for what does not fit together."""
        size = typed(tuple[int, int | None], data["size"], "size", strict=False)
        colour, steps = typed(Colour, data["colour"], "colour"), typed(Steps, data["steps"], "steps")
        number = Number.from_json(typed(dict[str, object], data["number"], "number"))
        try:
            field = cls(size, colour, steps, number)
        except OptionError as error:
            raise ModelFileError(f"load: {error}") from error
        if number.center.shape != (1, field.channels):
            raise ModelFileError(
                f"load: expected statistics of {field.channels} channels of an Image, but the model holds those of "
                f"{number.center.shape[1]}."
            )
        return field

    def strip(self, piece: np.ndarray) -> np.ndarray:
        """The steps of the next columns of a line, (n, width), as `encode` gives them of the whole."""
        if np.ndim(piece) > 1 and not np.shape(piece)[1]:
            return np.zeros((0, self.width), np.float32)
        picture = checked_picture(piece, "Image")
        if len(picture) != self.size[0]:
            raise DataError(
                f"Image: expected the next columns of a line, {self.size[0]} pixels high, got {len(picture)}: scale "
                "what comes to that height."
            )
        picture = coloured(picture, self.channels)
        return self._as_steps(self.number.encode(picture / _BLACK_TO_WHITE).astype(np.float32))

    def _fitted(self, picture: np.ndarray) -> np.ndarray:
        height, width = self.size
        own = coloured(picture, self.channels)
        return _scaled(own, self.size) if width is None else fitted_into(own, height, width, self._around)

    @property
    def _around(self) -> np.ndarray:
        """The colour beside a picture."""
        around: np.ndarray = np.rint(self.number.center[0] * _BLACK_TO_WHITE).astype(np.uint8)
        return around

    def _as_steps(self, picture: np.ndarray) -> np.ndarray:
        """(height, width, channels) as steps."""
        turned = picture.swapaxes(0, 1) if self.steps == "columns" else picture
        return np.ascontiguousarray(turned).reshape(-1 if self.steps == "pixels" else len(turned), self.width)

    def _as_picture(self, steps: np.ndarray) -> np.ndarray:
        if self.steps == "columns":
            return steps.reshape(len(steps), self.size[0], self.channels).swapaxes(0, 1)
        return steps.reshape(self.size[0], -1, self.channels)


class LineFront:
    """The columns of lines as they come, in pieces of any width."""

    def __init__(self, field: Image) -> None:
        self._field = field

    def push(self, piece: np.ndarray) -> np.ndarray:
        """The steps of pixels (height, n), or (height, n, channels), of the field's height."""
        return self._field.strip(piece)

    def flush(self) -> np.ndarray:
        return np.zeros((0, self._field.width), np.float32)


def _scaled(picture: np.ndarray, size: tuple[int, int | None]) -> np.ndarray:
    """A picture as large as fits into a size, or, as a line, as high as that."""
    (height, width), (own_height, own_width) = size, picture.shape[:2]
    if width is not None:
        scale = min(height / own_height, width / own_width)
        return resized(picture, max(1, round(own_height * scale)), max(1, round(own_width * scale)))
    columns = line_width((own_height, own_width), height)
    if columns > COLUMNS:
        raise DataError(
            f"Image: expected a line of at most {COLUMNS:,} columns, got {own_width:,} x {own_height:,} pixels, which "
            f"are {columns:,} at a height of {height}: cut it into parts."
        )
    return resized(picture, height, columns)


def _channels(colour: str) -> int:
    return 1 if colour == "grey" else 3


def _is_grey(picture: np.ndarray) -> bool:
    return picture.shape[2] == 1 or bool((picture == picture[..., :1]).all())


def _statistics(pictures: list[np.ndarray]) -> Number:
    """The mean colour of all edges, and how far pixels are from it."""
    edges = [np.concatenate([one[0], one[-1], one[1:-1, 0], one[1:-1, -1]]) for one in pictures]
    center = np.concatenate(edges).mean(axis=0) / _BLACK_TO_WHITE
    squares = sum(((one / _BLACK_TO_WHITE - center) ** 2).sum(axis=(0, 1)) for one in pictures)
    scale = np.sqrt(squares / sum(one.shape[0] * one.shape[1] for one in pictures))
    return Number("standard", center[None], np.maximum(scale, _LEAST)[None])
