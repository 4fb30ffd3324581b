from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.search import Constraint, Forbid, NoRepeat, OneOf, Opening, beam, greedy, sample, score

LIMIT = 4
WIDE = 4**LIMIT


def no_repeats(length: int) -> Callable[[tuple[int, ...], bool], bool]:
    def allowed(codes: tuple[int, ...], ended: bool) -> bool:
        runs = [codes[at : at + length] for at in range(len(codes) - length + 1)]
        return len(runs) == len(set(runs))

    return allowed


NAMES = [(0, 1, 2), (0, 1), (2,), (2, 2, 1), (1, 0)]


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize(
    ("constraints", "allowed"),
    [
        ([Forbid([1])], lambda codes, ended: 1 not in codes),
        ([Forbid([4])], lambda codes, ended: not ended),
        ([NoRepeat(2)], no_repeats(2)),
        ([NoRepeat(3)], no_repeats(3)),
        ([OneOf(NAMES, end=4)], lambda codes, ended: codes in NAMES and ended),
        (
            [Opening(torch.tensor([True, False, True, False, False]))],
            lambda codes, ended: codes != () and codes[0] != 1,
        ),
        (
            [
                Opening(torch.tensor([True] * 4 + [False])),
                Opening(torch.tensor([False, True, True, False, True]), at=1),
            ],
            lambda codes, ended: codes != () and codes[1:2] != (0,),
        ),
        ([NoRepeat(2), Forbid([0])], lambda codes, ended: 0 not in codes and no_repeats(2)(codes, ended)),
        ([OneOf(NAMES, end=4), Forbid([2])], lambda codes, ended: codes in ((0, 1), (1, 0)) and ended),
    ],
)
def test_a_wide_beam_finds_the_best_of_what_is_allowed(
    markov: Any, assert_ranked: Any, constraints: list[Constraint], allowed: Any, alpha: float
) -> None:
    model = markov(0, rows=3)
    found = beam(
        model, model.state(), begin=model.begin, end=model.end, limit=LIMIT, width=WIDE, nbest=WIDE,
        length_penalty=alpha, constraints=constraints,
    )  # fmt: skip
    for row, best in enumerate(found):
        assert_ranked(best, model.ranked(row, LIMIT, alpha, allowed))


def test_no_code_twice_ends_where_no_code_is_left(markov: Any, assert_ranked: Any) -> None:
    model = markov(1, rows=2)
    model.tables[..., model.end] = -math.inf
    found = beam(
        model, model.state(), begin=model.begin, end=model.end, limit=6, width=40, nbest=40, constraints=[NoRepeat(1)]
    )
    for row, best in enumerate(found):
        expected = [entry for entry in model.ranked(row, 3) if not entry[1] and len(set(entry[0])) == 3]
        assert_ranked(best, expected)


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_a_prefix_leaves_the_best_outputs_that_begin_with_it(markov: Any, assert_ranked: Any, alpha: float) -> None:
    model = markov(2, rows=5)
    prefix = [[], [0], [2, 1], [1, 1, 1], [0]]
    found = beam(
        model, model.state(), begin=model.begin, end=model.end, limit=[LIMIT - len(codes) for codes in prefix],
        width=WIDE, nbest=WIDE, length_penalty=alpha, prefix=prefix,
    )  # fmt: skip
    for row, (best, given) in enumerate(zip(found, map(tuple, prefix), strict=True)):
        expected = model.ranked(row, LIMIT, alpha, lambda codes, ended, given=given: codes[: len(given)] == given)
        assert_ranked(best, expected)


def test_a_ragged_prefix_equals_each_row_alone(markov: Any, assert_equal: Any) -> None:
    model = markov(3, rows=6)
    prefix = [[0, 1, 2, 2, 1], [], [2], [1, 0], [0, 0, 0], [2]]
    common = {"begin": model.begin, "end": model.end, "limit": 5}
    for search in (greedy, sample):
        together = search(model, model.state(), prefix=prefix, **common)
        for row, one in enumerate(together):
            rows = {"rows": [row]} if search is sample else {}
            assert_equal(one, *search(model, model.state([row]), prefix=[prefix[row]], **common, **rows))
            assert one.codes.tolist()[: len(prefix[row])] == prefix[row]


