"""The picture of a confusion matrix, from two classes to more than can be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.inspect.confusion import draw_confusion

pytest.importorskip("matplotlib")


def counts(classes: int, largest: int = 50) -> np.ndarray:
    table = np.random.default_rng(0).integers(0, largest, (classes, classes))
    table[-1] = 0
    return table


def texts(path: Path) -> list[str]:
    """What is written in an SVG, which keeps each text as a comment."""
    return [line.split("<!--")[1].split("-->")[0].strip() for line in path.read_text().splitlines() if "<!--" in line]


@pytest.mark.parametrize("classes", [1, 2, 17])
def test_few_and_many_classes_are_drawn(classes: int, tmp_path: Path) -> None:
    path = draw_confusion(counts(classes), [f"class {i}" for i in range(classes)], tmp_path / "matrix.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_counts_labels_and_the_part_that_is_right_are_written(tmp_path: Path) -> None:
    path = draw_confusion([[41, 9], [0, 50]], ["good", "bad"], tmp_path / "matrix.svg", title="Reviews")
    written = texts(path)
    assert {"41", "9", "50", "Reviews", "91.0% of 100 right; colour: share of the row"} <= set(written)
    assert "0" not in written
    assert [written.count(label) for label in ("good", "bad")] == [2, 2]


def test_of_too_many_classes_the_rarest_are_drawn_as_one(tmp_path: Path) -> None:
    table = np.eye(80, dtype=np.int64) * np.arange(1001, 1081)[:, None]
    written = texts(draw_confusion(table, [f"class {i}" for i in range(80)], tmp_path / "matrix.svg"))
    assert written.count("(21 other classes)") == 2
    assert {"class 21", "class 79", "1022", "21k"} <= set(written)
    assert "class 20" not in written


def test_long_labels_are_cut_and_signs_of_mathematics_are_taken_as_they_are(tmp_path: Path) -> None:
    labels = ["$\\broken$", "one\nlabel on two lines", "x" * 90, ""]
    written = texts(draw_confusion(counts(4), labels, tmp_path / "matrix.svg"))
    assert {"$\\broken$", "one label on two lines", f"{'x' * 18}…{'x' * 9}", "␣"} <= set(written)


def test_numbers_too_long_for_their_cell_are_shortened(tmp_path: Path) -> None:
    table = np.eye(40, dtype=np.int64) * np.resize([1_234_567, 12_345, 12], 40)
    written = texts(draw_confusion(table, [f"class {i}" for i in range(40)], tmp_path / "matrix.svg"))
    assert {"1.2M", "12k", "12"} <= set(written)


def test_counts_and_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"shape \(3, 3\) for 3 labels.*got \(2, 2\)"):
        draw_confusion(counts(2), ["a", "b", "c"], tmp_path / "matrix.png")
    with pytest.raises(OptionError, match=r"matrix\.xyz"):
        draw_confusion(counts(2), ["a", "b"], tmp_path / "matrix.xyz")
