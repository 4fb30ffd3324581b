"""Videos as inputs: files, folders of frames, tables that name them, frames in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol, Self, TypeAlias, TypeGuard, cast

import numpy as np

from unrolled.data.batch.examples import PaddedColumn, WordColumn
from unrolled.data.batch.lazy import MEGABYTE, LazyRagged
from unrolled.data.read.files import Places, suffix
from unrolled.data.read.images import ImageFile, measure_image
from unrolled.data.read.lines import visible_files
from unrolled.data.read.listing import first_path
from unrolled.data.read.sources import holds_columns, is_path
from unrolled.data.read.video import (
    VIDEOS,
    VideoFile,
    VideoSize,
    check_length,
    frame_files,
    measure_video,
    read_frames,
    video_name,
)
from unrolled.data.read.videos import LISTED_VIDEOS, frame_folders, read_videos
from unrolled.errors import DataError, OptionError
from unrolled.fields.film import Film, film_frames, film_seconds
from unrolled.fields.video import Video, VideoFront, places_of_some
from unrolled.inputs.augment import MaskOptions, masked
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Fields, Input, ReadSource
from unrolled.inputs.listed import ListWords, files_alone, with_what_belongs
from unrolled.inputs.series import SeriesInput
from unrolled.inputs.video_options import VideoOptions
from unrolled.nn.reading.reader import Reader
from unrolled.types import TABLES

__all__ = ["Footage", "VideoInput"]

Footage: TypeAlias = VideoFile | Film | np.ndarray
"""A file or folder, or frames in memory, with a rate or without one."""

WORDS = ListWords("videos", "videos", "what is said of each video", "texts")
# So many videos of the training part, spread over all of it, tell what frames are like: more are not decoded twice.
LOOKED_AT = 500


class VideoGroups(Protocol):
    """The options of a task that videos need."""

    @property
    def video(self) -> VideoOptions: ...
    @property
    def augment(self) -> MaskOptions: ...
    @property
    def reading_dropout(self) -> float | None: ...
    @property
    def feature_cache(self) -> float: ...


class VideoInput(Input[VideoGroups]):
    """Videos of any length, decoded from their files when a batch asks for their frames.

    cache: how many megabytes of frames, as the network takes them, are kept for the next time.
    """

    kind, field, lines, head_dropout = "videos", "video", False, SeriesInput.head_dropout
    encoder: ClassVar[Mapping[str, object]] = {"cell": "gru", "hidden_size": 128, "bidirectional": True}

    def __init__(self, videos: Sequence[Footage], cache: float) -> None:
        self.videos, self.cache = list(videos), cache
        self._column: tuple[Video, PaddedColumn] | None = None

    @cached_property
    def sizes(self) -> list[VideoSize]:
        """How long each video is, by what its file says. Raises `DataError` for what is no whole video."""
        return [_size(one, row) for row, one in enumerate(self.videos)]

    @classmethod
    def recognises(cls, source: object, columns: LabelColumns) -> bool:
        """Video files, animated .gif among them, folders most of whose files but texts are, or with folders of frames
        in a folder for each class, tables with a column of their paths, and lists of videos in memory."""
        if is_path(source) and Path(source).is_dir():
            return _holds_videos(Path(source))
        if is_path(source) and suffix(source) in VIDEOS:
            return _is_video(Path(source))
        if holds_columns(source) or (is_path(source) and suffix(source) in TABLES):
            # Who names a column of texts means them, though the table may name videos, too.
            first = None if columns.text is not None else first_path(source, LISTED_VIDEOS, columns.files)
            return first is not None and _is_video(first)
        return _are_videos(source)

    @classmethod
    def read(cls, source: object, columns: LabelColumns, options: VideoGroups, *, labelled: bool) -> ReadSource:
        if _are_videos(source):
            videos = [VideoFile(one) if isinstance(one, Path) else one for one in source]
            return ReadSource(cls.of(videos, options), Places("the videos", "row", np.arange(len(videos))), columns)
        if is_path(source) and (suffix(source) in VIDEOS or (Path(source).is_dir() and not labelled)):
            return cls._of_files(Path(source), columns, options)
        # What is said has one name in what is read, whatever its column was called.
        found = read_videos(source, video=columns.files, text=columns.label if columns.said and labelled else None)
        inputs, folder = cls.of(found.columns["video"], options), is_path(source) and Path(source).is_dir()
        return with_what_belongs(found, inputs, columns, WORDS, labelled=labelled, by_folder=folder)

    @classmethod
    def _of_files(cls, path: Path, columns: LabelColumns, options: VideoGroups) -> ReadSource:
        """A video file, or all videos that stand in a folder and below it, whatever they are of."""
        files = [path]
        if path.is_dir():
            files = frame_folders(path) or [file for file in visible_files(path) if suffix(file) in VIDEOS]
        videos, places = files_alone(path, files, VideoFile)
        return ReadSource(cls.of(videos, options), places, columns, filed=True)

    @classmethod
    def of(cls, values: Sequence[Footage], options: VideoGroups) -> Self:
        return cls(values, options.feature_cache)

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def filled(self) -> np.ndarray:
        return np.array([size.frames > 0 for size in self.sizes], bool)

    def fit(self, rows: np.ndarray, options: VideoGroups) -> Fields:
        chosen = options.video
        # Whatever is no video is told before any is decoded.
        rate = chosen.rate_of([self.sizes[row] for row in rows.tolist()])
        some = rows[places_of_some(len(rows), LOOKED_AT)].tolist()
        size, longest = chosen.size
        seen = (self._some(row, rate) for row in some)
        return {"video": Video.fit(seen, size=size, longest=longest, colour=chosen.video_colour, rate=rate)}

    def column(self, fields: Fields) -> tuple[PaddedColumn | WordColumn, np.ndarray]:
        field: Video = fields["video"]
        if self._column is None or self._column[0] is not field:
            rate = None if field.rate is None else Fraction(field.rate)
            lengths = [size.length(rate) for size in self.sizes]
            for row, length in enumerate(lengths):
                check_length(length, _name(self.videos[row], row))
            made, room = _Steps(self.videos, field, lengths), int(self.cache * MEGABYTE)
            ragged = LazyRagged(made.of, lengths, room=room, name=made.name, shape=(field.width,))
            self._column = field, PaddedColumn(ragged)
        column = self._column[1]
        return column, column.ragged.lengths

    def _some(self, row: int, rate: float | None) -> list[np.ndarray]:
        """A few frames of a video."""
        count = self.sizes[row].length(None if rate is None else Fraction(rate))
        check_length(count, _name(self.videos[row], row))
        wanted = set(places_of_some(count).tolist())
        return [frame for place, frame in enumerate(_frames(self.videos[row], row, rate)) if place in wanted]

    def width(self, options: VideoGroups) -> int | None:
        return None

    @classmethod
    def reader(cls, inputs: Self | None, fields: Fields, options: VideoGroups, width: int | None) -> Reader:
        if options.augment.perturbs or options.augment.changes_speed:
            raise OptionError(
                "Speeds, warping, channel, gain and noise in decibels are of sounds, got videos; leave them out, or "
                "choose video_shift, video_light or video_flip."
            )
        return masked(options.video.reader(fields["video"], options.reading_dropout or 0.0), options.augment)

    @classmethod
    def say(cls, fields: Fields) -> list[str]:
        field: Video = fields["video"]
        height, width = field.size
        seen = "each frame once" if field.rate is None else f"{field.rate:.4g} frames a second"
        return [f"videos, {width} x {height} pixels in {'grey' if field.channels == 1 else 'colours'}, {seen}"]

    @classmethod
    def seconds(cls, fields: Fields) -> float | None:
        rate: float | None = fields["video"].rate
        return None if rate is None else 1 / rate

    def pictured(self, row: int, fields: Fields) -> np.ndarray:
        """The frames as the network sees them: at the rate, in the size and the colours of the field."""
        field: Video = fields["video"]
        steps = cast("PaddedColumn", self.column(fields)[0]).ragged[row]
        return field.decode(steps) / 255

    @classmethod
    def front(cls, fields: Fields) -> VideoFront:
        """Takes the next frames, at the rate of the field."""
        field: Video = fields["video"]
        return field.front()

    @classmethod
    def made_up(cls, fields: Fields, options: VideoGroups, draw: Sequence[np.random.Generator]) -> Self:
        return cls([fields["video"].draw(random) for random in draw], options.feature_cache)


@dataclass(frozen=True, eq=False)
class _Steps:
    """The frames of each video as the network takes them, made when they are asked for."""

    videos: Sequence[Footage]
    field: Video
    lengths: Sequence[int]

    def of(self, row: int) -> np.ndarray:
        return self.field.encode_each(_frames(self.videos[row], row, self.field.rate), self.lengths[row])

    def name(self, row: int) -> str:
        return _name(self.videos[row], row)


def _frames(video: Footage, row: int, rate: float | None) -> Iterable[np.ndarray]:
    """The frames of a video at a rate, one by one."""
    if isinstance(video, VideoFile):
        return read_frames(video, None if rate is None else Fraction(rate))
    return film_frames(video, rate, _name(video, row)) if isinstance(video, Film) else video


def _name(video: Footage, row: int) -> str:
    return video_name(video) if isinstance(video, VideoFile) else f"video {row}"


def _size(video: Footage, row: int) -> VideoSize:
    if isinstance(video, VideoFile):
        return measure_video(video)
    if isinstance(video, Film):
        return VideoSize(len(video.frames), film_seconds(video, f"video {row}"))
    return VideoSize(len(video), None)


def _holds_videos(folder: Path) -> bool:
    """Whether most of the files of a folder, but texts, are videos, or its pictures the frames of some."""
    files = [file for file in visible_files(folder) if file.suffix.lower() != ".txt"]
    videos = [file for file in files if file.suffix.lower() in VIDEOS]
    if 2 * len(videos) > len(files):
        return _is_video(videos[0])
    return bool(frame_folders(folder))


def _is_video(path: Path) -> bool:
    """Whether a file of an ending of videos, or a folder of pictures, is one: a .gif of one picture is none."""
    if path.is_dir():
        return bool(frame_files(path))
    if path.suffix.lower() != ".gif" or not path.is_file():
        return path.suffix.lower() in VIDEOS
    try:
        return measure_image(ImageFile(path)).several
    except DataError:
        return False


def _are_videos(source: object) -> TypeGuard[Sequence[Footage | Path]]:
    """Whether it is a list of videos, or one array of them, by the first."""
    if isinstance(source, np.ndarray) and source.dtype != object:
        return source.ndim == 5
    return isinstance(source, list | tuple | np.ndarray) and len(source) > 0 and _is_footage(source[0])


def _is_footage(value: object) -> bool:
    if isinstance(value, VideoFile | Film):
        return True
    if isinstance(value, Path):
        return value.suffix.lower() in VIDEOS or value.is_dir()
    return isinstance(value, np.ndarray) and value.ndim == 4 and value.shape[3] in (1, 3, 4)
