"""A field for videos: frames of one size, each a step of all its pixels, at one rate."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unrolled.errors import DataError, ModelFileError, OptionError
from unrolled.fields.field import Field, register_field
from unrolled.fields.film import Film, Frames, film_frames
from unrolled.fields.image import LONGEST, Colour, Image
from unrolled.fields.picture import checked_picture, resized, usual_size
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["SOME", "Video", "VideoFront", "places_of_some"]

SOME = 4
"""Frames of each video that statistics are taken of: its neighbours are much like each."""


@register_field
@dataclass(frozen=True, eq=False)
class Video(Field[np.ndarray]):
    """Videos as steps of all pixels: (frames, height, width, channels) uint8 to (frames, width) float32, and back.

        x_t = the pixels of frame t, row after row, as `Image` has them        height * width * channels numbers

    A frame of another size is fitted in as a picture is, so frames of the field's size come back bit for bit.

    Args:
        image: of the frames: their size, colour and statistics.
        rate: frames a second. A `Film` is seen at this rate; plain frames are at it already. None: each frame once.
    """

    kind: ClassVar[str] = "Video"
    image: Image
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.image.is_line or self.image.steps != "rows":
            raise OptionError("Video: frames must be pictures of one size by rows; give such an Image.")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise OptionError(
                f"Video: rate must be a positive number or None, got {self.rate!r}; give frames a second."
            )

    @classmethod
    def fit(
        cls,
        videos: Iterable[Film | Frames],
        *,
        size: tuple[int, int] | None = None,
        longest: int | None = None,
        colour: Colour | None = None,
        rate: float | None = None,
    ) -> Video:
        """The field whose statistics come from a few frames of each video given; hand in the training part only.

        Args:
            videos: as `encode` takes them.
            size: height and width; None: those in the middle of the frames.
            longest: pixels of the longer side where no size is given; None: 64, or fewer where frames have fewer.
            colour: "grey" or "colour"; None: grey, if all frames are.
            rate: frames a second; None: each frame of a video once.

        Raises:
            DataError: there is no frame, or one that is none.
        """
        found, sizes = list[np.ndarray](), list[tuple[int, int]]()
        for row, video in enumerate(videos):
            frames = video.frames if isinstance(video, Film) else video
            _check_frames(frames)
            for place in places_of_some(len(frames)).tolist():
                picture = checked_picture(frames[place], f"video {row}")
                sizes.append((picture.shape[0], picture.shape[1]))
                # What is large is kept no longer than it takes.
                small = usual_size(sizes[-1:], max(size) if size else longest or LONGEST)
                found.append(resized(picture, *small))
        if not found:
            raise DataError("Video: expected at least one frame to fit, got none: give the training videos.")
        size = size or usual_size(sizes, longest or LONGEST, grow=longest is not None)
        return cls(Image.fit(found, size=size, colour=colour, steps="rows"), rate)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a frame."""
        height, width = self.image.size
        return height, width or 1

    @property
    def channels(self) -> int:
        """1 for grey, 3 for colours."""
        return self.image.channels

    @property
    def width(self) -> int:
        """The numbers of a frame."""
        return math.prod(self.size) * self.channels

    def encode(self, value: Film | Frames) -> np.ndarray:
        """The steps of a video, (frames, height * width * channels) float32.

        Args:
            value: frames of any size, each as `checked_picture` of `unrolled.fields.picture` takes it: an array
                (frames, height, width), or with 1, 3 or 4 channels, or a list of pictures; or a `Film`.

        Raises:
            DataError: a frame that is none, or a film without a rate.
        """
        frames = film_frames(value, self.rate, "Video") if isinstance(value, Film) else value
        _check_frames(frames)
        return self.encode_each(frames, len(frames))

    def encode_each(self, frames: Iterable[np.ndarray], count: int) -> np.ndarray:
        """The steps (count, width) of so many frames, which are taken one by one and not kept."""
        steps, last = np.empty((count, self.width), np.float32), None
        for place, frame in zip(range(count), frames, strict=True):
            # One that stands is fitted in once.
            steps[place] = steps[place - 1] if frame is last else self.image.encode(frame).ravel()
            last = frame
        return steps

    def decode(self, array: np.ndarray) -> np.ndarray:
        """The frames of steps, (frames, height, width, channels) uint8; beyond black or white is cut.

        Raises:
            DataError: steps of another shape, or a value that is not finite.
        """
        steps = np.asarray(array)
        if steps.ndim != 2 or steps.shape[1] != self.width or not np.isfinite(steps).all():
            raise DataError(
                f"Video: expected finite numbers (frames, {self.width}), got {steps.dtype} {steps.shape}: give the "
                "steps of one video."
            )
        frames = np.empty((len(steps), *self.size, self.channels), np.uint8)
        for frame, step in zip(frames, steps, strict=True):
            frame[...] = self.image.decode(step.reshape(self.size[0], -1)).reshape(frame.shape)
        return frames

    def front(self) -> VideoFront:
        """A live front end for one video after another: frames as they come give the steps of the whole."""
        return VideoFront(self)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """One to six frames of the field's size."""
        frames = [self.image.draw(random) for _ in range(int(random.integers(1, 7)))]
        return np.stack(frames).reshape(-1, *self.size, self.channels)

    def say(self, value: Film | Frames) -> str:
        """The frames of the video, as in "12 frames of 32 x 32 pixels, colour"."""
        frames = value.frames if isinstance(value, Film) else value
        _check_frames(frames)
        count = f"{len(frames):,} frame{'' if len(frames) == 1 else 's'}"
        return f"{count} of {self.image.say(frames[0])}" if len(frames) else count

    def to_json(self) -> Json:
        """Plain JSON; `from_json` gives the field back."""
        return {"image": self.image.to_json(), "rate": self.rate}

    @classmethod
    def from_json(cls, data: Json) -> Video:
        """The field that `to_json` wrote. Raises `ModelFileError` for what does not fit together."""
        image = Image.from_json(typed(dict[str, object], data["image"], "image"))
        try:
            return cls(image, typed(float | None, data["rate"], "rate"))
        except OptionError as error:
            raise ModelFileError(f"load: {error}") from error


class VideoFront:
    """The frames of videos as they come, any number at a time."""

    def __init__(self, field: Video) -> None:
        self._field = field

    def push(self, piece: Frames) -> np.ndarray:
        """The steps (n, width) of the next frames, at the rate of the field."""
        return self._field.encode(piece)

    def flush(self) -> np.ndarray:
        return np.zeros((0, self._field.width), np.float32)


def places_of_some(count: int, most: int = SOME) -> np.ndarray:
    """Places of at most so many of `count` things, at equal distances, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _check_frames(frames: object) -> None:
    """Raises DataError for what is no array or list of frames; each of them is looked at when it is encoded."""
    shape = frames.shape if isinstance(frames, np.ndarray) else ()
    if not (isinstance(frames, list | tuple) or len(shape) in (3, 4)):
        came = f"{frames.dtype} {shape}" if isinstance(frames, np.ndarray) else type(frames).__name__
        raise DataError(
            "Video: expected frames as numbers (frames, height, width), or (frames, height, width, 1, 3 or 4), or a "
            f"list of pictures, got {came}: give one of these."
        )
