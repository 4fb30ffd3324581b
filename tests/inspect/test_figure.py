"""Names stand in pictures as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("matplotlib")

from unrolled.inspect.figure import make_figure, save_picture


def test_a_dollar_in_any_text_of_a_picture_is_a_dollar(tmp_path: Path) -> None:
    figure = make_figure(3, 2)
    axes = figure.subplots()
    axes.plot([1, 1000], [1, 1000], label="$x_1$")
    axes.set_xlabel("price in $ or $\\undefined{")
    axes.set_yscale("log")
    axes.legend()
    axes.annotate("$y^2$", (1, 1))
    text = save_picture(figure, tmp_path / "a.svg").read_text()
    assert "<!-- $x_1$ -->" in text
    assert "<!-- price in $ or $\\undefined{ -->" in text
    assert "<!-- $y^2$ -->" in text
    assert "mathdefault" in text
