"""The page on Newton's method: its table is what the newest result file says."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("newton")


def test_the_page_on_newton_is_generated_from_the_newest_results(benchmark: Any) -> None:
    assert benchmark.write_table(check=True) == 0


def test_work_and_traffic_grow_with_the_jacobian(benchmark: Any) -> None:
    row = benchmark.Row("gru", 1, 1000, 16)
    # 2 G H^2 = 1536 for the step; the diagonal adds 6 H, the full form a product with the gates and 2 H^3 + 4 H^2.
    assert benchmark.operations(row, "diagonal") == (1536 + 6 * 16) / 1536
    assert benchmark.operations(row, "full") == (1536 + 1536 + 2 * 16**3 + 4 * 16**2) / 1536
    assert benchmark.traffic(row, "diagonal") == (3 + 2 + 2) / 4
    assert benchmark.traffic(row, "full") == (3 + 2 + 2 * 16) / 4


def test_names_of_rows_are_unique(benchmark: Any) -> None:
    names = [row.name for row in benchmark.rows()]
    assert len(names) == len(set(names))
