"""A field for small pictures: a few pixels of a few colours in reading order, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from unrolled.errors import DataError, ModelFileError, OptionError, listed
from unrolled.fields.field import Field, register_field
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["Palette", "reduced"]

# A side of more pixels makes sequences that no recurrent network learns in a sitting.
LARGEST, MOST = 128, 256
# Rounds in which the colours settle; few of the last ones change anything.
ROUNDS = 30
# How bright a colour looks (Rec. 601), which orders the codes.
BRIGHTNESS = np.array([0.299, 0.587, 0.114])


@register_field
@dataclass(frozen=True)
class Palette(Field[np.ndarray]):
    """A picture as size x size pixels of a few colours: the code of each, row by row from the top left.

    The picture is laid on white and in the middle of a white square, if it is no square; each pixel of the smaller one
    is the mean of the part of it that lies there, and then the nearest colour.

    Args:
        size: pixels of a side.
        colours: distinct, red, green and blue from 0 to 255; colour number i has the code i.
    """

    kind: ClassVar[str] = "Palette"
    lossy: ClassVar[str] = "all but size x size pixels and the colours of the field, and what one can see through"
    size: int
    colours: tuple[tuple[int, int, int], ...]

    @classmethod
    def fit(cls, pictures: Iterable[np.ndarray], size: int = 16, colours: int = 16) -> Palette:
        """The colours that lie closest to the pixels of the pictures given; hand in the training part only.

        They begin as boxes of colours are cut at the median of their longest side, and move to the mean of the pixels
        that are nearest to them until none moves. Fewer colours than asked for are learned where there are no more.

        Raises:
            OptionError: a size or a number of colours that is out of range.
            DataError: there is no picture, or one is none.
        """
        for name, value, most in (("size", size, LARGEST), ("colours", colours, MOST)):
            if not 2 <= value <= most:
                raise OptionError(f"Palette: {name} must lie in 2..{most}, got {value!r}.")
        small = [reduced(picture, size).reshape(-1, 3) for picture in pictures]
        if not small:
            raise DataError("Palette: expected at least one picture to fit, got none: give the training pictures.")
        distinct, counts = np.unique(np.concatenate(small), axis=0, return_counts=True)
        found = _settled(distinct.astype(np.float64), counts.astype(np.float64), colours)
        return cls(size, tuple((int(r), int(g), int(b)) for r, g, b in found.tolist()))

    @cached_property
    def _table(self) -> np.ndarray:
        return np.array(self.colours, np.uint8).reshape(-1, 3)

    def encode(self, value: np.ndarray) -> np.ndarray:
        """The codes of a picture, int64 (size * size,).

        value: (height, width), (height, width, 3) or, with how far it covers what is below, (height, width, 4): whole
            numbers of 0 to 255.

        Raises:
            DataError: it is no picture.
        """
        pixels = reduced(value, self.size).reshape(-1, 3).astype(np.int64)
        far = ((pixels[:, None] - self._table.astype(np.int64)) ** 2).sum(-1)
        codes: np.ndarray = far.argmin(1)
        return codes.astype(np.int64)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """The picture of size * size codes: (size, size, 3) uint8.

        Raises:
            DataError: another number of codes, or one that there is not.
        """
        codes = np.asarray(array)
        if codes.shape != (self.size**2,) or codes.dtype.kind not in "iu":
            raise DataError(
                f"Palette: expected {self.size**2} codes of a picture, got {codes.dtype} of shape {codes.shape}: give "
                "a code for each pixel."
            )
        if codes.min() < 0 or codes.max() >= len(self.colours):
            raise DataError(
                f"Palette: expected codes from 0 to {len(self.colours) - 1}, got {listed(np.unique(codes), 4)}: decode "
                "with the field that encoded them."
            )
        pixels: np.ndarray = self._table[codes].reshape(self.size, self.size, 3)
        return pixels

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """A picture of one to three times the field's size with two of its colours, and a part that is seen through."""
        height, width = (int(side) for side in random.integers(1, 3 * self.size + 1, 2))
        two = self._table[random.integers(len(self.colours), size=2)]
        which = random.integers(0, 2, (height, width))
        opaque = np.where(random.random((height, width)) < 0.9, 255, 0)
        return np.concatenate([two[which], opaque[..., None].astype(np.uint8)], -1)

    def say(self, value: np.ndarray) -> str:
        """The sides of the picture, as in "a picture of 64 x 48 pixels"."""
        return f"a picture of {value.shape[1]} x {value.shape[0]} pixels"

    def to_json(self) -> Json:
        """Plain JSON; `Palette.from_json` gives the field back."""
        return {"size": self.size, "colours": [list(colour) for colour in self.colours]}

    @classmethod
    def from_json(cls, data: Json) -> Palette:
        """The field that `to_json` wrote. Raises `ModelFileError` for a palette that no pictures have."""
        size = typed(int, data["size"], "size")
        colours = tuple(
            typed(tuple[int, int, int], tuple(one), "colour")
            for one in typed(list[list[int]], data["colours"], "colours")
        )
        whole = all(0 <= part <= 255 for colour in colours for part in colour)
        if not 2 <= size <= LARGEST or not 1 <= len(colours) <= MOST or not whole or len({*colours}) < len(colours):
            raise ModelFileError(
                f"load: expected a Palette of distinct colours from 0 to 255 and a side of 2 to {LARGEST}, got "
                f"{len(colours)} colours and a side of {size}."
            )
        return cls(size, colours)


