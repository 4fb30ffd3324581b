"""Whole sequences on the CPU: our cells and the diagonal scan against their peers, in training and inference.

    python benchmarks/recurrent_cpu.py                   # every row; those that today's file has are not repeated
    python benchmarks/recurrent_cpu.py 'lstm-*' --again
    python benchmarks/recurrent_cpu.py 'lstm-*' --threads 1

Contestants take turns in one process, one call (or as many as fill 20 ms) a round; the ratio is taken round by round.
A row is refused while the law of its op's kernels is broken or the contestants' outputs differ. The share of the matrix
product's rate, and for the scan of the copy's, is taken against a product and a copy that take turns with them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch
from peers import OURS, Contest, Task, draw_task, gated, torch_task
from race import Refused, Skipped, compare, judged, kernels_of, prove, run_rows, share
from rows import RECURRENT, Row, flops, scan_bytes
from scans import draw_scan, loop, ours, scans, train
from timing import interleave, spread, verdict
from torch import Tensor

PRODUCT, COPY = 1536, 2**24
"""Rows of the square matrices of the GEMM ceiling; floats of the copy."""


def measure(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """One row of any kind."""
    kinds = {"gated": layers, "cost": layers, "scan": scan, "growth": growth, "memory": memory}
    return kinds[row.kind](row, asked)


def layers(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """A layer against its peers, or against our plain layer."""
    contest, task = gated(row, asked.threads)
    kernels = kernels_of(contest.runs["unrolled"])
    prove(row.op, kernels, quick=asked.smoke)
    found: dict[str, Any] = {"kernels": kernels, "absent": contest.absent, "rounds": asked.rounds}
    if row.kind == "gated":
        outputs = {name: run() for name, run in contest.runs.items()}
        found["largest_difference"] = float(f"{compare(outputs, row.against[0]):.2g}")
    side = 64 if asked.smoke else PRODUCT
    a, b = torch.randn(side, side), torch.randn(side, side)
    runs = {**contest.runs, "GEMM": lambda: torch.mm(a, b)}
    times = interleave(runs, rounds=asked.rounds, seconds=asked.seconds)
    shares = share(times, list(contest.runs), flops(row, task.steps), "GEMM", 2 * side**3)
    if row.kind == "cost":
        # The two do different work, so only the plain layer's share means something.
        shares.pop("unrolled")
    return found | judged(row, times, asked.threads) | {"share_of": "GEMM", "share": shares}


def scan(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """The diagonal scan against its forms in torch; each form's distance to a float64 loop is recorded."""
    drawn = draw_scan(row.shape)
    contest = scans(drawn, compiled=not asked.smoke)
    kernels = kernels_of(contest.runs["unrolled"])
    prove(row.op, kernels, quick=asked.smoke)
    differences = distances(contest, drawn)
    source = torch.randn(2**12 if asked.smoke else COPY)
    target = torch.empty_like(source)
    runs = {**contest.runs, "copy": lambda: target.copy_(source)}
    times = interleave(runs, rounds=asked.rounds, seconds=asked.seconds)
    shares = share(times, list(contest.runs), scan_bytes(row), "copy", 8 * source.numel())
    found = {"kernels": kernels, "absent": contest.absent, "rounds": asked.rounds, "differences": differences}
    return found | judged(row, times, asked.threads) | {"share_of": "copy", "share": shares}


def distances(contest: Contest, drawn: list[Tensor]) -> dict[str, float]:
    """How far each form is from a float64 loop; a log-space form that is too far is no peer, and becomes absent."""
    exact = train(loop, [tensor.double() for tensor in drawn])()
    found = {}
    for name, run in list(contest.runs.items()):
        rough = name.startswith("log-space")
        try:
            difference = compare({name: run(), "exact": exact}, "exact", 5e-2 if rough else 1e-4)
        except Refused as reason:
            if not rough:
                raise
            contest.absent[name] = str(reason)
            del contest.runs[name]
        else:
            found[name] = float(f"{difference:.2g}")
    return found


def growth(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """Our time a step at each T, and the largest over the smallest."""
    runs = {f"T = {steps}": _ours_over(row, steps) for steps in row.times}
    kernels = kernels_of(next(iter(runs.values())))
    prove(row.op, kernels, quick=asked.smoke)
    times = interleave(runs, rounds=asked.rounds, seconds=asked.seconds)
    each = {name: [value / steps for value in times[name]] for name, steps in zip(runs, row.times, strict=True)}
    value = spread(median(values) for values in each.values())
    return judged(row, each, asked.threads) | _single(row, value, asked) | {"kernels": kernels, "rounds": asked.rounds}


def _ours_over(row: Row, steps: int) -> Any:
    if row.op == "diagonal":
        return train(ours(), draw_scan((row.shape[0], steps, row.shape[2])))
    drawn = draw_task(row)
    torch.manual_seed(0)
    layer = OURS[row.op](*row.shape[2:])

    def cut(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor[:, :steps].contiguous()

    return torch_task(layer, layer, Task(drawn.x[:, :steps].contiguous(), cut(drawn.gradient), None))


def memory(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """How much of the growth of input and output with T comes on top at the peak of an inference."""
    if sys.platform != "linux":
        raise Skipped("the peak of a process can be set back on Linux only")
    layer = OURS[row.op](*row.shape[2:]).eval()
    kernels = kernels_of(torch_task(layer, layer, Task(torch.randn(1, 4, row.shape[2]), None, None)))
    shares, extra = {}, {}
    for whose in ("unrolled", "torch.nn"):
        (size, top), (larger, higher) = (_peak(row, whose, steps, asked.threads) for steps in row.times)
        shares[whose] = float(f"{(higher - top) / (larger - size):.3g}")
        extra[whose] = [top, higher]
    found = {
        "seconds": {},
        "peer": "torch.nn",
        "growth": shares,
        "extra_bytes": extra,
        "times": row.times,
        "kernels": kernels,
    }
    return found | _single(row, shares["unrolled"], asked)


def _peak(row: Row, whose: str, steps: int, threads: int) -> tuple[int, int]:
    batch, _, features, hidden = row.shape
    numbers = [str(number) for number in (batch, steps, features, hidden, threads)]
    command = [sys.executable, str(Path(__file__).with_name("peak_memory.py")), whose, row.op, *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"peak_memory.py failed: {done.stderr.strip().splitlines()[-1]}")
    size, extra = map(int, done.stdout.split())
    return size, extra


def _single(row: Row, value: float, asked: argparse.Namespace) -> dict[str, Any]:
    """A row of one number and no peer in the same round."""
    least, aim = row.bars(asked.threads)
    word = verdict(value, least, aim, at_most=row.at_most)
    return {"ratio": [float(f"{value:.4g}")] * 3, "least": least, "aim": aim, "verdict": word}


if __name__ == "__main__":
    sys.exit(run_rows(RECURRENT, measure, "recurrent_cpu", __doc__))
