"""Pictures (height, width, 1 or 3) of 8 bits in other sizes and colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.fields.picture.pixels import pillow

__all__ = ["coloured", "fitted_into", "line_width", "resized", "usual_size"]

# How bright red, green and blue are, in parts of 2^16 (ITU-R 601, as Pillow has them).
_LUMA = np.array([19595, 38470, 7471], np.uint32)


def coloured(picture: np.ndarray, channels: int) -> np.ndarray:
    """The picture in grey (1) or in colours (3): grey as bright as red, green and blue together (ITU-R 601)."""
    if picture.shape[2] == channels:
        return picture
    if channels == 3:
        return np.repeat(picture, 3, axis=2)
    grey = (picture.astype(np.uint32) @ _LUMA + (1 << 15)) >> 16
    whole: np.ndarray = grey.astype(np.uint8)[..., None]
    return whole


def resized(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The picture in that size, whatever its shape was; each pixel the mean, by a triangle, of those that it covers."""
    if picture.shape[:2] == (height, width):
        return picture
    kind = pillow()
    source = kind.fromarray(np.ascontiguousarray(picture[..., 0] if picture.shape[2] == 1 else picture))
    scaled = np.asarray(source.resize((width, height), kind.Resampling.BILINEAR))
    return scaled.reshape(height, width, picture.shape[2])


def fitted_into(picture: np.ndarray, height: int, width: int, fill: np.ndarray) -> np.ndarray:
    """The picture as large as fits into that size in its own shape, in the middle; the rest is `fill` (channels,)."""
    own_height, own_width = picture.shape[:2]
    if (own_height, own_width) == (height, width):
        return picture
    scale = min(height / own_height, width / own_width)
    inner = min(height, max(1, round(own_height * scale))), min(width, max(1, round(own_width * scale)))
    whole = np.empty((height, width, picture.shape[2]), np.uint8)
    whole[...] = fill
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    whole[top : top + inner[0], left : left + inner[1]] = resized(picture, *inner)
    return whole


def line_width(size: tuple[int, int], height: int) -> int:
    """The width of a picture of that (height, width) once it is so high."""
    return max(1, round(size[1] * height / size[0]))


def usual_size(sizes: Sequence[tuple[int, int]], longest: int, *, grow: bool = False) -> tuple[int, int]:
    """The size (height, width) in the middle of some, made smaller where one side is longer than `longest`.

    grow: made larger, too, where both are shorter.
    """
    height, width = np.median(np.array(sizes, np.float64), axis=0).tolist()
    scale = longest / max(height, width)
    scale = scale if grow else min(1.0, scale)
    return max(1, round(height * scale)), max(1, round(width * scale))
