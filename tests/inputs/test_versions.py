"""Inputs at other speeds, to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.errors import OptionError
from unrolled.inputs.input import version_rows
from unrolled.inputs.series import SeriesInput
from unrolled.tasks import Classifier
from unrolled.tasks.regress import RegressorOptions


def versions(values: list[np.ndarray], *speeds: float) -> list[np.ndarray]:
    return SeriesInput(values).versions(RegressorOptions.collect({"speeds": speeds})).values


@pytest.mark.parametrize(("speed", "expected"), [
    # 5 / 2 steps are rounded to 2, which are the first and the last.
    (2.0, [0, 8]), (0.5, [i * 8 / 9 for i in range(10)]), (1.0, [0, 2, 4, 6, 8]), (0.8, [0, 1.6, 3.2, 4.8, 6.4, 8]),
])  # fmt: skip
def test_series_run_on_straight_lines_between_their_steps(speed: float, expected: list[float]) -> None:
    values = np.array([[0.0], [2], [4], [6], [8]])
    [own, found] = versions([values], speed)
    assert own is values
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-12)
    assert versions([values[:0]], speed)[1].shape == (0, 1)
    assert versions([values[:1]], speed)[1].tolist() == [[0.0]] * max(1, round(1 / speed))


def test_a_missing_step_takes_along_only_what_lies_beside_it() -> None:
    found = versions([np.array([[0.0], [np.nan], [4], [6], [8]])], 0.5)[1][:, 0]
    places = np.arange(10) * 4 / 9
    np.testing.assert_array_equal(np.isnan(found), (places > 0) & (places < 2))


def test_versions_stand_one_after_another_and_without_speeds_there_are_none() -> None:
    series = [np.ones((4, 1)), np.ones((8, 1)), np.ones((2, 1))]
    assert [len(one) for one in versions(series, 2.0, 0.5)] == [4, 8, 2, 2, 4, 1, 8, 16, 4]
    assert version_rows(np.array([1, 2]), 3, 9).tolist() == [1, 2, 4, 5, 7, 8]
    alone = SeriesInput(series)
    assert alone.versions(RegressorOptions()) is alone


def test_what_changes_voices_is_refused_for_series() -> None:
    series = [np.random.default_rng(i).normal(size=(5, 2)) for i in range(4)]
    with pytest.raises(OptionError, match="Warping, channel, gain and noise in decibels are of sounds, got series"):
        Classifier(frequency_warp=0.1, epochs=1).fit(series, ["a", "b"] * 2, valid=0)


def test_a_classifier_learns_from_all_versions_and_is_judged_by_none() -> None:
    series = [np.random.default_rng(i).normal(size=(5, 2)) for i in range(4)]
    model = Classifier(speeds=[0.9, 1.1], epochs=1, hidden_size=4, layers=1).fit(series, ["a", "b"] * 2, valid=0)
    corpus = model._read(series, ["a", "b"] * 2)
    assert len(model.make_training_data(corpus, np.arange(4))) == 12
    assert len(model.make_data(corpus, np.arange(4))) == 4
    assert len(model.predict(series)) == 4
