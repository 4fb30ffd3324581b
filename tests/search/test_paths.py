"""Paths over frames against the enumeration of all of them; the end of an utterance."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from unrolled.errors import DataError, LengthsError, NonFiniteError, OptionError, ShapeError
from unrolled.search.paths import EndPoint, Spelled, best_path, path_of, split_words


def drawn(seed: int, *shape: int) -> np.ndarray:
    """Random log-probabilities."""
    scores = 2 * np.random.default_rng(seed).normal(size=shape)
    return np.asarray(scores - np.logaddexp.reduce(scores, -1, keepdims=True))


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(code for code, _ in itertools.groupby(path) if code)


def spans(path: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(code, begin, end) of each run of a code."""
    runs = [list(run) for _, run in itertools.groupby(enumerate(path), key=lambda pair: pair[1])]
    return [(run[0][1], run[0][0], run[-1][0] + 1) for run in runs if run[0][1]]


def placed(spelled: list[Spelled]) -> list[tuple[int, int, int]]:
    assert all(len(one.codes) == 1 for one in spelled)
    return [(one.codes[0], one.begin, one.end) for one in spelled]


@pytest.mark.parametrize("seed", range(10))
def test_the_best_path_is_the_best_of_all(seed: int) -> None:
    frames = drawn(seed, 5, 3)
    best = max(itertools.product(range(3), repeat=5), key=lambda path: frames[range(5), path].sum())
    (found,) = best_path(frames[None])
    assert placed(found) == spans(best)
    for one in found:
        mean = math.fsum(math.exp(frames[t, one.codes[0]]) for t in range(one.begin, one.end)) / (one.end - one.begin)
        assert one.confidence == pytest.approx(mean, rel=1e-14)


def test_each_row_has_its_own_frames_and_is_alone() -> None:
    batch, lengths = drawn(0, 4, 9, 4), [9, 5, 1, 0]
    padded = batch.copy()
    for row, length in enumerate(lengths):
        padded[row, length:] = -1e3
        padded[row, length:, 2] = 0
    found = best_path(torch.from_numpy(padded), torch.tensor(lengths))
    assert found == [best_path(batch[row : row + 1, :length])[0] for row, length in enumerate(lengths)]
    assert found[3] == []


def test_of_equal_codes_the_lowest_is_taken() -> None:
    assert best_path(np.full((1, 3, 4), -math.log(4))) == [[]]
    tied = np.tile(np.array([-math.inf, math.log(0.5), math.log(0.5)]), (1, 2, 1))
    assert placed(best_path(tied)[0]) == [(1, 0, 2)]


@pytest.mark.parametrize("seed", range(6))
def test_codes_stand_where_the_best_path_that_spells_them_says(seed: int) -> None:
    frames = drawn(seed, 5, 3)
    paths = list(itertools.product(range(3), repeat=5))
    for codes in {collapsed(path) for path in paths}:
        own = [path for path in paths if collapsed(path) == codes]
        best = max(own, key=lambda path: frames[range(5), path].sum())
        assert placed(path_of(frames, codes)) == spans(best)


def test_codes_that_no_path_spells_are_refused() -> None:
    frames = drawn(0, 3, 3)
    with pytest.raises(DataError, match="there are 3 frames, but 3 codes need 4"):
        path_of(frames, [1, 1, 2])
    with pytest.raises(DataError, match=r"every code must lie in 1\.\.2, got 0"):
        path_of(frames, [1, 0])
    with pytest.raises(DataError, match="no path that spells the 1 codes is possible"):
        path_of(np.array([[0.0, -math.inf]]), [1])
    assert path_of(frames[:0], []) == []


def test_words_are_parted_and_as_sure_as_their_least_sure_code() -> None:
    codes = [Spelled((code,), 2 * at, 2 * at + 1, 0.9 - 0.1 * at) for at, code in enumerate([1, 5, 6, 1, 1, 7])]
    first, second = split_words(codes, {1})
    assert (first.codes, first.begin, first.end) == ((5, 6), 2, 5)
    assert first.confidence == codes[2].confidence
    assert second == codes[5]
    assert split_words([], {1}) == split_words(codes[:1], {1}) == []
    assert [word.codes for word in split_words(codes, ())] == [(1, 5, 6, 1, 1, 7)]


def over(path: tuple[int, ...], least: int) -> int | None:
    """The shortest beginning in which something is said and whose last `least` frames are blank."""
    ends = (n for n in range(least, len(path) + 1) if any(path[:n]) and not any(path[n - least : n]))
    return next(ends, None)


@pytest.mark.parametrize("least", [1, 2, 3])
def test_an_utterance_is_over_at_the_first_silence_that_lasts_in_any_pieces(least: int) -> None:
    random = np.random.default_rng(least)
    for path in itertools.product(range(2), repeat=7):
        frames = np.log(0.1 + 0.8 * np.eye(2))[list(path)]
        end, seen = EndPoint(least), 0
        for piece in np.split(frames, np.sort(random.integers(0, 8, size=3))):
            seen += len(piece)
            assert end.push(piece) == over(path[:seen], least)
    with pytest.raises(OptionError, match="least must be an integer of at least 1"):
        EndPoint(0)


def test_what_are_no_log_probabilities_is_refused() -> None:
    frames = drawn(0, 2, 3, 4)
    with pytest.raises(ShapeError, match=r"must be \(batch, frames, size\), got \(3, 4\)"):
        best_path(frames[0])
    with pytest.raises(ShapeError, match=r"must be \(frames, size\), got \(2, 3, 4\)"):
        path_of(frames, [1])
    with pytest.raises(LengthsError, match=r"2 integers in 0\.\.3, one a row, got 4, 1"):
        best_path(frames, [4, 1])
    for value in (math.nan, 0.5):
        frames[1, 2, 3] = value
        with pytest.raises(NonFiniteError, match=f"got {value} for code 3 in frame 2"):
            best_path(frames)
