"""Little music: a canon that anybody can go on with, and models that have learned it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from unrolled.tasks import Composer

SMALL: dict[str, Any] = {
    "hidden_size": 24, "voicing_size": 8, "learning_rate": 0.02, "batch_size": 8, "epochs": 50, "warmup": 0,
    "notes_transpose_rate": 0, "notes_lowest": 40, "notes_highest": 80, "input_dropout": 0.0, "output_dropout": 0.0,
    "recurrent_dropout": 0.0,
}  # fmt: skip
MELODY = (0, 2, 4, 5)


def rounds(count: int, seed: int = 0) -> list[list[list[int]]]:
    """Pieces of 6 to 16 steps: one voice goes up and begins again, another holds its bass, from any place on."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        begin, size = int(random.integers(4)), int(random.integers(6, 17))
        found.append([[48, 60 + MELODY[(begin + t) % 4]] for t in range(size)])
    return found


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    return SMALL


@pytest.fixture(scope="session")
def made() -> Any:
    return rounds


@pytest.fixture(scope="session", params=["independent", "conditioned", "events"])
def canon(request: pytest.FixtureRequest) -> Composer:
    return fitted(request.param)


@pytest.fixture(scope="session")
def voices() -> Composer:
    return fitted("conditioned")


def fitted(how: str) -> Composer:
    options = {**SMALL, "voicing": how}
    if how == "events":
        options = {name: value for name, value in SMALL.items() if name != "voicing_size"}
        options |= {"notes_encoding": "events"}
    return Composer(**options).fit(rounds(60), valid=0)
