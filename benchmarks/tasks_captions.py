"""Rows of captions: emoji from their pictures, moving shapes from their videos."""

from __future__ import annotations

import csv
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import moving_shapes
import numpy as np
import simple
from common import data_folder
from tasks_row import Score, notes

import unrolled as ur
from unrolled.data.read.images import ImageFile, read_image
from unrolled.fields import Film
from unrolled.score.captions import caption_bleu, exact_matches, word_f1

__all__ = ["EMOJI", "SHAPES", "emoji", "emoji_simple", "shapes", "shapes_simple"]

# Estimates, not tuned yet; the pictures are 64 pixels wide, half of that is read.
EMOJI: dict[str, Any] = {
    "image_size": 32, "image_shift": 0.1, "image_degrees": 8, "image_stretch": 0.1, "image_light": 0.1, "epochs": 30,
}  # fmt: skip
# In half as many frames, which take half the time, a shape moves twice as far from one to the next.
SHAPES: dict[str, Any] = {"video_rate": 4, "epochs": 14}
TRAINED, TESTED = 4000, 500
# Combinations of a shape, a colour and a direction in this part are seen in no training video.
UNSEEN = (0,)


def emoji(seed: int, **options: Any) -> Score:
    """F1 of the words between spaces, in lower case, as the nearest picture is scored."""
    with tempfile.TemporaryDirectory() as folder:
        images = unpacked(Path(folder))
        source = data_folder("emoji_captions_twemoji") / "captions.csv"
        model = ur.Captioner(seed=seed, **options).fit(source, images=images, part="train", valid=0)
        said = model.predict(source, images=images, part="test")
        report = model.evaluate(source, images=images, part="test")
    truth = emoji_captions("test")
    scores = report.scores._asdict() | {"bleu_of_spaced": caption_bleu(said, truth, split=spaced)}
    more = {name: round(value, 4) for name, value in scores.items()}
    return Score("token F1", word_f1(said, truth, split=spaced), more | notes(model))


def emoji_simple() -> dict[str, float]:
    """The caption of the training picture that is nearest in its 16 x 16 colours."""
    with tempfile.TemporaryDirectory() as folder:
        images = unpacked(Path(folder))
        small = {
            part: np.stack([shrunk(images / name) for name in emoji_column("image", part)])
            for part in ("train", "test")
        }
    nearest = simple.nearest_rows(small["train"], small["test"])
    known, truth = emoji_captions("train"), emoji_captions("test")
    said = [known[row] for row in nearest]
    return {
        "nearest picture": word_f1(said, truth, split=spaced),
        "nearest picture, BLEU": caption_bleu(said, truth, split=spaced),
        "nearest picture, each word once": word_f1(said, truth, split=lambda text: sorted(set(spaced(text)))),
    }


def shapes(seed: int, **options: Any) -> Score:
    """Exact matches on videos in which every shape is of a combination that no training video holds."""
    model = ur.Captioner(seed=seed, **options).fit(*films(moving_shapes.captions(TRAINED, 1)), valid=0)
    seen = films(moving_shapes.captions(TESTED, 3))
    scores = model.evaluate(*films(moving_shapes.captions(TESTED, 2, folds=UNSEEN))).scores
    more = {"bleu": round(scores.bleu, 4), "f1": round(scores.f1, 4), "seen": model.evaluate(*seen).scores.exact}
    return Score("exact match", scores.exact, more | notes(model))


def films(told: tuple[list[np.ndarray], list[str]]) -> tuple[list[Film], list[str]]:
    """The videos with their rate, and their captions."""
    videos, captions = told
    return [Film(video, moving_shapes.RATE) for video in videos], captions


def shapes_simple() -> dict[str, float]:
    """The caption that is most frequent in training."""
    _, known = moving_shapes.captions(TRAINED, 1)
    _, truth = moving_shapes.captions(TESTED, 2, folds=UNSEEN)
    return {"most frequent": exact_matches([simple.most_frequent(known)] * len(truth), truth)}


def spaced(text: str) -> Sequence[str]:
    """What stands between spaces, in lower case."""
    return text.lower().split()


def unpacked(folder: Path) -> Path:
    """The folder of the pictures of emoji, unpacked below `folder`."""
    with zipfile.ZipFile(data_folder("emoji_captions_twemoji") / "images.zip") as archive:
        archive.extractall(folder)
    return folder / "images"


def emoji_column(name: str, part: str) -> list[str]:
    with (data_folder("emoji_captions_twemoji") / "captions.csv").open(encoding="utf-8", newline="") as file:
        return [row[name] for row in csv.DictReader(file) if row["split"] == part]


def emoji_captions(part: str) -> list[str]:
    return emoji_column("caption", part)


def shrunk(file: Path) -> np.ndarray:
    """The colours of a picture of 64 x 64 on white, as those of 16 x 16, in one row of numbers."""
    return read_image(ImageFile(file)).reshape(16, 4, 16, 4, 3).mean((1, 3)).reshape(-1)
