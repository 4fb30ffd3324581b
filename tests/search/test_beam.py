from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from unrolled.errors import NonFiniteError, OptionError
from unrolled.search import Forbid, beam, greedy, score

ALPHAS = [0.0, 0.6, 1.0, 2.5]


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("limit", [1, 2, 4])
@pytest.mark.parametrize("nbest", [1, 4, 200])
def test_a_beam_as_wide_as_the_space_finds_the_best_there_are(
    markov: Any, assert_ranked: Any, alpha: float, limit: int, nbest: int
) -> None:
    model = markov(limit, rows=4)
    width = max(nbest, 4**limit)
    found = beam(
        model, model.state(), begin=model.begin, end=model.end, limit=limit, width=width, nbest=nbest,
        length_penalty=alpha,
    )  # fmt: skip
    for row, best in enumerate(found):
        assert_ranked(best, model.ranked(row, limit, alpha)[:nbest])


def plain_beam(model: Any, row: int, limit: int, width: int, nbest: int, alpha: float) -> list[Any]:
    """The same search written down plainly: to the limit, without stopping early and without pruning."""
    live, done, cut = [((), ())], [], []
    for time in range(limit):
        options = []
        for codes, terms in live:
            history = (model.begin, model.begin, *codes)[-2:]
            options += [(codes, (*terms, v), c) for c, v in enumerate(model.tables[(row, time % 6, *history)].tolist())]
        options.sort(key=lambda option: -math.fsum(option[1]))
        options = [option for option in options if math.fsum(option[1]) > -math.inf][:width]
        live = [((*codes, code), terms) for codes, terms, code in options if code != model.end]
        done += [(codes, terms) for codes, terms, code in options if code == model.end]
        cut = live if time == limit - 1 else []

    def entry(codes: tuple[int, ...], terms: tuple[float, ...], ended: bool) -> tuple[tuple[int, ...], bool, float]:
        return codes, ended, math.fsum(terms) / ((5 + len(terms)) / 6) ** alpha

    both = [[entry(*one, True) for one in done], [entry(*one, False) for one in cut]]
    return [one for kind in both for one in sorted(kind, key=lambda one: -one[2])][:nbest]


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("width", "nbest"), [(1, 1), (2, 1), (2, 2), (3, 2), (5, 5)])
def test_stopping_early_changes_nothing(markov: Any, assert_ranked: Any, alpha: float, width: int, nbest: int) -> None:
    for end in (-1.0, 0.5, 2.0):
        model = markov(width, rows=12, words=4, end=end)
        limits = [1, 5, 9] * 4
        found = beam(
            model, model.state(), begin=model.begin, end=model.end, limit=limits, width=width, nbest=nbest,
            length_penalty=alpha,
        )  # fmt: skip
        for row, best in enumerate(found):
            assert_ranked(best, plain_beam(model, row, limits[row], width, nbest, alpha))


def test_a_row_stops_once_nothing_can_beat_what_it_has(markov: Any) -> None:
    model = markov(0, rows=6, end=3.0)
    beam(model, model.state(), begin=model.begin, end=model.end, limit=500, width=4, length_penalty=0.0)
    assert len(model.asked) < 10
    model.asked.clear()
    beam(model, model.state(), begin=model.begin, end=None, limit=40, width=4)
    assert len(model.asked) == 40


@pytest.mark.parametrize("alpha", ALPHAS)
def test_width_one_is_greedy(markov: Any, alpha: float) -> None:
    model = markov(3, rows=30)
    common = {"begin": model.begin, "end": model.end, "limit": 6}
    narrow = beam(model, model.state(), width=1, length_penalty=alpha, **common)
    for (best,), found in zip(narrow, greedy(model, model.state(), **common), strict=True):
        assert best.codes.tolist() == found.codes.tolist()
        assert (best.log_prob, best.ended) == (found.log_prob, found.ended)


def test_width_one_is_greedy_where_codes_are_equally_likely() -> None:
    tables = torch.randint(0, 3, (7, 7), generator=torch.Generator().manual_seed(0)).double()
    tables = torch.log_softmax(tables, -1)
    common: Any = {"begin": torch.arange(6), "end": 6, "limit": 8}
    narrow = beam(lambda codes, state: (tables[codes], state), torch.zeros(6, 1), width=1, **common)
    for (best,), found in zip(
        narrow, greedy(lambda codes, state: (tables[codes], state), torch.zeros(6, 1), **common), strict=True
    ):
        assert best.codes.tolist() == found.codes.tolist()


