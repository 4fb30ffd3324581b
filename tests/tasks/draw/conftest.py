"""Drawings by hand: circles, crosses and zigzags, small flags; and drawers that have learned them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.tasks import Drawer

PLAIN: dict[str, Any] = {
    "hidden_size": 32, "learning_rate": 0.02, "head_dropout": 0.0, "embedding_dropout": 0.0, "keyword_size": 8,
    "embedding_size": 8, "warmup": 10, "batch_size": 16, "mixtures": 3,
}  # fmt: skip
COLOURS = {"white": 255, "grey": 130, "black": 0}


def shapes(count: int, seed: int = 0) -> tuple[list[list[np.ndarray]], list[str]]:
    """Circles of one stroke, crosses of two, and zigzags, in turns; each a little other than the one before."""
    random, drawings, names = np.random.default_rng(seed), [], []
    turn = np.linspace(0, 2 * np.pi, 9)
    made = {
        "circle": [np.stack([np.cos(turn), np.sin(turn)], 1) * 20],
        "cross": [np.array([[0.0, 0], [30, 30]]), np.array([[0.0, 30], [30, 0]])],
        "zigzag": [np.array([[0.0, 0], [10, 20], [20, 0], [30, 20]])],
    }
    for i in range(count):
        name = list(made)[i % 3]
        drawings.append([stroke + random.normal(size=stroke.shape) for stroke in made[name]])
        names.append(name)
    return drawings, names


def flags(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Pictures of two bands, called by the colours of both: "black over grey"."""
    random, pictures, names = np.random.default_rng(seed), [], []
    for _ in range(count):
        upper, lower = random.permutation(list(COLOURS))[:2].tolist()
        picture = np.full((8, 8), COLOURS[lower], np.uint8)
        picture[: 2 * int(random.integers(1, 4))] = COLOURS[upper]
        pictures.append(picture)
        names.append(f"{upper} over {lower}")
    return pictures, names


@pytest.fixture(scope="session")
def drawn() -> SimpleNamespace:
    """The made-up drawings, and options under which they are learned in seconds."""
    return SimpleNamespace(shapes=shapes, flags=flags, plain=PLAIN)


@pytest.fixture(scope="session")
def sketcher() -> Drawer:
    """Has learned shapes by their names."""
    return Drawer(**PLAIN, epochs=15, silence=0.3).fit(*shapes(180))


@pytest.fixture(scope="session")
def doodler() -> Drawer:
    """Has learned shapes without names."""
    return Drawer(**PLAIN, epochs=15).fit(shapes(180)[0])


@pytest.fixture(scope="session")
def painter() -> Drawer:
    """Has learned flags by the words of their captions."""
    return Drawer(**PLAIN, size=4, colours=3, epochs=15, silence=0.2, keywords="words").fit(*flags(200))
