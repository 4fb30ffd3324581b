"""Toys for captions: series that go up and down, strokes of a pen, and cards with a coloured square at a place."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.tasks import Captioner

QUICK: dict[str, Any] = {
    "hidden_size": 24, "embedding_size": 12, "learning_rate": 0.02, "warmup": 0, "batch_size": 16, "head_dropout": 0.0,
    "label_smoothing": 0.0, "epochs": 25, "max_steps": 250,
}  # fmt: skip
PICTURED: dict[str, Any] = {**QUICK, "image_widths": (12, 16), "learning_rate": 0.01}
COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 230)}
PLACES = {"top left": (1, 1), "top right": (1, 5), "below": (5, 3)}


def climbs(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Series (T, 1), and in words which way each goes."""
    random, series, texts = np.random.default_rng(seed), list[np.ndarray](), list[str]()
    for _ in range(count):
        ways = random.integers(0, 2, int(random.integers(1, 4))).tolist()
        series.append(np.repeat(2.0 * np.array(ways) - 1, 2)[:, None] + 0.1 * random.normal(size=(2 * len(ways), 1)))
        texts.append(" then ".join(("down", "up")[way] for way in ways))
    return series, texts


def cards(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[list[str]]]:
    """Pictures (8, 8, 3) uint8 with a square on white, and two captions of each."""
    random, pictures, texts = np.random.default_rng(seed), list[np.ndarray](), list[list[str]]()
    for _ in range(count):
        colour, place = (str(random.choice(list(names))) for names in (COLOURS, PLACES))
        card = np.full((8, 8, 3), 255, np.uint8)
        row, column = PLACES[place]
        card[row : row + 2, column : column + 2] = COLOURS[colour]
        pictures.append(card)
        texts.append([f"A {colour} square, {place}.", f"{place} is something {colour}"])
    return pictures, texts


@pytest.fixture(scope="session")
def told() -> SimpleNamespace:
    return SimpleNamespace(climbs=climbs, cards=cards, quick=QUICK, pictured=PICTURED)


@pytest.fixture(scope="session")
def teller() -> Captioner:
    """Says which way a series goes."""
    return Captioner(**QUICK).fit(*climbs(120))


@pytest.fixture(scope="session")
def viewer() -> Captioner:
    """Says where a square is and of what colour."""
    return Captioner(**PICTURED).fit(*cards(120))
