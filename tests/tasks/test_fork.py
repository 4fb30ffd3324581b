"""Models of every task in a forked child, after the parent used its threads: as in servers that load and then fork."""

from __future__ import annotations

import subprocess
import sys

import pytest

from unrolled.ops import native

PATIENCE = 120
"""Seconds after which a child hangs: what it needs is far below, even on a loaded machine."""

SCRIPT = f"""
import os, signal
import numpy as np, torch
from unrolled.nn import LSTM, Stepper
from unrolled.tasks import Classifier, Forecaster, LanguageModel, Tagger, Translator

torch.set_num_threads(2)
options = {{"max_steps": 1, "hidden_size": 128}}
texts, labels = ["a good film", "a bad film"] * 20, ["up", "down"] * 20
classifier = Classifier(**options).fit(texts, labels)
tagger = Tagger(**options).fit(([["a", "film"]] * 20, [["DET", "NOUN"]] * 20))
writer = LanguageModel(**options).fit(["a good film is a film"] * 40)
translator = Translator(**options).fit(texts, labels)
series = {{"t": np.arange(99), "y": np.sin(np.arange(99.0))}}
forecaster = Forecaster(horizon=3, **options).fit(series, time="t", target="y")
stepper = Stepper(LSTM(3, 300), 4)

def answers():
    stepper.reset()
    return [
        classifier.predict(texts).tolist(), tagger.predict([["a", "film"]]), writer.generate("a", seed=1),
        translator.predict(texts[:2]), forecaster.predict().to_pandas().forecast.round(3).tolist(),
        float(stepper.run(torch.ones(5, 4, 3)).abs().sum().round(decimals=2)),
    ]

before = answers()
child = os.fork()
if child == 0:
    signal.alarm({PATIENCE})
    Classifier(**options).fit(texts, labels)
    os._exit(0 if answers() == before else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.get_num_threads())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="processes do not fork there")
@pytest.mark.skipif(not native.available(), reason=native.reason() or "")
def test_every_task_answers_in_a_forked_child() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=2 * PATIENCE)
    assert result.stdout.strip() == "0 2", result.stderr
