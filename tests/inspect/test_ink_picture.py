"""The picture of a drawing: strokes and their colours, the right way up, in the right proportions."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.inspect.ink import draw_ink

pytest.importorskip("matplotlib")

# An L: down, then to the right; and a dot.
LETTER = [np.array([[0.0, 0, 0], [0, 4, 1]]), np.array([[0.0, 4, 2], [2, 4, 3]]), np.array([[1.0, 1, 4]])]


def lines(path: Path) -> list[tuple[list[tuple[float, float]], str]]:
    """The points and the colour of each line of an SVG, whose y grows downwards."""
    text = path.read_text()
    found = []
    for way, style in re.findall(r'<path d="(M [^"z]*)" clip-path[^>]*style="([^"]*)"', text):
        points = [(float(x), float(y)) for x, y in re.findall(r"[ML] ([-0-9.]+) ([-0-9.]+)", way)]
        colour = re.search(r"stroke: (#[0-9a-f]+)", style)
        found.append((points, colour[1] if colour else ""))
    return found


def texts(path: Path) -> list[str]:
    """What is written in an SVG, which keeps each text as a comment."""
    return [line.split("<!--")[1].split("-->")[0].strip() for line in path.read_text().splitlines() if "<!--" in line]


def test_y_grows_downwards_and_both_directions_have_one_scale(tmp_path: Path) -> None:
    drawn = lines(draw_ink(LETTER, tmp_path / "l.svg"))
    (top, bottom), (left, right) = drawn[0][0], drawn[1][0]
    assert top[0] == bottom[0]
    assert bottom[1] > top[1]
    assert left == bottom
    # What is written has six digits behind the point.
    assert bottom[1] - top[1] == pytest.approx(2 * (right[0] - left[0]), abs=1e-5)


def test_each_stroke_has_its_colour_and_its_number(tmp_path: Path) -> None:
    path = draw_ink(LETTER, tmp_path / "l.svg", title="$L$")
    assert len({colour for points, colour in lines(path) if len(points) > 1}) == 2
    assert {"1", "2", "3", "$L$", "strokes: 3, points: 5; numbers: their order"} <= set(texts(path))


def test_strokes_of_one_group_have_one_colour_which_a_legend_explains(tmp_path: Path) -> None:
    path = draw_ink(LETTER, tmp_path / "l.svg", ["l", "l", "dot"])
    assert len({colour for points, colour in lines(path) if len(points) > 1}) == 1
    assert {"l", "dot"} <= set(texts(path))


@pytest.mark.parametrize(
    "drawing",
    [
        [np.array([[5.0, 5]])],
        [np.array([[5.0, 5]] * 3)],
        [np.array([[-1.7e308, 0], [1.7e308, 1]])],
        [np.array([[0, 5e-324], [5e-324, 0]])],
        [np.array([[i, 0.0], [i, 1]]) for i in range(40)],
    ],
)
def test_dots_lines_and_numbers_of_any_size_are_drawn(tmp_path: Path, drawing: list[np.ndarray]) -> None:
    path = draw_ink(drawing, tmp_path / "a.png", list(range(len(drawing))))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="plot: expected at least one stroke, got none"):
        draw_ink([], tmp_path / "a.png")
    with pytest.raises(DataError, match="plot: expected finite numbers, got nan in stroke 0"):
        draw_ink([np.array([[np.nan, 1]])], tmp_path / "a.png")
    with pytest.raises(DataError, match="a colour for each of 3 strokes, got 2"):
        draw_ink(LETTER, tmp_path / "a.png", ["l", "l"])
    with pytest.raises(OptionError, match=r"a\.xyz"):
        draw_ink(LETTER, tmp_path / "a.xyz")
