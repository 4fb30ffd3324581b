"""A run.json of every format version, written once and never again: each must be read as what was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unrolled.cli.runs import FORMAT, Request, load_request

GOLDEN = Path(__file__).parent / "golden"


def _first(data: dict[str, Any]) -> Request:
    """Version 1 knew forecasts alone, of one file each."""
    files, sums = {"source": data["source"]}, {"source": data["sha256"]}
    return Request(data["task"], files, sums, data["reading"], data["options"], data["held"])


def _second(data: dict[str, Any]) -> Request:
    return Request(data["task"], data["files"], data["sha256"], data["reading"], data["options"], data["held"])


WANTED = {1: _first, 2: _second}


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_a_golden_run_is_read_as_what_was_asked_for(version: int, tmp_path: Path) -> None:
    text = (GOLDEN / f"run-{version}.json").read_text(encoding="utf-8")
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    data = json.loads(text)
    assert data["format"] == version
    assert load_request(tmp_path) == WANTED[version](data)
