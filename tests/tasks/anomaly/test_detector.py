from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_waves import waves

import unrolled as ur
from unrolled.errors import DataError, OptionError
from unrolled.tasks.anomaly import AnomalyDetector

SHORT: dict[str, Any] = {"max_steps": 120, "hidden_size": 8}


def strange(seed: int = 1) -> np.ndarray:
    """As `waves`, but for the second channel in rows 300 to 307 and the third in row 400."""
    values = waves(seed=seed)
    values[300:308, 1] += 3
    values[400, 2] = 3.5
    return values


def long(values: dict[str, np.ndarray]) -> dict[str, Any]:
    """A table of several series, the rows of each among those of the others."""
    names = sorted(values)
    return {
        "machine": names * len(values[names[0]]),
        "a": np.stack([values[name][:, 0] for name in names], 1).ravel(),
        "b": np.stack([values[name][:, 1] for name in names], 1).ravel(),
    }


@pytest.fixture(scope="module")
def model() -> AnomalyDetector:
    return AnomalyDetector(ahead=(1, 6), **SHORT).fit(waves())


@pytest.fixture(scope="module")
def plain() -> AnomalyDetector:
    return AnomalyDetector(calibration="conformal", false_alarms=0.01, **SHORT).fit(waves())


def test_the_strangest_rows_are_those_that_were_spoilt(model: AnomalyDetector, plain: AnomalyDetector) -> None:
    for each in (model, plain):
        scores = each.decision_function(strange())
        assert scores.shape == (500,)
        assert set(np.argsort(-scores)[:2]) <= {*range(300, 320), *range(400, 412)}
        assert each.predict(strange())[300:310].any()
    assert plain.predict(strange())[400] == 1


def test_channels_explain_what_is_strange(plain: AnomalyDetector) -> None:
    excess = plain.explain(strange())
    assert excess.shape == (500, 3)
    assert excess[300].argmax() == 1
    assert excess[400].argmax() == 2
    event = max(plain.events(strange()), key=lambda each: each.score)
    assert (event.channels[0][0], event.peak) in {("x1", 300), ("x1", 308), ("x2", 400)}
    assert event.begin <= event.peak <= event.end
    assert sum(part for _, part in event.channels) == pytest.approx(1)


def test_normal_rows_give_about_as_many_alarms_as_were_asked_for() -> None:
    found = AnomalyDetector(calibration="conformal", false_alarms=0.05, held=0.5, **SHORT).fit(waves(1500))
    rate = np.mean([found.predict(waves(seed=seed))[20:].mean() for seed in range(2, 8)])
    # Of 750 rows that were held out 37 are beyond the level, give or take 3 deviations of 6.
    assert 0.05 * (1 - 18 / 37) < rate < 0.05 * (1 + 18 / 37)


