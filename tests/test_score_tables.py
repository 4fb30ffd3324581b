"""The table of docs/tasks.md says what the newest results say."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("score_tables")


def result(**changes: Any) -> dict[str, Any]:
    plain = {
        "row": "toy", "metric": "accuracy", "score": 0.9, "least": 0.8, "aim": 0.95, "seconds": 90.0,
        "peak_megabytes": 500, "options": {}, "commit": "abc", "baseline": None,
    }  # fmt: skip
    return {**plain, **changes}


def test_the_page_is_up_to_date(tables: Any) -> None:
    page = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert tables.with_table(page, ROOT / "benchmarks" / "results") == page


def test_several_seeds_show_the_middle_one_and_the_spread(tables: Any) -> None:
    seeds = [result(score=0.9, baseline={"simple": 0.7}), result(score=0.85), result(score=0.97)]
    (line,) = tables.render(seeds).splitlines()[2:]
    assert "| 0.9000 (0.8500 to 0.9700) |" in line
    assert "| met | 0.7000 (simple) | 1.5 | 500 MB | defaults | abc |" in line


@pytest.mark.parametrize(
    ("metric", "score", "least", "aim", "word"),
    [
        ("accuracy", 0.96, 0.8, 0.95, "aim met"),
        ("accuracy", 0.7, 0.8, 0.95, "**not met**"),
        ("perplexity", 120.0, 130, 115, "met"),
        ("perplexity", 131.0, 130, 115, "**not met**"),
        ("nats per character", 1.49, 1.58, 1.5, "aim met"),
    ],
)
def test_a_verdict_knows_which_way_is_better(
    tables: Any, metric: str, score: float, least: float, aim: float, word: str
) -> None:
    assert tables.verdict(result(metric=metric, score=score, least=least, aim=aim)) == word


def test_what_is_measured_again_stands_in_the_place_of_the_older(tables: Any, tmp_path: Path) -> None:
    files = {
        "tasks-2026-01-01.jsonl": [result(), result(row="other", score=0.81)],
        "tasks-2026-01-02.jsonl": [result(score=0.99), result(row="new")],
    }
    for name, rows in files.items():
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = tables.with_table(f"{tables.BEGIN}{tables.END}", tmp_path)
    assert [line.split("|")[1:4:2] for line in page.splitlines() if line.startswith("| ")][1:] == [
        [" toy ", " 0.9900 "],
        [" other ", " 0.8100 "],
        [" new ", " 0.9000 "],
    ]
    assert "tasks-2026-01-01.jsonl`, `benchmarks/results/tasks-2026-01-02.jsonl`." in page
