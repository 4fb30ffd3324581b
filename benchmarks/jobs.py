"""Rows computed one by one or side by side in processes, each written as soon as it is there."""

from __future__ import annotations

import argparse
import fnmatch
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import torch
from common import ROOT, Results
from tables import newest

__all__ = ["Continued", "add_arguments", "chosen", "run"]

Row = Mapping[str, Any]


class Continued(Results):
    """Results that go on in the newest file of their name, of whatever day; `anew` begins the file of today."""

    def __init__(self, name: str, *, anew: bool = False) -> None:
        super().__init__(name)
        if not anew:
            self.path = newest(ROOT / "benchmarks" / "results", name) or self.path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every table of rows is asked by."""
    parser.add_argument("rows", nargs="*", metavar="ROW", help="names or patterns such as 'lstm/*'; all if none")
    parser.add_argument("--jobs", type=int, default=1, help="rows computed side by side, one thread each")
    parser.add_argument("--list", action="store_true", help="print the rows and which are there, compute nothing")
    parser.add_argument("--anew", action="store_true", help="begin the file of today; else the newest one goes on")


def chosen(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that match one of the patterns, all without any; ends with the reason for a fruitless pattern."""
    every = list(names)
    for pattern in patterns:
        if not fnmatch.filter(every, pattern):
            sys.exit(f"no row matches {pattern!r}; there are {', '.join(every)}.")
    return [name for name in every if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def run(work: Callable[[str], Row], names: Sequence[str], results: Results, jobs: int, given: Row) -> int:
    """Compute the rows that are not there yet and write each when it is done; how many failed.

    work: a function of a module (or a partial of one), which gives the row of a name. given: options that belong to
    the rows, so that a row with others is another row. Ctrl-C leaves what is written and ends at once. By itself a row
    that fails ends the run; side by side the others go on.
    """
    missing = [name for name in names if not results.has(row=name, **given)]
    print(f"{len(names) - len(missing)} of {len(names)} rows are in {results.path.name}", flush=True)
    torch.set_num_threads(1)
    try:
        if jobs > 1:
            return _side_by_side(work, missing, results, jobs, given)
        for name in missing:
            results.add(row=name, **given, **work(name))
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on.", file=sys.stderr)
        raise SystemExit(130) from None
    return 0


def _side_by_side(work: Callable[[str], Row], names: Sequence[str], results: Results, jobs: int, given: Row) -> int:
    # A forked process would inherit the threads of torch.
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_begin)
    failed = 0
    try:
        futures = {pool.submit(work, name): name for name in names}
        for future in as_completed(futures):
            error = future.exception()
            if error is None:
                results.add(row=futures[future], **given, **future.result())
            else:
                failed += 1
                print(f"{futures[future]} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        # Rows in hand are given up: their processes end by the same signal, or after the row.
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
    return failed


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(1)
