"""A made-up alphabet of three letters and a space: each is a vector held for some steps, with nothing behind it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.tasks import LanguageModel, Recognizer

LETTERS = "abc "
# One vector for each, of four channels.
SHAPES = dict(zip(LETTERS, 1.5 * np.eye(4), strict=True))
QUICK: dict[str, Any] = {
    "hidden_size": 16, "layers": 1, "stride": 2, "epochs": 14, "learning_rate": 0.03, "warmup": 0, "batch_size": 8,
    "feature_noise": 0.0, "head_dropout": 0.0, "dropout": 0.0,
}  # fmt: skip


def text_of(random: np.random.Generator) -> str:
    words = ["".join(random.choice(list("abc"), random.integers(1, 4))) for _ in range(random.integers(1, 4))]
    return " ".join(words)


def written(text: str, random: np.random.Generator) -> np.ndarray:
    """(steps, 4): each letter for four to six steps, then two of nothing."""
    rows = [np.zeros((2, 4))]
    for letter in text:
        rows += [np.tile(SHAPES[letter], (int(random.integers(4, 7)), 1)), np.zeros((2, 4))]
    whole = np.concatenate(rows)
    return whole + 0.1 * random.normal(size=whole.shape)


def spelled(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Series, and the texts that they spell."""
    random = np.random.default_rng(seed)
    texts = [text_of(random) for _ in range(count)]
    return [written(text, random) for text in texts], texts


@pytest.fixture(scope="session")
def letters() -> SimpleNamespace:
    return SimpleNamespace(spelled=spelled, written=written, quick=QUICK)


@pytest.fixture(scope="session")
def clerk() -> Recognizer:
    """Reads both ways."""
    return Recognizer(**QUICK).fit(*spelled(80))


@pytest.fixture(scope="session")
def live_clerk() -> Recognizer:
    """Reads forwards alone."""
    return Recognizer(**{**QUICK, "epochs": 20}, streaming=True).fit(*spelled(80))


@pytest.fixture(scope="session")
def reader() -> LanguageModel:
    """Of characters; it has read that every word is "ab"."""
    options = {"level": "char", "hidden_size": 8, "embedding_size": 4, "learning_rate": 0.05, "epochs": 6, "steps": 20,
               "streams": 4, "warmup": 0}  # fmt: skip
    return LanguageModel(**options).fit(["ab ab ab c"] * 30 + ["cab"] * 3, valid=0)
