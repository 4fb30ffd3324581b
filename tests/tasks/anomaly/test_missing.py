"""Rows and channels that are missing from a later table, and rows pushed one by one: read as those of the fit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.tasks.anomaly import AnomalyDetector
from unrolled.tasks.anomaly.reading import read_layout, read_observed

SHORT: dict[str, Any] = {"max_steps": 60, "hidden_size": 6}
HOUR = np.timedelta64(1, "h")


def waves(rows: int = 300) -> np.ndarray:
    random, t = np.random.default_rng(0), np.arange(rows)
    return np.stack([np.sin(t / 7), np.cos(t / 11)], 1) + random.normal(0, 0.05, (rows, 2))


def timed(values: np.ndarray, zone: str = "") -> dict[str, Any]:
    times = np.datetime64("2024-01-01", "s") + np.arange(len(values)) * HOUR
    written = [f"{time}{zone}" for time in times]
    return {"timestamp": written, "a": values[:, 0], "b": values[:, 1]}


@pytest.fixture(scope="module")
def strict() -> AnomalyDetector:
    return AnomalyDetector(missing="anomaly", calibration="conformal", **SHORT).fit(waves())


@pytest.fixture(scope="module")
def clocked() -> AnomalyDetector:
    return AnomalyDetector(**SHORT).fit(timed(waves(), "+02:00"))


@pytest.mark.parametrize("step", [None, "h"])
def test_the_last_rows_are_there_also_where_all_of_them_is_missing(step: str | None) -> None:
    given = timed(waves(40))
    given["a"][35:], given["b"][35:] = np.nan, np.nan
    table, layout = read_layout(given, time=None, columns=None, id=None, step=step)
    rows = read_observed(table, layout)
    np.testing.assert_array_equal(rows.source, np.arange(40))
    np.testing.assert_array_equal(rows.values, np.stack([given["a"], given["b"]], 1))
    assert not any("\N{NO-BREAK SPACE}" in remark for remark in rows.remarks)


def test_missing_rows_at_the_end_are_scored_as_live(strict: AnomalyDetector) -> None:
    values = waves()
    values[290:] = np.nan
    stream = strict.stream()
    live = [stream.push(row) for row in values]
    # float32 sums in another order: 1e-6 of some 30 nats.
    np.testing.assert_allclose(strict.explain(values), [each.excess for each in live], rtol=1e-3, atol=1e-3)
    assert strict.predict(values)[290:].all()
    assert all(each.alarm for each in live[290:])


def test_a_channel_may_be_missing_from_a_later_table_but_not_from_that_of_the_fit(strict: AnomalyDetector) -> None:
    values = waves()
    values[:, 1] = np.nan
    ignoring = AnomalyDetector(calibration="conformal", **SHORT).fit(waves())
    assert not ignoring.explain(values)[:, 1].any()
    assert ignoring.predict(values).mean() < 0.1
    assert strict.predict(values).all()
    assert ignoring.decision_function(np.full((5, 2), np.nan)).shape == (5,)
    with pytest.raises(DataError, match=r"'x1' .* has no value at all"):
        AnomalyDetector(**SHORT).fit(values)


def test_an_array_must_have_the_channels_of_the_fit(strict: AnomalyDetector) -> None:
    for width in (1, 3):
        with pytest.raises(DataError, match=f"rows of 2 channels, as in the fit, got {width}"):
            strict.predict(np.zeros((20, width)))
    named = AnomalyDetector(**SHORT).fit({"a": waves()[:, 0], "b": waves()[:, 1]})
    np.testing.assert_array_equal(named.decision_function(waves()), named.decision_scores_)


def test_a_row_is_pushed_with_its_time_as_the_table_writes_it(clocked: AnomalyDetector) -> None:
    assert clocked.state.fields.calendar.features
    table = timed(waves(), "+02:00")
    scores = clocked.decision_function(table)
    ways: dict[str, Callable[[str], object]] = {
        "text": str,
        "with its zone": datetime.fromisoformat,
        "in another zone": lambda time: datetime.fromisoformat(time).astimezone(UTC),
        "without a zone": lambda time: np.datetime64(time.removesuffix("+02:00")),
    }
    for way, write in ways.items():
        stream = clocked.stream()
        live = [stream.push(row, write(time)).score for row, time in zip(waves(), table["timestamp"], strict=True)]
        np.testing.assert_allclose(live, scores, rtol=1e-3, atol=1e-3, err_msg=way)
    stream = clocked.stream()
    late = [stream.push(row, time.replace("+02:00", "+09:00")).score for row, time in zip(waves(), table["timestamp"])]
    assert np.allclose(late, scores, rtol=1e-3, atol=1e-3), "an offset is written as clocks show it"
    with pytest.raises(DataError, match="has a zone"):
        AnomalyDetector(**SHORT).fit(timed(waves())).decision_function(table)


@pytest.mark.parametrize(("row", "time", "said"), [
    ([1.0], "2024-02-01T00:00+02:00", "2 values, got 1"),
    (["a", "b"], "2024-02-01T00:00+02:00", "numbers, NaN where missing"),
    ([1.0, np.inf], "2024-02-01T00:00+02:00", "finite"),
    ([1.0, 2.0], "yesterday", "'yesterday'"),
    ([1.0, 2.0], np.datetime64("NaT", "s"), "no value"),
    ([1.0, 2.0], np.datetime64("NaT"), "expected a time"),
    ([1.0, 2.0], None, "expected the time of the row"),
])  # fmt: skip
def test_a_row_that_cannot_be_read_is_said_and_changes_nothing(
    clocked: AnomalyDetector, row: list[Any], time: object, said: str
) -> None:
    stream, other = clocked.stream(), clocked.stream()
    with pytest.raises(DataError, match=said):
        stream.push(row, time)
    assert stream.push([1.0, 2.0], "2024-02-01T00:00+02:00").score == other.push([1, 2], "2024-02-01T00:00+02:00").score


def test_truth_may_be_numbers_that_are_0_or_1(clocked: AnomalyDetector) -> None:
    table, truth = timed(waves(), "+02:00"), np.zeros(300)
    truth[200:205] = 1
    reports = [clocked.evaluate({**table, "truth": kind}, "truth") for kind in (truth, truth.astype(bool))]
    assert reports[0] == reports[1]
    for value in (0.5, np.nan):
        truth[3] = value
        with pytest.raises(DataError, match="truth"):
            clocked.evaluate({**table, "truth": truth}, "truth")


def test_what_is_missing_is_none_of_what_training_leaves_out() -> None:
    values = waves(400)[:, :2]
    values[50:250] = np.nan
    model = AnomalyDetector(max_steps=40, hidden_size=6, trim=0.1, held=0.2).fit(values)
    rows = model.read(values)
    [out] = model._strangest(rows, np.array([320]))
    assert not out[50:250].any()
    # A tenth of the 120 rows with values that are learned from, one more or less by interpolation.
    assert 11 <= out[:320].sum() <= 13
