"""A picture with where each word looked, and the frames of a video under their words."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.inspect.caption import draw_places, draw_times

pytest.importorskip("matplotlib")
WORDS = ["a", "$red$", "square", "</s>"]


def weights(words: int, steps: int) -> np.ndarray:
    table = np.random.default_rng(0).random((words, steps))
    return table / table.sum(1, keepdims=True)


@pytest.mark.parametrize(("size", "channels", "grid", "words"), [
    ((8, 8), 3, (2, 2), 4), ((1, 1), 1, (1, 1), 1), ((30, 7), 1, (8, 2), 9), ((5, 40), 3, (2, 10), 23),
])  # fmt: skip
def test_pictures_of_any_size_are_drawn_with_a_panel_for_each_word(
    size: tuple[int, int], channels: int, grid: tuple[int, int], words: int, tmp_path: Path
) -> None:
    picture, said = np.random.default_rng(1).random((*size, channels)), [f"w{i}" for i in range(words)]
    path = draw_places(picture, weights(words, grid[0] * grid[1]), grid, said, tmp_path / "where.svg")
    written = path.read_text()
    assert "<!-- what is seen -->" in written
    assert all(f"<!-- {word} -->" in written for word in said)
    # What is dark is in one image with what is seen.
    assert written.count("<image") == 1 + words


def test_words_are_written_as_they_are(tmp_path: Path) -> None:
    path = draw_places(np.ones((4, 4, 3)), weights(4, 4), (2, 2), WORDS, tmp_path / "where.svg")
    assert "<!-- $red$ -->" in path.read_text()


def test_where_was_looked_is_bright(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    looked = np.zeros((1, 4))
    looked[0, 3] = 1.0
    path = draw_places(np.ones((8, 8, 3)), looked, (2, 2), ["word"], tmp_path / "where.png")
    pixels = np.asarray(image.open(path).convert("L"), np.float64)
    # The second of two panels: its dark corner is at the top left, its bright one at the bottom right.
    rows, columns = np.nonzero(pixels[:, pixels.shape[1] // 2 :] < 60)
    box = pixels[rows.min() :, pixels.shape[1] // 2 + columns.min() :]
    height = int(rows.max() - rows.min())
    assert box[height // 4, height // 4] < 80
    assert box[height * 7 // 8, height * 7 // 8] > 200


@pytest.mark.parametrize(("steps", "channels"), [(1, 1), (9, 3), (70, 3)])
def test_frames_stand_under_their_words(steps: int, channels: int, tmp_path: Path) -> None:
    frames = np.random.default_rng(1).random((steps, 6, 8, channels))
    written = draw_times(frames, weights(4, steps), WORDS, tmp_path / "times.svg").read_text()
    assert all(f"<!-- {escape(word)} -->" in written for word in WORDS)
    numbers = [int(number) for number in re.findall(r"<!-- (\d+) -->", written)]
    assert len(numbers) == min(steps, 24)
    assert (numbers[0], numbers[-1]) == (1, steps)


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    with pytest.raises(DataError, match=r"shape \(4, 6\) \(words, places\), got \(4, 4\)"):
        draw_places(np.ones((8, 8, 3)), weights(4, 4), (2, 3), WORDS, path)
    with pytest.raises(DataError, match=r"shape \(4, 3\) \(words, steps\), got \(4, 4\)"):
        draw_times(np.ones((3, 8, 8, 3)), weights(4, 4), WORDS, path)
    with pytest.raises(DataError, match=r"expected a picture \(height, width, 1 or 3\), got \(8, 8\)"):
        draw_places(np.ones((8, 8)), weights(4, 4), (2, 2), WORDS, path)
    with pytest.raises(DataError, match="finite"):
        draw_places(np.ones((8, 8, 3)), np.full((4, 4), np.nan), (2, 2), WORDS, path)
