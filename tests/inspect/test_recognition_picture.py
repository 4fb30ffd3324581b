"""The picture of a recording: drawn for one word and for many, in seconds and in steps; no other is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.inspect.recognition import TimedWord, draw_recognition

pytest.importorskip("matplotlib")

WORDS = [TimedWord("one", 0.1, 0.4, 0.9), TimedWord("$two$", 0.5, 0.9, 0.3)]


def features(steps: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(steps, 12))


@pytest.mark.parametrize(("steps", "words", "step"), [(100, WORDS, 0.01), (1, [], None), (5000, WORDS * 40, None)])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_recording_is_drawn(
    steps: int, words: list[TimedWord], step: float | None, ending: str, tmp_path: Path
) -> None:
    path = draw_recognition(features(steps), words, tmp_path / f"a.{ending}", step=step)
    assert path.stat().st_size > 0
    if ending == "svg":
        drawn = path.read_text(encoding="utf-8")
        assert ("seconds" in drawn) == (step is not None)
        assert ("nothing is said" in drawn) == (not words)
        assert ("unsure: " in drawn) == bool(words)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    for bad in (np.zeros((0, 3)), np.zeros(5), np.array([[np.nan, 1.0]])):
        with pytest.raises(DataError, match=r"plot: expected finite features of shape \(steps, width\)"):
            draw_recognition(bad, [], tmp_path / "a.png")
    with pytest.raises(OptionError, match=r"ends in \.png"):
        draw_recognition(features(3), [], tmp_path / "a.doc")
