from __future__ import annotations

import numpy as np
import pytest

from unrolled.tasks.anomaly.calibration import Conformal, RecordTail, RunningTail, quieted, tail


def test_the_tail_is_that_of_a_normal_number() -> None:
    stats = pytest.importorskip("scipy.stats")
    z = np.linspace(-8, 30, 200)
    expected = -stats.norm.logsf(z) / np.log(10)
    # The asymptotic series is cut after its second term, which leaves 2 / z^4 of 1, in units of log10 below 1.4e-3.
    np.testing.assert_allclose(tail(z), expected, rtol=0, atol=2 / 5**4 / np.log(10))


@pytest.mark.parametrize("seed", range(5))
def test_pieces_score_as_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    surprises = random.gamma(1, size=300)
    running = RunningTail(recent=7, past=60)
    whole = running.score(surprises, np.empty(0))
    cuts = np.sort(random.integers(0, 300, 6))
    pieces = [
        running.score(part, surprises[: len(surprises) - len(rest)])
        for part, rest in ((p, surprises[a:]) for p, a in zip(np.split(surprises, cuts), [0, *cuts], strict=True))
    ]
    # Sums of 60 numbers near 1, taken as differences of running sums up to 300: 300 roundings of 300 at worst.
    np.testing.assert_allclose(np.concatenate(pieces), whole, rtol=0, atol=300 * 300 * 2.3e-16 * 100)


def test_the_running_score_is_the_plain_formula() -> None:
    surprises = np.random.default_rng(0).gamma(1, size=100)
    found = RunningTail(recent=3, past=20).score(surprises, np.empty(0))
    means = np.array([surprises[max(0, t - 2) : t + 1].mean() for t in range(100)])
    for t in range(5, 100):
        before = means[max(0, t - 22) : t - 2]
        expected = tail(np.array([(means[t] - before.mean()) / before.std()]))[0]
        assert found[t] == pytest.approx(expected, abs=1e-9)


def test_with_a_cap_one_row_weighs_little() -> None:
    surprises = np.random.default_rng(0).normal(size=400)
    surprises[100], surprises[200:205] = 50, 4
    free, capped = (RunningTail(5, 300, cap).score(surprises, np.empty(0)) for cap in (np.inf, 4.0))
    assert free.argmax() in range(100, 105)
    assert capped.argmax() in range(200, 206)


def test_of_normal_rows_so_many_are_alarms_as_was_asked_for() -> None:
    surprises = np.random.default_rng(2).normal(size=40_000)
    for recent in (1, 5):
        found = RunningTail(recent, 2000).score(surprises, np.empty(0))[4000:]
        # Alarms come in runs of as many rows as are recent: five deviations of so many fewer draws, and the past's own.
        assert abs((found > 2).mean() / 0.01 - 1) < 5 * np.sqrt(recent / 360) + 0.05


def test_the_running_score_begins_at_zero() -> None:
    assert not RunningTail(recent=5, past=20).score(np.arange(9.0), np.empty(0)).any()


def test_a_past_without_any_change_divides_by_nothing() -> None:
    surprises = np.append(np.zeros(50), 30.0)
    found = RunningTail(recent=1, past=40).score(surprises, np.empty(0))
    assert np.isfinite(found).all()
    assert found[-1] > 100 > found[:-1].max()


def test_shares_of_new_rows_are_rates_of_false_alarms() -> None:
    random = np.random.default_rng(1)
    calibration = Conformal.of(random.normal(size=5000))
    found = calibration.score(random.normal(size=50_000))
    for rate in (0.1, 0.05, 0.01):
        # Two deviations of a share of 5,000 rows.
        assert abs((found >= -np.log10(rate)).mean() - rate) < 2 * np.sqrt(rate / 5000) + 1e-3


def test_stranger_rows_score_higher_also_beyond_all_earlier_ones() -> None:
    calibration = Conformal.of(np.arange(100.0))
    found = calibration.score(np.linspace(-10, 500, 700))
    assert (np.diff(found) >= 0).all()
    assert found[-1] > found[-2] > 2


def test_one_value_alone_calibrates_without_dividing_by_zero() -> None:
    found = Conformal.of(np.zeros(30)).score(np.array([0.0, 1.0]))
    assert np.isfinite(found).all()
    assert found[1] > found[0]


@pytest.mark.parametrize("quiet", [0, 1, 3, 50])
def test_records_are_above_what_came_shortly_before(quiet: int) -> None:
    scores = np.random.default_rng(quiet).random(40)
    found = quieted(scores, quiet, np.empty(0))
    for t, score in enumerate(scores):
        before = scores[max(0, t - quiet) : t]
        expected = score if not len(before) or score > before.max() else 0.0
        assert found[t] == expected
    cut = quieted(scores[15:], quiet, scores[:15])
    np.testing.assert_array_equal(cut, found[15:])


@pytest.mark.parametrize("recent", [1, 4])
def test_a_record_is_scored_by_the_plain_formula(recent: int) -> None:
    random = np.random.default_rng(2)
    earlier, rows = random.gamma(1, size=400), random.gamma(2.5, size=200)
    found = RecordTail.after(earlier, recent, 9.0).score(rows)
    whole = np.minimum(np.concatenate([earlier, rows]), 9)
    means = np.array([whole[max(t - recent + 1, 0) : t + 1].mean() for t in range(600)])
    level = np.quantile(means[:400], 0.98)
    over = means[:400][means[:400] > level] - level
    excess = 0.1 + (over.mean() if len(over) else 0)
    for t in range(400, 600):
        beyond = means[t] - means[:t].max()
        expected = np.log10(t + 1) + beyond / excess / np.log(10) if beyond > 1e-5 else 0
        # Sums of some hundred numbers near 1, taken as differences.
        assert found[t - 400] == pytest.approx(expected, abs=1e-9)
    assert (found > 0).sum() in range(1, 40)


@pytest.mark.parametrize("seed", range(5))
def test_records_in_pieces_are_those_of_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    earlier, rows = random.gamma(1, size=50 * (seed > 0)), random.gamma(2, size=100)
    whole, piecewise = RecordTail.after(earlier, 5, 8.0), RecordTail.after(earlier, 5, 8.0)
    cuts = np.sort(random.integers(0, 100, 6))
    pieces = [piecewise.score(part) for part in np.split(rows, cuts)]
    # Means are differences of sums of at most 100 numbers below 8; an excess of 0.1 makes ten times as much of them.
    np.testing.assert_allclose(np.concatenate(pieces), whole.score(rows), rtol=0, atol=10 * 800 * 2.3e-16 * 100)


def test_normal_rows_seldom_reach_a_score_and_never_without_a_record() -> None:
    reached = []
    for seed in range(300):
        random = np.random.default_rng(seed)
        found = RecordTail.after(random.exponential(size=1000), 1, np.inf).score(random.exponential(size=1000))
        reached.append((found >= 4).sum())
        assert found[0] == 0 or found[0] > 3
    # Each of 300,000 rows with the chance 1e-4, or a little less for the 0.1 that is added: 30 of them, give or take.
    assert 10 < sum(reached) < 30 + 4 * np.sqrt(30)
    assert not RecordTail.after(np.full(50, 2.0), 3, 9.0).score(np.full(20, 2.0)).any()
    assert not RecordTail.after(np.empty(0), 1, 9.0).score(np.array([5.0]))[0]
