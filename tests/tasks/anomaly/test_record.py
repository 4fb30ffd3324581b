"""The detector whose alarms are records: of surprise, and of how far values are from the middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_waves import waves

import unrolled as ur
from unrolled.errors import OptionError
from unrolled.tasks.anomaly import AnomalyDetector, learned

SHORT: dict[str, Any] = {"calibration": "record", "max_steps": 80, "hidden_size": 8}


@pytest.fixture(scope="module")
def model() -> AnomalyDetector:
    return AnomalyDetector(**SHORT).fit(waves())


def test_what_was_never_so_strange_is_an_alarm_once(model: AnomalyDetector) -> None:
    values = waves(seed=1)
    values[300:308, 1] += 5
    found = model.decision_function(values)
    assert model.predict(values)[300:320].any()
    assert not found[340:].any()
    assert not model.labels_.any()


def test_the_highest_of_all_rows_is_kept_however_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "KEPT", 50)
    values = waves()
    values[20:40, 1] += 5
    found = AnomalyDetector(**SHORT).fit(values)
    assert len(found.state.earlier[0]) == 500
    again = waves(300, seed=1)
    again[100:120, 1] += 4
    assert not found.predict(again).any()


def test_a_slow_drift_is_found_by_its_values_alone() -> None:
    values = waves(800, 1)[:, :1]
    values[:, 0] += np.concatenate([np.zeros(500), np.linspace(0, 12, 300)])
    fits = [AnomalyDetector(value_record=rows, **SHORT).fit(waves()[:, :1]) for rows in ((1, 20), ())]
    best = [each.decision_function(values)[500:].max() for each in fits]
    assert best[0] > 4
    assert best[0] > best[1]


def test_rows_one_by_one_are_judged_as_the_whole_and_laws_hold(model: AnomalyDetector, tmp_path: Path) -> None:
    values = waves(200, seed=3)
    values[100:105] += 2
    values[40:50, 0] = np.nan
    stream = model.stream()
    live = [stream.push(row).score for row in values]
    # Surprises of float32 differ by some 1e-6 of ten nats, and records by that over an excess of 0.1.
    np.testing.assert_allclose(live, model.decision_function(values), rtol=1e-3, atol=1e-3)
    model.check()
    again = ur.load(model.save(tmp_path / "record.unrolled"))
    assert isinstance(again, AnomalyDetector)
    np.testing.assert_array_equal(again.decision_function(values), model.decision_function(values))


def test_a_series_that_the_fit_has_not_met_is_judged_by_the_others() -> None:
    table = {"machine": ["a", "b"] * 500, "x": waves()[:, :2].ravel()}
    found = AnomalyDetector(**SHORT).fit(table, id="machine")
    later = {"machine": ["c"] * 300, "x": waves(300, 2)[:, 0]}
    assert np.isfinite(found.decision_function(later)).all()


@pytest.mark.parametrize(("options", "said"), [
    ({"contamination": 0.1}, "contamination is for the calibrations 'tail' and 'conformal'"),
    ({"record": (), "value_record": ()}, "both empty"),
    ({"record": (0,)}, "record"),
])  # fmt: skip
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        AnomalyDetector(calibration="record", **options)