def test_only_rows_whose_prefix_goes_on_are_fed(markov: Any) -> None:
    model = markov(4, rows=3)
    greedy(model, model.state(), begin=model.begin, end=model.end, limit=0, prefix=[[0, 1, 2], [], [1]])
    assert model.asked == [2, 1, 1]


def test_an_impossible_prefix_ends_its_row_and_no_other(markov: Any) -> None:
    model = markov(5, rows=2)
    model.tables[0, 0, :, :, 2] = -math.inf
    common = {"begin": model.begin, "end": None, "limit": 3, "prefix": [[2], [2]]}
    for found in (
        greedy(model, model.state(), **common),
        sample(model, model.state(), **common),
        [best[0] for best in beam(model, model.state(), width=3, **common)],
    ):
        assert (found[0].codes.tolist(), found[0].log_prob, found[0].ended) == ([2], -math.inf, False)
        assert len(found[1].codes) == 4


def test_constraints_do_not_judge_the_prefix_but_see_it(markov: Any) -> None:
    model = markov(6)
    common = {"begin": model.begin, "end": None, "limit": 2}
    (one,) = greedy(model, model.state(), prefix=[[0, 0]], constraints=[NoRepeat(1)], **common)
    assert one.codes.tolist()[:2] == [0, 0]
    assert sorted(one.codes.tolist()[2:]) in ([1, 2], [1, 4], [2, 4])
    second = torch.tensor([False, True, False, False, False])
    (one,) = greedy(model, model.state(), prefix=[[0]], constraints=[Opening(second, at=1)], **common)
    assert one.codes.tolist()[:2] == [0, 1]


def test_every_row_may_have_its_own_opening(markov: Any) -> None:
    model = markov(7, rows=4)
    model.tables[0] = -math.inf
    model.tables[0, ..., model.end] = 0.0
    wanted = [4, 2, 0, 1]
    allowed = torch.nn.functional.one_hot(torch.tensor(wanted), model.size).bool()
    prefix, at = [[], [], [2, 2], []], [0, 0, 2, 0]
    common: Any = {"begin": model.begin, "end": model.end, "limit": 3, "prefix": prefix}
    found = [best[0] for best in beam(model, model.state(), width=3, constraints=[Opening(allowed, at)], **common)]
    assert found[0].ended
    assert len(found[0].codes) == 0
    for row in (1, 2, 3):
        assert found[row].codes[at[row]] == wanted[row]
    again = greedy(model, model.state(), constraints=[Opening(allowed, at)], **common)
    assert [one.codes[at[row]] for row, one in enumerate(again) if row] == wanted[1:]


def test_the_opening_of_a_row_judges_all_its_hypotheses_and_no_others(markov: Any) -> None:
    model = markov(7, rows=3)
    allowed = torch.nn.functional.one_hot(torch.tensor([0, 1, 2]), model.size).bool()
    found = beam(
        model, model.state(), begin=model.begin, end=None, limit=[1, 2, 3], width=3, nbest=3,
        constraints=[Opening(allowed, at=1)],
    )  # fmt: skip
    for row in (1, 2):
        assert len({int(one.codes[0]) for one in found[row]}) > 1
        assert {int(one.codes[1]) for one in found[row]} == {row}


def test_stopping_early_is_exact_after_a_prefix(markov: Any) -> None:
    for seed in range(20):
        model = markov(seed, rows=10, end=0.5)
        common: Any = {"begin": model.begin, "end": model.end, "width": 3, "length_penalty": 2.0}
        found = beam(model, model.state(), limit=6, prefix=[[0, 1, 2, 0, 1, 2, 0, 1]] * 10, **common)
        # A beam that keeps as many as it is wide stops later, and its first is what the narrower result must be.
        later = beam(model, model.state(), limit=6, prefix=[[0, 1, 2, 0, 1, 2, 0, 1]] * 10, nbest=3, **common)
        assert [best[0].codes.tolist() for best in found] == [best[0].codes.tolist() for best in later]


def test_sampling_gives_one_of_the_names_whole(markov: Any) -> None:
    model = markov(8)
    state = model.state([0] * 200)
    found = sample(
        model, state, begin=model.begin, end=model.end, limit=9, temperature=3.0, constraints=[OneOf(NAMES, end=4)]
    )
    assert {tuple(one.codes.tolist()) for one in found} == set(NAMES)
    assert all(one.ended for one in found)


