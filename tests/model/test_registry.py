from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import unrolled
from unrolled.errors import OptionError
from unrolled.model import registry
from unrolled.model.registry import describe_task, find_task, known_tasks, register_task
from unrolled.tasks.classify import Classifier

OWN = {"classify": "Classifier", "regress": "Regressor", "tag": "Tagger", "language": "LanguageModel",
       "translate": "Translator", "forecast": "Forecaster", "recognize": "Recognizer",
       "caption": "Captioner", "anomaly": "AnomalyDetector", "compose": "Composer", "draw": "Drawer"}  # fmt: skip


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = dict(registry._TASKS)
    yield
    registry._TASKS.clear()
    registry._TASKS.update(before)


def stranger(name: str, task: str) -> Any:
    return type(name, (Classifier,), {"task": task, "__module__": __name__})


def test_the_tasks_of_the_package_are_known_by_their_own_names() -> None:
    assert known_tasks()[: len(OWN)] == list(OWN)
    for task, name in OWN.items():
        assert find_task(task) is getattr(unrolled, name)
        assert find_task(task).task == task


def test_a_strangers_task_is_known_once_it_is_registered() -> None:
    with pytest.raises(OptionError, match=r"the task 'mood' is not known here.*register_task"):
        find_task("mood")
    kind = stranger("Mood", "mood")
    assert register_task(kind) is kind
    assert find_task("mood") is kind
    assert describe_task("mood") is None
    assert "mood" not in registry.described_tasks()


@pytest.mark.parametrize("task", ["classify", "mood"])
def test_a_name_that_another_class_has_is_refused(task: str) -> None:
    if task == "mood":
        register_task(stranger("Mood", task))
    with pytest.raises(OptionError, match=rf"a name of its own for Other, got '{task}', which is \w+\."):
        register_task(stranger("Other", task))


def test_a_class_may_be_made_and_registered_again() -> None:
    first, second = stranger("Mood", "mood"), stranger("Mood", "mood")
    register_task(first)
    register_task(second)
    assert find_task("mood") is second


def test_a_close_name_is_offered() -> None:
    with pytest.raises(OptionError, match="Did you mean 'classify'"):
        find_task("clasify")


def test_what_tasks_say_of_themselves_is_read_without_torch() -> None:
    code = (
        "import sys; from unrolled.model.registry import described_tasks; "
        "print(list(described_tasks())); assert not {'torch', 'numpy'} & sys.modules.keys()"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str(list(OWN))
