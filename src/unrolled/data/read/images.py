"""Picture files as pixels: what they are is told by their heads, and decoded when they are asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unrolled.data.read.door import reader, require_file
from unrolled.errors import DataError, said_by
from unrolled.fields.picture import pillow, pixels_of

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

__all__ = ["MOST_PIXELS", "PICTURES", "ImageFile", "PictureSize", "image_name", "measure_image", "read_image"]

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm")
"""The endings of files that folders are searched for."""

MOST_PIXELS = 50_000_000
"""A picture of more pixels is refused before it is decoded: this many take up to 200 MB."""

# The tag of EXIF that says how a camera was held, and what it says where height and width change places.
_HELD, _TURNED = 0x0112, (5, 6, 7, 8)


class ImageFile(NamedTuple):
    """A picture that is not yet decoded: its file, and where that was named, for messages: "line 3 of a.csv", or ""."""

    path: Path
    place: str = ""


class PictureSize(NamedTuple):
    """What the head of a file says: height and width as it is to be seen, whether it is grey by its kind, and whether
    it holds several pictures, of which the first is read."""

    height: int
    width: int
    grey: bool
    several: bool


def image_name(file: ImageFile) -> str:
    """How messages name a picture: its file, and where that was named."""
    name, place = file.path.name, file.place
    return place if place.rpartition("/")[2] == name else f"{name} ({place})" if place else name


def measure_image(file: ImageFile) -> PictureSize:
    """What the head of a file says of a picture: none of its pixels is decoded.

    Raises what `read_image` does, but for what only the pixels tell.
    """
    return _measured(file.path, file)


def read_image(file: ImageFile, least: tuple[int, int] | None = None) -> np.ndarray:
    """The pixels of a picture, now: (height, width, 1) grey or (height, width, 3) red, green and blue, uint8.

    It is turned as its camera says; what shines through stands on white; 16 bits become 8, and CMYK, palettes and other
    kinds colours; of several pictures, as in an animation, it is the first.

    Args:
        file: the picture.
        least: a height and width that are enough: a JPEG that is at least twice as large is decoded in a smaller size,
            which takes less time. None: as it is.

    Raises:
        DataError: no such file, no picture, one cut short, or one of more than `MOST_PIXELS`.
        OptionError: Pillow is not installed.
    """
    return _read(file.path, file, least)


@reader
def _measured(path: Path, file: ImageFile) -> PictureSize:
    with _opened(file) as image:
        size = _seen_size(image)
        several = int(getattr(image, "n_frames", 1)) > 1
        return PictureSize(*size, image.mode in ("1", "L", "I", "I;16", "I;16B", "F"), several)


@reader
def _read(path: Path, file: ImageFile, least: tuple[int, int] | None) -> np.ndarray:
    with _opened(file) as image:
        if least is not None:
            turned = _seen_size(image) != (image.height, image.width)
            image.draft(image.mode, least if turned else (least[1], least[0]))
        return pixels_of(image, image_name(file))


def _seen_size(image: PillowImage) -> tuple[int, int]:
    """Height and width as the camera was held."""
    turned = image.getexif().get(_HELD) in _TURNED
    return (image.width, image.height) if turned else (image.height, image.width)


@contextmanager
def _opened(file: ImageFile) -> Iterator[PillowImage]:
    """The picture, not decoded, of no more pixels than are read; whatever goes wrong with it in there is told."""
    kind, name = pillow(), image_name(file)
    path = _there(file)
    try:
        # What Pillow says of odd files that it reads nevertheless is nothing to act on; large ones are refused below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", kind.DecompressionBombWarning)
            with kind.open(path) as image:
                _check_pixels(image.width * image.height, name)
                yield image
    except (kind.DecompressionBombError, kind.DecompressionBombWarning) as error:
        raise _too_large("more than that", name) from error
    except kind.UnidentifiedImageError as error:
        raise DataError(
            f"{name} is no picture that is known here, such as .png or .jpg: give a picture, or leave it out."
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{name} is cut short or broken ({said_by(error)}): get the whole file.") from error


def _there(file: ImageFile) -> Path:
    try:
        path = require_file(file.path)
    except DataError as error:
        place = file.place
        raise DataError(f"{place[:1].upper()}{place[1:]}: {error}" if place else str(error)) from error
    if path.is_dir():
        raise DataError(f"{image_name(file)} is a folder, but expected a picture: name one of its files.")
    if not path.stat().st_size:
        raise DataError(f"{image_name(file)} is empty: get the whole file.")
    return path


def _check_pixels(count: int, name: str) -> None:
    if count > MOST_PIXELS:
        raise _too_large(f"{count:,}", name)


def _too_large(count: str, name: str) -> DataError:
    return DataError(
        f"{name}: expected a picture of at most {MOST_PIXELS:,} pixels, got {count}: make it smaller, or cut it into "
        "parts."
    )
