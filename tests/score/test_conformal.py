"""Conformal quantiles: the definition, and what they promise of further rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unrolled.score.conformal import conformal_quantile, rows_needed


@pytest.mark.parametrize("share", [0.01, 0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [1, 4, 19, 20, 99, 100, 999])
def test_it_is_the_smallest_distance_whose_rank_is_large_enough(share: float, n: int) -> None:
    distances = np.random.default_rng(n).permutation(n).astype(float)
    found = float(conformal_quantile(distances, share))
    # Of n + 1 rows at places that are equally likely, k of the n known ones lie at or below the k-th.
    right = [value for value in range(n) if (value + 1) / (n + 1) >= share - 1e-12]
    assert found == (right[0] if right else math.inf)
    assert math.isinf(found) == (n < rows_needed(share))


def test_columns_go_by_themselves() -> None:
    distances = np.random.default_rng(0).normal(size=(50, 2, 3))
    found = conformal_quantile(distances, 0.7)
    assert found.shape == (2, 3)
    assert found[1, 2] == conformal_quantile(distances[:, 1, 2], 0.7)
    assert conformal_quantile(distances[:0], 0.7).tolist() == [[math.inf] * 3] * 2


def test_on_average_over_many_samples_a_further_row_is_held_as_often_as_promised() -> None:
    random, n, times = np.random.default_rng(1), 19, 20_000
    rows = random.standard_cauchy((n + 1, times))
    held = (rows[-1] <= conformal_quantile(rows[:-1], 0.8)).mean()
    # Exactly 16 of 20 places; five deviations of a mean of so many coins.
    assert held == pytest.approx(0.8, abs=5 * math.sqrt(0.8 * 0.2 / times))
