"""Broken files of every reader, and saved models and checkpoints that were changed and signed anew.

Each file is a sample of a reader with seeded changes: bytes flipped, cut, doubled or put in, lines moved, JSON values
replaced by others. It is read in a child process with bounded memory and time. A changed model is loaded, asked the
questions of its golden file, and saved; a run goes on from a changed checkpoint. What is right is a value or a
sentence of `unrolled.errors`; anything else is printed with its place.

    python benchmarks/fuzz.py --files 100000 --models 5000 --out fuzz.jsonl      goes on where an earlier run stopped

The counts of each kind go to benchmarks/results, every case to --out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from common import Results
from fuzz_changes import broken
from fuzz_models import GOLDEN, checkpoint_case, model_case, train
from fuzz_readers import readers
from fuzz_samples import samples

GB = 1 << 30
# Files of one child, and seconds of a processor that one of them may take; in waiting, ten times as many.
BATCH, PATIENCE = 200, 20


def file_case(name: str, seed: int, known: dict[str, Path]) -> None:
    chance = random.Random(f"{name} {seed}")
    path = known[name]
    whole = path.read_bytes()
    path.write_bytes(broken(whole, chance))
    try:
        readers()[name](path)
    finally:
        path.write_bytes(whole)


CHANGED: dict[str, Callable[[int, Path], None]] = {"model": model_case, "checkpoint": checkpoint_case}


def child(kind: str, start: int, stop: int, progress: Path) -> None:
    """Cases one after the other; what each came to is appended to a file, so that a kill loses only one."""
    import torch

    import unrolled.tasks  # noqa: F401
    from unrolled.errors import UnrolledError
    from unrolled.model import load

    torch.set_num_threads(1)
    load(sorted(GOLDEN.glob("*.unrolled"))[0])
    limit_memory()
    with tempfile.TemporaryDirectory() as name, progress.open("a") as file:
        folder = Path(name)
        known = samples(folder)
        if kind in known:
            # Whole, it is read.
            readers()[kind](known[kind])
        if kind == "checkpoint":
            train(folder / "run", resume=False)
        for seed in range(start, stop):
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            signal.alarm(10 * PATIENCE)
            found = {"kind": kind, "seed": seed, "result": "value", "where": ""}
            try:
                if kind in CHANGED:
                    CHANGED[kind](seed, folder)
                else:
                    file_case(kind, seed, known)
            except UnrolledError as error:
                found["result"] = "sentence" if len(str(error)) <= 600 else "long sentence"
            except BaseException as error:  # noqa: BLE001
                last = traceback.extract_tb(error.__traceback__)
                own = [frame for frame in last if "unrolled" in frame.filename and "benchmarks" not in frame.filename]
                place = own[-1] if own else last[-1]
                found["result"] = "foreign"
                found["where"] = (
                    f"{Path(place.filename).name}:{place.lineno} {type(error).__name__}: {str(error)[:120]}"
                )
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            file.write(json.dumps(found) + "\n")
            file.flush()


def limit_memory() -> None:
    """No more than one gigabyte beside what the libraries take."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + GB
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def run(kind: str, count: int, out: Path) -> Counter[str]:
    """The cases of one kind, in children; the results are appended to `out`."""
    counted = Counter[str]()
    done = 0
    if out.exists():
        for line in out.read_text().splitlines():
            found = json.loads(line)
            if found["kind"] == kind:
                done = max(done, found["seed"] + 1)
                counted[found["result"]] += 1
    while done < count:
        command = [
            sys.executable,
            __file__,
            "--child",
            kind,
            str(done),
            str(min(count, done + BATCH)),
            "--out",
            str(out),
        ]
        before = out.stat().st_size if out.exists() else 0
        ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        with out.open() as file:
            file.seek(before)
            lines = [json.loads(line) for line in file]
        for found in lines:
            done = found["seed"] + 1
            counted[found["result"]] += 1
            if found["result"] in ("foreign", "long sentence"):
                print(kind, found["seed"], found["result"], found["where"], flush=True)
        if ended.returncode == 1:
            raise SystemExit(f"fuzz: the child of {kind} could not begin.\n{ended.stderr[-2000:]}")
        if ended.returncode != 0:
            result = "hang" if ended.returncode in (-signal.SIGALRM, -signal.SIGPROF) else "crash"
            print(kind, done, result, ended.returncode, ended.stderr[-300:], flush=True)
            with out.open("a") as file:
                file.write(json.dumps({"kind": kind, "seed": done, "result": result, "where": ""}) + "\n")
            counted[result] += 1
            done += 1
    return counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1700)
    parser.add_argument("--models", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("fuzz.jsonl"))
    parser.add_argument("--child", nargs=3, metavar=("KIND", "START", "STOP"))
    asked = parser.parse_args()
    if asked.child:
        kind, start, stop = asked.child
        child(kind, int(start), int(stop), asked.out)
        return
    asked.out.touch()
    results = Results("fuzz")
    kinds = {"model": asked.models // 2, "checkpoint": asked.models // 2} | {
        name: -(-asked.files // len(readers())) for name in readers()
    }
    for kind, count in kinds.items():
        counted = run(kind, count, asked.out)
        if not results.has(kind=kind, count=sum(counted.values())):
            results.add(kind=kind, count=sum(counted.values()), results=dict(counted))


if __name__ == "__main__":
    main()