def test_a_series_in_pieces_is_scored_as_the_whole(model: AnomalyDetector) -> None:
    values = strange()
    values[50:55, 0] = np.nan
    stream = model.stream()
    live = [stream.push(row) for row in values]
    scores = model.decision_function(values)
    # The network sums in float32 in another order: 1e-6 of surprises near 10 nats, and their deviations in a score.
    np.testing.assert_allclose([each.score for each in live], scores, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal([each.alarm for each in live], model.predict(values) == 1)


def test_later_rows_change_no_score(model: AnomalyDetector) -> None:
    values, later = strange(), strange()
    later[250:] = 1e6
    found = [model.decision_function(each)[:250] for each in (values, later)]
    np.testing.assert_allclose(*found, rtol=1e-3, atol=1e-3)


def test_the_laws_hold(model: AnomalyDetector, plain: AnomalyDetector) -> None:
    for each in (model, plain):
        each.check()


def test_a_saved_model_says_the_same(model: AnomalyDetector, tmp_path: Path) -> None:
    again = ur.load(model.save(tmp_path / "model.unrolled"))
    assert isinstance(again, AnomalyDetector)
    np.testing.assert_array_equal(again.decision_function(strange()), model.decision_function(strange()))
    np.testing.assert_array_equal(again.decision_scores_, model.decision_scores_)
    np.testing.assert_array_equal(again.labels_, model.labels_)
    assert again.thresholds_ == model.thresholds_


def test_the_verbs_of_the_fit_agree(model: AnomalyDetector) -> None:
    np.testing.assert_array_equal(model.decision_function(waves()), model.decision_scores_)
    np.testing.assert_array_equal(model.labels_, (model.decision_scores_ >= model.threshold_).astype(int))
    assert model.threshold_ == pytest.approx(4)


def test_contamination_is_the_share_of_the_training_rows() -> None:
    found = AnomalyDetector(contamination=0.05, calibration="conformal", **SHORT).fit(waves())
    # The quantile is a row's own score, and rows may share one.
    assert 0.05 <= found.labels_.mean() <= 0.06
    assert found.contamination == 0.05


def test_each_series_has_its_own_scale_and_threshold() -> None:
    values = {"big": 1000 * waves(300, 0), "small": waves(300, 1)}
    table = long(values)
    found = AnomalyDetector(contamination=0.02, **SHORT).fit(table, id="machine")
    assert set(found.thresholds_) == {"big", "small"}
    spoilt = {name: each.copy() for name, each in values.items()}
    spoilt["small"][200:205, 0] += 2
    judged = found.decision_function(long(spoilt)).reshape(-1, 2)
    same = found.decision_function(table).reshape(-1, 2)
    np.testing.assert_allclose(judged[:, 0], same[:, 0], rtol=1e-6)
    assert judged[200:210, 1].max() > 3 * same[200:210, 1].max()
    names = {event.series for event in found.events(long(spoilt))}
    assert "small" in names
    # A series that the fit has not met is scaled by its own rows.
    other = long({"new": 7 * waves(300, 5)})
    assert np.isfinite(found.decision_function(other)).all()


def test_rows_keep_their_order_whatever_the_order_of_time(plain: AnomalyDetector) -> None:
    times = np.datetime64("2024-01-01", "s") + np.arange(500) * np.timedelta64(600, "s")
    table = {"timestamp": times, **{f"x{i}": column for i, column in enumerate(strange().T)}}
    found = AnomalyDetector(calibration="conformal", **SHORT).fit(table)
    order = np.random.default_rng(0).permutation(500)
    mixed = {name: values[order] for name, values in table.items()}
    np.testing.assert_allclose(found.decision_function(mixed), found.decision_function(table)[order], rtol=1e-6)


def test_missing_rows_are_ignored_or_strange_as_asked() -> None:
    values = waves()
    values[250:260] = np.nan
    ignoring = AnomalyDetector(calibration="conformal", **SHORT).fit(waves())
    strict = AnomalyDetector(calibration="conformal", missing="anomaly", **SHORT).fit(waves())
    assert not ignoring.predict(values)[250:260].any()
    assert not ignoring.explain(values)[250:260].any()
    assert strict.predict(values)[250:260].all()


def test_what_is_trimmed_is_not_learned() -> None:
    values = waves(800)
    spots = np.random.default_rng(3).choice(600, 12, replace=False)
    values[spots, 0] += 6
    fits = [AnomalyDetector(trim=trim, likelihood="gaussian", **SHORT).fit(values) for trim in (0.0, 0.05)]
    # A normal distribution is wide where outliers were learned, so that they surprise less.
    plain, trimmed = (np.median(each.explain(values)[spots[spots > 50], 0]) for each in fits)
    assert trimmed > 1.5 * plain


def test_only_channels_that_never_change_can_be_watched() -> None:
    found = AnomalyDetector(calibration="conformal", **SHORT).fit(np.full(100, 5.0))
    later = np.append(np.full(50, 5.0), 5.1)
    assert found.predict(later)[-1] == 1
    assert not found.predict(later)[:-1].any()


def test_the_report_counts_windows_of_a_column_and_of_times(plain: AnomalyDetector) -> None:
    values = strange()
    truth = np.zeros(500, int)
    truth[300:308], truth[400] = 1, 1
    table = {f"x{i}": column for i, column in enumerate(values.T)} | {"truth": truth}
    report = plain.evaluate(table, "truth")
    assert report.windows.correct == report.windows.support == 2
    # One row in 56 is strange.
    assert report.average > 5 / 56
    assert report.nab is not None
    assert report.nab.found == 2
    same = plain.evaluate(values, [(300, 307), (400, 400)])
    assert same == report
    assert str(same).startswith("windows: F1")
    assert same.to_json()["auc_pr"] == report.average


def test_a_quiet_detector_says_one_thing_once() -> None:
    loud, quiet = (AnomalyDetector(quiet=rows, **SHORT).fit(waves()) for rows in (0, 50))
    scores = [each.decision_function(strange()) for each in (loud, quiet)]
    assert (scores[1] <= scores[0]).all()
    assert (scores[1] > 2).sum() < (scores[0] > 2).sum()
    assert scores[1].max() == scores[0].max()


@pytest.mark.parametrize(("options", "sentence"), [
    ({"past": 5, "recent": 5}, "past must be at least twice recent"),
    ({"calibration": "magic"}, "calibration"),
    ({"token_budget": 100}, "token_budget"),
    ({"contaminaton": 0.1}, "Did you mean 'contamination'?"),
])  # fmt: skip
def test_options_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(OptionError, match=sentence):
        AnomalyDetector(**options)


def test_a_table_shorter_than_its_window_is_refused() -> None:
    with pytest.raises(DataError, match="at least 12 rows in each series, got 5 in the table"):
        AnomalyDetector().fit(waves(5))


def test_truth_that_does_not_fit_is_refused(plain: AnomalyDetector) -> None:
    with pytest.raises(DataError, match="at least one window"):
        plain.evaluate(strange(), [])
    with pytest.raises(DataError, match="no series 'b'"):
        plain.evaluate(strange(), {"b": [(1, 2)]})
    table = {f"x{i}": column for i, column in enumerate(strange().T)} | {"truth": np.full(500, 2)}
    for method in (plain.evaluate, lambda source, truth: AnomalyDetector().fit(source, truth=truth)):
        with pytest.raises(DataError, match=r"Column 'truth' of the table, .* but holds 2 in row 0"):
            method(table, "truth")


def test_a_stream_wants_whole_rows_of_a_series_it_knows(plain: AnomalyDetector) -> None:
    with pytest.raises(DataError, match="3 values, got 2"):
        plain.stream().push([1.0, 2.0])
    with pytest.raises(OptionError, match="no series 'b'"):
        plain.stream("b")


def test_a_failed_fit_leaves_the_model_as_it_was(plain: AnomalyDetector) -> None:
    before = plain.decision_function(strange())
    with pytest.raises(DataError):
        plain.fit(waves(3))
    np.testing.assert_array_equal(plain.decision_function(strange()), before)


def test_a_picture_shows_series_alarms_and_truth(plain: AnomalyDetector, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = plain.plot(tmp_path / "anomalies.png", strange(), [(300, 307), (400, 400)])
    assert path.stat().st_size > 10_000
    with pytest.raises(OptionError, match=r"ends in \.png"):
        plain.plot(tmp_path / "anomalies.txt", strange())
