"""A series that the fit has not met is measured by its own rows so far: what comes later changes no score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from plain_waves import waves

from unrolled.errors import OptionError
from unrolled.model import BrokenLaw
from unrolled.tasks.anomaly import AnomalyDetector
from unrolled.tasks.anomaly.follow import Judged
from unrolled.tasks.anomaly.newcomer import STOPS, Newcomer

SHORT: dict[str, Any] = {"max_steps": 60, "hidden_size": 6}
FIRST = STOPS[0]


def table(**machines: np.ndarray) -> dict[str, Any]:
    """The rows of one machine after those of another."""
    names = [name for name, rows in machines.items() for _ in rows]
    return {"machine": names, **{f"x{i}": column for i, column in enumerate(np.concatenate([*machines.values()]).T)}}


def strange(level: float = 7.0) -> np.ndarray:
    """Another machine: of another level and size, its second channel strange in rows 200 to 204."""
    values = level * waves(300, 5) + [100, -3, 0]
    values[200:205, 1] += 2 * level
    return values


@pytest.fixture(scope="module", params=["tail", "conformal", "record"])
def model(request: Any) -> AnomalyDetector:
    how = {"calibration": request.param, "missing": "anomaly", **SHORT}
    return AnomalyDetector(**how).fit(table(a=waves(300), b=waves(300, 1)), id="machine")


@pytest.mark.parametrize("after", [10, FIRST, FIRST + 1, 100, 241])
def test_what_comes_later_changes_no_score_of_a_series_that_the_fit_has_not_met(
    model: AnomalyDetector, after: int
) -> None:
    rows, later = strange(), strange()
    later[after:] = 1e6
    found = [model.decision_function(table(new=each))[:after] for each in (rows, later, rows[:after])]
    # The network sums in float32 in another order.
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found[0], found[2], rtol=1e-3, atol=1e-3)


def test_a_stream_of_a_new_series_says_what_predict_says(model: AnomalyDetector) -> None:
    rows = strange()
    rows[50:60] = np.nan
    stream = model.stream("new", new=True)
    live = [stream.push(row) for row in rows]
    np.testing.assert_allclose([each.score for each in live], model.decision_function(table(new=rows)), 1e-3, 1e-3)
    np.testing.assert_allclose([each.excess for each in live], model.explain(table(new=rows)), 1e-3, 1e-3)
    np.testing.assert_array_equal([each.alarm for each in live], model.predict(table(new=rows)) == 1)


def test_the_first_rows_are_not_scored_and_what_is_strange_later_is_found(model: AnomalyDetector) -> None:
    scores = model.decision_function(table(new=strange()))
    assert not scores[:FIRST].any()
    assert scores[FIRST:].any()
    assert scores.argmax() in range(200, 210)
    assert not model.decision_function(table(new=strange()[:FIRST])).any()


def test_a_stream_is_of_a_series_of_the_fit_or_of_a_new_one(model: AnomalyDetector) -> None:
    with pytest.raises(OptionError, match=r"no series 'c'; name one of the fit \('a', 'b'\), or pass new=True"):
        model.stream("c")
    with pytest.raises(OptionError, match="'a' is one of the fit; leave new= out"):
        model.stream("a", new=True)


@pytest.mark.parametrize("seed", range(5))
def test_any_pieces_are_judged_as_the_whole(model: AnomalyDetector, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unrolled.tasks.anomaly.newcomer.STOPS", (20, 40, 80))
    random, rows = np.random.default_rng(seed), strange()
    rows[random.random(rows.shape) < 0.2] = np.nan
    cuts = np.sort(random.choice([1, 19, 20, 21, 40, 79, 80, 81, 200], 6, replace=False))
    whole, pieces = (model.state.newcomer(model.network, model.options) for _ in range(2))
    expected = whole.push(rows, np.arange(300))
    parts = [pieces.push(rows[part], part) for part in np.split(np.arange(300), cuts)]
    for name in ("score", "excess"):
        found = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_allclose(found, getattr(expected, name), 1e-3, 1e-3)
    assert pieces.values == whole.values == []


def test_a_new_series_is_measured_by_what_it_has_shown(model: AnomalyDetector) -> None:
    fields = model.state.fields
    values = np.stack([10 * waves(200)[:, 0], np.full(200, 5.0), np.append(np.full(199, 8.0), 9.0)], 1)
    values = np.concatenate([np.full((3, 3), np.nan), values])
    scale = fields.scale_by(values)
    quartiles = np.nanquantile(values[:, 0], [0.25, 0.5, 0.75])
    assert scale.center[0] == quartiles[1]
    assert scale.spread[0] == pytest.approx((quartiles[2] - quartiles[0]) / 1.349)
    # One value says nothing of how wide a channel is; those of the fit do.
    assert scale.center[1] == 5
    assert scale.spread[1] == np.median(fields.values.scale[:, 1])
    assert scale.move[1] == np.median(fields.moves.scale[:, 1])
    # The third channel holds one value in every series of the fit.
    np.testing.assert_array_equal(scale.constant, [np.nan, np.nan, 8])
    empty = fields.scale_by(np.full((30, 3), np.nan))
    np.testing.assert_array_equal(empty.center, np.median(fields.values.center, axis=0))
    np.testing.assert_array_equal(empty.move, np.median(fields.moves.scale, axis=0))
    np.testing.assert_array_equal(empty.constant, [np.nan, np.nan, 3])


def test_the_laws_catch_a_new_series_that_later_rows_measure(
    model: AnomalyDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(verdict.holds for verdict in model.check().verdicts)

    def push(self: Newcomer, values: np.ndarray, clocks: np.ndarray) -> Judged:
        return self.begin(self.measure(values)).push(values, clocks)

    monkeypatch.setattr(Newcomer, "push", push)
    with pytest.raises(BrokenLaw, match="later rows change no score"):
        model.check()
