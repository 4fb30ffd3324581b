"""mLSTM training on the CPU: our cell and op, the step-by-step loop, and the torch forms of `mlstm_kernels`.

    python benchmarks/mlstm_cpu.py                   # every row; those that today's file has are not repeated
    python benchmarks/mlstm_cpu.py '*-peers-*' --again
    python benchmarks/mlstm_cpu.py --threads 1

Contestants take turns in one process, on the same tensors: rows named "cell" have the projections of our cell around
every form, those named "op" the form alone. Rows of kind memory train the op alone in a process of its own; their value
is how much more a step needs at the peak, beyond gradients of the arguments, as a share of one state a step. A row is
refused while the law of the op's kernels is broken or the outputs differ.
"""

from __future__ import annotations

import argparse
import importlib
import math
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from peak_memory import CLEAR, resident
from peers import Run, draw_task, torch_task
from race import Refused, Skipped, compare, judged, kernels_of, prove, run_rows
from rows import Row
from timing import interleave, verdict
from torch import Tensor

from unrolled import nn, ops

SHAPE, CHUNK = (8, 1024, 256, 256), 64
HEADS = (4, 1, 2, 8)
LOOP, TORCH = "our reference", "our chunkwise"
PEERS = {
    "mlstm_kernels parallel": ("parallel.native", "mlstm_parallel__native_autograd"),
    "mlstm_kernels parallel custbw": ("parallel.native", "mlstm_parallel__native_custbw"),
    "mlstm_kernels parallel stablef": ("parallel.native_stablef", "mlstm_parallel__native_stablef_autograd"),
    "mlstm_kernels chunkwise": ("chunkwise.native", "mlstm_chunkwise__native_autograd"),
    "mlstm_kernels chunkwise custbw": ("chunkwise.native", "mlstm_chunkwise__native_custbw"),
}
LONG, PIECES = (4096, 8192, 16384), (16, 32, 64, 128, 256)

Form = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""q, k, v (batch, time, heads, width), i and f (batch, time, heads) -> y (batch, time, heads, width)"""


def rows() -> Iterator[Row]:
    """Against the loop (5 times), against the packages (2 times), and the memory of long sequences."""
    size = "x".join(map(str, SHAPE))
    for what, against, least in (("loop", (LOOP,), 5), ("peers", tuple(PEERS), 2)):
        for part in ("cell", "op"):
            for heads in HEADS:
                yield Row(
                    f"mlstm-{part}-{what}-{heads}-heads-{size}", f"mLSTM {part}, training, against the {what}", "mlstm",
                    "mlstm", "training", SHAPE, against, least, None, options={"heads": heads, "part": part},
                )  # fmt: skip
    for chunk in PIECES:
        yield Row(
            f"mlstm-memory-chunk-{chunk}", "Training memory a step, in states", "memory", "mlstm", "training",
            (1, max(LONG), 256, 256), (), None, None, at_most=True, times=LONG, options={"heads": 4, "chunk": chunk},
        )  # fmt: skip


def measure(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    return memory(row, asked) if row.kind == "memory" else speed(row, asked)


def speed(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """Ours against the loop or against what the packages have."""
    forms: dict[str, Form] = {"unrolled": ours("auto"), TORCH: ours("chunkwise")}
    absent = {}
    for name in row.against:
        found = ours("reference") if name == LOOP else theirs(*PEERS[name])
        if isinstance(found, str):
            absent[name] = found
        else:
            forms[name] = found
    if all(name in absent for name in row.against):
        raise Skipped(next(iter(absent.values())))
    make = cells if row.options["part"] == "cell" else alone
    runs = make(row, forms)
    kernels = kernels_of(runs["unrolled"])
    prove(row.op, kernels, quick=asked.smoke)
    differences = distances(runs, next(n for n in row.against if n in runs))
    times = interleave(runs, rounds=asked.rounds, seconds=asked.seconds)
    found = {"kernels": kernels, "absent": absent, "rounds": asked.rounds}
    return found | {"differences": differences} | judged(row, times, asked.threads)


def distances(runs: Mapping[str, Run], against: str) -> dict[str, list[float]]:
    """How far y and the gradient of each contestant are from one peer's.

    The packages' own backward passes ("custbw") take the size that y is divided by for a constant: another gradient,
    and less work. They race all the same.
    """
    results, found = {name: run() for name, run in runs.items()}, {}
    for name, pair in results.items():
        limits = (1e-3, math.inf if name.endswith("custbw") else 1e-3)
        parts = zip(pair, results[against], limits, strict=True)
        each = [compare({name: [got], against: [want]}, against, limit) for got, want, limit in parts]
        found[name] = [float(f"{difference:.2g}") for difference in each]
    return found


def ours(kernel: str) -> Form:
    """The registered op from a state of zeros, by one of its kernels."""

    def form(q: Tensor, k: Tensor, v: Tensor, i: Tensor, f: Tensor) -> Tensor:
        y: Tensor = ops.find("mlstm")(q, *zeros(q), k, v, i, f, None, None, None, None, None, CHUNK, kernel=kernel)[0]
        return y

    return form


def zeros(q: Tensor) -> list[Tensor]:
    """c, n and m of zeros."""
    batch, _, heads, width = q.shape
    return [q.new_zeros(batch, heads, *shape) for shape in ((width, width), (width,), ())]


def theirs(module: str, name: str) -> Form | str:
    """A form of the package, or why there is none. A chunk must divide T there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call = getattr(importlib.import_module(f"mlstm_kernels.torch.{module}"), name)
        except ImportError as error:
            return f"cannot be imported: {error}"

    def form(*given: Tensor) -> Tensor:
        q, k, v, i, f = (tensor.transpose(1, 2).contiguous() for tensor in given)
        chunk = CHUNK if q.shape[2] % CHUNK == 0 else q.shape[2]
        y: Tensor = call(q, k, v, i, f, chunk_size=chunk).transpose(1, 2)
        return y

    return form