def test_of_equally_likely_sequences_the_lower_codes_go_first() -> None:
    even = torch.full((1, 9), 1 / 9).log()
    (best,) = beam(
        lambda codes, state: (even.expand(len(codes), 9), state), torch.zeros(1, 1), begin=0, end=8, limit=2,
        width=3, nbest=3,
    )  # fmt: skip
    assert [one.codes.tolist() for one in best] == [[0, 0], [0, 1], [0, 2]]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_the_batch_equals_each_row_alone(markov: Any, assert_equal: Any, alpha: float) -> None:
    model, limits = markov(4, rows=9), [2, 7, 0] * 3
    common = {"begin": model.begin, "end": model.end, "width": 3, "nbest": 2, "length_penalty": alpha}
    together = beam(model, model.state(), limit=limits, **common)
    for row, best in enumerate(together):
        (alone,) = beam(model, model.state([row]), limit=limits[row], **common)
        for one, other in zip(best, alone, strict=True):
            assert_equal(one, other)


def test_the_first_step_asks_for_one_hypothesis_a_row_and_rows_that_are_done_leave(markov: Any) -> None:
    model = markov(5, rows=4)
    limits = [1, 2, 3, 3]
    beam(model, model.state(), begin=model.begin, end=None, limit=limits, width=3)
    assert model.asked == [4, 9, 6]


def test_the_n_best_are_distinct_and_their_scores_fall(markov: Any) -> None:
    model = markov(6, rows=5)
    found = beam(model, model.state(), begin=model.begin, end=model.end, limit=6, width=6, nbest=6, length_penalty=1.0)
    for best in found:
        assert len({(tuple(one.codes.tolist()), one.ended) for one in best}) == len(best) == 6
        for kind in (True, False):
            scores = [one.score for one in best if one.ended == kind]
            assert scores == sorted(scores, reverse=True)
        assert [one.ended for one in best] == sorted((one.ended for one in best), reverse=True)


def test_scores_are_those_of_scoring_what_was_found(markov: Any) -> None:
    model = markov(7, rows=3)
    found = beam(model, model.state(), begin=model.begin, end=model.end, limit=5, width=4, nbest=4, length_penalty=0.7)
    for row, best in enumerate(found):
        for one in best:
            (again,) = score(
                model, model.state([row]), [one.codes], begin=model.begin, end=model.end if one.ended else None,
                length_penalty=0.7,
            )  # fmt: skip
            assert (again.log_prob, again.score, again.ended) == (one.log_prob, one.score, one.ended)
            assert again.log_probs.tolist() == one.log_probs.tolist()


def test_a_row_has_fewer_where_fewer_are_possible(markov: Any) -> None:
    model = markov(8)
    (best,) = beam(
        model, model.state(), begin=model.begin, end=model.end, limit=3, width=16, nbest=9,
        constraints=[Forbid([0, 1])],
    )  # fmt: skip
    assert sorted((one.codes.tolist(), one.ended) for one in best) == [
        ([], True), ([2], True), ([2, 2], True), ([2, 2, 2], False),
    ]  # fmt: skip


def test_a_hypothesis_with_nothing_allowed_ranks_after_those_that_ended(markov: Any) -> None:
    model = markov(9, rows=2)
    model.tables[:, :, :, 0] = -math.inf
    (best, _) = beam(model, model.state(), begin=model.begin, end=model.end, limit=2, width=16, nbest=9)
    assert ([0], False) in [(one.codes.tolist(), one.ended) for one in best]
    assert [one.ended for one in best] == sorted((one.ended for one in best), reverse=True)
    model.tables[:] = -math.inf
    (best, _) = beam(model, model.state(), begin=model.begin, end=model.end, limit=2, width=16, nbest=9)
    assert [(one.codes.tolist(), one.ended) for one in best] == [([], False)]


def test_options_out_of_range_are_refused(markov: Any) -> None:
    model = markov(10)
    common = {"begin": model.begin, "end": model.end, "limit": 3}
    with pytest.raises(OptionError, match="nbest must be at most width=2, got 3"):
        beam(model, model.state(), width=2, nbest=3, **common)
    with pytest.raises(OptionError, match="width must be an integer of at least 1"):
        beam(model, model.state(), width=0, **common)
    for alpha in (-0.1, math.nan):
        with pytest.raises(OptionError, match="length_penalty must be a number of at least 0"):
            beam(model, model.state(), width=2, length_penalty=alpha, **common)
    model.tables[..., 1] = math.nan
    with pytest.raises(NonFiniteError, match=r"beam: .* for code 1 in row 0"):
        beam(model, model.state(), width=2, **common)


def test_a_batch_without_rows_finds_nothing(markov: Any) -> None:
    model = markov(10)
    assert beam(model, model.state([]), begin=model.begin, end=model.end, limit=3, width=2) == []
