"""Words laid out of letters: on one line, one beside the other, in order."""

from __future__ import annotations

import importlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.fields.ink import fault_of, without_times

FOLDER = Path(__file__).parents[1] / "benchmarks"
# A box of 2 x 4 that stands anywhere, and one of 4 x 2 of two strokes, the second with a dot.
TALL = [np.array([[7.0, 3, 1], [9, 3, 1.5], [9, 7, 2]])]
WIDE = [np.array([[0.0, 0, 0], [4, 2, 1]]), np.array([[1.0, 0, 1]])]
GLYPHS = {"l": [TALL], "w": [WIDE, WIDE]}


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("ink_words")


def test_letters_stand_on_one_line_one_beside_the_other(words: Any) -> None:
    drawing, word = words.lay_out("lw", GLYPHS, np.random.default_rng(0), gap=(0.5, 0.5), wait=0.25)
    assert word == "lw"
    # The median size of the three drawings is 4: a gap is 2.
    expected = [
        [[0, -4, 0], [2, -4, 0.5], [2, 0, 1]],
        [[4, -2, 1.25], [8, 0, 2.25]],
        [[5, -2, 2.25]],
    ]
    assert [stroke.tolist() for stroke in drawing] == expected
    assert TALL[0][0].tolist() == [7, 3, 1]


def test_a_space_is_as_wide_as_a_letter(words: Any) -> None:
    drawing, _ = words.lay_out(" l l ", GLYPHS, np.random.default_rng(0), gap=(0, 0))
    assert [float(stroke[:, 0].min()) for stroke in drawing] == [0, 6]


def test_words_are_drawings_by_the_generator_alone(words: Any) -> None:
    random = np.random.default_rng(1)
    glyphs = {letter: [[random.normal(size=(5, 2))] for _ in range(6)] for letter in "abc"}
    for seed in range(10):
        one, other = (words.lay_out("abcab", glyphs, np.random.default_rng(seed))[0] for _ in range(2))
        assert fault_of(one) is None
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        sides = [(float(stroke[:, 0].min()), float(stroke[:, 0].max())) for stroke in one]
        assert all(before[1] < after[0] for before, after in itertools.pairwise(sides))
        # A difference of two numbers of a few units each.
        assert all(abs(stroke[:, 1].max()) <= 4 * np.finfo(float).eps for stroke in one)


def test_letters_are_varied_each_for_itself_and_the_rest_is_as_before(words: Any) -> None:
    plain, _ = words.lay_out("lll", GLYPHS, np.random.default_rng(0), gap=(0.5, 0.5))
    drawing, word = words.lay_out("lll", GLYPHS, np.random.default_rng(0), gap=(0.5, 0.5), vary=True)
    assert word == "lll"
    shapes = [stroke[:, :2] - stroke[0, :2] for stroke in (*drawing, plain[0])]
    assert not any(np.allclose(a, b) for a, b in itertools.combinations(shapes, 2))
    assert all(np.array_equal(a[:, 2], b[:, 2]) for a, b in zip(drawing, plain, strict=True))
    sides = [(float(stroke[:, 0].min()), float(stroke[:, 0].max())) for stroke in drawing]
    # The median size of a letter is 4, so a gap is 2.
    assert np.allclose([after[0] - before[1] for before, after in itertools.pairwise(sides)], 2)


def test_letters_that_are_not_there_are_named(words: Any) -> None:
    with pytest.raises(DataError, match=r"no drawing of 'L'\. Did you mean 'l'"):
        words.lay_out("L", GLYPHS, np.random.default_rng(0))
    with pytest.raises(DataError, match="at least one letter, got '  '"):
        words.lay_out("  ", GLYPHS, np.random.default_rng(0))
    with pytest.raises(DataError, match="times in the drawings of all letters or of none"):
        words.lay_out("lo", {**GLYPHS, "o": [without_times(WIDE)]}, np.random.default_rng(0))
