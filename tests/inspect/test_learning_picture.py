"""The learning curve, from a run's folder and from its history."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.inspect.learning import Curve, LearningCurves, curves_of, draw_learning, read_curves
from unrolled.train import Evaluation

pytest.importorskip("matplotlib")

EVENTS: list[dict[str, Any]] = [
    {"event": "start", "step": 0, "epoch": 1},
    *({"event": "step", "step": i, "loss": 100 / i, "learning_rate": 0.1 / i} for i in range(1, 121)),
    {"event": "evaluate", "step": 60, "loss": 2.0, "valid_loss": 3.0, "score": 0.5, "best": True},
    {"event": "evaluate", "step": 120, "loss": 1.0, "valid_loss": 2.5, "score": 0.7, "best": False},
    {"event": "checkpoint", "step": 120, "message": "checkpoints/000001"},
]


def write(path: Path, events: list[dict[str, Any]], more: str = "") -> Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events) + more)
    return path


def test_a_run_is_read_from_its_folder_and_drawn(tmp_path: Path) -> None:
    write(tmp_path / "metrics.jsonl", EVENTS, '{"event": "st')
    curves = read_curves(tmp_path)
    np.testing.assert_allclose(curves.loss.values, 100 / np.arange(1, 121))
    assert curves.valid_loss.steps.tolist() == [60, 120]
    assert curves.score.values.tolist() == [0.5, 0.7]
    assert len(curves.rate) == 120
    written = draw_learning(curves, tmp_path / "curve.svg", title="A $ run$").read_text()
    for text in (
        "A $ run$",
        "120 steps; best score 0.5 at step 60",
        "best 0.5",
        "score (lower is better)",
        "learning rate",
    ):
        assert f"<!-- {text} -->" in written


def test_a_score_that_is_the_validation_loss_has_no_panel_of_its_own(tmp_path: Path) -> None:
    rows = [Evaluation(step, 1, 2.0 / step, 0.1, 3.0 / step, 3.0 / step, 1.0) for step in (1, 2, 3)]
    written = draw_learning(curves_of(rows), tmp_path / "curve.svg").read_text()
    assert "<!-- best 1 -->" in written
    assert "lower is better" not in written
    assert "learning rate" not in written


def test_a_run_without_a_score_is_drawn(tmp_path: Path) -> None:
    path = write(tmp_path / "metrics.jsonl", [event for event in EVENTS if event["event"] == "step"][:1])
    assert draw_learning(read_curves(path), tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    only_scores = [Evaluation(1, 1, None, 0.1, None, 0.5, 1.0), Evaluation(2, 1, None, 0.1, None, math.inf, 1.0)]
    assert draw_learning(curves_of(only_scores), tmp_path / "scores.png").exists()


def test_files_that_are_no_metrics_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*absent"):
        read_curves(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="got 1 lines without any"):
        read_curves(write(tmp_path / "start.jsonl", EVENTS[:1]))
    with pytest.raises(DataError, match=r"line 1 of .*other\.jsonl is no event"):
        read_curves(write(tmp_path / "other.jsonl", [{"a": 1}, *EVENTS]))
    empty = Curve.of([])
    with pytest.raises(DataError, match="a loss or a score, got neither"):
        draw_learning(LearningCurves(empty, empty, empty, empty), tmp_path / "curve.png")
