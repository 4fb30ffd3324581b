from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.errors import DataError, LengthsError, NonFiniteError, OptionError, ShapeError
from unrolled.nn import LSTM
from unrolled.search import Forbid, greedy, score


def test_every_code_is_the_most_likely_one(markov: Any) -> None:
    model = markov(0, rows=20)
    for row, found in enumerate(greedy(model, model.state(), begin=model.begin, end=model.end, limit=6)):
        history, expected = [model.begin, model.begin], []
        while len(expected) < 6:
            code = int(model.tables[row, len(expected), history[-2], history[-1]].argmax())
            if code == model.end:
                break
            expected.append(code)
            history.append(code)
        assert found.codes.tolist() == expected
        assert found.ended == (len(expected) < 6)
        terms = model.terms(row, (*expected, model.end) if found.ended else tuple(expected))
        assert found.log_probs.tolist() == terms
        assert found.log_prob == pytest.approx(math.fsum(terms), rel=1e-14)
        assert found.score == found.log_prob


def test_rows_end_by_the_model_and_by_the_limit(markov: Any) -> None:
    model = markov(1, rows=40)
    ended = {found.ended for found in greedy(model, model.state(), begin=model.begin, end=model.end, limit=4)}
    assert ended == {True, False}


def test_a_row_that_has_ended_is_not_asked_again(markov: Any) -> None:
    model = markov(1, rows=40)
    found = greedy(model, model.state(), begin=model.begin, end=model.end, limit=30)
    lengths = [len(one.log_probs) for one in found]
    assert model.asked == [sum(length > time for length in lengths) for time in range(max(lengths))]
    assert len(set(model.asked)) > 3


def test_the_batch_equals_each_row_alone(markov: Any, assert_equal: Any) -> None:
    model, limits = markov(2, rows=15), [3, 0, 8] * 5
    together = greedy(model, model.state(), begin=model.begin, end=model.end, limit=torch.tensor(limits))
    for row, found in enumerate(together):
        (alone,) = greedy(model, model.state([row]), begin=model.begin, end=model.end, limit=limits[row])
        assert_equal(found, alone)


def test_a_limit_of_zero_emits_nothing_and_asks_nothing(markov: Any) -> None:
    model = markov(3, rows=2)
    found = greedy(model, model.state(), begin=model.begin, end=model.end, limit=np.array([0, 0]))
    assert [(one.codes.tolist(), one.log_prob, one.ended) for one in found] == [([], 0.0, False)] * 2
    assert model.asked == []


def test_without_an_end_only_the_limit_stops(markov: Any) -> None:
    model = markov(4, rows=3, end=5.0)
    found = greedy(model, model.state(), begin=model.begin, end=None, limit=7)
    assert [len(one.codes) for one in found] == [7, 7, 7]
    assert any(model.end in one.codes for one in found)


def test_of_equally_likely_codes_the_lowest_is_taken() -> None:
    even = torch.tensor([[0.2, 0.4, 0.4]]).log()
    (found,) = greedy(lambda codes, state: (even, state), torch.zeros(1, 1), begin=0, end=None, limit=3)
    assert found.codes.tolist() == [1, 1, 1]


def test_each_row_may_begin_with_its_own_code(markov: Any, assert_equal: Any) -> None:
    model = markov(5, rows=3)
    together = greedy(model, model.state(), begin=torch.tensor([0, 2, 1]), end=model.end, limit=5)
    for row, code in enumerate([0, 2, 1]):
        assert_equal(together[row], *greedy(model, model.state([row]), begin=code, end=model.end, limit=5))


def test_where_everything_is_forbidden_the_row_stops_and_says_so(markov: Any) -> None:
    model = markov(6, rows=2)
    everything = Forbid(range(model.size))
    found = greedy(model, model.state(), begin=model.begin, end=model.end, limit=4, constraints=[everything])
    assert [(one.codes.tolist(), one.ended, one.log_prob) for one in found] == [([], False, 0.0)] * 2


