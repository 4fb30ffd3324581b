"""What every row goes through: prove the op, compare the contestants' outputs, time them in turn, judge, record."""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from common import Results
from rows import Row, chosen, smoke
from timing import Summary, Times, fastest, ratio, verdict
from torch import Tensor

from unrolled.ops import Op
from unrolled.testing import LawBroken, check_kernel
from unrolled.testing.kernels import samples_of

__all__ = ["Refused", "Skipped", "compare", "judged", "kernels_of", "prove", "run_rows", "share"]

MEASURE = Callable[[Row, argparse.Namespace], dict[str, Any]]


class Skipped(Exception):
    """A row whose piece is not there yet; the message says which."""


class Refused(Exception):
    """A row that must not show a number; the message says why."""


def prove(op: str, ran: Sequence[str], *, quick: bool) -> None:
    """Raise Refused unless the law of kernels holds for the op, and every kernel that ran was among those proved."""
    calls = _proof(op, quick)
    if isinstance(calls, str):
        raise Refused(f"no ratio of {op} is shown while the law of its kernels is broken: {calls}")
    unproved = [kernel for kernel in ran if not calls.get(kernel)]
    if unproved:
        raise Refused(f"no ratio of {op} is shown while kernel {unproved[0]!r} refuses every sample of the law")


_PROOFS: dict[tuple[str, bool], Mapping[str, int] | str] = {}


def _proof(op: str, quick: bool) -> Mapping[str, int] | str:
    if (op, quick) not in _PROOFS:
        options = {"samples": itertools.islice(samples_of(op), 4), "opcheck": False} if quick else {}
        try:
            _PROOFS[op, quick] = check_kernel(op, **options)
        except LawBroken as broken:
            _PROOFS[op, quick] = str(broken)
    return _PROOFS[op, quick]


@contextmanager
def _chosen_kernels() -> Iterator[set[str]]:
    """The names of the kernels that ops choose inside the block."""
    seen: set[str] = set()
    original = Op.choose

    def watched(self: Op, kernel: str, *arguments: Any) -> Any:
        found = original(self, kernel, *arguments)
        seen.add(found.name)
        return found

    Op.choose = watched
    try:
        yield seen
    finally:
        Op.choose = original


def kernels_of(run: Callable[[], Any]) -> list[str]:
    """Run once, and say which kernels the ops chose on the way."""
    with _chosen_kernels() as seen:
        run()
    return sorted(seen)


def compare(results: Mapping[str, Sequence[Any]], against: str, limit: float = 1e-3) -> float:
    """The largest difference of any contestant's results from those of one, relative to their largest value.

    Raises Refused where it is above the limit: times of different results cannot be compared.
    """
    worst = 0.0
    for name, arrays in results.items():
        for got, want in zip(map(_array, arrays), map(_array, results[against]), strict=True):
            if got.shape != want.shape:
                raise Refused(f"{name} gives shape {got.shape}, {against} gives {want.shape}")
            difference = float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-9))
            if not difference <= limit:
                raise Refused(f"{name} differs from {against} by {difference:.2g} of the largest value")
            worst = max(worst, difference)
    return worst


def _array(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def judged(row: Row, times: Times, threads: int) -> dict[str, Any]:
    """Seconds of every contestant, the peer that counts, the ratio to it, and whether it reaches the bars."""
    found: dict[str, Any] = {"seconds": {name: _spread(values) for name, values in times.items()}}
    peer = fastest(times, row.against)
    if peer is None:
        return found | {"peer": None, "ratio": None, "verdict": ""}
    over, under = (row.ours, peer) if row.at_most else (peer, row.ours)
    measured = ratio(times[over], times[under])
    least, aim = row.bars(threads)
    word = verdict(measured.median, least, aim, at_most=row.at_most)
    return found | {"peer": peer, "ratio": _rounded(measured), "least": least, "aim": aim, "verdict": word}


def share(times: Times, names: Sequence[str], work: float, limit: str, limit_work: float) -> dict[str, float]:
    """What part of the rate of contestant `limit` each name reaches, when it does `work` and the limit `limit_work`."""
    rate = limit_work / median(times[limit])
    return {name: float(f"{work / median(times[name]) / rate:.3g}") for name in names if name in times}


def _spread(values: Sequence[float]) -> list[float]:
    low, high = np.quantile(values, [0.25, 0.75])
    return [float(f"{value:.4g}") for value in (median(values), low, high)]


def _rounded(values: Summary) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


def run_rows(rows: Sequence[Row], measure: MEASURE, name: str, about: str) -> int:
    """The command line of a benchmark: measure the rows asked for, and append each to today's result file.

    Exit code 1 if a row was refused, 2 for a mistake on the command line.
    """
    asked = _arguments(about)
    try:
        todo = chosen(rows, asked.rows)
        _hold(asked.threads)
    except ValueError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    if asked.list:
        print("\n".join(row.name for row in todo))
        return 0
    results, refused = Results(name), False
    for row in todo:
        if not (asked.again or asked.smoke) and results.has(row=row.name, threads=asked.threads):
            continue
        try:
            found = measure(smoke(row) if asked.smoke else row, asked)
        except Skipped as reason:
            print(f"{row.name}: skipped: {reason}", flush=True)
        except Refused as reason:
            refused = True
            print(f"{row.name}: refused: {reason}", file=sys.stderr, flush=True)
        else:
            line = {"row": row.name, "shape": row.shape, **found, **_machine()}
            if asked.smoke:
                print(f"{row.name}: runs ({', '.join(found['seconds'])})", flush=True)
            else:
                results.add(**line)
    return int(refused)


def _arguments(about: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="names of rows or patterns as 'lstm-*'; default: all")
    parser.add_argument("--threads", type=int, default=2, help="threads and cores of every contestant (default 2)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds after the warm-up (default 7)")
    parser.add_argument("--again", action="store_true", help="measure rows again that today's file has")
    parser.add_argument("--list", action="store_true", help="print the names of the rows")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, two rounds, nothing is written")
    asked = parser.parse_args()
    if asked.smoke:
        asked.rounds = 2
    asked.seconds = 0.0 if asked.smoke else 0.02
    return asked


def _hold(threads: int) -> None:
    """Keep this process and every thread that a peer starts on the first `threads` cores."""
    if threads < 1:
        raise ValueError(f"--threads must be at least 1, got {threads}.")
    if sys.platform == "linux":
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < threads:
            raise ValueError(f"--threads {threads} needs as many cores, but there are {len(cores)}; ask for fewer.")
        os.sched_setaffinity(0, cores[:threads])
    torch.set_num_threads(threads)


def _machine() -> dict[str, Any]:
    """The processor, the level of our kernels, and the versions of the peers that are there."""
    found: dict[str, Any] = {"machine": _processor(), "peers": {}, "level": _level()}
    for peer in ("onnxruntime", "jax"):
        try:
            found["peers"][peer] = importlib.metadata.version(peer)
        except importlib.metadata.PackageNotFoundError:
            found["peers"][peer] = None
    return found


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _level() -> str:
    from unrolled.ops import native

    return str(native.level()) if native.available() else f"none: {native.reason()}"
