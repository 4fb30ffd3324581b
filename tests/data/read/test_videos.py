"""Lists and folders of videos: what each names, and what belongs to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from unrolled.data.read.video import VideoFile
from unrolled.data.read.videos import frame_folders, read_videos
from unrolled.errors import DataError


def touched(*paths: Path) -> list[Path]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return list(paths)


def test_a_table_names_files_and_folders_of_frames(tmp_path: Path) -> None:
    touched(tmp_path / "clips" / "a.mp4", tmp_path / "clips" / "b" / "1.png")
    (tmp_path / "list.csv").write_text("clip,label,more\nclips/a.mp4,up,1\nclips/b,down,2\n")
    found = read_videos(tmp_path / "list.csv")
    assert found.columns["video"] == [
        VideoFile(tmp_path / "clips" / "a.mp4", "line 2 of list.csv"),
        VideoFile(tmp_path / "clips" / "b", "line 3 of list.csv"),
    ]
    assert (found.columns["label"], list(found.columns)) == (["up", "down"], ["video", "label", "more"])
    (tmp_path / "list.csv").write_text("clip,label\nclips/c.mp4,up\n")
    with pytest.raises(DataError, match=r"^Line 2 of list\.csv: There is no file .*c\.mp4"):
        read_videos(tmp_path / "list.csv")


def test_texts_stand_in_a_table_or_beside_the_files(tmp_path: Path) -> None:
    touched(tmp_path / "a.mp4", tmp_path / "b.webm")
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(f"what {name} shows\n")
    found = read_videos(tmp_path)
    assert found.columns["text"] == ["what a shows", "what b shows"]
    assert found.columns["video"] == [VideoFile(tmp_path / name, name) for name in ("a.mp4", "b.webm")]
    rows = [{"video": tmp_path / "a.mp4", "caption": "a red square"}]
    assert read_videos(rows, text="caption").columns["text"] == ["a red square"]


def test_folders_of_classes_hold_files_or_folders_of_frames(tmp_path: Path) -> None:
    touched(tmp_path / "f" / "up" / "a.mp4", tmp_path / "f" / "down" / "b.avi")
    found = read_videos(tmp_path / "f")
    assert found.columns == {
        "video": [VideoFile(tmp_path / "f" / "down" / "b.avi", "down/b.avi"),
                  VideoFile(tmp_path / "f" / "up" / "a.mp4", "up/a.mp4")],
        "label": ["down", "up"],
    }  # fmt: skip
    pictures = [tmp_path / "g" / label / clip / f"{number}.png" for label in ("up", "down") for clip in ("c1", "c2")
                for number in (1, 2, 10)]  # fmt: skip
    touched(*pictures)
    found = read_videos(tmp_path / "g")
    assert [video.place for video in found.columns["video"]] == ["down/c1", "down/c2", "up/c1", "up/c2"]
    assert found.columns["label"] == ["down", "down", "up", "up"]
    assert found.places.of(2) == "up/c1"


def test_pictures_that_are_no_frames_are_no_folders_of_frames(tmp_path: Path) -> None:
    touched(tmp_path / "up" / "c1" / "1.png", tmp_path / "up" / "c1" / "2.png")
    assert frame_folders(tmp_path) == [tmp_path / "up" / "c1"]
    for strange in ("up/c1/front.png", "up/3.png", "up/c1/deep/4.png", "up/c1/notes.txt", "up/c2/1.png"):
        (path,) = touched(tmp_path / strange)
        assert frame_folders(tmp_path) == []
        path.unlink()
        if path.parent not in (tmp_path / "up", tmp_path / "up" / "c1"):
            path.parent.rmdir()
    assert frame_folders(tmp_path) == [tmp_path / "up" / "c1"]
    with pytest.raises(DataError, match=r"The folder 'c1' holds no videos: put \.mp4, \.m4v, .* files there"):
        read_videos(tmp_path / "up" / "c1")