def test_no_gradient_is_recorded_and_half_precision_serves() -> None:
    weight = torch.randn(4, 4, requires_grad=True)
    seen = []

    def step(codes: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        log_probs = torch.log_softmax(weight[codes], -1).to(torch.bfloat16)
        seen.append(log_probs.requires_grad)
        return log_probs, state

    (found,) = greedy(step, torch.zeros(1, 1), begin=0, end=3, limit=5)
    assert not any(seen)
    assert torch.is_grad_enabled()
    assert found.log_probs.dtype == np.float64


def test_a_recurrent_layer_is_a_step(markov: Any) -> None:
    torch.manual_seed(0)
    layer, head, table = LSTM(5, 8).double(), torch.nn.Linear(8, 6).double(), torch.randn(6, 5).double()

    def step(codes: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        y, state = layer.step(table[codes], state)
        return torch.log_softmax(4 * head(y), -1), state

    state = layer.initial_state(4, dtype=torch.float64)._replace(h=torch.randn(4, 8).double())
    found = greedy(step, state, begin=0, end=5, limit=9)
    again = score(step, state, [one.codes for one in found], begin=0)
    for one, same in zip(found, again, strict=True):
        np.testing.assert_allclose(one.log_probs[: len(one.codes)], same.log_probs, rtol=1e-12)
    assert len({tuple(one.codes.tolist()) for one in found}) > 1


@pytest.mark.parametrize(("bad", "shown"), [(math.nan, "nan"), (math.inf, "inf"), (2.5, "2.5")])
def test_what_is_no_log_probability_is_refused_with_its_place(markov: Any, bad: float, shown: str) -> None:
    model = markov(7, rows=3)
    model.tables[2, ..., 1] = bad
    with pytest.raises(NonFiniteError, match=f"greedy: .* got {shown} for code 1 in row 2; apply log_softmax"):
        greedy(model, model.state(), begin=model.begin, end=model.end, limit=3)


def test_a_bad_row_is_named_by_its_number_after_others_have_left(markov: Any) -> None:
    model = markov(8, rows=3)
    model.tables[:2] = -math.inf
    model.tables[:2, ..., model.end] = 0.0
    model.tables[2] = torch.log_softmax(torch.tensor([5.0, 0, 0, 0, 0]), 0)
    model.tables[2, 1, model.begin, 0, 3] = math.nan
    with pytest.raises(NonFiniteError, match="code 3 in row 2"):
        greedy(model, model.state(), begin=model.begin, end=model.end, limit=5)


def test_rounding_above_zero_is_taken_as_zero() -> None:
    sure = torch.tensor([[1e-6, -20.0]])
    (found,) = greedy(lambda codes, state: (sure, state), torch.zeros(1, 1), begin=0, end=None, limit=2)
    assert found.log_prob == 0


def test_arguments_that_do_not_fit_the_rows_are_refused(markov: Any) -> None:
    model = markov(9, rows=2)
    common = {"end": model.end, "limit": 3}
    with pytest.raises(LengthsError, match="one for each of 2 rows"):
        greedy(model, model.state(), begin=model.begin, end=model.end, limit=[1, 2, 3])
    with pytest.raises(LengthsError, match="at least 0"):
        greedy(model, model.state(), begin=model.begin, end=model.end, limit=-1)
    with pytest.raises(ShapeError, match="begin must be one integer code a row"):
        greedy(model, model.state(), begin=torch.tensor([1, 1, 1]), **common)
    with pytest.raises(OptionError, match="give begin as a tensor"):
        greedy(model, (), begin=1, **common)
    with pytest.raises(DataError, match="prefix must hold one list of codes for each of 2 rows, got 1"):
        greedy(model, model.state(), begin=model.begin, prefix=[[0]], **common)
    with pytest.raises(ShapeError, match="return one row"):
        greedy(lambda codes, state: (torch.zeros(5), state), model.state(), begin=0, **common)


def test_a_batch_without_rows_finds_nothing(markov: Any) -> None:
    model = markov(9)
    assert greedy(model, model.state([]), begin=model.begin, end=model.end, limit=3) == []
