"""What the benchmarks share: the data folder, where a result comes from, and result files that grow row by row."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import unrolled

__all__ = ["Results", "data_folder", "environment"]

ROOT = Path(__file__).resolve().parents[1]


def data_folder(name: str) -> Path:
    """The data set `name` under $UNROLLED_DATA (default ../shared/data); the script ends with the reason if absent."""
    folder = Path(os.environ.get("UNROLLED_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        sys.exit(f"skipped: there is no data set {name!r}; set UNROLLED_DATA to the folder that holds it.")
    return folder


def environment(sources: Sequence[str] = ("src", "benchmarks")) -> dict[str, Any]:
    """Machine, versions and commit; "+" after the commit where `sources` hold changes that are not committed."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", *sources)
    return {
        "commit": git("rev-parse", "--short", "HEAD") + ("+" if changed else ""),
        "unrolled": unrolled.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
    }


class Results:
    """A dated JSON-lines file in benchmarks/results; rows that are there are not computed again on the same day."""

    def __init__(self, name: str) -> None:
        day = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
        self.path = ROOT / "benchmarks" / "results" / f"{name}-{day}.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """The rows written so far."""
        if not self.path.is_file():
            return []
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]

    def has(self, **key: Any) -> bool:
        """True if a row with these values is there."""
        return any(all(row.get(name) == value for name, value in key.items()) for row in self.rows())

    def add(self, **row: Any) -> None:
        """Append a row with where it comes from, and print it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        print(json.dumps(row), flush=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, **environment()}) + "\n")
