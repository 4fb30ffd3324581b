"""The picture of a line of print: drawn in grey and colours, with letters and without; no other is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.inspect.line import draw_line
from unrolled.inspect.recognition import TimedWord

pytest.importorskip("matplotlib")

LETTERS = [TimedWord("a", 1, 3, 0.9), TimedWord(" ", 4, 5, 0.9), TimedWord("$", 8, 30, 0.2)]


@pytest.mark.parametrize("shape", [(10, 24), (10, 2000, 3), (1, 1)])
@pytest.mark.parametrize("letters", [LETTERS, []])
@pytest.mark.parametrize("ending", ["png", "svg"])
def test_a_line_is_drawn(shape: tuple[int, ...], letters: list[TimedWord], ending: str, tmp_path: Path) -> None:
    line = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = draw_line(line, letters, tmp_path / f"a.{ending}", title="a $")
    assert path.stat().st_size > 0
    if ending == "svg":
        drawn = path.read_text(encoding="utf-8")
        assert ("letters: 3, unsure: 1 (orange)" in drawn) == bool(letters)
        assert ("nothing is written" in drawn) == (not letters)


def test_what_is_no_line_is_refused(tmp_path: Path) -> None:
    for bad in (np.zeros((0, 3)), np.zeros(5)):
        with pytest.raises(DataError, match=r"plot: expected a line \(height, width\)"):
            draw_line(bad, [], tmp_path / "a.png")
    with pytest.raises(OptionError, match=r"ends in \.png"):
        draw_line(np.zeros((2, 2)), [], tmp_path / "a.doc")
