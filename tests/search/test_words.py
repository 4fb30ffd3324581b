"""A model over words in a search over characters: against the sum by hand, with and without look-ahead, in pieces."""

from __future__ import annotations

import gc
import itertools
import math
import weakref
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unrolled.align.next import Next, NextOptions
from unrolled.errors import DataError, OptionError
from unrolled.heads.softmax import OutputLayer
from unrolled.nn import LSTM, Embedding
from unrolled.search import score
from unrolled.search.fusion import HotWords, Lexicon, ModelScorer, Scorer, Units, Weighted
from unrolled.search.prefix import PrefixSearch
from unrolled.search.words import WordScorer

SPACE, END, STRANGE = 1, 0, 1
# Sums of a few hundred probabilities and a few scores, in numbers of up to 100; what is lent is rounded twice more.
CLOSE = 2**9 * 100 * 2.0**-52
# Spellings in the codes of the search, and the model's own codes of each; one word is two pieces.
WORDS = {(2,): (2,), (2, 3): (3,), (2, 3, 3): (4,), (3, 3): (5, 2), (3,): (5,)}
Codes = tuple[int, ...]


def drawn(seed: int, *shape: int) -> np.ndarray:
    scores = 1.5 * np.random.default_rng(seed).normal(size=shape)
    return np.asarray(scores - np.logaddexp.reduce(scores, -1, keepdims=True))


def enumerated(frames: np.ndarray) -> dict[Codes, float]:
    """log p of all codes that any path spells."""
    terms = defaultdict(list)
    for path in itertools.product(range(frames.shape[1]), repeat=len(frames)):
        codes = tuple(code for code, _ in itertools.groupby(path) if code)
        terms[codes].append(math.exp(math.fsum(frames[range(len(path)), path])))
    return {codes: math.log(math.fsum(own)) for codes, own in terms.items()}


def split(codes: Codes) -> list[Codes]:
    """The words between spaces."""
    runs = itertools.groupby(codes, key=lambda code: code == SPACE)
    return [tuple(run) for space, run in runs if not space]


