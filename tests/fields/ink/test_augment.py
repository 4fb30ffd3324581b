"""Varied drawings: what each way of varying keeps, and that it is a function of the generator alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from unrolled.errors import OptionError
from unrolled.fields.ink import (
    Drawing,
    fault_of,
    jittered,
    measured,
    restroked,
    rotated,
    sheared,
    stretched,
    thinned,
    varied,
)

Variation = Callable[[Drawing, np.random.Generator], Drawing]
VARIATIONS: list[Variation] = [jittered, rotated, sheared, stretched, thinned, varied]
EPS = np.finfo(np.float64).eps


def scribble(seed: int, columns: int = 3) -> Drawing:
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 30, 4)
    points = np.cumsum(random.normal(size=(lengths.sum(), 2)), axis=0)
    whole = np.column_stack([points, np.cumsum(random.random(len(points)))])
    return np.split(whole[:, :columns], np.cumsum(lengths)[:-1])


def gaps(drawing: Drawing) -> np.ndarray:
    points = np.concatenate(drawing)[:, :2]
    return np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))


@pytest.mark.parametrize("vary", VARIATIONS)
@pytest.mark.parametrize("columns", [2, 3])
def test_a_variation_is_a_new_drawing_by_the_generator_alone(vary: Variation, columns: int) -> None:
    for seed in range(10):
        drawing, before = scribble(seed, columns), scribble(seed, columns)
        one, other = (vary(drawing, np.random.default_rng(seed)) for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(drawing, before, strict=True))
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        assert not any(np.shares_memory(a, b) for a, b in zip(one, drawing, strict=True))
        assert fault_of(one) is None
        assert [stroke.shape[1] for stroke in one] == [columns] * len(drawing)
        assert any(a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(one, drawing, strict=True))
    assert vary([], np.random.default_rng(0)) == []
    (dot,) = vary([np.array([[3.0, 4]])], np.random.default_rng(0))
    np.testing.assert_allclose(dot, [[3, 4]], rtol=4 * EPS)


def test_turning_keeps_distances_and_times() -> None:
    for seed in range(10):
        drawing = scribble(seed)
        turned = rotated(drawing, np.random.default_rng(seed), 90)
        # Coordinates of some tens of units, a product and two sums each.
        np.testing.assert_allclose(gaps(turned), gaps(drawing), atol=64 * 10 * EPS)
        assert np.array_equal(np.concatenate(turned)[:, 2], np.concatenate(drawing)[:, 2])


def test_slanting_keeps_heights_and_stretching_keeps_straight_lines() -> None:
    for seed in range(10):
        drawing, random = scribble(seed), np.random.default_rng(seed)
        points, slanted = np.concatenate(drawing), np.concatenate(sheared(drawing, random))
        np.testing.assert_allclose(slanted[:, 1], points[:, 1], atol=64 * EPS)
        wide = np.concatenate(stretched(drawing, random, 0.5))
        for column in (0, 1):
            factor = np.ptp(wide[:, column]) / np.ptp(points[:, column])
            assert 1 / 1.5 <= factor <= 1.5
            moves = np.diff(points[:, column]) * factor
            np.testing.assert_allclose(np.diff(wide[:, column]), moves, atol=64 * 10 * EPS)


def test_jitter_has_the_deviation_asked_for() -> None:
    drawing = [np.random.default_rng(0).random((20_000, 2)) * 100]
    size = measured(drawing)[1]
    noise = jittered(drawing, np.random.default_rng(1), 0.01)[0] - drawing[0]
    # The deviation of 40 000 normal numbers is known to 1 / sqrt(80 000) of it: five of these.
    assert noise.std() == pytest.approx(0.01 * size, rel=5 / np.sqrt(80_000))


def test_thinning_leaves_the_ends_and_keeps_the_order() -> None:
    drawing = [np.column_stack([np.arange(1000.0), np.zeros(1000)]), np.zeros((1, 2)), np.ones((2, 2))]
    long, dot, line = thinned(drawing, np.random.default_rng(0), 0.3)
    assert (long[0, 0], long[-1, 0], len(dot), len(line)) == (0, 999, 1, 2)
    assert (np.diff(long[:, 0]) > 0).all()
    # 998 draws of probability 0.3: five deviations of their sum.
    assert abs(1000 - len(long) - 0.3 * 998) <= 5 * np.sqrt(998 * 0.21)
    assert [len(stroke) for stroke in thinned(drawing, np.random.default_rng(0), 1.0)] == [2, 1, 2]


def test_strokes_are_drawn_from_their_ends_and_in_another_order_by_the_same_clock() -> None:
    drawing, random = scribble(1), np.random.default_rng(0)
    backwards = restroked(drawing, random, 1, 0)
    assert all(np.array_equal(a[:, :2], b[::-1, :2]) for a, b in zip(backwards, drawing, strict=True))
    other = restroked(drawing, random, 0, 1)
    assert sorted(stroke[:, :2].tolist() for stroke in other) == sorted(stroke[:, :2].tolist() for stroke in drawing)
    assert [len(stroke) for stroke in other] != [len(stroke) for stroke in drawing]
    for found in (backwards, other):
        assert np.array_equal(np.concatenate(found)[:, 2], np.concatenate(drawing)[:, 2])
    found = [restroked(drawing, random, 0.3, 0) for _ in range(1000)]
    count = sum(not np.array_equal(a, b) for one in found for a, b in zip(one, drawing, strict=True) if len(b) > 1)
    share = count / (1000 * sum(len(stroke) > 1 for stroke in drawing))
    # Four deviations of a mean of a thousand strokes at least.
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 1000)


def test_amounts_out_of_range_are_named() -> None:
    for amount in (-0.1, float("nan"), 1e9):
        for vary in (restroked, rotated, sheared, stretched, jittered, thinned):
            with pytest.raises(OptionError, match=r"^ink: \w+ must lie in 0\.\."):
                vary(scribble(0), np.random.default_rng(0), amount)