def test_a_constraint_of_ones_own_sees_what_was_emitted_and_where(markov: Any) -> None:
    class Alternate:
        """Row 0 may not repeat its last code; row 1 must."""

        def mask(self, emitted: Sequence[Sequence[int]], rows: Sequence[int], size: int) -> torch.Tensor | None:
            allowed = torch.ones(len(emitted), size, dtype=torch.bool)
            allowed[:, 3:] = False
            for place, (codes, row) in enumerate(zip(emitted, rows, strict=True)):
                if codes:
                    same = torch.arange(size) == codes[-1]
                    allowed[place] &= same if row else ~same
            return allowed

    model = markov(9, rows=2)
    for found in beam(
        model, model.state(), begin=model.begin, end=model.end, limit=5, width=4, nbest=3, constraints=[Alternate()]
    )[0]:
        codes = found.codes.tolist()
        assert all(a != b for a, b in itertools.pairwise(codes))
    _, one = greedy(model, model.state(), begin=model.begin, end=model.end, limit=5, constraints=[Alternate()])
    assert len(one.codes) == 5
    assert len(set(one.codes.tolist())) == 1


def test_scoring_ragged_sequences_adds_up_their_terms(markov: Any) -> None:
    model = markov(10, rows=4)
    sequences = [(0, 1, 2), (), (2,), (1, 1, 0, 2, 2, 1, 0)]
    for end in (model.end, None):
        for row, one in enumerate(score(model, model.state(), sequences, begin=model.begin, end=end)):
            terms = model.terms(row, sequences[row] if end is None else (*sequences[row], end))
            assert one.log_probs.tolist() == terms
            assert one.codes.tolist() == list(sequences[row])
            assert one.ended == (end is not None)


def test_the_probabilities_of_all_outcomes_add_up_to_one(markov: Any) -> None:
    model = markov(11)
    outcomes = list(model.outcomes(0, 3))
    for ended in (True, False):
        part = [codes for codes, over, _ in outcomes if over == ended]
        state = model.state([0] * len(part))
        found = score(model, state, part, begin=model.begin, end=model.end if ended else None)
        outcomes = [entry for entry in outcomes if entry[1] != ended] + [
            (tuple(one.codes.tolist()), ended, [one.log_prob]) for one in found
        ]
    # 3 terms of a softmax, each off by a few roundings, over 40 outcomes.
    assert math.fsum(math.exp(math.fsum(terms)) for _, _, terms in outcomes) == pytest.approx(1, abs=1e-14)


def test_codes_that_the_step_does_not_know_are_refused(markov: Any) -> None:
    model = markov(12, rows=2)
    with pytest.raises(DataError, match=r"score: codes must lie in 0..4, .* got 5 in row 1"):
        score(model, model.state(), [[0, 1], [0, 5]], begin=model.begin)
    with pytest.raises(DataError, match=r"greedy: codes must lie in 0..4, .* got -1 in row 0"):
        greedy(model, model.state(), begin=model.begin, end=model.end, limit=3, prefix=[[-1], []])
    with pytest.raises(DataError, match=r"that of row 1 holds the end code 4"):
        beam(model, model.state(), begin=model.begin, end=model.end, limit=3, width=2, prefix=[[0], [1, 4]])


def test_constraints_that_make_no_sense_are_refused(markov: Any) -> None:
    model = markov(13, rows=2)
    with pytest.raises(OptionError, match="OneOf: sequences must hold at least one"):
        OneOf([], end=4)
    with pytest.raises(DataError, match=r"OneOf: codes must lie in 0..4, .* got 6"):
        greedy(
            model, model.state(), begin=model.begin, end=model.end, limit=3, constraints=[OneOf([[0, 6], [1]], end=4)]
        )
    with pytest.raises(OptionError, match="NoRepeat: length must be an integer of at least 1"):
        NoRepeat(0)
    with pytest.raises(ShapeError, match="Opening: allowed must be a bool tensor"):
        Opening(torch.ones(5))
    with pytest.raises(ShapeError, match=r"greedy: the mask of Opening must be bool \(2, 5\), got \(2, 7\)"):
        greedy(
            model, model.state(), begin=model.begin, end=model.end, limit=3,
            constraints=[Opening(torch.ones(7, dtype=torch.bool))],
        )  # fmt: skip
