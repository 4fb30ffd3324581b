"""Training of the diagonal cells on the CPU: minGRU, minLSTM and LRU against the forms that can be written in torch.

    python benchmarks/diagonal_cpu.py                    # every row; those that today's file has are not repeated
    python benchmarks/diagonal_cpu.py 'mingru-*' --again
    python benchmarks/diagonal_cpu.py --smoke

A row "gates" begins with pre-activations and ends with their gradient; a row "layer" adds the same products before and
after them to every contestant. minGRU and minLSTM stand in the paper's log form, which all forms can compute.
Contestants take turns in one process, one call (or as many as fill 20 ms) a round; the ratio is taken round by round.
A row is refused while the law of its op's kernels is broken or the contestants' outputs differ.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from peers import Contest, Run
from race import Refused, compare, judged, kernels_of, prove, run_rows
from rows import Row
from scans import loop, tree
from timing import interleave
from torch import Tensor, _dynamo
from torch._higher_order_ops.associative_scan import associative_scan
from torch.nn.functional import linear, logsigmoid, pad, softplus

from unrolled import nn, ops

SHAPE = (8, 1024, 256, 256)
"""Batch, time, input and hidden width of the issue's bar."""

CHUNK = 16
"""Steps within which a product of decays, and one over it, stay within float32."""

Form = Callable[[Tensor, bool], Tensor]
"""Pre-activations (B, T, 2 or 3 H) and whether they are minLSTM's -> h (B, T, H), from zero."""

FORMS = ("loop", "associative_scan", "chunked", "log-space")
AGAINST = (*FORMS, *(f"{name} compiled" for name in FORMS[1:]))
LEAST, AIM = 7, 10


def log_terms(gates: Tensor, lstm: bool) -> tuple[Tensor, Tensor]:
    """log decay and log drive."""
    if lstm:
        f, i, candidate = gates.chunk(3, -1)
        share = softplus(-f) - softplus(-i)
    else:
        share, candidate = gates.chunk(2, -1)
    log_candidate = torch.where(candidate >= 0, (candidate.relu() + 0.5).log(), logsigmoid(candidate))
    return -softplus(share), log_candidate - softplus(-share)


def terms(gates: Tensor, lstm: bool) -> tuple[Tensor, Tensor]:
    """decay and drive."""
    if lstm:
        f, i, candidate = gates.chunk(3, -1)
        f, i = f.sigmoid(), i.sigmoid()
        share = i / (f + i)
    else:
        share, candidate = gates.chunk(2, -1)
        share = share.sigmoid()
    return 1 - share, share * torch.where(candidate >= 0, candidate + 0.5, candidate.sigmoid())


def walked(gates: Tensor, lstm: bool) -> Tensor:
    """Step by step."""
    decay, drive = terms(gates, lstm)
    return loop(decay, drive, torch.zeros_like(drive[:, 0]))


def joined(gates: Tensor, lstm: bool) -> Tensor:
    """torch's associative scan."""
    decay, drive = terms(gates, lstm)
    return tree(decay, drive, torch.zeros_like(drive[:, 0]))


def log_space(gates: Tensor, lstm: bool) -> Tensor:
    """Heinsen's form, as the package minGRU_pytorch has it."""
    log_decay, log_drive = log_terms(gates, lstm)
    total = log_decay.cumsum(1)
    return (total + (log_drive - total).logcumsumexp(1)).exp()


def chunked(gates: Tensor, lstm: bool) -> Tensor:
    """Cumulative sums inside chunks, and a loop over their ends."""
    log_decay, _ = log_terms(gates, lstm)
    drive = terms(gates, lstm)[1]
    time = drive.shape[1]
    log_decay, drive = (
        pad(tensor, (0, 0, 0, -time % CHUNK)).unflatten(1, (-1, CHUNK)) for tensor in (log_decay, drive)
    )
    total = log_decay.cumsum(2)
    inner, scale = (drive * (-total).exp()).cumsum(2), total.exp()
    h, starts = torch.zeros_like(drive[:, 0, 0]), []
    for last, factor in zip(inner[:, :, -1].unbind(1), scale[:, :, -1].unbind(1), strict=True):
        starts.append(h)
        h = factor * (last + h)
    return (scale * (inner + torch.stack(starts, 1)[:, :, None])).flatten(1, 2)[:, :time]


def ours(gates: Tensor, lstm: bool) -> Tensor:
    """The registered op."""
    first = gates.new_zeros(gates.shape[0], _width(gates, lstm))
    y, _ = ops.minimal(gates, first, lstm=lstm, positive=True)
    return y


def _width(gates: Tensor, lstm: bool) -> int:
    return gates.shape[2] // (3 if lstm else 2)


TORCH: dict[str, Form] = {"loop": walked, "associative_scan": joined, "chunked": chunked, "log-space": log_space}


def measure(row: Row, asked: argparse.Namespace) -> dict[str, Any]:
    """One row of any kind."""
    contest = {"gates": gates_contest, "layer": layer_contest, "rotation": rotation_contest}[row.kind](row, asked.smoke)
    kernels = kernels_of(contest.runs["unrolled"])
    prove(row.op, kernels, quick=asked.smoke)
    outputs = {name: run() for name, run in contest.runs.items()}
    for name in [name for name in outputs if name.startswith("log-space")]:
        try:
            compare({name: outputs[name], "loop": outputs["loop"]}, "loop", 5e-2)
        except Refused as reason:
            contest.absent[name] = str(reason)
            del contest.runs[name]
        # Its error is its own, and no measure of the others.
        del outputs[name]
    found = {"kernels": kernels, "absent": contest.absent, "rounds": asked.rounds}
    found["largest_difference"] = float(f"{compare(outputs, 'loop'):.2g}")
    return found | judged(row, interleave(contest.runs, rounds=asked.rounds, seconds=asked.seconds), asked.threads)


