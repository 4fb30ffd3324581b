"""Rows of videos: moving shapes, from real files, told as classes."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simple
from moving_shapes import actions, write_video
from tasks_row import Score, notes

import unrolled as ur
from unrolled.data.read.video import VideoFile, read_frames

__all__ = ["ACTION", "action", "action_simple"]

# In half as many frames, which take half the time, a shape moves twice as far from one to the next.
ACTION: dict[str, Any] = {"video_rate": 4, "epochs": 30, "batch_size": 16, "learning_rate": 3e-3}
TRAINED, TESTED = 2400, 600


def written(folder: Path, count: int, seed: int) -> Path:
    """A folder with a folder of .mp4 files for each class."""
    videos, labels = actions(count, seed)
    for number, (video, label) in enumerate(zip(videos, labels, strict=True)):
        path = folder / label / f"{number:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, video)
    return folder


def written_parts(folder: Path) -> list[Path]:
    """The folders of the training and of the test part."""
    return [written(folder / "train", TRAINED, 1), written(folder / "test", TESTED, 2)]


def action(seed: int, **options: Any) -> Score:
    with tempfile.TemporaryDirectory() as folder:
        train, test = written_parts(Path(folder))
        model = ur.Classifier(seed=seed, **options).fit(train, valid=0)
        return Score("accuracy", model.evaluate(test).accuracy, notes(model))


def action_simple() -> dict[str, float]:
    """Logistic regression on the mean of all frames of each video."""
    with tempfile.TemporaryDirectory() as folder:
        files = [sorted(part.rglob("*.mp4")) for part in written_parts(Path(folder))]
        means = [mean_frames(part) for part in files]
    labels = [[file.parent.name for file in part] for part in files]
    return {"mean frame + LR": simple.logistic_accuracy(means[0], labels[0], means[1], labels[1])}


def mean_frames(files: Sequence[Path]) -> np.ndarray:
    """(n, pixels): the mean of all frames of each file."""
    means = [np.mean([frame / 255 for frame in read_frames(VideoFile(file))], axis=0) for file in files]
    return np.stack(means).reshape(len(files), -1)
