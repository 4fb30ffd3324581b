"""The options of videos: how they are read, and what training makes of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from unrolled.data.read.video import VideoSize
from unrolled.fields.image import Colour
from unrolled.fields.video import Video
from unrolled.nn.reading.picture import PictureNet
from unrolled.nn.reading.reader import Reader
from unrolled.nn.reading.varied import VariedReader
from unrolled.nn.reading.video import VideoReader
from unrolled.options import Options

__all__ = ["VideoOptions"]

Pixels = Annotated[int, Field(ge=1, le=4096)]


class VideoOptions(Options):
    """How a task reads videos, see `Video` and `VideoReader`, and what training makes of each, see `VariedReader`.

    video_rate: of videos that have fewer frames a second, by the middle one of the training part, it is theirs, where
    it is not given. video_flip, video_shift, video_light: the same for all frames of a video.
    """

    video_size: Pixels | tuple[Pixels, Pixels] | None = Field(
        default=None, description="Pixels of the longer side of a frame; or height and width.  [at most 64]"
    )
    video_colour: Colour | None = Field(default=None, description="Read in grey or colour.  [by the videos]")
    video_rate: float | None = Field(
        default=10.0, gt=0, le=1000, description="Frames a second that are seen; None: each frame once."
    )
    video_widths: tuple[Pixels, ...] = Field(
        default=(16, 32, 64), min_length=1, max_length=8, description="Features after each convolution over a frame."
    )
    video_features: Pixels = Field(default=128, description="Features of the vector of a frame.")
    video_motion: bool = Field(default=True, description="See what has changed since the frame before, too.")
    video_flip: bool = Field(default=False, description="Videos mirrored in training, left and right, every second.")
    video_shift: float = Field(default=0.0, ge=0, le=1, description="Videos moved in training, by up to this part.")
    video_light: float = Field(default=0.0, ge=0, le=10, description="Brightness and contrast changed in training.")

    @property
    def size(self) -> tuple[tuple[int, int] | None, int | None]:
        """Height and width, or the longer side; None of what was not asked for."""
        asked = self.video_size
        return (asked, None) if isinstance(asked, tuple) else (None, asked)

    def rate_of(self, sizes: Sequence[VideoSize]) -> float | None:
        """The frames a second at which these videos are read."""
        if "video_rate" in self.model_fields_set or self.video_rate is None:
            return self.video_rate
        known = sorted(size.rate for size in sizes if size.rate is not None)
        return min(self.video_rate, float(known[(len(known) - 1) // 2])) if known else None

    def reader(self, field: Video, dropout: float) -> Reader:
        """What reads the frames of a field."""
        (height, width), channels = field.size, field.channels
        net = PictureNet(channels * (1 + self.video_motion), self.video_widths)
        plain = VideoReader(net, height, width, self.video_features, motion=self.video_motion, dropout=dropout)
        return VariedReader(
            plain, height, channels, by="frames", flip=self.video_flip, shift=self.video_shift, light=self.video_light
        )