def train(form: Callable[[], Tensor], wanted: Sequence[Tensor], gradient: Tensor) -> Run:
    """One pass: y and all gradients."""

    def run() -> Sequence[Any]:
        y = form()
        return y.detach(), *torch.autograd.grad(y, wanted, gradient)

    return run


def gates_contest(row: Row, quick: bool) -> Contest:
    """Every form from the same pre-activations."""
    batch, time, _, hidden = row.shape
    lstm = row.options["lstm"]
    generator = torch.Generator().manual_seed(0)
    gates = torch.randn(batch, time, (3 if lstm else 2) * hidden, generator=generator).requires_grad_()
    gradient = torch.randn(batch, time, hidden, generator=generator)

    def runs(form: Form) -> Run:
        return train(lambda: form(gates, lstm), [gates], gradient)

    return _with_compiled(runs, ours, quick)


def layer_contest(row: Row, quick: bool) -> Contest:
    """The whole layer: ours as it is called, the others on the same product."""
    batch, time, features, hidden = row.shape
    lstm = row.options["lstm"]
    torch.manual_seed(0)
    layer: Any = (nn.MinLSTM if lstm else nn.MinGRU)(features, hidden, form="log")
    x, gradient = torch.randn(batch, time, features, requires_grad=True), torch.randn(batch, time, hidden)
    wanted = [x, layer.weight_x, layer.bias]

    def runs(form: Form) -> Run:
        return train(lambda: form(linear(x, layer.weight_x, layer.bias), lstm), wanted, gradient)

    contest = _with_compiled(runs, None, quick)
    return contest._replace(runs={"unrolled": train(lambda: layer(x)[0], wanted, gradient), **contest.runs})


def _with_compiled(runs: Callable[[Form], Run], own: Form | None, quick: bool) -> Contest:
    found = {} if own is None else {"unrolled": runs(own)}
    absent: dict[str, str] = {}
    for name, form in TORCH.items():
        found[name] = runs(form)
        if name == "loop":
            # Compilation unrolls it into a graph of every step.
            continue
        if quick:
            absent[f"{name} compiled"] = "is left out of a smoke run"
            continue
        compiled = runs(torch.compile(form))
        try:
            compiled()
        except (_dynamo.exc.TorchDynamoException, RuntimeError) as error:
            absent[f"{name} compiled"] = f"cannot be compiled: {str(error).splitlines()[0]}"
        else:
            found[f"{name} compiled"] = compiled
    return Contest(found, absent)


def rotation_contest(row: Row, _: bool) -> Contest:
    """The complex walk with one decay, from its drive: ours on real halves, torch on complex numbers."""
    batch, time, _, hidden = row.shape
    torch.manual_seed(0)
    drive, gradient = torch.randn(batch, time, 2 * hidden, requires_grad=True), torch.randn(batch, time, 2 * hidden)
    radius, angle = 0.9 + 0.099 * torch.rand(hidden), 6.28 * torch.rand(hidden)
    decay = torch.cat([radius * angle.cos(), radius * angle.sin()]).requires_grad_()
    first = torch.zeros(batch, 2 * hidden)

    def whole(form: Callable[[Tensor, Tensor], Tensor]) -> Run:
        def call() -> Tensor:
            h = form(torch.complex(*decay.chunk(2)), torch.complex(*drive.chunk(2, -1)))
            return torch.cat([h.real, h.imag], -1)

        return train(call, [drive, decay], gradient)

    def step_by_step(a: Tensor, b: Tensor) -> Tensor:
        return loop(a.expand(b.shape), b, torch.zeros_like(b[:, 0]))

    def after(left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return left[0] * right[0], right[0] * left[1] + right[1]

    def pairs(a: Tensor, b: Tensor) -> Tensor:
        return associative_scan(after, (a.expand(b.shape).clone(), b), dim=1, combine_mode="generic")[1]

    runs = {
        "unrolled": train(lambda: ops.rotation(drive, first, decay)[0], [drive, decay], gradient),
        "loop": whole(step_by_step),
        "associative_scan": whole(pairs),
    }
    return Contest(runs, {})


def _rows() -> list[Row]:
    size = "x".join(map(str, SHAPE))
    found = []
    for kind, group in (("gates", "from pre-activations"), ("layer", "as a whole layer")):
        for name, lstm in (("mingru", False), ("minlstm", True)):
            bars = (LEAST, AIM) if kind == "gates" else (None, None)
            found.append(
                Row(
                    f"{name}-{kind}-{size}", f"minGRU and minLSTM training {group}", kind, "minimal", "training", SHAPE,
                    AGAINST, *bars, options={"lstm": lstm},
                )
            )  # fmt: skip
    group = "LRU training, the complex walk"
    forms = ("loop", "associative_scan")
    return [*found, Row(f"lru-drive-{size}", group, "rotation", "rotation", "training", SHAPE, forms)]


if __name__ == "__main__":
    sys.exit(run_rows(_rows(), measure, "diagonal_cpu", __doc__))
