"""The examples run, and the one that shows a new task keeps the laws of all tasks."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from unrolled.model.laws import run_laws

EXAMPLE = Path(__file__).parents[1] / "examples" / "restore_case.py"


def test_a_new_task_is_a_short_preset_that_works(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert "Eve met Ann in Oslo. They left for Rome." in capsys.readouterr().out
    preset = EXAMPLE.read_text().split("class CaseRestorer")[1].split("if __name__")[0]
    assert len(preset.splitlines()) < 80
    assert not any(line.lstrip().startswith(("for ", "while ")) for line in preset.splitlines() if line.endswith(":"))


def test_a_new_task_keeps_the_laws() -> None:
    kind = runpy.run_path(str(EXAMPLE))["CaseRestorer"]
    model = kind(epochs=1, hidden_size=4).fit(["Ann and Bob", "Eve", "They met Tom in Rome", "no"] * 4)
    # A task that `load` does not know cannot be saved and loaded; the other laws hold.
    run_laws([law for law in model.laws() if law.name != "round trip of the model"])
