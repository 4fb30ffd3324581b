"""The baseline of drawings: a density by scipy, the same whatever the unit, and better than one that knows nothing."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest


@pytest.fixture
def strokes(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("simple_strokes")


def walks(count: int, seed: int, memory: float = 0.0) -> list[np.ndarray]:
    """Rows of moves, each `memory` of the one before and noise, the pen lifted after each third at random."""
    random, found = np.random.default_rng(seed), []
    for _ in range(count):
        moves = random.normal(size=(20, 2))
        for i in range(1, 20):
            moves[i] += memory * moves[i - 1]
        found.append(np.column_stack([moves, random.random(20) < 1 / 3]))
    return found


def test_moves_without_memory_cost_what_a_gaussian_costs(strokes: Any) -> None:
    # The entropy of a unit Gaussian of two numbers, and of a pen that is lifted one time in three.
    wanted = 1 + math.log(2 * math.pi) - (math.log(1 / 3) + 2 * math.log(2 / 3)) / 3
    # 8,000 points: five deviations of the mean of nats, whose deviation is about 1.1.
    assert strokes.move_nats(walks(400, 0), walks(400, 1)) == pytest.approx(wanted, abs=5 * 1.1 / math.sqrt(8000) * 2)


def test_the_unit_changes_nothing_and_memory_helps(strokes: Any) -> None:
    train, test = walks(100, 0, 0.9), walks(100, 1, 0.9)
    large, larger = ([rows * [64, 64, 1] for rows in part] for part in (train, test))
    found = strokes.move_nats(train, test)
    assert strokes.move_nats(large, larger) == pytest.approx(found, rel=1e-12)
    assert found < strokes.move_nats(walks(100, 0), walks(100, 1))


def test_the_density_is_that_of_scipy(strokes: Any) -> None:
    stats = pytest.importorskip("scipy.stats")
    train, test = ([rows * [1, 3, 1] for rows in walks(50, seed)] for seed in (0, 1))
    deviation = np.concatenate(train)[:, :2].std()
    learned, asked = strokes._parts(train, deviation), strokes._parts(test, deviation)
    nats = 0.0
    for was in (0, 1):
        (known, moves, pens), (given, truth, lifted) = (
            [part[one[3] == was] for part in one[:3]] for one in (learned, asked)
        )
        weights = np.linalg.lstsq(known, moves, rcond=None)[0]
        rest = moves - known @ weights
        nats -= stats.multivariate_normal(cov=rest.T @ rest / len(rest)).logpdf(truth - given @ weights).sum()
        nats -= stats.bernoulli((pens.sum() + 1) / (len(pens) + 2)).logpmf(lifted).sum()
    # Sums of a thousand terms, and an inverse of two rows.
    assert strokes.move_nats(train, test) == pytest.approx(nats / 1000, rel=1e-9)
