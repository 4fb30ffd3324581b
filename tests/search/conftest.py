"""Random Markov models of order 2: small enough to enumerate every sequence, exact whatever the batch.

Six tables take turns, so that two sequences with the same transitions in another order do not tie.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

Terms = list[float]
TURNS = 6


class Memory(NamedTuple):
    """State: which tables a row follows, the step, and the code before the last; batch first, one leaf 2-D."""

    table: Tensor
    time: Tensor
    earlier: Tensor
    nothing: None = None


class Markov:
    """log p(next | the two codes before, the step): tables[row, turn, earlier, code, next]; BEGIN, END are last."""

    def __init__(self, seed: int, *, rows: int = 1, words: int = 3, spread: float = 1.5, end: float = 0.0) -> None:
        self.rows, self.begin, self.end, self.size = rows, words, words + 1, words + 2
        self.words = list(range(words))
        logits = spread * np.random.default_rng(seed).normal(size=(rows, TURNS, *[self.size] * 3))
        logits[..., self.begin] = -np.inf
        logits[..., self.end] += end
        self.tables = torch.log_softmax(torch.from_numpy(logits), -1)
        self.asked: list[int] = []

    def state(self, rows: list[int] | None = None) -> Memory:
        numbers = list(range(self.rows)) if rows is None else rows
        count = len(numbers)
        table, time = torch.tensor(numbers, dtype=torch.long), torch.zeros(count, dtype=torch.long)
        return Memory(table, time, torch.full((count, 1), self.begin))

    def __call__(self, codes: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        self.asked.append(len(codes))
        log_probs = self.tables[state.table, state.time % TURNS, state.earlier[:, 0], codes]
        return log_probs, Memory(state.table, state.time + 1, codes[:, None])

    def terms(self, row: int, codes: tuple[int, ...]) -> Terms:
        """The log-probability of each code, by a loop of its own."""
        history = (self.begin, self.begin, *codes)
        runs = zip(history, history[1:], history[2:], strict=False)
        return [float(self.tables[row, time % TURNS, a, b, c]) for time, (a, b, c) in enumerate(runs)]

    def outcomes(self, row: int, limit: int) -> Iterator[tuple[tuple[int, ...], bool, Terms]]:
        """Every outcome of at most `limit` choices: (codes, ended, terms)."""
        for length in range(limit + 1):
            for codes in itertools.product(self.words, repeat=length):
                if length < limit:
                    yield codes, True, self.terms(row, (*codes, self.end))
                else:
                    yield codes, False, self.terms(row, codes)

    def ranked(
        self,
        row: int,
        limit: int,
        alpha: float = 0.0,
        allowed: Callable[[tuple[int, ...], bool], bool] = lambda codes, ended: True,
    ) -> list[tuple[tuple[int, ...], bool, float]]:
        """Every allowed outcome (codes, ended, score), the best first."""
        scored = [
            (codes, ended, math.fsum(terms) / ((5 + len(terms)) / 6) ** alpha)
            for codes, ended, terms in self.outcomes(row, limit)
            if allowed(codes, ended)
        ]
        return sorted(scored, key=lambda entry: (not entry[1], -entry[2]))


@pytest.fixture
def markov() -> Callable[..., Any]:
    return Markov


def _same(found: Any, expected: list[tuple[tuple[int, ...], bool, float]]) -> None:
    """The same sequences in the same order; scores to the rounding of a sum of a few float64 terms."""
    assert [(tuple(one.codes.tolist()), one.ended) for one in found] == [(c, e) for c, e, _ in expected]
    for one, (_, _, score) in zip(found, expected, strict=True):
        assert one.score == pytest.approx(score, rel=1e-13)


@pytest.fixture
def assert_ranked() -> Callable[..., None]:
    return _same


def _equal(one: Any, other: Any) -> None:
    """Bit for bit."""
    assert (one.log_prob, one.score, one.ended) == (other.log_prob, other.score, other.ended)
    assert np.array_equal(one.codes, other.codes)
    assert np.array_equal(one.log_probs, other.log_probs)


@pytest.fixture
def assert_equal() -> Callable[..., None]:
    return _equal
