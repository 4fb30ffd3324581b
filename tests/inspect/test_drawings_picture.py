"""Sheets of drawings: what was given told apart, pictures pixel for pixel, one drawing as plain SVG, and mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError, SaveError
from unrolled.fields.ink import to_svg
from unrolled.inspect.drawings import Shown, draw_sheet, save_drawings
from unrolled.inspect.figure import BLUE, INK, ORANGE

pytest.importorskip("matplotlib")
CROSS = [np.array([[0.0, 0], [9, 9]]), np.array([[0.0, 9], [9, 0]]), np.array([[4.0, 4]])]


def test_what_was_given_is_dark_and_what_was_drawn_is_blue(tmp_path: Path) -> None:
    text = draw_sheet([Shown(CROSS, 1, "a cross of $1")], tmp_path / "on.svg").read_text()
    # Two lines and a dot: one stroke was given, and the point has a mark as well.
    assert text.count(f"stroke: {INK}") == 1
    assert text.count(f"stroke: {BLUE}") >= 2
    assert BLUE not in draw_sheet([Shown(CROSS)], tmp_path / "new.svg").read_text()


def test_a_picture_shows_each_pixel_and_where_it_was_begun(tmp_path: Path) -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    assert ORANGE in draw_sheet([Shown(picture, 2)], tmp_path / "a.svg").read_text()
    assert ORANGE not in draw_sheet([Shown(picture, 0), Shown(picture, 4)], tmp_path / "b.svg").read_text()


def test_one_drawing_is_plain_svg_and_several_are_a_sheet(tmp_path: Path) -> None:
    assert save_drawings([CROSS], tmp_path / "one.svg").read_text() == to_svg(CROSS)
    assert "matplotlib" in save_drawings([CROSS] * 7, tmp_path / "many.svg").read_text()
    assert save_drawings([CROSS, []], tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected 1 to 200 drawings on a sheet, got 0"):
        draw_sheet([], tmp_path / "none.png")
    with pytest.raises(DataError, match="expected finite numbers"):
        draw_sheet([Shown([np.full((2, 2), np.nan)])], tmp_path / "nan.png")
    with pytest.raises(OptionError, match=r"expected a name that ends in \.png"):
        draw_sheet([Shown(CROSS)], tmp_path / "a.bmpp")
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="choose another place"):
        save_drawings([CROSS], tmp_path / "file" / "one.svg")
