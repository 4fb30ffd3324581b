"""The pixels of pictures, whatever form they come in: 8 bits each, grey or red, green and blue."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, TypeGuard

import numpy as np

from unrolled.errors import DataError, OptionError, foreign_told

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["checked_picture", "is_pillow", "pillow", "pixels_of"]

WHITE = 255
# Of a 16-bit pixel, the one of 8 bits that is as bright.
_BYTE = 257
# Modes of Pillow whose pixels are grey numbers of more than 8 bits.
_DEEP = ("I", "I;16", "I;16B", "I;16L", "I;16N")


def pillow() -> ModuleType:
    """Pillow's module `Image`. Raises `OptionError` where it is not installed."""
    try:
        from PIL import Image
    except ImportError as error:
        raise OptionError(
            "Reading pictures, and making them larger or smaller, needs the package Pillow, which is not installed: "
            'pip install "unrolled[image]".'
        ) from error
    return Image


def is_pillow(value: object) -> TypeGuard[PillowImage]:
    """Whether it is a picture of Pillow's, which is not imported for it."""
    return any(kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(value).__mro__)


def checked_picture(value: object, owner: str) -> np.ndarray:
    """A picture in memory as (height, width, 1 or 3) uint8: grey, or red, green and blue.

    Args:
        value: (height, width), or with 1 (grey), 3 (colours) or 4 channels (a last one that says how much covers
            white paper): of 8 bits, of floats from 0 (black) to 1 (white), or of truths; or a picture of Pillow's.
        owner: for messages.

    Raises:
        DataError: another shape or kind, no pixel, or a number out of range.
    """
    if is_pillow(value):
        # Its file may be read only now.
        with foreign_told(DataError, f"{owner} cannot be decoded", "give a whole picture"):
            return pixels_of(value, owner)
    pixels = np.asarray(value)
    shaped = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (1, 3, 4))
    if not shaped or pixels.dtype.kind not in "buif":
        raise DataError(
            f"{owner}: expected a picture as numbers (height, width), or (height, width, 1, 3 or 4), got "
            f"{pixels.dtype} {pixels.shape}: give one of these."
        )
    if not pixels.size:
        raise DataError(f"{owner}: expected a picture of at least one pixel, got {pixels.shape}: leave it out.")
    whole = _bytes(pixels, owner)
    whole = whole[..., None] if whole.ndim == 2 else whole
    return over_white(whole) if whole.shape[2] == 4 else whole


def pixels_of(image: PillowImage, owner: str) -> np.ndarray:
    """The pixels of a picture of Pillow's as `checked_picture` gives them, turned as its camera says.

    What shines through stands on white; of several pictures in one it is the one that is open.
    """
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.mode in _DEEP:
        return _eight_bits(np.asarray(turned), owner)[..., None]
    if turned.mode == "F":
        return checked_picture(np.asarray(turned, np.float64), owner)
    if turned.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in turned.info:
        return over_white(np.asarray(turned.convert("RGBA")))
    grey = turned.mode in ("1", "L")
    pixels = np.asarray(turned.convert("L" if grey else "RGB"))
    return pixels[..., None] if grey else pixels


def over_white(pixels: np.ndarray) -> np.ndarray:
    """Pixels (height, width, 4), the last channel how much each covers, on white paper: (height, width, 3)."""
    covered = np.empty((*pixels.shape[:2], 3), np.uint8)
    # A row at a time: a large picture would take several times its size.
    for row, own in zip(covered, pixels, strict=True):
        cover = own[:, 3:].astype(np.uint16)
        row[...] = (own[:, :3] * cover + WHITE * (WHITE - cover) + WHITE // 2) // WHITE
    return covered


def _bytes(pixels: np.ndarray, owner: str) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind == "b":
        return pixels * np.uint8(WHITE)
    low, high = pixels.min(), pixels.max()
    most = 1 if pixels.dtype.kind == "f" else WHITE
    if not (low >= 0 and high <= most):
        raise DataError(
            f"{owner}: expected pixels from 0 to 255 as whole numbers, or from 0 to 1 as floats, got {pixels.dtype} "
            f"from {low} to {high}: scale them."
        )
    scaled = np.rint(pixels.astype(np.float64) * WHITE) if most == 1 else pixels
    whole: np.ndarray = scaled.astype(np.uint8)
    return whole


def _eight_bits(pixels: np.ndarray, owner: str) -> np.ndarray:
    """Grey of up to 16 bits as 8."""
    low, high = pixels.min(), pixels.max()
    if low < 0 or high > _BYTE * WHITE:
        raise DataError(f"{owner}: expected grey of 8 or 16 bits, got numbers from {low} to {high}: save it as 8 bits.")
    whole: np.ndarray = ((pixels.astype(np.int32) + _BYTE // 2) // _BYTE).astype(np.uint8)
    return whole
