"""NAB's benchmark: the baseline by its plain formula, and scores that no later row changes."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

SETTING: dict[str, Any] = {"calibration": "record", "cap": 10.0, "max_steps": 10, "hidden_size": 4}


@pytest.fixture
def nab(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    return importlib.import_module("nab")


def recording(nab: Any, rows: int, seed: int = 0) -> Any:
    times = (np.datetime64("2024-01-01", "s") + np.arange(rows) * np.timedelta64(300, "s")).astype(str).tolist()
    values = np.random.default_rng(seed).normal(size=rows)
    return nab.Recording("made up", times, values, [(rows - 20, rows - 10)])


def test_the_baseline_is_the_normal_tail_of_the_values_before(nab: Any) -> None:
    given = recording(nab, 50)
    found = nab.gaussian(given)
    assert found[0] == 0
    for row in range(2, 50):
        before = given.values[:row]
        z = abs(given.values[row] - before.mean()) / before.std()
        assert found[row] == pytest.approx(1 - math.erfc(z / math.sqrt(2)) / 2, abs=1e-12)


def test_the_baseline_looks_back_on_a_window_only(nab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nab, "WINDOW", 30)
    monkeypatch.setattr(nab, "STRIDE", 10)
    given, other = recording(nab, 80), recording(nab, 80)
    other.values[:5] += 100
    found = [nab.gaussian(each) for each in (given, other)]
    assert (found[0][5:40] != found[1][5:40]).any()
    np.testing.assert_array_equal(found[0][45:], found[1][45:])


def test_no_later_row_and_no_label_changes_a_score(nab: Any) -> None:
    given, later = recording(nab, 260), recording(nab, 260)
    later.values[200:] = 9
    found = [nab.online(each, 0, **SETTING) for each in (given, later._replace(windows=[(0, 9)]))]
    assert found[0].shape == (260,)
    # Sums in float32 in batches of another length.
    np.testing.assert_allclose(found[0][:200], found[1][:200], rtol=1e-3, atol=1e-3)


def test_a_detector_that_knows_the_windows_is_perfect(nab: Any) -> None:
    files = [recording(nab, 100, seed) for seed in range(3)]
    found = nab.score_nab(files, lambda each: (np.arange(100) == each.windows[0][0]).astype(float))
    assert found.nab == pytest.approx(100)
    assert found.f1 == 1
    assert found.more["false_alarms"] == 0


def test_values_alone_alarm_where_they_are_farther_out_than_ever(nab: Any) -> None:
    given = recording(nab, 300)
    given.values[200] = 30
    found = nab.value_records(given)
    assert found.argmax() == 200
    assert found[200] > 10
    assert not found[: given.probation].any()
    assert not found[230:].any()
