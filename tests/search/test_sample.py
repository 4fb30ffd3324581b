from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from unrolled.errors import NonFiniteError, OptionError, ShapeError
from unrolled.search import Forbid, NoRepeat, greedy, sample, score, stream

DRAWS = 5_000


def one_step(log_probs: torch.Tensor) -> Any:
    return lambda codes, state: (log_probs.expand(len(codes), -1), state)


def counts(probabilities: list[float], **options: Any) -> np.ndarray:
    """How often each code is drawn in one step by DRAWS rows."""
    step, state = one_step(torch.tensor([probabilities], dtype=torch.float64).log()), torch.zeros(DRAWS, 1)
    found = sample(step, state, begin=0, end=None, limit=1, **options)
    return np.bincount([int(one.codes[0]) for one in found], minlength=len(probabilities))


def assert_drawn_from(drawn: np.ndarray, expected: list[float]) -> None:
    """Pearson's test at one in ten thousand; codes of probability 0 must never come."""
    wanted = np.array(expected) / np.sum(expected)
    possible = wanted > 0
    assert drawn[~possible].sum() == 0
    statistic = ((drawn - DRAWS * wanted)[possible] ** 2 / (DRAWS * wanted[possible])).sum()
    assert statistic < chi2.ppf(0.9999, possible.sum() - 1) if possible.sum() > 1 else drawn[possible][0] == DRAWS


PROBABILITIES = [0.05, 0.3, 0.0, 0.1, 0.4, 0.15]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, PROBABILITIES),
        ({"seed": 7, "temperature": 1.0, "top_k": 6, "top_p": 1.0}, PROBABILITIES),
        ({"temperature": 0.5}, [p**2 for p in PROBABILITIES]),
        ({"temperature": 2.0}, [p**0.5 for p in PROBABILITIES]),
        ({"temperature": 1e-4}, [0, 0, 0, 0, 1, 0]),
        ({"top_k": 3}, [0, 0.3, 0, 0, 0.4, 0.15]),
        ({"top_k": 1}, [0, 0, 0, 0, 1, 0]),
        ({"top_k": 100}, PROBABILITIES),
        ({"top_p": 0.69}, [0, 0.3, 0, 0, 0.4, 0]),
        ({"top_p": 0.71}, [0, 0.3, 0, 0, 0.4, 0.15]),
        ({"top_p": 1e-9}, [0, 0, 0, 0, 1, 0]),
        # The share is of what top_k has left: 0.8 of 0.4 + 0.3 + 0.15 needs the first two, of everything three.
        ({"top_k": 3, "top_p": 0.8}, [0, 0.3, 0, 0, 0.4, 0]),
        ({"top_k": 2, "top_p": 0.95}, [0, 0.3, 0, 0, 0.4, 0]),
        # The temperature comes first: 0.16 of 0.2850 is 0.56, and 0.4 alone is not enough untempered.
        ({"temperature": 0.5, "top_p": 0.55}, [0, 0, 0, 0, 1, 0]),
        ({"constraints": [Forbid([4, 3])], "top_k": 2}, [0, 0.3, 0, 0, 0, 0.15]),
    ],
)
def test_codes_come_as_often_as_they_should(options: dict[str, Any], expected: list[float]) -> None:
    assert_drawn_from(counts(PROBABILITIES, **options), expected)


def test_of_equally_likely_codes_at_the_edge_the_lower_ones_are_kept() -> None:
    even = [0.1, 0.2, 0.2, 0.2, 0.2, 0.1]
    assert_drawn_from(counts(even, top_k=3), [0, 1, 1, 1, 0, 0])
    assert_drawn_from(counts(even, top_k=5), [0.1, 0.2, 0.2, 0.2, 0.2, 0])
    assert_drawn_from(counts([0.25] * 4, top_p=0.5), [1, 1, 0, 0])


def test_a_code_is_where_the_running_sum_passes_the_number_of_its_row_and_place(markov: Any) -> None:
    model, seed, rows = markov(0, rows=5, words=6), -3, [2**40, 0, -1, 17, 3]
    found = sample(model, model.state(), begin=model.begin, end=None, limit=4, seed=seed, rows=rows)
    for row, one in enumerate(found):
        words = np.random.Philox(key=np.array([seed % 2**64, rows[row] % 2**64], np.uint64)).random_raw(4)
        history = [model.begin, model.begin]
        for time, word in enumerate(words.tolist()):
            table = model.tables[row, time, history[-2], history[-1]]
            running = np.cumsum(np.exp(table.numpy() - table.max().item()))
            history.append(int(np.searchsorted(running, word / 2**64 * running[-1], side="right")))
        assert one.codes.tolist() == history[2:]


def test_a_row_draws_alike_in_any_batch_and_any_order(markov: Any, assert_equal: Any) -> None:
    model = markov(1, rows=12, words=6)
    common = {"begin": model.begin, "end": model.end, "temperature": 1.3, "top_k": 5, "top_p": 0.9, "seed": 4}
    limits = [9, 2, 5, 9] * 3
    together = sample(model, model.state(), limit=limits, **common)
    assert len({one.codes.tobytes() for one in together}) > 6
    order = np.random.default_rng(0).permutation(12).tolist()
    for part in (order[:1], order[1:5], order[5:]):
        found = sample(model, model.state(part), limit=[limits[row] for row in part], rows=part, **common)
        for row, one in zip(part, found, strict=True):
            assert_equal(one, together[row])


def test_seeds_and_row_numbers_make_different_sequences(markov: Any) -> None:
    model = markov(2, words=6)
    common = {"begin": model.begin, "end": None, "limit": 20}
    runs = [sample(model, model.state(), seed=s, rows=[r], **common) for s in (0, 1) for r in (0, 1)]
    assert len({one.codes.tobytes() for (one,) in runs}) == 4
    (again,) = sample(model, model.state(), seed=1, rows=[0], **common)
    assert again.codes.tolist() == runs[2][0].codes.tolist()


