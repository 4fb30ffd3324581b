"""Steps with time behind them, and what training makes of inputs at other speeds."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from unrolled.data.batch.ragged import Ragged
from unrolled.tasks import Recognizer
from unrolled.tasks.recognize.steps import lingering


def test_time_stands_behind_each_input_that_has_steps() -> None:
    steps = Ragged.from_list([np.ones((3, 2)), np.zeros((0, 2)), 2 * np.ones((1, 2))])
    longer = lingering(steps, 2)
    assert longer.lengths.tolist() == [5, 0, 3]
    assert longer[0][:, 0].tolist() == [1, 1, 1, 0, 0]
    assert longer[2][:, 1].tolist() == [2, 0, 0]
    assert lingering(steps, 0) is steps


def test_training_sees_all_speeds_and_what_has_no_room_is_left_out(letters: SimpleNamespace) -> None:
    series, texts = letters.spelled(10)
    # At twice the speed six steps are three frames of one, too few for "aaa".
    options = {**letters.quick, "stride": 1, "epochs": 1, "speeds": [2]}
    model = Recognizer(**options).fit([*series, np.ones((6, 4))], [*texts, "aaa"], valid=0)
    corpus = model._read([*series, np.ones((6, 4))], [*texts, "aaa"])
    assert len(model.make_training_data(corpus, np.arange(11))) == 21
    assert len(model.make_data(corpus, np.arange(11))) == 11
    assert model.history is not None
    assert model.history.steps == 3


def test_time_after_the_end_makes_room_for_what_is_said_last(letters: SimpleNamespace) -> None:
    series = [np.zeros((4, 4))] * 4
    options = {**letters.quick, "epochs": 1, "stride": 1}
    model = Recognizer(**options, streaming=True).fit(series, ["abcab"] * 4, valid=0)
    assert model.options.after == 24
    assert Recognizer().options.after == 0
    assert Recognizer(streaming=True, linger=3).options.after == 3
    whole, live = model.transcribe(series[:1])[0], model.stream()
    live.push(series[0])
    assert live.finish().hypotheses[0].log_prob == pytest.approx(whole.hypotheses[0].log_prob, abs=1e-4)
