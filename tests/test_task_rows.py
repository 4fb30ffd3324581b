"""The rows of the task benchmark: what was measured is in the table, and what a row writes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("tasks")


@pytest.mark.skipif(not (FOLDER / "results").is_dir(), reason="a source distribution has no results")
def test_every_row_that_was_measured_is_in_the_table_with_the_bars_of_its_last_result(tasks: Any) -> None:
    last = {}
    for path in sorted((FOLDER / "results").glob("tasks-*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            result = json.loads(line)
            last[result["row"]] = (result["least"], result["aim"])
    assert last == {name: (tasks.ROWS[name].least, tasks.ROWS[name].aim) for name in last}


@pytest.mark.parametrize(("seconds", "runs"), [(1.0, 3), (200.0, 1)])
def test_a_row_writes_a_line_for_each_seed_and_a_long_one_for_one_alone(
    tasks: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, runs: int
) -> None:
    asked = []

    def run(seed: int, **options: Any) -> Any:
        asked.append((seed, options))
        return tasks.Score("accuracy", 0.87654321, {"steps": 7})

    clock = iter(seconds * i for i in range(2 * runs))
    monkeypatch.setattr(tasks.time, "perf_counter", lambda: next(clock))
    monkeypatch.setitem(tasks.ROWS, "toy", tasks.Row(run, lambda: {"most frequent": 0.5}, 0.8, 0.9, {"epochs": 2}))
    results = tasks.Results("toy")
    results.path = tmp_path / "toy.jsonl"
    # What is there for today is not run again, nor are the seeds that a long run did without.
    tasks.measure("toy", {"dropout": 0.1}, results)
    tasks.measure("toy", {"dropout": 0.1}, results)
    options = {"epochs": 2, "dropout": 0.1}
    assert asked == [(seed, options) for seed in range(runs)]
    for seed, row in enumerate(results.rows()):
        assert list(row)[:12] == [
            "row", "seed", "options", "metric", "score", "least", "aim", "seconds", "peak_megabytes", "steps",
            "baseline", "commit",
        ]  # fmt: skip
        told = {"row": "toy", "seed": seed, "options": options, "metric": "accuracy", "score": 0.8765, "least": 0.8}
        assert row | told == row
        assert (row["aim"], row["seconds"], row["steps"]) == (0.9, seconds, 7)
        assert row["baseline"] == (None if seed else {"most frequent": 0.5})
    assert len(results.rows()) == runs
