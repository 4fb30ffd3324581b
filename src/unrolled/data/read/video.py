"""Videos as frames: files, and folders of pictures, sampled at a rate and decoded when they are asked for."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, NamedTuple, cast

import numpy as np

from unrolled.data.read.door import reader, require_file
from unrolled.data.read.images import MOST_PIXELS, PICTURES, ImageFile, read_image
from unrolled.errors import DataError, OptionError, said_by
from unrolled.fields.film import sampled, sampled_count
from unrolled.fields.picture import checked_picture

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

__all__ = [
    "MOST_FRAMES",
    "VIDEOS",
    "VideoFile",
    "VideoSize",
    "check_length",
    "frame_files",
    "measure_video",
    "read_frames",
    "video_name",
]

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".webm", ".mkv", ".mpg", ".mpeg", ".ogv", ".gif")
"""The endings of files that folders are searched for."""

MOST_FRAMES = 10_000
"""A video of more frames, at the rate at which it is read, is refused before it is decoded."""

# A file is read for itself alone: whatever it names elsewhere is not opened.
_FOREIGN = {"protocol_whitelist": "pipe"}
# A file that ends so many seconds, and two of its frames, before its head says is cut short.
_LOST = Fraction(1, 2)
# Frames a second of a file that does not say.
_USUAL = Fraction(25)


class VideoFile(NamedTuple):
    """A video that is not yet decoded: a file, or a folder whose pictures are its frames, and where it was named.

    place: for messages: "line 3 of a.csv", or "".
    """

    path: Path
    place: str = ""


class VideoSize(NamedTuple):
    """What is known of a video before it is decoded.

    frames: how many there are. seconds: how long they are shown; None where nobody knows, as of pictures in a folder.
    """

    frames: int
    seconds: Fraction | None

    @property
    def rate(self) -> Fraction | None:
        """Frames a second, on average; None where nobody knows."""
        return self.frames / self.seconds if self.seconds else None

    def length(self, rate: Fraction | None) -> int:
        """The frames that `read_frames` gives at so many a second; None: those that there are."""
        if rate is None or self.seconds is None or not self.frames:
            return self.frames
        return sampled_count(self.seconds, rate)


class _Shown(NamedTuple):
    """When the frames of a file are shown, rising, and how long all of them are."""

    times: list[Fraction]
    seconds: Fraction


def video_name(file: VideoFile) -> str:
    """How messages name a video: its file, and where that was named."""
    name, place = file.path.name, file.place
    return place if place.rpartition("/")[2] == name else f"{name} ({place})" if place else name


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of the numbers in their names: 2.png stands before 10.png."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith(".")]
    return sorted(files, key=lambda file: (_in_order(file.name), file.name))


def check_length(count: int, name: str) -> None:
    """Raises `DataError` for a video of more frames than `MOST_FRAMES`."""
    if count > MOST_FRAMES:
        raise DataError(
            f"{name}: expected a video of at most {MOST_FRAMES:,} frames at the rate at which it is read, got "
            f"{count:,}: read it at a lower rate, or cut it into parts."
        )


def measure_video(file: VideoFile) -> VideoSize:
    """The frames of a video, and how long it is: none of them is decoded.

    Raises what `read_frames` does, but for what only the frames tell.
    """
    return _measured(file.path, file)


def read_frames(file: VideoFile, rate: Fraction | None = None) -> Iterator[np.ndarray]:
    """The frames of a video one by one, decoded as they are asked for: (height, width, 1 or 3) uint8.

    At the instant k / rate from its beginning it is the frame that is shown then, so a video of any rate, also of one
    that varies, is seen as fast as it is; a frame that stands longer comes again, the same array. Frames are turned as
    the camera says, and what shines through stands on white. The pictures of a folder come as they are, each once.

    Args:
        file: the video.
        rate: frames a second; None: each frame once, however long it stands.

    Raises:
        DataError: no such file, no video, one cut short or broken, without a frame, of more than `MOST_FRAMES` at that
            rate, or of frames of more than `MOST_PIXELS` pixels.
        OptionError: PyAV, or Pillow for pictures in a folder, is not installed.
    """
    return _read(file.path, file, rate)


@reader
def _measured(path: Path, file: VideoFile) -> VideoSize:
    if _there(file).is_dir():
        return VideoSize(len(_pictures_of(file)), None)
    with _opened(file) as (container, stream):
        shown = _shown(container, stream, video_name(file))
    return VideoSize(len(shown.times), shown.seconds)


@reader
def _read(path: Path, file: VideoFile, rate: Fraction | None) -> Iterator[np.ndarray]:
    name = video_name(file)
    if _there(file).is_dir():
        pictures = _pictures_of(file)
        check_length(len(pictures), name)
        for picture in pictures:
            yield read_image(ImageFile(picture, f"{name}/{picture.name}"))
        return
    with _opened(file) as (container, stream):
        shown = _shown(container, stream, name)
    count = VideoSize(len(shown.times), shown.seconds).length(rate)
    check_length(count, name)
    wanted = shown.times if rate is None else [shown.times[0] + k / rate for k in range(count)]
    with _opened(file) as (container, stream):
        last, pixels = None, np.zeros(0, np.uint8)
        for frame in sampled(_decoded(container, stream, shown, name), wanted):
            if frame is not last:
                last, pixels = frame, _pixels(frame, name)
            yield pixels


def _pictures_of(file: VideoFile) -> list[Path]:
    pictures = frame_files(file.path)
    if not pictures:
        name = video_name(file)
        raise DataError(f"{name} is a folder without pictures, but expected the frames of a video: put them there.")
    return pictures


def _shown(container: InputContainer, stream: VideoStream, name: str) -> _Shown:
    """When each frame is shown, by the packets of the file."""
    tick, found, ends = _tick(stream), list[tuple[Fraction | None, Fraction]](), [Fraction(0), Fraction(0)]
    for packet in container.demux():
        if not packet.size:
            continue
        if packet.is_corrupt:
            raise DataError(f"{name} is cut short: its last frame is not whole; get the whole file.")
        base, own = packet.time_base or tick, packet.stream_index == stream.index
        time, duration = None if packet.pts is None else packet.pts * base, (packet.duration or 0) * base
        ends = [max(end, (time or 0) + duration) if own or every else end for every, end in enumerate(ends)]
        if own and not packet.is_discard:
            found.append((time, duration))
    if not found:
        raise DataError(f"{name} holds no frames: record it again, or leave it out.")
    each = 1 / (stream.guessed_rate or stream.average_rate or _USUAL)
    told = sorted((time, duration) for time, duration in found if time is not None)
    if len(told) < len(found):
        # Some old files number no frames: they are shown one after another.
        told = [(index * each, each) for index in range(len(found))]
        ends = [max(end, len(found) * each) for end in ends]
    times = [time for time, _ in told]
    # A head says how long this stream is, or how long the longest of all is.
    if stream.duration is not None:
        _check_whole(times, ends[0] - times[0], stream.duration * tick, name)
    elif container.duration is not None:
        _check_whole(times, ends[1], Fraction(container.duration, 1_000_000), name)
    # Where nobody says how long the last frame stands, it is as long as the one before it.
    last = told[-1][1] or (times[-1] - times[-2] if len(times) > 1 else each)
    return _Shown(times, max(times[-1] + last - times[0], tick))


def _tick(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 1000)


def _check_whole(times: list[Fraction], there: Fraction, claimed: Fraction, name: str) -> None:
    """Raises DataError where a file says that it is longer than what is in it."""
    longest = max((after - before for before, after in itertools.pairwise(times)), default=Fraction(0))
    if claimed - there > _LOST + 2 * longest:
        raise DataError(
            f"{name} is cut short: {float(there):.2f} s are left of {float(claimed):.2f}; get the whole file."
        )


def _decoded(
    container: InputContainer, stream: VideoStream, shown: _Shown, name: str
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """The frames, and when each is shown."""
    at, count = shown.times[0], 0
    frames = container.decode(stream)
    while True:
        try:
            frame = next(frames, None)
        except _package().FFmpegError as error:
            raise DataError(
                f"{name} is broken after {float(at - shown.times[0]):.2f} s ({_said(error)}): get the whole file."
            ) from error
        if frame is None:
            break
        at = shown.times[min(count, len(shown.times) - 1)] if frame.pts is None else frame.pts * _tick(stream)
        count += 1
        yield at, frame
    if not count:
        raise DataError(f"{name} holds no frame that can be decoded: record it again, or leave it out.")


def _pixels(frame: VideoFrame, name: str) -> np.ndarray:
    """(height, width, 3), turned as the camera says; what shines through stands on white."""
    _check_pixels(frame.height, frame.width, name)
    shines = any(part.is_alpha for part in frame.format.components)
    pixels = checked_picture(frame.to_ndarray(format="rgba" if shines else "rgb24"), name)
    return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))


@contextmanager
def _opened(file: VideoFile) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The file and its first video, not decoded; whatever goes wrong with it in there is told."""
    package, name, path = _package(), video_name(file), _there(file)
    try:
        with path.open("rb") as source, _container(package, source) as container:
            if not container.streams.video:
                what = "sound, but no video" if container.streams.audio else "no video"
                raise DataError(f"{name} holds {what}: give a video, or leave it out.")
            stream = container.streams.video[0]
            # Where the kind is unknown there is none, whatever the types of the package say.
            if cast("object", stream.codec_context) is None:
                raise DataError(f"{name} holds a video of a kind that is unknown here: convert it, such as to .mp4.")
            _check_pixels(stream.height, stream.width, name)
            yield container, stream
    except package.FFmpegError as error:
        raise DataError(
            f"{name} cannot be read as a video ({_said(error)}): check that it is a whole video file, such as .mp4, "
            ".webm, .avi or .gif."
        ) from error


