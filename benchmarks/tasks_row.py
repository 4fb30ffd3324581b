"""What every row of the task benchmark is: one training with its score, a baseline, and two bars."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

__all__ = ["Contest", "Row", "Score", "notes"]


class Score(NamedTuple):
    """value: of the metric named; more: what else is worth keeping."""

    metric: str
    value: float
    more: dict[str, Any]


Run: TypeAlias = Callable[..., Score]
"""One training with a seed and options, and its score on the test part."""

Simple: TypeAlias = Callable[[], dict[str, float]]
"""The scores of simple baselines by their names."""

Contest: TypeAlias = tuple[Run, Simple]


class Row(NamedTuple):
    """least, aim: of the score; options: what is not left to the defaults."""

    run: Run
    simple: Simple
    least: float
    aim: float
    options: dict[str, Any]


def notes(model: Any) -> dict[str, Any]:
    """What the training was: steps, epochs, weights, and the size of the saved model."""
    with tempfile.TemporaryDirectory() as folder:
        size = model.save(Path(folder) / "model.unrolled").stat().st_size
    history = model.history
    return {
        "steps": history.steps,
        "epochs": round(history.epochs, 2),
        "stopped": history.stopped,
        "weights": sum(p.numel() for p in model.fitted().parameters()),
        "megabytes": round(size / 1e6, 1),
    }