def _checked(value: np.ndarray) -> np.ndarray:
    """The picture as (height, width, 3) float64 on white."""
    found = np.asarray(value)
    shaped = found.ndim == 2 or (found.ndim == 3 and found.shape[2] in (3, 4))
    if not shaped or not found.size or found.dtype.kind not in "iu" or found.min() < 0 or found.max() > 255:
        raise DataError(
            f"Palette: expected a picture as (height, width), with 3 colours or with 4 numbers a pixel, whole ones of "
            f"0 to 255, got {found.dtype} of shape {found.shape}: give such an array."
        )
    pixels = found.astype(np.float64)
    if found.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=2)
    if found.shape[2] == 3:
        return pixels
    cover = pixels[..., 3:] / 255
    on_white: np.ndarray = pixels[..., :3] * cover + 255 * (1 - cover)
    return on_white


def reduced(picture: np.ndarray, size: int) -> np.ndarray:
    """The picture on white as (size, size, 3) uint8: the mean of what lies in each part of the white square around it.

    What has just that size stays as it is. Raises `DataError` for what is no picture.
    """
    pixels = _checked(picture)
    height, width = pixels.shape[:2]
    if height != width:
        side = max(height, width)
        square = np.full((side, side, 3), 255.0)
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = pixels
        pixels = square
    share = _shares(len(pixels), size)
    mean = np.einsum("ih,hwc,jw->ijc", share, pixels, share, optimize=True)
    rounded: np.ndarray = np.rint(mean).astype(np.uint8)
    return rounded


def _shares(many: int, few: int) -> np.ndarray:
    """(few, many): the part of each of `few` equal pieces of a line that each of `many` equal ones fills."""
    ends = np.arange(few + 1) * many
    cells = np.arange(many + 1) * few
    # Whole numbers until the end: where the two are equal, each piece is just one cell.
    overlap = np.minimum(ends[1:, None], cells[None, 1:]) - np.maximum(ends[:-1, None], cells[None, :-1])
    shares: np.ndarray = np.maximum(overlap, 0) / many
    return shares


def _settled(points: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """(up to count, 3) distinct colours, dark ones first, each the mean of the points that are nearest to it."""
    centres = _cut(points, weights, count)
    for _ in range(ROUNDS):
        nearest = _nearest(points, centres)
        total = np.bincount(nearest, weights, len(centres))
        sums = np.stack([np.bincount(nearest, weights * points[:, part], len(centres)) for part in range(3)], 1)
        moved = np.where(total[:, None] > 0, sums / np.maximum(total, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    found = np.unique(np.rint(centres), axis=0)
    ordered: np.ndarray = found[np.lexsort((*found.T, found @ BRIGHTNESS))]
    return ordered


def _nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The number of the centre that is nearest to each point."""
    far = (centres**2).sum(1) - 2 * points @ centres.T
    nearest: np.ndarray = far.argmin(1)
    return nearest


def _cut(points: np.ndarray, weights: np.ndarray, count: int) -> np.ndarray:
    """The means of up to `count` boxes: the one that spreads most is cut where its longest side has its median."""
    boxes = [np.arange(len(points))]
    spread = [_spread(points, weights)]
    while len(boxes) < count and max(spread) > 0:
        worst = int(np.argmax(spread))
        own = boxes.pop(worst)
        spread.pop(worst)
        side = int(np.argmax(np.ptp(points[own], axis=0)))
        own = own[np.argsort(points[own, side], kind="stable")]
        heap = np.cumsum(weights[own])
        cut = min(max(int(np.searchsorted(heap, heap[-1] / 2)), 1), len(own) - 1)
        for part in (own[:cut], own[cut:]):
            boxes.append(part)
            spread.append(_spread(points[part], weights[part]))
    return np.array([np.average(points[own], axis=0, weights=weights[own]) for own in boxes])


def _spread(points: np.ndarray, weights: np.ndarray) -> float:
    """The sum of squares about the mean; 0 for one point."""
    if len(points) < 2:
        return 0.0
    mean = np.average(points, axis=0, weights=weights)
    return float((weights[:, None] * (points - mean) ** 2).sum())