class Trigrams:
    """log p(code | the two before): a step whose state is the code before the last one."""

    def __init__(self, seed: int, size: int = 6) -> None:
        self.table = torch.from_numpy(drawn(seed + 500, size, size, size))
        self.asked: list[tuple[int, int]] = []

    def __call__(self, codes: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        assert codes.shape == (1,)
        self.asked.append((int(state[0, 0]), int(codes[0])))
        return self.table[state[:, 0], codes], codes[:, None]

    def log_prob(self, codes: Sequence[int]) -> float:
        whole = (END, END, *codes, END)
        return math.fsum(float(self.table[three]) for three in zip(whole, whole[1:], whole[2:], strict=False))

    def scorer(self) -> ModelScorer[Tensor]:
        return ModelScorer(self, torch.tensor([[END]]), begin=END, end=END)


def by_hand(model: Trigrams, codes: Codes, unknown: float | None, told: bool) -> float:
    """log p of the words, an unknown one of which the model hears of or does not."""
    strange: tuple[int, ...] = (STRANGE,) if told else ()
    words = split(codes)
    missing = sum(word not in WORDS for word in words)
    if missing and unknown is None:
        return -math.inf
    own = [code for word in words for code in WORDS.get(word, strange)]
    return model.log_prob(own) - (missing * unknown if unknown is not None else 0.0)


def total(scorer: Scorer[Any], codes: Codes) -> float:
    state, value = scorer.begin(), 0.0
    for code in codes:
        one, state = scorer.score(state, code)
        value += one
    return value + scorer.end(state)


KINDS = [(None, False), (1.5, False), (0.5, True)]


def make(model: Trigrams, unknown: float | None, told: bool, look_ahead: bool) -> WordScorer:
    return WordScorer(
        model.scorer(), WORDS, {SPACE}, unknown=unknown, unknown_codes=[STRANGE] if told else [], look_ahead=look_ahead
    )


@pytest.mark.parametrize("look_ahead", [True, False])
@pytest.mark.parametrize(("unknown", "told"), KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_an_nbest_is_that_of_all_labellings_scored_by_hand(
    seed: int, unknown: float | None, told: bool, look_ahead: bool
) -> None:
    """log p_ctc + alpha log p_lm(words) + beta words, of every entry; and the optimum over all there are."""
    model, frames, alpha, beta = Trigrams(seed), drawn(seed, 5, 4), 0.7, 0.9
    log_probs = enumerated(frames)

    def meaning(codes: Codes) -> float:
        return alpha * by_hand(model, codes, unknown, told) + beta * len(split(codes))

    ranked = sorted(((log_prob + meaning(codes), codes) for codes, log_prob in log_probs.items()), reverse=True)
    ranked = [one for one in ranked if one[0] > -math.inf]
    scorers = [Weighted(make(model, unknown, told, look_ahead), alpha), Units(beta, {SPACE})]
    search = PrefixSearch(2000, scorers=scorers)
    search.push(frames)
    found = search.finish(2000)
    assert {one.codes for one in found} == {codes for _, codes in ranked}
    for one, (best, _) in zip(found, ranked, strict=True):
        assert one.score == pytest.approx(best, abs=CLOSE)
        assert one.log_prob == pytest.approx(log_probs[one.codes], abs=CLOSE)
        assert one.score == pytest.approx(one.log_prob + meaning(one.codes), abs=CLOSE)


@pytest.mark.parametrize("look_ahead", [True, False])
@pytest.mark.parametrize(("unknown", "told"), KINDS)
def test_a_narrow_beam_says_of_each_entry_what_it_means(unknown: float | None, told: bool, look_ahead: bool) -> None:
    for seed in range(10):
        model, frames = Trigrams(seed), drawn(seed, 30, 4)
        search = PrefixSearch(6, scorers=[make(model, unknown, told, look_ahead)])
        search.push(frames)
        for one in search.finish(6):
            expected = one.log_prob + by_hand(model, one.codes, unknown, told)
            assert one.score == pytest.approx(expected, abs=CLOSE)


@pytest.mark.parametrize("look_ahead", [True, False])
@pytest.mark.parametrize(("unknown", "told"), KINDS)
def test_long_codes_cost_what_their_words_do(unknown: float | None, told: bool, look_ahead: bool) -> None:
    random, model = np.random.default_rng(0), Trigrams(0)
    scorer = make(model, unknown, told, look_ahead)
    for _ in range(300):
        codes = tuple(random.integers(1, 4, size=int(random.integers(0, 15))).tolist())
        assert total(scorer, codes) == pytest.approx(by_hand(model, codes, unknown, told), abs=CLOSE)


@pytest.mark.parametrize("look_ahead", [True, False])
@pytest.mark.parametrize(("unknown", "told"), KINDS)
@pytest.mark.parametrize("threshold", [math.inf, 4.0])
def test_any_pieces_give_exactly_the_same(
    unknown: float | None, told: bool, look_ahead: bool, threshold: float
) -> None:
    for seed in range(5):
        frames, random = drawn(seed, 20, 4), np.random.default_rng(seed)
        results = []
        for cuts in ([], [7], range(1, 20), np.sort(random.integers(0, 21, size=4)).tolist()):
            search = PrefixSearch(6, threshold=threshold, scorers=[make(Trigrams(seed), unknown, told, look_ahead)])
            stable: Codes = ()
            for piece in np.split(frames, cuts):
                said = search.push(piece)
                assert said.stable[: len(stable)] == stable
                stable = said.stable
            results.append(search.finish(6))
        assert all(result == results[0] for result in results)
        assert results[0]


def test_what_is_lent_is_the_best_word_below_and_falls_as_the_word_is_told() -> None:
    model = Trigrams(3)
    first = model.table[END, END]
    scorer = make(model, None, False, True)
    value, state = scorer.score(scorer.begin(), 2)
    assert value == pytest.approx(float(first[[2, 3, 4]].max()))
    more, state = scorer.score(state, 3)
    assert value + more == pytest.approx(float(first[[3, 4]].max()))
    most, state = scorer.score(state, 3)
    assert value + more + most == pytest.approx(float(first[4]))
    assert scorer.score(state, SPACE)[0] == pytest.approx(0, abs=CLOSE)


def test_a_word_that_may_yet_be_unknown_is_lent_what_that_costs() -> None:
    model = Trigrams(3)
    model.table[END, END, 2:] = -50.0
    scorer = make(model, 2.0, False, True)
    value, state = scorer.score(scorer.begin(), 2)
    assert value == -2.0
    assert scorer.score(state, 2)[0] == 0.0


def test_look_ahead_keeps_the_word_that_a_narrow_beam_would_have_dropped() -> None:
    """A likely sound begins a word that the model hardly knows; without look-ahead that is learned too late."""
    table = torch.tensor([[0.1, 0.0, 0.001, 0.899]]).log()
    words = {(2, 2): [2], (3, 3): [3]}
    frames = np.log([[0.02, 0.01, 0.55, 0.42], [0.95, 0.01, 0.02, 0.02], [0.02, 0.01, 0.48, 0.49]])

    def best(look_ahead: bool) -> list[Codes]:
        model = ModelScorer(lambda codes, state: (table, state), torch.zeros(1, 1), begin=0, end=0)
        search = PrefixSearch(1, scorers=[WordScorer(model, words, {SPACE}, look_ahead=look_ahead)])
        search.push(frames)
        return [one.codes for one in search.finish()]

    assert best(True) == [(3, 3)]
    assert best(False) == [(2, 2)]


@pytest.mark.parametrize("look_ahead", [True, False])
def test_the_model_is_asked_once_for_each_sequence_of_words(look_ahead: bool) -> None:
    asked = list[list[int]]()

    def step(codes: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        # The state spells the words so far, in a base as large as the vocabulary.
        after = 6 * state + codes[:, None]
        asked.append(after[0].tolist())
        return torch.from_numpy(drawn(int(after[0, 0]) % 97, 1, 6)), after

    scorer = WordScorer(
        ModelScorer(step, torch.zeros(1, 1, dtype=torch.long), begin=1, end=0), WORDS, {SPACE}, look_ahead=look_ahead
    )
    search = PrefixSearch(30, scorers=[scorer])
    search.push(drawn(0, 12, 4))
    assert search.finish(30)
    assert len(asked) > 15
    assert len(asked) == len({tuple(one) for one in asked})


def test_words_that_have_left_the_beam_are_forgotten() -> None:
    model = Trigrams(0)
    scorer = make(model, 1.0, True, True)
    begun = scorer.begin()
    seen = weakref.ref(begun.history.state)
    search = PrefixSearch(3, scorers=[scorer])
    state = begun
    for code in (2, SPACE, 3, SPACE):
        _, state = scorer.score(state, code)
    later = weakref.ref(state.history.state)
    del begun
    search.push(drawn(0, 40, 4))
    gc.collect()
    assert later() is not None
    del state
    gc.collect()
    assert later() is None
    assert seen() is scorer.model.first


def test_states_are_shared_and_never_changed() -> None:
    scorer = make(Trigrams(1), 1.0, True, True)
    _, state = scorer.score(scorer.begin(), 2)
    every = [[scorer.score(state, code)[0] for code in (1, 2, 3)] for _ in range(2)]
    again = [scorer.score(state, code)[0] for code in (3, 2, 1)]
    assert every[0] == every[1] == again[::-1]
    assert scorer.end(state) == scorer.end(state)


@pytest.mark.parametrize("look_ahead", [True, False])
def test_a_network_of_ours_scores_words_as_it_does_alone(look_ahead: bool) -> None:
    torch.manual_seed(0)
    net = Next(Embedding(6, 8), LSTM(8, 8), OutputLayer(8, 6), NextOptions()).double().eval()
    scorer = WordScorer(
        ModelScorer(net.step, net.begin(1), begin=END, end=END), WORDS, {SPACE}, unknown=0.0, unknown_codes=[STRANGE],
        look_ahead=look_ahead,
    )  # fmt: skip
    search = PrefixSearch(8, scorers=[scorer])
    search.push(drawn(0, 25, 4))
    found = search.finish(8)
    own = [[code for word in split(one.codes) for code in WORDS.get(word, (STRANGE,))] for one in found]
    told = [score(net.step, net.begin(1), [codes], begin=END, end=END)[0].log_prob for codes in own]
    assert any(own)
    for one, log_prob in zip(found, told, strict=True):
        assert one.score == pytest.approx(one.log_prob + log_prob, abs=CLOSE)


def test_words_go_together_with_hot_words_and_another_lexicon() -> None:
    model, frames = Trigrams(2), drawn(2, 5, 4)
    scorers: list[Scorer[Any]] = [
        make(model, 1.0, False, True), HotWords({(3,): 2.0}, {SPACE}), Lexicon([(2,), (3,)], {SPACE})
    ]  # fmt: skip
    search = PrefixSearch(2000, scorers=scorers)
    search.push(frames)
    for one in search.finish(2000):
        expected = one.log_prob + by_hand(model, one.codes, 1.0, False) + 2.0 * split(one.codes).count((3,))
        assert one.score == pytest.approx(expected, abs=CLOSE)
        assert set(split(one.codes)) <= {(2,), (3,)}


@pytest.mark.parametrize("look_ahead", [True, False])
def test_what_a_model_calls_impossible_is_never_found_nor_paid_back(look_ahead: bool) -> None:
    model = Trigrams(4)
    model.table[..., 3:5] = -math.inf
    scorer = make(model, None, False, look_ahead)
    assert total(scorer, (2, 3)) == total(scorer, (2, 3, 3)) == total(scorer, (2, 3, SPACE, 3)) == -math.inf
    search = PrefixSearch(2000, scorers=[scorer])
    search.push(drawn(4, 6, 4))
    assert all((2, 3) not in split(one.codes) for one in search.finish(2000))
    assert math.isfinite(total(make(model, 1.0, False, look_ahead), (2, 2)))


def test_what_makes_no_sense_is_refused() -> None:
    model = Trigrams(0).scorer()
    with pytest.raises(DataError, match="WordScorer: expected at least one word, got none"):
        WordScorer(model, {}, {SPACE})
    with pytest.raises(DataError, match=r"WordScorer: a spelling must hold codes of at least 1, got \[\]"):
        WordScorer(model, {(): [1]}, {SPACE})
    with pytest.raises(DataError, match=r"WordScorer: a word must hold no separator, got \[2, 1\]"):
        WordScorer(model, {(2, SPACE): [1]}, {SPACE})
    with pytest.raises(DataError, match=r"expected the model's codes for the word \[2\], got none"):
        WordScorer(model, {(2,): []}, {SPACE})
    with pytest.raises(OptionError, match="WordScorer: unknown must be None or a number of at least 0, got -1"):
        WordScorer(model, WORDS, {SPACE}, unknown=-1)
    for look_ahead in (True, False):
        scorer = WordScorer(model, {(2,): [6]}, {SPACE}, look_ahead=look_ahead)
        with pytest.raises(DataError, match=r"codes must lie in 0..5, which the model gives .* got 6"):
            total(scorer, (2,))
