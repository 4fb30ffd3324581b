"""The map of attention weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.inspect.attention import draw_attention

pytest.importorskip("matplotlib")


def weights(target: int, source: int) -> np.ndarray:
    table = np.random.default_rng(0).random((target, source))
    return table / table.sum(1, keepdims=True)


@pytest.mark.parametrize(("target", "source"), [(1, 1), (3, 7), (4, 200)])
def test_short_and_long_sentences_are_drawn(target: int, source: int, tmp_path: Path) -> None:
    words = [f"word{i}" for i in range(source)], [f"out{i}" for i in range(target)]
    path = draw_attention(weights(target, source), *words, tmp_path / "map.png", title="A sentence")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_words_are_written_as_they_are_and_repeats_stay(tmp_path: Path) -> None:
    path = draw_attention(weights(2, 3), ["the", "$5", "the"], ["$", "\t"], tmp_path / "map.svg", title="A $ title$")
    written = path.read_text()
    assert written.count("<!-- the -->") == 2
    assert all(f"<!-- {text} -->" in written for text in ("$5", "$", "␣", "A $ title$"))


def test_weights_that_are_all_zero_are_drawn(tmp_path: Path) -> None:
    assert draw_attention(np.zeros((2, 2)), ["a", "b"], ["c", "d"], tmp_path / "map.png").exists()


def test_weights_and_words_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"shape \(1, 2\) \(target words, source words\), got \(2, 1\)"):
        draw_attention(weights(2, 1), ["a", "b"], ["c"], tmp_path / "map.png")
    with pytest.raises(DataError, match="finite"):
        draw_attention([[np.nan]], ["a"], ["b"], tmp_path / "map.png")


def test_axes_say_what_is_read_and_written_and_characters_stand_upright(tmp_path: Path) -> None:
    characters = draw_attention(weights(3, 4), list("ab d"), ["x", "y", "</s>"], tmp_path / "a.svg").read_text()
    words = draw_attention(weights(3, 2), ["ab", "word"], ["x", "y", "</s>"], tmp_path / "b.svg").read_text()
    assert all("<!-- read -->" in written and "<!-- written -->" in written for written in (characters, words))
    # The axis of what is written is named upwards, and so are words at the top.
    assert characters.count("rotate(-90)") == 1
    assert words.count("rotate(-90)") == 3
