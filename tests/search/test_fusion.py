"""Scorers in a prefix search: a fused n-best against the score of every labelling, each scorer against its meaning."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.errors import DataError, OptionError
from unrolled.search.fusion import HotWords, Lexicon, ModelScorer, Scorer, Units, Weighted
from unrolled.search.prefix import PrefixSearch

# Sums of a few hundred probabilities and a few scores, in numbers of up to 100.
CLOSE = 2**8 * 100 * 2.0**-52
SPACE = 1
Score = Callable[[tuple[int, ...]], float]


def drawn(seed: int, *shape: int) -> np.ndarray:
    scores = 1.5 * np.random.default_rng(seed).normal(size=shape)
    return np.asarray(scores - np.logaddexp.reduce(scores, -1, keepdims=True))


def enumerated(frames: np.ndarray) -> dict[tuple[int, ...], float]:
    """log p of all codes that any path spells."""
    terms = defaultdict(list)
    for path in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        codes = tuple(code for code, _ in itertools.groupby(path) if code)
        terms[codes].append(math.exp(math.fsum(frames[range(len(path)), path])))
    return {codes: math.log(math.fsum(own)) for codes, own in terms.items()}


def words(codes: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The words between spaces."""
    runs = itertools.groupby(codes, key=lambda code: code == SPACE)
    return [tuple(run) for space, run in runs if not space]


def total(scorer: Scorer[Any], codes: tuple[int, ...]) -> float:
    """What a scorer says of whole codes."""
    state, value = scorer.begin(), 0.0
    for code in codes:
        one, state = scorer.score(state, code)
        value += one
    return value + scorer.end(state)


class Bigrams:
    """A language model: log p(code | the one before), with an end in the place of the blank."""

    def __init__(self, seed: int, size: int) -> None:
        self.table = drawn(seed + 1000, size, size)
        self.asked = 0

    def begin(self) -> int:
        return 0

    def score(self, state: int, code: int) -> tuple[float, int]:
        self.asked += 1
        return float(self.table[state, code]), code

    def end(self, state: int) -> float:
        return float(self.table[state, 0])

    def log_prob(self, codes: tuple[int, ...]) -> float:
        return math.fsum(self.table[a, b] for a, b in itertools.pairwise((0, *codes, 0)))


HOT = {(2, 3): 3.0, (2, SPACE, 3): 2.5, (3,): 1.5, (3, SPACE, 3, 2): 5.0}
KNOWN = [(2,), (2, 3), (3, 3, 2)]


def standing(codes: tuple[int, ...], phrase: tuple[int, ...], parted: bool) -> int:
    """At how many places a phrase stands; parted: between spaces or the ends alone."""
    inside = (SPACE, *codes, SPACE)
    return sum(
        inside[at : at + len(phrase)] == phrase
        and (not parted or (inside[at - 1] == SPACE and inside[at + len(phrase)] == SPACE))
        for at in range(1, len(inside) - len(phrase))
    )


def of_lexicon(codes: tuple[int, ...], unknown: float) -> float:
    strange = sum(word not in KNOWN for word in words(codes))
    return -unknown * strange if strange else 0.0


def cases(seed: int) -> dict[str, tuple[list[Scorer[Any]], Score]]:
    """Scorers, and what they say together of whole codes, written down from their meaning."""
    model = Bigrams(seed, 4)
    hot, anywhere = HotWords(HOT, {SPACE}), HotWords(HOT, ())
    return {
        "shallow fusion": (
            [Weighted(model, 0.7), Units(0.9)],
            lambda codes: 0.7 * model.log_prob(codes) + 0.9 * len(codes),
        ),
        "words": (
            [Weighted(model, 0.4), Units(-0.8, {SPACE})],
            lambda codes: 0.4 * model.log_prob(codes) - 0.8 * len(words(codes)),
        ),
        "lexicon": ([Lexicon(KNOWN, {SPACE})], lambda codes: of_lexicon(codes, math.inf)),
        "unknown words": ([Lexicon(KNOWN, {SPACE}, unknown=2.0)], lambda codes: of_lexicon(codes, 2.0)),
        "hot words": ([hot], lambda codes: math.fsum(v * standing(codes, k, True) for k, v in HOT.items())),
        "hot anywhere": ([anywhere], lambda codes: math.fsum(v * standing(codes, k, False) for k, v in HOT.items())),
        "all": (
            [Weighted(model, 0.5), Units(1.0, {SPACE}), Lexicon(KNOWN, {SPACE}, unknown=1.0), hot],
            lambda codes: (
                0.5 * model.log_prob(codes)
                + len(words(codes))
                + of_lexicon(codes, 1.0)
                + math.fsum(v * standing(codes, k, True) for k, v in HOT.items())
            ),
        ),
    }


@pytest.mark.parametrize("name", cases(0))
@pytest.mark.parametrize("seed", range(4))
def test_a_fused_nbest_is_that_of_scoring_all_labellings(seed: int, name: str) -> None:
    scorers, meaning = cases(seed)[name]
    frames = drawn(seed, 5, 4)
    log_probs = enumerated(frames)
    ranked = sorted(((log_prob + meaning(codes), codes) for codes, log_prob in log_probs.items()), reverse=True)
    ranked = [one for one in ranked if one[0] > -math.inf]
    search = PrefixSearch(2000, scorers=scorers)
    search.push(frames)
    found = search.finish(2000)
    assert len(found) == len(ranked)
    assert {one.codes for one in found} == {codes for _, codes in ranked}
    for one, (score, _) in zip(found, ranked, strict=True):
        assert one.score == pytest.approx(score, abs=CLOSE)
        assert one.log_prob == pytest.approx(log_probs[one.codes], abs=CLOSE)
        assert one.score == pytest.approx(one.log_prob + meaning(one.codes), abs=CLOSE)