class _Around(torch.nn.Module):
    """The projections and the output gate of our cell around any form."""

    def __init__(self, cell: nn.MLSTM, form: Form) -> None:
        super().__init__()
        self.cell, self.form = cell, form

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        inner, output = self.cell.project(x)
        y = self.form(*inner)
        return torch.sigmoid(output) * y.flatten(-2), None


def cells(row: Row, forms: dict[str, Form]) -> dict[str, Run]:
    """One pass of the cell with every form, all on the same weights, none of them zero."""
    torch.manual_seed(0)
    cell = nn.MLSTM(*row.shape[2:], heads=row.options["heads"], chunk=CHUNK)
    with torch.no_grad():
        # Gates of size 1 would let |n q| come near 0 where nothing holds the size up, and float32 differ by itself.
        cell.weight_x[-2 * cell.heads :].normal_(0, 0.1 * row.shape[2] ** -0.5)
    task = draw_task(row)
    runs = {name: torch_task(made := _Around(cell, form), made, task) for name, form in forms.items()}
    return runs | {"unrolled": torch_task(cell, cell, task)}


def draw(row: Row) -> tuple[list[Tensor], Tensor]:
    """What a form takes, ready for gradients, and the gradient of y."""
    batch, time, _, hidden = row.shape
    heads = row.options["heads"]
    generator = torch.Generator().manual_seed(0)
    wide, gate = (batch, time, heads, hidden // heads), (batch, time, heads)
    drawn = [torch.randn(shape, generator=generator) for shape in (wide, wide, wide, gate, gate, wide)]
    drawn[4] += 4
    return [tensor.requires_grad_() for tensor in drawn[:5]], drawn[5]


def alone(row: Row, forms: dict[str, Form]) -> dict[str, Run]:
    """One pass of every form by itself."""
    given, gradient = draw(row)

    def train(form: Form) -> Run:
        def run() -> Sequence[Any]:
            y = form(*given)
            return y.detach(), torch.autograd.grad(y, given, gradient)[0]

        return run

    return {name: train(form) for name, form in forms.items()}


def memory(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """Bytes on top at the peak of training the op, at each T, and their growth a step in states."""
    if sys.platform != "linux":
        raise Skipped("the peak of a process can be set back on Linux only")
    heads, chunk = row.options["heads"], row.options["chunk"]
    tops = [_peak(steps, row.shape, heads, chunk, asked.threads) for steps in row.times]
    width = row.shape[3] // heads
    state = 4 * heads * (width * width + width + 1)
    value = (tops[-1] - tops[0]) / (row.times[-1] - row.times[0]) / state / row.shape[0]
    least, aim = row.bars(asked.threads)
    return {
        "seconds": {}, "peer": None, "extra_bytes": tops, "times": row.times, "state_bytes": state,
        "ratio": [float(f"{value:.4g}")] * 3, "one_state_a_chunk": float(f"{1 / chunk:.4g}"),
        "least": least, "aim": aim, "verdict": verdict(value, least, aim, at_most=True),
    }  # fmt: skip


def _peak(steps: int, shape: Sequence[int], heads: int, chunk: int, threads: int) -> int:
    numbers = [str(number) for number in (shape[0], steps, shape[3], heads, chunk, threads)]
    done = subprocess.run([sys.executable, __file__, "peak", *numbers], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"the process of T = {steps} failed: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout)


def peak(batch: int, time: int, hidden: int, heads: int, chunk: int, threads: int) -> int:
    """In this process: bytes on top at the peak of one training pass, without y and the gradients of the arguments."""
    torch.set_num_threads(threads)
    row = Row("", "", "", "", "training", (batch, time, hidden, hidden), (), options={"heads": heads})
    given, gradient = draw(row)

    def train(steps: int) -> None:
        part = [tensor[:, :steps] for tensor in given]
        y = ops.find("mlstm")(part[0], *zeros(part[0]), *part[1:], None, None, None, None, None, chunk)[0]
        torch.autograd.grad(y, part, gradient[:, :steps])

    # One short pass loads the code.
    train(2)
    CLEAR.write_text("5", encoding="ascii")
    before = resident("VmRSS")
    train(time)
    size = 4 * (sum(tensor.numel() for tensor in given) + gradient.numel())
    return max(0, resident("VmHWM") - before - size)


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        print(peak(*map(int, sys.argv[2:])))
    else:
        sys.exit(run_rows(tuple(rows()), measure, "mlstm_cpu", __doc__))
