"""Lists of videos with their labels or with what is said of them; frames are read when they are asked for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from unrolled.data.read.door import reader
from unrolled.data.read.files import Places
from unrolled.data.read.images import PICTURES
from unrolled.data.read.lines import visible_files
from unrolled.data.read.listing import FileKind, checked_folder, files_of_folder, files_of_table, there
from unrolled.data.read.records import Records
from unrolled.data.read.video import VIDEOS, VideoFile

__all__ = ["LISTED_VIDEOS", "frame_folders", "read_videos"]

LISTED_VIDEOS = FileKind(
    column="video", noun="video", short="video", plural="videos", endings=VIDEOS,
    paths=("video", "video_path", "clip", "path", "file", "file_name", "filename", "filepath"),
)  # fmt: skip


@reader
def read_videos(source: object, *, video: str | None = None, text: str | None = None) -> Records:
    """The videos that a list or a folder names, and what belongs to each.

    Args:
        source: one of
            a table (.jsonl, .csv, .tsv, .parquet, "-", or in memory: what `read_records` takes) with a column of paths,
            relative to the table, of video files or of folders of pictures; other columns stay;
            a folder of videos, each with what is said of it beside it, also in folders below: x.mp4 and x.txt;
            a folder with a folder of videos for each class, which are files, or folders of pictures.
        video: the column of paths of a table; None: video, video_path, clip, path, file, file_name, filename or
            filepath, whichever is there.
        text: the column of what is said of each; None: text, sentence or transcript, if one of them is there.

    Returns:
        Records with the columns "video" (a `VideoFile` each, for `read_frames`), "text" (str, None where missing) if
        there are such texts, "label" (str) of a folder of classes, and the other columns of a table. No video is
        opened.

    Raises:
        DataError: no such list, a video that is not there (its line is named), no column of paths or several, a
            video without a text, or files that are laid out otherwise.
    """
    folder = checked_folder(source, LISTED_VIDEOS, video, text)
    if folder is None:
        return files_of_table(source, LISTED_VIDEOS, video, text, _file)
    clips = frame_folders(folder)
    if not clips:
        return files_of_folder(folder, LISTED_VIDEOS, VideoFile)
    names = tuple(clip.relative_to(folder).as_posix() for clip in clips)
    videos = [VideoFile(clip, name) for clip, name in zip(clips, names, strict=True)]
    places = Places(folder.name, "file", np.arange(len(clips)), names)
    return Records({"video": videos, "label": [clip.parent.name for clip in clips]}, folder.name, places)


def frame_folders(folder: Path) -> list[Path]:
    """The folders of frames in the class folders of a folder; none where anything else stands in it.

    Frames are pictures whose names differ in their numbers alone, two at least in each folder.
    """
    files = visible_files(folder)
    if not files or any(
        file.suffix.lower() not in PICTURES or len(file.relative_to(folder).parts) != 3 for file in files
    ):
        return []
    clips = dict[Path, list[str]]()
    for file in files:
        clips.setdefault(file.parent, []).append(re.sub(r"\d+", "", file.name))
    numbered = all(len(names) > 1 and len(set(names)) == 1 for names in clips.values())
    return list(clips) if numbered else []


def _file(_: Records, __: int, path: Path, place: str) -> VideoFile:
    if path.is_dir():
        return VideoFile(path, place)
    return VideoFile(there(path, place, LISTED_VIDEOS), place)
