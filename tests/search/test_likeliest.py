"""The likeliest path in pieces against that of the whole."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from unrolled.errors import NonFiniteError, ShapeError
from unrolled.search.likeliest import LikeliestPath
from unrolled.search.paths import best_path


def drawn(seed: int, *shape: int) -> np.ndarray:
    """Random log-probabilities."""
    scores = 2 * np.random.default_rng(seed).normal(size=shape)
    return np.asarray(scores - np.logaddexp.reduce(scores, -1, keepdims=True))


@pytest.mark.parametrize("seed", range(20))
def test_any_pieces_give_exactly_the_same_and_the_best_path(seed: int) -> None:
    random, frames = np.random.default_rng(seed), drawn(seed, 60, 3)
    whole, parts = LikeliestPath(), LikeliestPath()
    whole.push(frames)
    stable: tuple[int, ...] = ()
    for piece in np.split(frames, np.sort(random.integers(0, 61, size=int(random.integers(0, 9))))):
        said = parts.push(piece)
        assert said.stable[: len(stable)] == stable
        assert said.rest == ()
        stable = said.stable
    [found], [expected] = parts.finish(), best_path(frames[None])
    assert [found] == whole.finish()
    assert found.codes == stable == tuple(one.codes[0] for one in expected)
    assert [one[:3] for one in found.spelled] == [one[:3] for one in expected]
    # A mean of at most 60 probabilities: each sum is rounded by half a unit of the last place of at most 60, as are
    # exp and the mean by some units of that of 1.
    for one, other in zip(found.spelled, expected, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=64 * 2.0**-52)
    # Sixty sums of up to 60 times 1.1 nats.
    assert found.log_prob == found.score == pytest.approx(math.fsum(frames.max(1)), abs=60 * 128 * 2.0**-53)


def test_it_keeps_what_is_said_and_no_frames() -> None:
    sizes = []
    for stretch in (1, 50):
        path = LikeliestPath()
        path.push(np.log(0.05 + 0.85 * np.eye(3))[np.tile([1, 0, 2, 0], 50).repeat(stretch)])
        sizes.append(len(pickle.dumps(path)))
        assert len(path.finish()[0].codes) == 100
    # 200 frames of three numbers, and 10,000; those of the places are larger: two bytes each.
    assert sizes[1] < sizes[0] + 100 * 4


def test_without_frames_there_is_no_path() -> None:
    path = LikeliestPath()
    assert path.push(np.zeros((0, 4))) == ((), ())
    assert path.finish() == []


def test_what_are_no_log_probabilities_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"must be \(frames, size\), got \(2, 3, 4\)"):
        LikeliestPath().push(drawn(0, 2, 3, 4))
    with pytest.raises(NonFiniteError, match="got nan for code 0 in frame 0"):
        LikeliestPath().push(np.full((1, 4), np.nan))
