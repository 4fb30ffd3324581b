"""How fast files are read, beside another checkout, in turns: a table of times, tagged sentences, JSON lines.

    python benchmarks/reading.py --other ../before              1 GB of CSV, 100 MB of CoNLL-U, a million JSON lines
    python benchmarks/reading.py --other ../before --part 0.1   a tenth of each

Each reading is a process of its own, so neither has the other's memory or caches; the files are made once, from a
seed, in a folder that goes away. A row holds the seconds of both, by the clock and of the processors, which other
programs on the machine hardly change; speed, of this checkout relative to the other, is by the latter.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from common import ROOT, Results

ROUNDS = 3


def table(part: float) -> Iterator[str]:
    """Minutes, twelve numbers with decimals, and a word in each row."""
    draw = np.random.default_rng(0)
    yield "time," + ",".join(f"x{i}" for i in range(12)) + ",kind\n"
    rows, begin = 1000, np.datetime64("1990-01-01T00:00")
    for block in range(int(8800 * part)):
        numbers = draw.normal(0, 100, (rows, 12)).round(3).astype(str)
        times = (begin + np.arange(block * rows, (block + 1) * rows)).astype(str)
        kinds = np.array(["alpha", "beta", "gamma"])[draw.integers(0, 3, rows)]
        yield from (f"{t},{','.join(n)},{k}\n" for t, n, k in zip(times, numbers, kinds, strict=True))


def sentences(part: float) -> Iterator[str]:
    """CoNLL-U: six words in each sentence, among ten thousand."""
    draw = np.random.default_rng(0)
    for i in range(int(500_000 * part)):
        yield f"# sent_id = {i}\n"
        for place, word in enumerate(draw.integers(0, 10_000, 6), start=1):
            yield f"{place}\tw{word}\tw{word}\tNOUN\tNN\tNumber=Sing\t0\troot\t_\t_\n"
        yield "\n"


def lines(part: float) -> Iterator[str]:
    """Objects of a text, a label and a number."""
    for i in range(int(1_000_000 * part)):
        yield json.dumps({"text": f"some words of line {i}", "label": ("a", "b")[i % 2], "stars": i % 5}) + "\n"


FILES: dict[str, Callable[[float], Iterator[str]]] = {
    "table.csv": table,
    "sentences.conllu": sentences,
    "lines.jsonl": lines,
}


def read(path: Path) -> tuple[float, float]:
    """The seconds that this checkout takes to read a file, by the clock and of the processors."""
    from unrolled import data

    reader = {".csv": data.read_table, ".conllu": data.read_conll, ".jsonl": data.read_records}[path.suffix]
    began, used = time.perf_counter(), time.process_time()
    reader(path)
    return time.perf_counter() - began, time.process_time() - used


def seconds(checkout: Path, path: Path) -> tuple[float, float]:
    """Those of any checkout, in a process of its own."""
    found = os.environ | {"PYTHONPATH": str(checkout / "src")}
    words = [sys.executable, __file__, "--read", str(path)]
    clock, processors = subprocess.run(words, env=found, capture_output=True, text=True, check=True).stdout.split()
    return float(clock), float(processors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, help="the checkout to compare with")
    parser.add_argument("--part", type=float, default=1.0, help="of the sizes")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        print(*read(asked.read))
        return
    if asked.other is None:
        parser.error("--other names the checkout to compare with")
    results = Results("reading")
    for name, make in FILES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            with path.open("w") as file:
                file.writelines(make(asked.part))
            # The first reading of either fills the cache of the disk.
            turns = [(seconds(ROOT, path), seconds(asked.other, path)) for _ in range(ROUNDS + 1)][1:]
            ours, theirs = zip(*turns, strict=True)
            results.add(
                row=name, megabytes=round(path.stat().st_size / 1e6), clock=[t for t, _ in ours],
                other_clock=[t for t, _ in theirs], processors=[t for _, t in ours],
                other_processors=[t for _, t in theirs],
                speed=round(statistics.median(b[1] / a[1] for a, b in turns), 3),
            )  # fmt: skip


if __name__ == "__main__":
    main()
