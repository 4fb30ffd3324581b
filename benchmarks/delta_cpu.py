"""The delta rule on the CPU: the op against a loop over steps and the best plain torch of others, and its memory.

    python benchmarks/delta_cpu.py                    # every row; those that today's file has are not repeated
    python benchmarks/delta_cpu.py 'rwkv7-*' --again

Shapes are (batch, time, heads, width of keys and values). A pass starts from a state of zeros and returns all outputs,
in training also the gradients of everything that a layer computes: q, w, k, v, a, b (RWKV-7, a decay a channel), or q,
k, v, the rate and, gated, the decay of a head (DeltaNet and Gated DeltaNet). What such a layer must make of these first
is timed with it. Contestants take turns, and a row is refused while the law of kernels is broken or their results
differ. A memory row is one training pass at each chunk length in a process of its own: bytes at the peak beyond
arguments, output and gradients, as a share of the states of all steps, which a loop keeps.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from peak_memory import CLEAR, resident
from race import Refused, Skipped, compare, judged, kernels_of, prove, run_rows
from rows import Row
from timing import interleave, verdict
from torch import Tensor
from torch.nn.functional import normalize, pad

from unrolled import ops

SHAPE, LONG = (8, 1024, 4, 64), (1, 16384, 4, 64)
CHUNK = 64
CHUNKS = (16, 32, 64, 128, 256, 1024)
LOOPS = ("loop", "our reference")
FORMS = {
    "rwkv7": ("generalized_delta_rule.dplr.naive", "dplr_recurrence", "dplr_chunkwise"),
    "deltanet": ("delta_rule.naive", "delta_rule_recurrence", "delta_rule_chunkwise"),
    "gated": ("gated_delta_rule.naive", "naive_recurrent_gated_delta_rule", "naive_chunk_gated_delta_rule"),
}
"""Plain torch of flash-linear-attention: a module of fla.ops, a loop over steps and a form in chunks."""

MULTIPLE = 32
"""Their forms in chunks take a time that is a multiple of this; others are filled up with steps of zeros."""

Rule = Callable[..., Tensor]


def _rows() -> Iterator[Row]:
    for rule, forms in FORMS.items():
        for mode in ("training", "inference"):
            for name, against, least in (("loop", LOOPS, 5.0), ("peer", forms[1:], 2.0)):
                group = f"Delta rule, {mode}, against {'a loop over steps' if name == 'loop' else 'the best peer'}"
                yield Row(f"{rule}-{mode}-{name}", group, "delta", "delta", mode, SHAPE, against, least,
                          options={"rule": rule})  # fmt: skip
    group = "Delta rule, training memory over chunk lengths"
    for kernel in ("cpp", "chunkwise"):
        yield Row(f"memory-{kernel}", group, "memory", "delta", "training", LONG, (), 0.1, None, at_most=True,
                  times=CHUNKS, options={"kernel": kernel})  # fmt: skip


def draw(rule: str, shape: Sequence[int]) -> list[Tensor]:
    """What a layer computes, each (batch, time, heads, ...): see the rules below; and the gradient of y."""
    batch, time, heads, width = shape
    generator = torch.Generator().manual_seed(0)

    def normal(last: int = width) -> Tensor:
        return torch.randn(batch, time, heads, last, generator=generator)

    q, k, v, unit = 0.125 * normal(), normalize(normal(), dim=-1), normal(), normalize(normal(), dim=-1)
    if rule == "rwkv7":
        found = [q, -0.6 * normal().sigmoid(), k, v, unit, -unit * normal().sigmoid()]
    else:
        found = [q, k, v, normal(1).sigmoid()] + ([-0.1 * normal(1).sigmoid()] if rule == "gated" else [])
    return [*found, normal()]


def operands(rule: str, given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """q, w, k, v, a, b of the op from what a layer computes."""
    if rule == "rwkv7":
        return tuple(given)
    q, k, v, rate = given[:4]
    if rule == "deltanet":
        return q, torch.zeros_like(k), k, rate * v, k, -rate * k
    g = given[4]
    return q, g.expand_as(k), k, rate * v, g.exp() * k, -rate * k


def of_op(rule: str, kernel: str) -> Rule:
    """The op, with a state of zeros."""

    def run(*given: Tensor) -> Tensor:
        q, w, k, v, a, b = operands(rule, given)
        s0 = q.new_zeros(q.shape[0], *q.shape[2:], v.shape[-1])
        return ops.find("delta")(q, s0, w, k, v, a, b, None, None, None, CHUNK, kernel=kernel)[0]

    return run


def loop(rule: str) -> Rule:
    """The recurrence in as few calls a step as torch needs; one decay a head where there is one."""

    def run(*given: Tensor) -> Tensor:
        q, w, k, v, a, b = operands(rule, given)
        decay = None if rule == "deltanet" else (given[4] if rule == "gated" else w).exp()[..., None].unbind(1)
        # What is added is one product of (keys, 2) and (2, values).
        writes = torch.stack([b, k], -1).unbind(1)
        s, outputs = q.new_zeros(q.shape[0], *q.shape[2:], v.shape[-1]), []
        steps = zip(
            q[..., None, :].unbind(1), a[..., None, :].unbind(1), v[..., None, :].unbind(1), writes, strict=True
        )
        for t, (q_t, a_t, v_t, write) in enumerate(steps):
            added = write @ torch.cat([a_t @ s, v_t], -2)
            s = s + added if decay is None else torch.addcmul(added, decay[t], s)
            outputs.append(q_t @ s)
        return torch.stack(outputs, 1)[..., 0, :]

    return run


def of_others(rule: str, form: str) -> Rule:
    """A plain form of flash-linear-attention. Raises ImportError where it cannot be imported."""
    function = getattr(import_module(f"fla.ops.{FORMS[rule][0]}"), form)

    def run(*given: Tensor) -> Tensor:
        time = given[0].shape[1]
        filled = [pad(tensor, (0, 0, 0, 0, 0, -time % MULTIPLE)) for tensor in given]
        if rule == "gated":
            q, k, v, rate, g = filled
            return function(q=q, k=k, v=v, beta=rate[..., 0], g=g[..., 0], scale=1.0)[0][:, :time]
        # These scale q.
        q, *rest = (tensor.transpose(1, 2) for tensor in filled)
        q = q * q.shape[-1] ** 0.5
        if rule == "rwkv7":
            w, k, v, a, b = rest
            return function(q, k, v, a, b, w)[0].transpose(1, 2)[:, :time]
        k, v, rate = rest
        return function(q, k, v, rate[..., 0])[0].transpose(1, 2)[:, :time]

    return run


def timed(rule: Rule, drawn: Sequence[Tensor], mode: str) -> Callable[[], Sequence[Tensor]]:
    """One pass: y, and in training the gradients of all that was given."""
    *given, gradient = drawn
    if mode == "inference":

        def infer() -> Sequence[Tensor]:
            with torch.inference_mode():
                return (rule(*given),)

        return infer
    wanted = [tensor.clone().requires_grad_() for tensor in given]

    def train() -> Sequence[Tensor]:
        y = rule(*wanted)
        return y.detach(), *torch.autograd.grad(y, wanted, gradient)

    return train


def race(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """The op against loops or against the forms of others."""
    name = row.options["rule"]
    drawn, absent = draw(name, row.shape), {}
    runs = {"unrolled": timed(of_op(name, "auto"), drawn, row.mode)}
    for other in row.against:
        try:
            rule = {"loop": loop(name), "our reference": of_op(name, "reference")}.get(other) or of_others(name, other)
        except ImportError as error:
            absent[other] = f"cannot be imported: {error}"
        else:
            runs[other] = timed(rule, drawn, row.mode)
    if len(runs) == 1:
        raise Skipped("none of the others can be imported")
    kernels = kernels_of(runs["unrolled"])
    prove(row.op, kernels, quick=asked.smoke)
    difference = compare({other: run() for other, run in runs.items()}, "unrolled")
    times = interleave(runs, rounds=asked.rounds, seconds=asked.seconds)
    found = {"kernels": kernels, "absent": absent, "rounds": asked.rounds, "chunk": CHUNK}
    return found | {"largest_difference": float(f"{difference:.2g}")} | judged(row, times, asked.threads)


def memory(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """Bytes beyond arguments and results of a training pass at each chunk length; that of the usual length counts."""
    if sys.platform != "linux":
        raise Skipped("the peak of a process can be set back on Linux only")
    kernel = row.options["kernel"]
    prove(row.op, [kernel], quick=asked.smoke)
    batch, time, heads, width = row.shape
    states = 4 * batch * time * heads * width * width
    extra = {chunk: _peak(kernel, (*row.shape, chunk, asked.threads)) for chunk in row.times}
    share = extra.get(CHUNK, min(extra.values())) / states
    least, aim = row.bars(asked.threads)
    found = {"seconds": {}, "peer": "states of all steps", "extra_bytes": extra, "states_bytes": states}
    found |= {"kernels": [kernel], "ratio": [float(f"{share:.3g}")] * 3, "least": least, "aim": aim}
    return found | {"verdict": verdict(share, least, aim, at_most=True)}


def _peak(kernel: str, numbers: Sequence[int]) -> int:
    command = [sys.executable, str(Path(__file__)), "peak", kernel, *map(str, numbers)]
    # Otherwise what was freed before the pass may stay, counted already, and be taken again.
    settings = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=settings)
    if done.returncode:
        raise Refused(f"the process that was to be measured failed: {done.stderr.strip().splitlines()[-1]}")
    return int(done.stdout)


def peak(kernel: str, batch: int, time: int, heads: int, width: int, chunk: int, threads: int) -> int:
    """Bytes at the peak of one training pass in this process beyond its arguments, output and gradients."""
    torch.set_num_threads(threads)

    def train(drawn: Sequence[Tensor]) -> list[Tensor]:
        *given, gradient = drawn
        wanted = [tensor.requires_grad_() for tensor in given]
        s0 = torch.zeros(batch, heads, width, width)
        y, _ = ops.find("delta")(wanted[0], s0, *wanted[1:], None, None, None, chunk, kernel=kernel)
        return [y.detach(), *torch.autograd.grad(y, wanted, gradient)]

    train(draw("rwkv7", (batch, 2, heads, width)))
    drawn = draw("rwkv7", (batch, time, heads, width))
    CLEAR.write_text("5", encoding="ascii")
    before = resident("VmRSS")
    results = train(drawn)
    return max(0, resident("VmHWM") - before - 4 * sum(result.numel() for result in results))


def measure(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """One row of either kind."""
    return memory(row, asked) if row.kind == "memory" else race(row, asked)


if __name__ == "__main__":
    if sys.argv[1:2] == ["peak"]:
        print(peak(sys.argv[2], *map(int, sys.argv[3:])))
    else:
        sys.exit(run_rows(tuple(_rows()), measure, "delta_cpu", __doc__))
