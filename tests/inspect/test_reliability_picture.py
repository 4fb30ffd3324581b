"""The reliability diagram, before and after calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.inspect.reliability import draw_reliability
from unrolled.score.calibration import probabilities, reliability

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("equal", ["width", "mass"])
def test_diagrams_before_and_after_are_drawn_with_their_errors(equal: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    logits, labels = random.standard_normal((200, 3)) * 4, random.integers(0, 3, 200)
    panels = [
        (name, reliability(probabilities(logits, t), labels, equal=equal))
        for name, t in (("Before", 1.0), ("After", 9.0))
    ]
    path = draw_reliability(panels, tmp_path / "reliability.svg")
    written = path.read_text()
    for name, bins in panels:
        assert f"<!-- {name} -->" in written
        assert f"<!-- expected calibration error {bins.error:.3f} -->" in written


def test_one_bin_is_drawn(tmp_path: Path) -> None:
    sure = reliability([[1.0, 0.0]] * 3, [0, 0, 1], equal="mass")
    assert draw_reliability([("Sure", sure)], tmp_path / "sure.png").read_bytes().startswith(b"\x89PNG")


def test_no_diagram_and_too_many_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 1 to 4 reliability diagrams, got 0"):
        draw_reliability([], tmp_path / "none.png")
