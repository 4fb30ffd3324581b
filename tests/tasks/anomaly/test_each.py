"""The detector that rebuilds rows from a narrow state: what it finds, its laws, and options that are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_waves import waves

import unrolled as ur
from unrolled.errors import DataError, OptionError
from unrolled.tasks.anomaly import AnomalyDetector

SHORT: dict[str, Any] = {"network": "each", "calibration": "conformal", "max_steps": 250, "hidden_size": 16}


@pytest.fixture(scope="module")
def model() -> AnomalyDetector:
    return AnomalyDetector(**SHORT).fit(waves(700))


def test_rows_that_do_not_fit_in_are_strange_and_their_channel_is_told(model: AnomalyDetector) -> None:
    values = waves(700, seed=1)
    values[300:308, 1] += 3
    values[500, 2] = 3.5
    excess = model.explain(values)
    assert {int(excess[300:308].sum(1).argmax()) + 300, 500} >= set(np.argsort(-model.decision_function(values))[:1])
    assert (excess[300:304].argmax(1) == 1).all()
    assert excess[500].argmax() == 2
    assert model.predict(values)[500] == 1
    assert excess[300:304].sum(1).min() > np.quantile(excess[50:300].sum(1), 0.99)


def test_the_laws_hold_and_a_saved_model_says_the_same(model: AnomalyDetector, tmp_path: Path) -> None:
    model.check()
    again = ur.load(model.save(tmp_path / "each.unrolled"))
    assert isinstance(again, AnomalyDetector)
    np.testing.assert_array_equal(again.decision_function(waves(seed=2)), model.decision_function(waves(seed=2)))


def test_rows_one_by_one_are_judged_as_the_whole(model: AnomalyDetector) -> None:
    values = waves(200, seed=3)
    values[40:50, 0] = np.nan
    stream = model.stream()
    live = [stream.push(row).excess for row in values]
    # Networks sum in float32 in another order: 1e-6 of some ten nats, which a scale of 1e-3 may make larger.
    np.testing.assert_allclose(live, model.explain(values), rtol=1e-3, atol=1e-3)
    assert not model.explain(values)[40:50, 0].any()


def test_a_table_shorter_than_its_window_is_refused() -> None:
    with pytest.raises(DataError, match=r"at least 40 rows in each series, got 30 in the table.*window="):
        AnomalyDetector(network="each", window=40).fit(waves(30))


@pytest.mark.parametrize(("options", "said"), [
    ({"window": 8}, "window=8 belongs to network='each'"),
    ({"code_size": 8}, "code_size=8 belongs to network='each'"),
    ({"network": "each", "ahead": (1, 4)}, "belongs to network='next'"),
    ({"network": "each", "window": 1}, "window"),
    ({"network": "both"}, "network"),
])  # fmt: skip
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        AnomalyDetector(**options)


def test_a_code_as_wide_as_the_window_is_refused() -> None:
    with pytest.raises(OptionError, match="narrower than its 16 values, got window=16 and code_size=16"):
        AnomalyDetector(network="each", code_size=16).fit(waves()[:, 0])
