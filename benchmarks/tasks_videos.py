"""Rows of videos: moving shapes, as classes from real files, and in words, of combinations that are new in the test."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simple
from moving_shapes import FOLDS, RATE, actions, captions, write_video
from tasks_row import Score, notes

import unrolled as ur
from unrolled.data.read.video import VideoFile, read_frames
from unrolled.fields import Film

__all__ = ["ACTION", "CAPTIONS", "action", "action_simple", "captioned", "captioned_simple"]

# In half as many frames, which take half the time, a shape moves twice as far from one to the next.
ACTION: dict[str, Any] = {"video_rate": 4, "epochs": 16, "batch_size": 16}
TRAINED, TESTED = 1200, 600
CAPTIONS: dict[str, Any] = {"video_rate": 4, "epochs": 14}
TOLD, ASKED = 5000, 500
# Combinations of these folds are told in the test, and in it alone.
NEW = (0,)


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


def told_parts() -> list[tuple[list[Film], list[str]]]:
    """The training and the test part: films and what they show."""
    known = [fold for fold in range(FOLDS) if fold not in NEW]
    parts = [captions(TOLD, 1, folds=known), captions(ASKED, 2, folds=NEW)]
    return [([Film(video, RATE) for video in videos], told) for videos, told in parts]


def captioned(seed: int, **options: Any) -> Score:
    train, test = told_parts()
    model = ur.Captioner(seed=seed, **options).fit(*train, valid=0)
    found = model.evaluate(*test).scores
    return Score("exact match", found.exact, notes(model) | {"F1": round(found.f1, 4), "BLEU-4": round(found.bleu, 4)})


def captioned_simple() -> dict[str, float]:
    (_, told), (_, asked) = told_parts()
    usual = Counter(told).most_common(1)[0][0]
    return {"most frequent caption": sum(caption == usual for caption in asked) / len(asked)}