def _container(package: ModuleType, source: IO[bytes]) -> InputContainer:
    container: InputContainer = package.open(source, options=dict(_FOREIGN), metadata_errors="ignore")
    return container


def _there(file: VideoFile) -> Path:
    try:
        path = require_file(file.path)
    except DataError as error:
        place = file.place
        raise DataError(f"{place[:1].upper()}{place[1:]}: {error}" if place else str(error)) from error
    if path.is_file() and not path.stat().st_size:
        raise DataError(f"{video_name(file)} is empty: get the whole file.")
    return path


def _check_pixels(height: int, width: int, name: str) -> None:
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{name}: expected frames of at most {MOST_PIXELS:,} pixels, got {width:,} x {height:,}: make it smaller."
        )


def _in_order(name: str) -> list[tuple[int, str]]:
    """The parts of a name, numbers by their values."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name) if part]


def _said(error: Exception) -> str:
    """What FFmpeg says, without its number and the file."""
    said = str(getattr(error, "strerror", "")) or said_by(error)
    return said.rstrip(".")


def _package() -> ModuleType:
    try:
        import av
    except (ModuleNotFoundError, OSError) as error:
        raise OptionError(
            'Reading videos needs the package PyAV, which is not installed: pip install "unrolled[video]".'
        ) from error
    package: ModuleType = av
    return package
