"""Lines of print that are made up: seeded, in every font, and as dark as print is."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")

FOLDER = Path(__file__).parents[1] / "benchmarks"
WORDS = ["Ada", "visits", "Paris,", "again."]


@pytest.fixture
def print_shop(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("rendered_lines")


def test_the_same_seed_gives_the_same_lines(print_shop: Any) -> None:
    first, second, other = (print_shop.rendered_lines(6, seed, print_shop.SEEN, WORDS) for seed in (3, 3, 4))
    assert first[1] == second[1] != other[1]
    assert all(np.array_equal(one, again) for one, again in zip(first[0], second[0], strict=True))


def test_every_font_is_there_and_prints_each_letter(print_shop: Any) -> None:
    for font in (*print_shop.SEEN, *print_shop.HELD):
        random = np.random.default_rng(0)
        line = print_shop.rendered("Hamlet's oxen; quay?", font, random)
        assert line.dtype == np.uint8
        height, width = line.shape
        # Ink stands on paper, and takes some of it, but not most.
        assert 0.02 < (line < (int(line.min()) + int(np.median(line))) / 2).mean() < 0.5
        assert 5 < width / height < 40
    assert not set(print_shop.SEEN) & set(print_shop.HELD)


def test_lines_are_of_two_to_six_of_the_words(print_shop: Any) -> None:
    _, texts = print_shop.rendered_lines(60, 0, print_shop.HELD, WORDS)
    counts = {len(text.split()) for text in texts}
    assert counts <= set(range(2, 7))
    assert len(counts) > 2
    assert {word for text in texts for word in text.split()} == set(WORDS)


def test_words_of_tests_come_from_the_end_of_the_text(
    print_shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "input.txt").write_text(" ".join(f"w{number}" for number in range(20)))
    monkeypatch.setattr(print_shop, "data_folder", lambda name: tmp_path)
    assert print_shop.words_of(test=True) == ["w18", "w19"]
    assert len(print_shop.words_of(test=False)) == 18


def test_lines_are_written_as_pictures_with_their_texts(
    print_shop: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(print_shop, "words_of", lambda *, test: WORDS)
    print_shop.main(tmp_path, 2)
    for part in ("train", "seen", "held"):
        assert sorted(file.name for file in (tmp_path / part).iterdir()) == [
            "0000.gt.txt", "0000.png", "0001.gt.txt", "0001.png",
        ]  # fmt: skip