def test_the_global_generators_are_left_alone(markov: Any) -> None:
    model, before = markov(2), torch.get_rng_state()
    sample(model, model.state(), begin=model.begin, end=model.end, limit=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_temperature_of_zero_is_greedy(markov: Any, assert_equal: Any) -> None:
    model = markov(3, rows=10)
    common = {"begin": model.begin, "end": model.end, "limit": 6}
    for one, other in zip(
        sample(model, model.state(), temperature=0, top_k=3, **common),
        greedy(model, model.state(), **common),
        strict=True,
    ):
        assert_equal(one, other)


def test_what_goes_on_from_a_prefix_goes_on_as_if_it_had_not_stopped(markov: Any, assert_equal: Any) -> None:
    model = markov(4, rows=8, words=6, end=-2.0)
    common = {"begin": model.begin, "end": model.end, "top_p": 0.95}
    whole = sample(model, model.state(), limit=10, **common)
    lengths = [min(len(one.codes), 3 + row % 3) for row, one in enumerate(whole)]
    prefix = [one.codes[:n].tolist() for one, n in zip(whole, lengths, strict=True)]
    rest = sample(model, model.state(), limit=[10 - n for n in lengths], prefix=prefix, **common)
    for one, other in zip(rest, whole, strict=True):
        assert_equal(one, other)


def test_log_probabilities_are_those_of_the_model(markov: Any) -> None:
    model = markov(5, rows=6)
    found = sample(
        model, model.state(), begin=model.begin, end=model.end, limit=6, temperature=0.7, top_k=3,
        constraints=[NoRepeat(2)],
    )  # fmt: skip
    for row, one in enumerate(found):
        (again,) = score(
            model, model.state([row]), [one.codes], begin=model.begin, end=model.end if one.ended else None
        )
        assert again.log_prob == one.log_prob


def test_where_everything_is_forbidden_the_row_stops(markov: Any) -> None:
    model = markov(6, rows=3)
    model.tables[1, 2] = -math.inf
    found = sample(model, model.state(), begin=model.begin, end=None, limit=5, top_k=2, top_p=0.9)
    assert [len(one.codes) for one in found] == [5, 2, 5]
    assert not found[1].ended
    assert math.isfinite(found[1].log_prob)


@pytest.mark.parametrize("word", [0, 2**64 - 1])
def test_the_extreme_numbers_draw_codes_that_are_possible(monkeypatch: pytest.MonkeyPatch, word: int) -> None:
    class Extreme:
        def __init__(self, key: Any) -> None: ...

        def random_raw(self, count: int | None = None) -> Any:
            return word

    monkeypatch.setattr(np.random, "Philox", Extreme)
    for random in map(np.random.default_rng, range(200)):
        weights = random.random(9)
        weights[[0, 4, 8]] = 0
        log_probs = torch.from_numpy(weights / weights.sum()).log()[None]
        (one,) = sample(one_step(log_probs), torch.zeros(1, 1), begin=0, end=None, limit=1)
        assert one.codes.tolist() == [1 if word == 0 else 7]


def test_a_stream_gives_the_codes_of_sampling_one_by_one(markov: Any) -> None:
    model = markov(7, rows=20, words=6)
    common: Any = {"begin": model.begin, "end": model.end, "limit": 8, "temperature": 0.9, "top_p": 0.9, "seed": 2}
    whole = sample(model, model.state(), prefix=[[row % 6] for row in range(20)], **common)
    for row, one in enumerate(whole):
        live = stream(model, model.state([row]), row=row, prefix=[row % 6], **common)
        assert [row % 6, *live] == one.codes.tolist()
    assert {one.ended for one in whole} == {True, False}


def test_a_stream_asks_for_a_code_only_when_it_is_wanted(markov: Any) -> None:
    model = markov(8)
    live: Iterator[int] = stream(model, model.state(), begin=model.begin, end=None, limit=10**9, temperature=0)
    assert model.asked == []
    for count in range(1, 5):
        next(live)
        assert len(model.asked) == count
    assert torch.is_grad_enabled()


def test_a_stream_tells_mistakes_at_the_call(markov: Any) -> None:
    model = markov(9, rows=2)
    with pytest.raises(ShapeError, match="stream: the state must hold one row, got 2"):
        stream(model, model.state(), begin=model.begin, end=None, limit=3)
    with pytest.raises(OptionError, match="stream: temperature"):
        stream(model, model.state([0]), begin=model.begin, end=None, limit=3, temperature=-1.0)


@pytest.mark.parametrize(
    "options", [{"temperature": -0.1}, {"temperature": math.inf}, {"top_k": 0}, {"top_p": 0.0}, {"top_p": 1.5}]
)
def test_options_out_of_range_are_refused(markov: Any, options: dict[str, Any]) -> None:
    model = markov(9)
    with pytest.raises(OptionError, match=f"sample: {next(iter(options))} must"):
        sample(model, model.state(), begin=model.begin, end=model.end, limit=3, **options)


def test_what_does_not_fit_is_refused(markov: Any) -> None:
    model = markov(9, rows=2)
    with pytest.raises(ShapeError, match="one number for each of 2 rows"):
        sample(model, model.state(), begin=model.begin, end=model.end, limit=3, rows=[1])
    model.tables[1, ..., 0] = math.nan
    with pytest.raises(NonFiniteError, match=r"sample: .* got nan for code 0 in row 1"):
        sample(model, model.state(), begin=model.begin, end=model.end, limit=3)
