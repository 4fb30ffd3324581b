"""A training that was stopped and resumed ends as one that never was, in either of its two stages."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.errors import OptionError
from unrolled.fields.sound import Sound
from unrolled.model import load
from unrolled.tasks import Captioner, Classifier, Composer, LanguageModel, Tagger, Translator

# Every step can be gone on from, and what is dropped is drawn: a resumed run must draw on.
KEPT: dict[str, Any] = {"epochs": 2, "checkpoint_every_steps": 1, "head_dropout": 0.2}
# All that training does to sounds, of whose features 1 kB is kept.
HEARD: dict[str, Any] = {
    "frequency_warp": 0.2, "channel_decibels": 3.0, "gain_decibels": 3.0, "noise_decibels": 10.0, "speeds": [0.9],
    "time_masks": 1, "time_mask": 2, "band_masks": 1, "band_mask": 2, "feature_noise": 0.1, "mels": 8,
    "feature_cache": 0.001,
}  # fmt: skip


def sounds(count: int) -> tuple[list[Sound], list[str]]:
    """Low and high tones of up to a tenth of a second."""
    random, heard = np.random.default_rng(0), list[Sound]()
    for i in range(count):
        turns = np.arange(int(random.integers(400, 800))) * (0.05, 0.2)[i % 2]
        heard.append(Sound(np.sin(2 * np.pi * turns).astype(np.float32), 8000))
    return heard, [("low", "high")[i % 2] for i in range(count)]


def melodies(count: int) -> list[list[list[int]]]:
    """Pieces of one voice, of four to eight steps."""
    random = np.random.default_rng(0)
    return [[[int(pitch)] for pitch in random.integers(50, 70, random.integers(4, 9))] for _ in range(count)]


# All that training does to videos, of whose frames 1 kB is kept.
WATCHED: dict[str, Any] = {
    "video_flip": True, "video_shift": 0.2, "video_light": 0.3, "video_widths": [4], "video_features": 6,
    "feature_cache": 0.001,
}  # fmt: skip


def films(count: int) -> tuple[list[np.ndarray], list[str]]:
    """A spot on noise that goes up or down."""
    random, seen = np.random.default_rng(0), list[np.ndarray]()
    for i in range(count):
        video = random.integers(0, 60, (int(random.integers(3, 7)), 6, 6, 1), dtype=np.uint8)
        for place, frame in enumerate(video[:: 1 if i % 2 else -1]):
            frame[place, 2:4] = 250
        seen.append(video)
    return seen, [("up", "down")[i % 2] for i in range(count)]


MAKERS: dict[str, Callable[[Any], tuple[Any, tuple[Any, ...]]]] = {
    "classify": lambda toys: (Classifier(**{**toys.quick, **KEPT, "epochs": 3, "patience": 2}), toys.reviews(40)),
    "sounds": lambda toys: (Classifier(**{**toys.series, **KEPT, **HEARD, "batch_size": 4}), sounds(16)),
    "videos": lambda toys: (Classifier(**{**toys.series, **KEPT, **WATCHED, "batch_size": 4}), films(16)),
    "captions": lambda toys: (
        Captioner(
            hidden_size=6,
            embedding_size=4,
            batch_size=4,
            epochs=2,
            checkpoint_every_steps=1,
            image_widths=[4],
            image_shift=0.2,
            image_flip=True,
            image_light=0.2,
            feature_cache=0.001,
        ),
        ([video[0] for video in films(12)[0]], [[text, f"it is {text}"] for text in films(12)[1]]),
    ),
    "tag": lambda toys: (Tagger(**{**toys.tags, **KEPT}), (toys.names(30),)),
    "language": lambda toys: (
        LanguageModel(**{**toys.running, "epochs": 2, "output_dropout": 0.2, "checkpoint_every_steps": 1}),
        (toys.rhymes(30),),
    ),
    "compose": lambda toys: (
        Composer(
            hidden_size=6, voicing_size=4, batch_size=4, epochs=2, notes_transpose_rate=0.5, checkpoint_every_steps=1
        ),
        (melodies(16),),
    ),
    "translate": lambda toys: (Translator(**{**toys.pairs, **KEPT}), toys.reversals(60)),
}


def same(one: Any, two: Any) -> None:
    """The same weights bit for bit, the same fields, the same notes."""
    first, second = (model.fitted().state_dict() for model in (one, two))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert one.pack()[0] == two.pack()[0]


def stopping(stage: int, step: int) -> Callable[[Any], None]:
    """A callback that presses Ctrl-C at a step of the first or the second stage."""
    stages = [0]

    def press(event: Any) -> None:
        stages[0] += event.kind == "start"
        if event.kind == "step" and stages[0] == stage and event.step == step:
            raise KeyboardInterrupt

    return press


@pytest.mark.parametrize("task", list(MAKERS))
def test_a_stopped_training_goes_on_as_if_it_had_not_been(task: str, toys: SimpleNamespace, tmp_path: Path) -> None:
    pytest.importorskip({"sounds": "soxr", "videos": "PIL", "captions": "PIL"}.get(task, "numpy"))
    model, data = MAKERS[task](toys)
    whole = model.fit(*data, refit=True, run=tmp_path / "whole")
    for stage, step in ((1, 2), (2, 2)):
        run = tmp_path / f"stage{stage}"
        stopped, _ = MAKERS[task](toys)
        with pytest.raises(KeyboardInterrupt):
            stopped.fit(*data, refit=True, run=run, callbacks=[stopping(stage, step)])
        resumed = MAKERS[task](toys)[0].fit(*data, refit=True, run=run, resume=True)
        same(resumed, whole)
        same(load(run), whole)


def test_stopped_twice_and_resumed_twice(toys: SimpleNamespace, tmp_path: Path) -> None:
    model, data = MAKERS["classify"](toys)
    whole = model.fit(*data)
    with pytest.raises(KeyboardInterrupt):
        MAKERS["classify"](toys)[0].fit(*data, run=tmp_path / "run", callbacks=[stopping(1, 3)])
    with pytest.raises(KeyboardInterrupt):
        MAKERS["classify"](toys)[0].fit(*data, run=tmp_path / "run", resume=True, callbacks=[stopping(2, 1)])
    same(MAKERS["classify"](toys)[0].fit(*data, run=tmp_path / "run", resume=True), whole)
    # Resuming what has ended changes nothing.
    same(MAKERS["classify"](toys)[0].fit(*data, run=tmp_path / "run", resume=True), whole)


def test_a_run_under_way_can_be_used(toys: SimpleNamespace, tmp_path: Path) -> None:
    model, (texts, labels) = MAKERS["classify"](toys)
    with pytest.raises(KeyboardInterrupt):
        model.fit(texts, labels, run=tmp_path / "run", callbacks=[stopping(2, 1)])
    early = load(tmp_path / "run")
    assert isinstance(early, Classifier)
    assert len(early.predict(texts)) == 40


def test_a_run_goes_on_only_as_what_it_was(toys: SimpleNamespace, tmp_path: Path) -> None:
    model, (texts, labels) = MAKERS["classify"](toys)
    model.fit(texts, labels, run=tmp_path / "run")
    with pytest.raises(OptionError, match="earlier run"):
        model.fit(texts, labels, run=tmp_path / "run")
    with pytest.raises(OptionError, match="data differs"):
        model.fit(texts[1:], labels[1:], run=tmp_path / "run", resume=True)
    with pytest.raises(OptionError, match="resume=True needs run="):
        model.fit(texts, labels, resume=True)


def test_training_twice_forgets_the_first_data(toys: SimpleNamespace) -> None:
    pytest.importorskip("soxr")
    pytest.importorskip("PIL")
    for task, make in MAKERS.items():
        model, data = make(toys)
        first = copy.deepcopy(model.fit(*data))
        other = {
            "classify": (["x y"] * 10 + ["z"] * 10, [1] * 10 + [2] * 10), "tag": (toys.parts(20),),
            "sounds": (sounds(20)[0][4:], ["a", "b"] * 8), "videos": (films(20)[0][4:], ["a", "b"] * 8),
            "language": (["what else", "is there"] * 10,), "translate": (["x y"] * 20, ["z " * 9] * 20),
            "compose": (melodies(20)[16:] * 3,),
            "captions": ([video[0] for video in films(20)[0][4:]], ["a", "b c"] * 8),
        }[task]  # fmt: skip
        model.fit(*other)
        same(model, make(toys)[0].fit(*other))
        same(model.fit(*data), first)
