"""Drawings as SVG: well-formed, in its box, a dot seen."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.ink import to_svg

CORNER = [np.array([[0.0, 0, 0], [10, 0, 1], [10, 20, 2]]), np.array([[5.0, 5, 3]])]


def paths(text: str) -> list[ElementTree.Element]:
    root = ElementTree.fromstring(text)
    return [element for element in root.iter() if element.tag == "{http://www.w3.org/2000/svg}path"]


def test_each_stroke_is_a_path_in_the_box() -> None:
    text = to_svg(CORNER, side=100, colours=["red", 'a"<b'])
    root = ElementTree.fromstring(text)
    assert (root.get("width"), root.get("height")) == ("58.00", "108.00")
    first, dot = paths(text)
    assert first.get("d") == "M4.00 4.00 L54.00 4.00 L54.00 104.00"
    assert dot.get("d") == "M29.00 29.00 L29.00 29.00"
    assert [path.get("stroke") for path in (first, dot)] == ["red", 'a"<b']


def test_drawings_of_any_size_and_of_nothing_are_files() -> None:
    assert not paths(to_svg([]))
    for size in (1e-300, 1.7e308):
        (path,) = paths(to_svg([np.array([[-size, 0], [size, size]])]))
        numbers = [float(number) for number in re.findall(r"[0-9.]+", path.get("d") or "")]
        assert numbers == [10.24, 10.24, 266.24, 138.24]


def test_mistakes_are_named() -> None:
    with pytest.raises(DataError, match="a colour for each of 2 strokes, got 1"):
        to_svg(CORNER, colours=["red"])
    with pytest.raises(DataError, match="to_svg: expected at least one point"):
        to_svg([np.zeros((0, 2))])
    for side in (0, -1, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="side must be a positive number"):
            to_svg(CORNER, side=side)
