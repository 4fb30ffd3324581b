"""Broken files of every reader, and saved models and checkpoints that were changed and signed anew.

Each file is a sample of a reader with seeded changes, see fuzz_changes.py. It is read in a child process with bounded
memory and time, up to the arrays that a network reads where its task has any. A changed model is loaded, asked the
questions of its golden file, and saved; a run goes on from a changed checkpoint. What is right is a value or a
sentence of `unrolled.errors` on one line, without a warning of numpy's; anything else is printed with its place.

    python benchmarks/fuzz.py --files 100000 --models 5000 --out fuzz.jsonl      goes on where an earlier run stopped
    python benchmarks/fuzz.py --files 4000 --models 0 --kind ink.zip --kind told.npz      4,000 files of these two kinds

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
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from common import Results
from fuzz_changes import changed
from fuzz_models import GOLDEN, checkpoint_case, model_case, train
from fuzz_readers import readers
from fuzz_samples import samples

from unrolled.errors import UnrolledError, lacks_memory, printable
from unrolled.model import load

GB = 1 << 30
# Cases of one child, and seconds of a processor that one of them may take; in waiting, ten times as many.
BATCH, PATIENCE = 1000, 10


class Outcome(NamedTuple):
    """result: "value", "sentence", or what is wrong. where: of an exception, its place. said: the sentence."""

    result: str
    where: str = ""
    said: str = ""


def file_case(name: str, seed: int, known: dict[str, Path]) -> None:
    """One changed file, read."""
    chance = random.Random(f"{name} {seed}")
    path = known[name]
    whole = path.read_bytes()
    path.write_bytes(changed(name, whole, chance))
    try:
        readers()[name](path)
    finally:
        path.write_bytes(whole)


CHANGED: dict[str, Callable[[int, Path], None]] = {"model": model_case, "checkpoint": checkpoint_case}


def child(kind: str, start: int, stop: int, progress: Path) -> None:
    """Cases one after the other; what each came to is appended to a file, so that a kill loses only one."""
    torch.set_num_threads(1)
    load(sorted(GOLDEN.glob("*.unrolled"))[0])
    with tempfile.TemporaryDirectory() as name, progress.open("a") as file:
        folder = Path(name)
        known = samples(folder)
        if kind in known:
            # Whole, it is read.
            readers()[kind](known[kind])
        if kind == "checkpoint":
            train(folder / "run", resume=False)
        limit_memory()
        warnings.simplefilter("error", RuntimeWarning)
        for seed in range(start, stop):
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            signal.alarm(10 * PATIENCE)
            case = partial(CHANGED[kind], seed, folder) if kind in CHANGED else partial(file_case, kind, seed, known)
            outcome = judged(case)
            signal.alarm(0)
            signal.setitimer(signal.ITIMER_PROF, 0)
            file.write(json.dumps({"kind": kind, "seed": seed, **outcome._asdict()}) + "\n")
            file.flush()


def judged(case: Callable[[], None]) -> Outcome:
    """What a case comes to."""
    try:
        case()
    except UnrolledError as error:
        # As a terminal shows it.
        said = printable(str(error))
        if lacks_memory(error.__cause__ or error):
            return Outcome("memory", place(error), said)
        whole = len(said.splitlines()) == 1 and said.endswith((".", "?"))
        return Outcome("sentence" if whole else "odd sentence", place(error), said)
    except BaseException as error:  # noqa: BLE001
        return Outcome("foreign", f"{place(error)} {type(error).__name__}: {str(error)[:120]}")
    return Outcome("value")


def place(error: BaseException) -> str:
    """The last line of the library that an exception came through."""
    last = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in last if "unrolled" in frame.filename and "benchmarks" not in frame.filename]
    frame = own[-1] if own else last[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


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
        span = [str(done), str(min(count, done + BATCH))]
        command = [sys.executable, __file__, "--child", kind, *span, "--out", str(out)]
        before = out.stat().st_size if out.exists() else 0
        ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        with out.open() as file:
            file.seek(before)
            lines = [json.loads(line) for line in file]
        for found in lines:
            done = found["seed"] + 1
            counted[found["result"]] += 1
            if found["result"] not in ("value", "sentence"):
                print(*(found[name] for name in ("kind", "seed", "result", "where", "said")), flush=True)
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
    parser.add_argument("--kind", action="append", choices=readers(), help="of files; left out: all")
    parser.add_argument("--out", type=Path, default=Path("fuzz.jsonl"))
    parser.add_argument("--child", nargs=3, metavar=("KIND", "START", "STOP"))
    asked = parser.parse_args()
    if asked.child:
        kind, start, stop = asked.child
        child(kind, int(start), int(stop), asked.out)
        return
    asked.out.touch()
    results = Results("fuzz")
    names = asked.kind or list(readers())
    kinds = dict.fromkeys(CHANGED, asked.models // len(CHANGED)) | dict.fromkeys(names, -(-asked.files // len(names)))
    for kind, count in kinds.items():
        counted = run(kind, count, asked.out)
        done = sum(counted.values())
        if done and not results.has(kind=kind, count=done):
            results.add(kind=kind, count=done, seeds=f"0 to {done - 1}", results=dict(counted))


if __name__ == "__main__":
    main()
