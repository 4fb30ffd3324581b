"""Prefix beam search against the sum over every path, torch's loss, and itself in pieces."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
import weakref
from collections import defaultdict
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from unrolled.errors import NonFiniteError, OptionError, ShapeError
from unrolled.search.fusion import HotWords, Lexicon, Scorer, Units
from unrolled.search.paths import Spelled, path_of
from unrolled.search.prefix import TIDY, Labelling, PrefixSearch, prefix_search

# Sums of a few hundred probabilities, each a product of at most six, in logarithms of up to 50.
CLOSE = 2**8 * 50 * 2.0**-52
SHAPES = [(5, 3), (4, 4), (6, 2), (1, 5), (3, 1)]


def drawn(seed: int, *shape: int) -> np.ndarray:
    """Random log-probabilities."""
    scores = 2 * np.random.default_rng(seed).normal(size=shape)
    return np.asarray(scores - np.logaddexp.reduce(scores, -1, keepdims=True))


def enumerated(frames: np.ndarray) -> dict[tuple[int, ...], float]:
    """log p of all codes that any path spells."""
    terms = defaultdict(list)
    for path in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        codes = tuple(code for code, _ in itertools.groupby(path) if code)
        terms[codes].append(math.exp(math.fsum(frames[range(len(path)), path])))
    return {codes: math.log(math.fsum(own)) if any(own) else -math.inf for codes, own in terms.items()}


def pieces(frames: np.ndarray, random: np.random.Generator) -> list[np.ndarray]:
    cuts = np.sort(random.integers(0, len(frames) + 1, size=int(random.integers(0, 5))))
    return np.split(frames, cuts)


@pytest.mark.parametrize(("time", "size"), SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_a_beam_as_wide_as_the_space_finds_all_there_are(seed: int, time: int, size: int) -> None:
    frames = drawn(seed, time, size)
    expected = sorted(enumerated(frames).items(), key=lambda pair: -pair[1])
    (found,) = prefix_search(frames[None], width=1000, nbest=1000)
    assert [one.codes for one in found] == [codes for codes, _ in expected]
    for one, (_, log_prob) in zip(found, expected, strict=True):
        assert one.log_prob == pytest.approx(log_prob, abs=CLOSE)
        assert one.score == one.log_prob
    assert math.fsum(math.exp(one.log_prob) for one in found) == pytest.approx(1, abs=CLOSE)


@pytest.mark.parametrize("seed", range(5))
def test_the_optimum_is_found_where_the_best_path_is_not(seed: int) -> None:
    for number in range(100):
        frames = drawn(1000 * seed + number, 4, 3)
        expected = enumerated(frames)
        (best,) = searched(frames, 1000).finish()
        assert best.log_prob == pytest.approx(max(expected.values()), abs=CLOSE)
        assert expected[best.codes] == pytest.approx(best.log_prob, abs=CLOSE)


def searched(frames: np.ndarray, width: int, threshold: float = math.inf) -> PrefixSearch:
    search = PrefixSearch(width, threshold=threshold)
    search.push(frames)
    return search


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
def test_a_narrow_beam_never_says_more_than_the_truth(width: int) -> None:
    for seed in range(20):
        frames = drawn(seed, 5, 3)
        expected = enumerated(frames)
        for found in searched(frames, width).finish(width):
            assert found.log_prob <= expected[found.codes] + CLOSE


def plain(frames: np.ndarray, width: int, threshold: float) -> list[tuple[tuple[int, ...], float]]:
    """The same search written down plainly, over probabilities in a dictionary."""
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (1.0, 0.0)}
    for frame in np.exp(frames):
        after: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])
        for codes, (blank, code) in beam.items():
            after[codes][0] += (blank + code) * frame[0]
            if codes:
                after[codes][1] += code * frame[codes[-1]]
            for new in range(1, len(frame)):
                mass = blank if codes and codes[-1] == new else blank + code
                after[(*codes, new)][1] += mass * frame[new]
        ranked = sorted(after.items(), key=lambda pair: -sum(pair[1]))[:width]
        least = sum(ranked[0][1]) * math.exp(-threshold)
        beam = {codes: (mass[0], mass[1]) for codes, mass in ranked if sum(mass) >= least and sum(mass) > 0}
    return [(codes, math.log(sum(mass))) for codes, mass in beam.items()]


@pytest.mark.parametrize("threshold", [math.inf, 4.0, 1.5])
@pytest.mark.parametrize("width", [1, 2, 4, 7])
def test_a_beam_is_that_of_the_algorithm_written_plainly(width: int, threshold: float) -> None:
    for seed in range(10):
        frames = drawn(seed, 12, 5)
        expected, found = plain(frames, width, threshold), searched(frames, width, threshold).finish(width)
        assert [one.codes for one in found] == [codes for codes, _ in expected]
        for one, (_, log_prob) in zip(found, expected, strict=True):
            assert one.log_prob == pytest.approx(log_prob, abs=12 * CLOSE)


@pytest.mark.parametrize("count", [1, 17, 40, 80])
def test_long_rows_have_the_probability_that_torch_gives_them(count: int) -> None:
    """A lexicon of one word leaves its beginnings alone in the beam, so that no path is lost."""
    codes = np.random.default_rng(count).integers(1, 9, size=count).tolist()
    frames = torch.from_numpy(drawn(count, 100, 9))
    search = PrefixSearch(count + 1, scorers=[Lexicon([codes], ())])
    search.push(frames)
    found = {one.codes: one.log_prob for one in search.finish(count + 1)}
    loss = torch.nn.functional.ctc_loss(frames, torch.tensor([codes]), (100,), (count,), reduction="sum")
    assert set(found) <= {tuple(codes), ()}
    # A walk over 100 frames rounds each of its sums, which reach a few hundred.
    assert found[tuple(codes)] == pytest.approx(-loss.item(), abs=100 * 512 * 2.0**-52)


@pytest.mark.parametrize(("width", "threshold"), [(1, math.inf), (6, math.inf), (6, 3.0)])
def test_any_pieces_give_exactly_the_same_and_what_is_stable_stays(width: int, threshold: float) -> None:
    for seed in range(15):
        random = np.random.default_rng(seed)
        frames = drawn(seed, 20, 4)
        whole, parts = searched(frames, width, threshold), PrefixSearch(width, threshold=threshold)
        stable: tuple[int, ...] = ()
        for piece in pieces(frames, random):
            said = parts.push(piece)
            assert said.stable[: len(stable)] == stable
            stable = said.stable
            assert (*said.stable, *said.rest) == parts.finish()[0].codes
            every = [one.codes for one in parts.finish(width)]
            assert all(codes[: len(stable)] == stable for codes in every)
            assert len({codes[len(stable) : len(stable) + 1] for codes in every}) > 1 or len(every) == 1
        assert parts.finish(width) == whole.finish(width)


def test_numbers_of_single_precision_are_taken_as_they_are() -> None:
    frames = torch.from_numpy(drawn(0, 6, 3)).float()
    by_tensor, by_array = (prefix_search(given[None], width=9, nbest=9) for given in (frames, frames.double().numpy()))
    assert by_tensor == by_array


def test_a_copy_of_a_search_goes_on_by_itself() -> None:
    frames = drawn(1, 10, 4)
    search = searched(frames[:4], 5)
    other = copy.deepcopy(search)
    search.push(drawn(2, 3, 4))
    other.push(frames[4:])
    assert other.finish(5) == searched(frames, 5).finish(5)


def runs(frames: np.ndarray, path: tuple[int, ...]) -> list[Spelled]:
    """What a path spells, by its runs."""
    found, time = [], 0
    for code, run in itertools.groupby(path):
        begin, time = time, time + len(list(run))
        if code:
            mean = math.fsum(math.exp(frames[t, code]) for t in range(begin, time)) / (time - begin)
            found.append(Spelled((code,), begin, time, mean))
    return found


def same_places(found: list[Spelled], expected: list[Spelled], frames: int) -> None:
    """Frames exactly. Each confidence is a mean of at most so many probabilities of at most 1, each of which, and each
    sum of which, is rounded: in units of the last place of 1, at most `frames` for the sums and 2 for exp and mean."""
    assert [one[:3] for one in found] == [one[:3] for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=(frames + 2) * 2.0**-52)


@pytest.mark.parametrize(("time", "size"), SHAPES)
@pytest.mark.parametrize("seed", range(5))
def test_in_a_full_beam_codes_stand_where_their_best_path_of_all_has_them(seed: int, time: int, size: int) -> None:
    frames = drawn(seed, time, size)
    for found in searched(frames, 1000).finish(1000):
        same_places(found.spelled, path_of(frames, found.codes), time)


def plainly_placed(frames: np.ndarray, width: int) -> dict[tuple[int, ...], tuple[int, ...]]:
    """The beam of `plain`, and of each of its codes the best path of those that stay within the beam."""
    best: dict[tuple[int, ...], list[tuple[float, tuple[int, ...]]]] = {(): [(0.0, ())]}
    for time in range(len(frames)):
        kept = {codes for codes, _ in plain(frames[: time + 1], width, math.inf)}
        after = defaultdict(list)
        for codes, own in best.items():
            for (value, path), new in itertools.product(own, range(frames.shape[1])):
                grown = codes if new in (0, *path[-1:]) else (*codes, new)
                if grown in kept:
                    after[grown].append((value + frames[time, new], (*path, new)))
        # The best path with each last code: what may follow depends on nothing else.
        best = {codes: [max(own) for own in _by_end(some)] for codes, some in after.items()}
    return {codes: max(some)[1] for codes, some in best.items()}


def _by_end(paths: list[tuple[float, tuple[int, ...]]]) -> list[list[tuple[float, tuple[int, ...]]]]:
    return [[one for one in paths if one[1][-1] == last] for last in {one[1][-1] for one in paths}]


@pytest.mark.parametrize("width", [1, 2, 4, 7])
def test_in_a_narrow_beam_codes_stand_on_the_best_path_that_it_kept(width: int) -> None:
    for seed in range(5):
        frames = drawn(seed, 14, 4)
        paths = plainly_placed(frames, width)
        for found in searched(frames, width).finish(width):
            same_places(found.spelled, runs(frames, paths[found.codes]), len(frames))
            assert tuple(code for one in found.spelled for code in one.codes) == found.codes
            assert all(one.end <= later.begin for one, later in itertools.pairwise(found.spelled))


def test_of_a_network_that_is_as_sure_as_ours_codes_stand_where_the_best_path_of_all_has_them() -> None:
    """Scores that spread by four nats with a favoured blank, as on speech; from flat ones it loses paths."""
    for seed in range(100):
        scores = 4 * np.random.default_rng(seed).normal(size=(60, 12)) + 6 * (np.arange(12) == 0)
        frames = scores - np.logaddexp.reduce(scores, -1, keepdims=True)
        [found] = searched(frames, 16).finish()
        same_places(found.spelled, path_of(frames, found.codes), len(frames))


def said(seed: int, codes: int, stretch: int) -> np.ndarray:
    """Codes of two frames each with one of nothing behind it, all `stretch` times as long: (frames, 9)."""
    shown = np.random.default_rng(seed).integers(1, 9, codes)
    path = np.stack([shown, shown, 0 * shown], 1).ravel().repeat(stretch)
    return np.asarray(np.log(0.1 / 9 + 0.9 * np.eye(9))[path])


@pytest.mark.parametrize("scorers", [
    [Units(0.5)], [HotWords({(1, 3): 3.0, (3,): 1.0}, [2])], [Lexicon([(1, 3), (3,)], [2]), Units(-0.5, [2])],
])  # fmt: skip
def test_any_pieces_give_exactly_the_same_where_others_have_a_say(scorers: list[Scorer[Any]]) -> None:
    for seed in range(10):
        frames = drawn(seed, 50, 4)
        whole, parts = (PrefixSearch(5, threshold=9.0, scorers=scorers) for _ in range(2))
        whole.push(frames)
        for piece in pieces(frames, np.random.default_rng(seed)):
            parts.push(piece)
        assert parts.finish(5) == whole.finish(5)


@pytest.mark.parametrize("scorers", [[], [Units(0.5)]])
def test_a_search_keeps_what_is_said_and_no_frames(scorers: list[Units]) -> None:
    """The threshold makes the beam agree: what it does not agree on is kept for each prefix."""
    sizes = {}
    for stretch in (1, 20):
        search = PrefixSearch(8, threshold=3.0, scorers=scorers)
        for seed in range(20):
            stable, rest = search.push(said(seed, 10, stretch))
        sizes[stretch] = len(pickle.dumps(search))
        assert len(stable) > 195
        assert len(stable) + len(rest) == 200
        assert len(search.finish()[0].spelled) == 200
    # 600 frames of 9 numbers of 8 bytes, and 12,000. What stands in another frame is a larger number: 3 bytes a code.
    assert sizes[20] < sizes[1] + 200 * 3 + 1000
    assert sizes[20] < 12_000 * 9 * 8 / 10
    # A place is a code, two numbers of frames and a confidence: with what marks them in pickled form some 30 bytes.
    assert sizes[1] < 200 * 40 + 2000 * len(scorers)


def test_a_search_of_nothing_stays_as_large_as_it_is() -> None:
    search, sizes = PrefixSearch(8), []
    for _ in range(6):
        search.push(np.tile(np.log([[0.9, *[0.1 / 8] * 8]]), (500, 1)))
        sizes.append(len(pickle.dumps(search)))
    assert max(sizes[1:]) < sizes[0] + 1000


def test_what_was_asked_of_prefixes_that_left_the_beam_is_forgotten() -> None:
    class Counted:
        """Every sequence has a state of its own, as many as are kept."""

        states: ClassVar[weakref.WeakSet[Counted]] = weakref.WeakSet()

        def begin(self) -> Counted:
            after = Counted()
            self.states.add(after)
            return after

        def score(self, state: Counted, code: int) -> tuple[float, Counted]:
            return 0.0, self.begin()

        def end(self, state: Counted) -> float:
            return 0.0

    search = PrefixSearch(12, scorers=[Counted()])
    for seed in range(150):
        scores = 2 * np.random.default_rng(seed).normal(size=(TIDY, 5)) + 9 * (np.arange(5) == 0)
        search.push(scores - np.logaddexp.reduce(scores, -1, keepdims=True))
        # Those of the beam, and of each of them grown by one of four codes.
        assert len(Counted.states) <= 12 * (1 + 4)


def test_without_frames_nothing_is_said() -> None:
    assert PrefixSearch(3).finish(2) == [Labelling((), 0.0, 0.0, [])]
    search = PrefixSearch(3)
    assert search.push(np.zeros((0, 4))) == ((), ())
    assert search.finish() == [Labelling((), 0.0, 0.0, [])]
    assert prefix_search(np.zeros((0, 4, 3))) == []


def test_what_is_impossible_is_not_found() -> None:
    with np.errstate(divide="ignore"):
        frames = np.log([[0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    found = {one.codes: one.log_prob for one in searched(frames, 50).finish(50)}
    assert set(found) == {(1, 2), (2,)}
    assert found[(1, 2)] == pytest.approx(math.log(0.5))
    search = searched(np.full((1, 3), -np.inf), 5)
    assert search.push(frames) == ((), ())
    assert search.finish() == []


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(OptionError, match="width must be an integer of at least 1, got 0"):
        PrefixSearch(0)
    for threshold in (0.0, math.nan):
        with pytest.raises(OptionError, match=f"threshold must be a number above 0, got {threshold}"):
            PrefixSearch(threshold=threshold)
    with pytest.raises(OptionError, match="nbest must be at most width=2, got 3"):
        PrefixSearch(2).finish(3)
    search = searched(drawn(0, 2, 4), 3)
    with pytest.raises(ShapeError, match="frames must have 4 codes like those before, got 3"):
        search.push(drawn(0, 2, 3))
    with pytest.raises(NonFiniteError, match="got nan for code 0 in frame 0"):
        search.push(np.full((1, 4), np.nan))
