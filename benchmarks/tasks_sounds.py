"""Rows of speech: spoken digits as classes and joined to numbers, and names and numbers spelled out (an4)."""

from __future__ import annotations

import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import simple
from common import data_folder
from joined_digits import join_digits
from tasks_row import Contest, Score, notes

import unrolled as ur
from unrolled.data.read.audio import read_clip
from unrolled.data.read.manifests import read_recordings
from unrolled.data.read.records import read_records
from unrolled.fields import Audio, AudioOptions
from unrolled.fields.sound import Sound
from unrolled.tasks.recognize.report import RecognitionReport

__all__ = ["AN4", "LIVE", "UNHEARD", "an4", "an4_simple", "fsdd", "fsdd_joined"]

# For a speaker never heard: chosen by the mean accuracy on jackson, nicolas and yweweler, each left out in turn.
UNHEARD: dict[str, Any] = {
    "loudness": "peak", "frequency_warp": 0.1, "channel_decibels": 3.0, "hop": 0.02, "dropout": 0.4,
    "head_dropout": 0.5, "label_smoothing": 0.1, "epochs": 8, "batch_size": 64, "learning_rate": 3e-3,
}  # fmt: skip
# A small model over an4's 99 words, and its part in the search: chosen on speakers held out of the training part.
WORDS: dict[str, Any] = {
    "hidden_size": 128, "embedding_size": 128, "input_dropout": 0.4, "output_dropout": 0.4, "streams": 8, "epochs": 15,
}  # fmt: skip
FUSED: dict[str, Any] = {"beam": 16, "lm_weight": 0.5, "word_bonus": 3.0}
# Likewise, but for the epochs, which are as many as fit into the time.
AN4: dict[str, Any] = {
    "scaling": "recording", "speeds": [0.9, 1.1], "feature_noise": 0.3, "time_masks": 2, "time_mask": 12,
    "band_masks": 1, "band_mask": 2, "dropout": 0.3, "head_dropout": 0.3, "epochs": 20, "batch_size": 8,
    "warmup": 50, "weight_decay": 0.01,
}  # fmt: skip
LIVE: dict[str, Any] = AN4 | {"streaming": True, "scaling": "running", "hidden_size": 224, "time_masks": 1}
# Joined recordings: so many of the training part, so many of the test part.
TRAINED, TESTED = 1200, 300


def fsdd(speaker: str | None = None) -> Contest:
    """Spoken digits; speaker: the one who is not heard in training, None: all are."""
    return partial(digits, speaker), partial(digits_simple, speaker)


def fsdd_lists(folder: Path, speaker: str | None) -> list[Path]:
    """Lists of the training and the test recordings: the test is the first five of each, or all of one speaker."""
    with zipfile.ZipFile(data_folder("fsdd") / "recordings.zip") as archive:
        archive.extractall(folder)
    lists = {name: ["path,label\n"] for name in ("train", "test")}
    for path in sorted(folder.rglob("*.wav")):
        digit, who, index = path.stem.split("_")
        held = int(index) < 5 if speaker is None else who == speaker
        lists["test" if held else "train"].append(f"{path.relative_to(folder)},{digit}\n")
    for name, rows in lists.items():
        (folder / f"{name}.csv").write_text("".join(rows))
    return [folder / f"{name}.csv" for name in lists]


def digits(speaker: str | None, seed: int, **options: Any) -> Score:
    with tempfile.TemporaryDirectory() as folder:
        train, test = fsdd_lists(Path(folder), speaker)
        model = ur.Classifier(seed=seed, **options).fit(train)
        return Score("accuracy", model.evaluate(test).accuracy, notes(model))


def digits_simple(speaker: str | None) -> dict[str, float]:
    return {"MFCC + LR": cepstral_accuracy(speaker)}


def cepstral_accuracy(speaker: str | None) -> float:
    """Means of cepstral coefficients over five parts of each recording, and logistic regression."""
    with tempfile.TemporaryDirectory() as folder:
        parts = [read_recordings(path) for path in fsdd_lists(Path(folder), speaker)]
        field = Audio.fit([], AudioOptions(rate=8000, features="mfcc", normalise="none"))
        features = [[field.encode(read_clip(clip).samples) for clip in part.columns["audio"]] for part in parts]
        means = [np.stack([np.concatenate([piece.mean(0) for piece in np.array_split(one, 5)]) for one in part])
                 for part in features]  # fmt: skip
        labels = [part.columns["label"] for part in parts]
        return simple.logistic_accuracy(means[0], labels[0], means[1], labels[1])


def joined_parts() -> list[tuple[list[Sound], list[str]]]:
    """Numbers of three to seven digits, of the training and of the test recordings."""
    with tempfile.TemporaryDirectory() as folder:
        lists = fsdd_lists(Path(folder), None)
        return [
            joined(path, count, seed) for seed, (path, count) in enumerate(zip(lists, (TRAINED, TESTED), strict=True))
        ]


def joined(path: Path, count: int, seed: int) -> tuple[list[Sound], list[str]]:
    """So many numbers joined of the recordings of a list, and what is said in each."""
    spoken: dict[str, list[tuple[int, np.ndarray]]] = {}
    for clip in read_recordings(path).columns["audio"]:
        digit, speaker, _ = clip.path.stem.split("_")
        spoken.setdefault(speaker, []).append((int(digit), read_clip(clip).samples))
    random = np.random.default_rng(seed)
    both = [join_digits(spoken, random, rate=8000) for _ in range(count)]
    return [Sound(samples, 8000) for samples, _ in both], [text for _, text in both]


def fsdd_joined(seed: int, **options: Any) -> Score:
    """The greedy score, and that of a search among the words of the training part, which counts."""
    train, test = joined_parts()
    model = ur.Recognizer(seed=seed, **options).fit(*train)
    greedy = model.evaluate(*test)
    found = model.evaluate(*test, beam=8, lexicon="training")
    return word_errors(found, model, greedy=percents(greedy))


def percents(found: RecognitionReport) -> list[float]:
    """WER and CER."""
    return [round(100 * rate.rate, 2) for rate in (found.words, found.characters)]


def word_errors(found: RecognitionReport, model: ur.Recognizer, **more: Any) -> Score:
    """The word error rate in percent, and what is behind it."""
    told = {"CER": percents(found)[1], "words": found.words.to_json(), **more}
    return Score("WER", 100 * found.words.rate, {**told, **notes(model)})


def an4_files() -> list[Path]:
    return [data_folder("an4_mfcc") / f"{part}.npz" for part in ("train", "test")]


def an4(seed: int, **options: Any) -> Score:
    """The greedy score, and that of a search with a model over the words of the training part, which counts."""
    train, test = an4_files()
    model = ur.Recognizer(seed=seed, **options).fit(train, valid=0)
    lines = read_records(train.with_suffix(".tsv")).texts("text")
    words = ur.LanguageModel(split="space", lower=False, seed=seed, **WORDS).fit(
        [line or "" for line in lines], valid=0
    )
    greedy = model.evaluate(test)
    fused = model.evaluate(test, language_model=words, **FUSED)
    return word_errors(fused, model, greedy=percents(greedy))


def an4_simple() -> dict[str, float]:
    return {"greedy, a spike": 16.6}