@pytest.mark.parametrize("name", cases(0))
def test_a_scorer_says_of_long_codes_what_it_means(name: str) -> None:
    scorers, meaning = cases(0)[name]
    random = np.random.default_rng(0)
    for _ in range(300):
        codes = tuple(random.integers(1, 4, size=int(random.integers(0, 15))).tolist())
        assert sum(total(scorer, codes) for scorer in scorers) == pytest.approx(meaning(codes), abs=CLOSE)


@pytest.mark.parametrize("name", cases(0))
@pytest.mark.parametrize("threshold", [math.inf, 4.0])
def test_any_pieces_give_exactly_the_same(name: str, threshold: float) -> None:
    frames = drawn(5, 18, 4)
    results = []
    for cuts in ([], [7], range(1, 18)):
        search = PrefixSearch(6, threshold=threshold, scorers=cases(0)[name][0])
        for piece in np.split(frames, cuts):
            search.push(piece)
        results.append(search.finish(6))
    assert results[0] == results[1] == results[2]
    assert results[0]


def test_a_hot_word_wins_where_it_would_have_lost_and_its_beginning_alone_does_not() -> None:
    """Two words sound nearly alike; a narrow beam would have dropped the hot one halfway."""
    frames = np.log(np.array([[0.04, 0.64, 0.32], [0.9, 0.05, 0.05], [0.1, 0.2, 0.7], [0.1, 0.2, 0.7]]))

    def best(hot: dict[tuple[int, ...], float]) -> tuple[int, ...]:
        search = PrefixSearch(1, scorers=[HotWords(hot, {3})])
        search.push(frames)
        return search.finish()[0].codes

    assert best({}) == (1, 2)
    assert best({(2, 2): 3.0}) == (2, 2)
    assert best({(2, 1): 1.0}) == (1, 2)


@pytest.mark.parametrize("separators", [(), (SPACE,)])
def test_a_bonus_is_lent_in_shares_and_is_never_more_than_the_phrase_is_worth(separators: Any) -> None:
    hot = HotWords({(2, 3): 4.0}, separators)
    first, state = hot.score(hot.begin(), 2)
    second, state = hot.score(state, 3)
    assert (first, second, hot.end(state)) == (2.0, 2.0, 0.0)


def test_a_threshold_spares_the_model() -> None:
    asked = []
    for threshold in (math.inf, 5.0):
        model = Bigrams(0, 12)
        search = PrefixSearch(10, threshold=threshold, scorers=[model])
        search.push(3 * drawn(0, 30, 12))
        asked.append(model.asked)
    assert asked[1] < asked[0] / 2


def test_a_code_is_asked_of_once_while_its_prefix_is_in_the_beam() -> None:
    model = Bigrams(0, 3)
    search = PrefixSearch(7, scorers=[model])
    silence = np.tile(drawn(0, 1, 3), (40, 1)) + np.array([0.0, -50.0, -50.0])
    search.push(np.minimum(silence, 0))
    assert model.asked <= 40


def test_a_model_of_ours_is_a_scorer() -> None:
    table = torch.from_numpy(drawn(7, 6, 6))
    calls = []

    def step(codes: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        calls.append(codes.tolist())
        return (table[codes] + 0.1 * state).log_softmax(-1), state + 1

    def log_prob(codes: tuple[int, ...]) -> float:
        own = [5, *[code + 1 for code in codes], 0]
        terms = [(table[a] + 0.1 * n).log_softmax(-1)[b] for n, (a, b) in enumerate(itertools.pairwise(own))]
        return float(sum(terms))

    scorer = ModelScorer(step, torch.zeros(1, 1), begin=5, end=0, codes=[0, 2, 3, 4])
    for codes in ((), (1,), (3, 3, 2)):
        assert total(scorer, codes) == pytest.approx(log_prob(codes), abs=CLOSE)
    assert all(len(codes) == 1 for codes in calls)
    assert calls.count([5]) == 1
    open_ended = ModelScorer(step, torch.zeros(1, 1), begin=5, codes=[0, 2, 3, 4])
    assert open_ended.end(open_ended.begin()) == 0


def test_where_a_lexicon_allows_nothing_nothing_is_found() -> None:
    search = PrefixSearch(2, scorers=[Lexicon([(2, 3)], {SPACE})])
    with np.errstate(divide="ignore"):
        search.push(np.log([[0.0, 0.0, 1.0, 0.0]]))
    assert search.finish() == []
    assert search.push(np.zeros((0, 4))) == ((2,), ())


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(DataError, match=r"Lexicon: a spelling must hold codes of at least 1, got \[\]"):
        Lexicon([()], {SPACE})
    with pytest.raises(DataError, match=r"Lexicon: a word must hold no separator, got \[2, 1\]"):
        Lexicon([(2, SPACE)], {SPACE})
    with pytest.raises(DataError, match="expected at least one word, got none"):
        Lexicon([], {SPACE})
    with pytest.raises(OptionError, match="unknown must be None or a number of at least 0, got -1"):
        Lexicon([(2,)], {SPACE}, unknown=-1)
    with pytest.raises(OptionError, match="a bonus must be a number above 0, got 0"):
        HotWords({(2,): 0}, {SPACE})
    with pytest.raises(DataError, match=r"a phrase must not begin or end with a separator, got \[1, 2\]"):
        HotWords({(SPACE, 2): 1}, {SPACE})
    with pytest.raises(OptionError, match="Weighted: weight must be a finite number, got inf"):
        Weighted(Units(1.0), math.inf)
    assert Weighted(Lexicon([(2,)], {SPACE}), 0.0).score(Lexicon([(2,)], {SPACE}).begin(), 3)[0] == -math.inf
