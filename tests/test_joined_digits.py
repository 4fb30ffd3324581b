"""Digits joined to numbers: whose, how many, and what is said."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
# Of one speaker the digit d is d + 1 samples of the value d + 1, of the other of that value below zero.
RECORDINGS = {
    name: [(digit, np.full(digit + 1, sign * (digit + 1.0), np.float32)) for digit in range(10)]
    for name, sign in (("ann", 1), ("bob", -1))
}  # fmt: skip


@pytest.fixture
def digits(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("joined_digits")


def test_three_to_seven_recordings_of_one_speaker_are_joined_with_gaps(digits: Any) -> None:
    counts, signs = set(), set()
    for seed in range(60):
        samples, text = digits.join_digits(RECORDINGS, np.random.default_rng(seed), rate=1000)
        said = [digits.DIGITS.index(word) for word in text.split()]
        heard = samples[samples != 0]
        assert np.abs(heard).tolist() == [digit + 1 for digit in said for _ in range(digit + 1)]
        assert len(set(np.sign(heard))) == 1
        silent = len(samples) - len(heard)
        assert 50 * (len(said) - 1) <= silent <= 200 * (len(said) - 1)
        counts.add(len(said))
        signs.add(float(np.sign(heard[0])))
        again = digits.join_digits(RECORDINGS, np.random.default_rng(seed), rate=1000)
        assert np.array_equal(samples, again[0])
    assert (counts, signs) == ({3, 4, 5, 6, 7}, {1.0, -1.0})
