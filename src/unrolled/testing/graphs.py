"""The laws of graphs: one compiled graph and one exported program stand for every batch and time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from unrolled.nn import Cell, Recurrent
from unrolled.state import map_state
from unrolled.testing.proof import LawBroken, Make, Proof, Trial, outcome, values

__all__ = ["check_compile", "check_export"]

FIRST = (8, 9)
"""Batch and time at tracing: no width of a small layer, since sizes equal at tracing are taken to be one size."""


FIXED = ((8, 3), (4, 3))
"""Sizes for a layer whose graphs hold one number of steps."""


def check_compile(make: Make, *, dynamic_time: bool | None = None) -> None:
    """torch.compile with fullgraph and dynamic shapes gives the same values and gradients, from one graph.

    dynamic_time=False: a layer that walks time in Python may have a graph for each number of steps; None: it may, if
    a cell inside leaves the walk as `Cell` has it. Make a layer without inner widths of 8 or 9: those are batch and
    time at tracing, and equal sizes are taken to be one.
    """
    with Proof("compile", make) as proof:
        dynamic_time = not _walks(proof.layer) if dynamic_time is None else dynamic_time
        torch.compiler.reset()
        compiled: Any = torch.compile(proof.layer, fullgraph=True, dynamic=True, backend="aot_eager")
        for number, (batch, time) in enumerate((FIRST, (4, 7), (6, 2)) if dynamic_time else FIXED):
            trial = _full(proof, batch, time)
            stance = "default" if number == 0 else "fail_on_recompile"
            y, final = _call(proof, compiled, trial, stance)
            got = outcome(proof.layer, trial, y, final)
            proof.same(f"compiled at batch {batch}, time {time}", got, outcome(proof.layer, trial, *proof.run(trial)))
        torch.compiler.reset()


def check_export(make: Make, *, dynamic_time: bool | None = None) -> None:
    """torch.export with dynamic batch and time gives a program that agrees at other sizes and with a carried state.

    dynamic_time=False: the number of steps is fixed in the program; None: as for `check_compile`.
    """
    with Proof("export", make) as proof, torch.no_grad():
        dynamic_time = not _walks(proof.layer) if dynamic_time is None else dynamic_time
        trial = _full(proof, *(FIRST if dynamic_time else FIXED[0]))
        rows = {0: Dim.DYNAMIC}
        both = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC} if dynamic_time else rows
        try:
            program = torch.export.export(
                proof.layer,
                (trial.x, trial.state),
                {"lengths": trial.lengths, "reset": trial.reset},
                dynamic_shapes={
                    "x": both,
                    "state": map_state(lambda _: rows, trial.state),
                    "lengths": rows,
                    "reset": both,
                },
            )
        except RuntimeError as error:
            raise LawBroken(proof.law, proof.owner, f"torch.export refuses: {_first(error)}") from error
        module: Any = program.module()
        for batch, time in (FIRST, (3, 11), (2, 2), (1, 1)) if dynamic_time else FIXED:
            case = _full(proof, batch, time)
            try:
                y, final = module(case.x, case.state, lengths=case.lengths, reset=case.reset)
            except AssertionError as error:
                finding = f"the program refuses batch {batch}, time {time}: {_first(error)}"
                raise LawBroken(proof.law, proof.owner, finding) from error
            proof.same(f"exported at batch {batch}, time {time}", values(y, final), values(*proof.run(case)))


def _walks(layer: Recurrent[Any]) -> bool:
    """Does a cell inside walk over time in Python?"""
    return any(isinstance(part, Cell) and part.walks() for part in layer.modules())


def _call(proof: Proof, compiled: Any, trial: Trial, stance: str) -> tuple[Tensor, Any]:
    try:
        with torch.compiler.set_stance(stance):
            y, final = compiled(trial.x, trial.state, lengths=trial.lengths, reset=trial.reset)
    except RuntimeError as error:
        # What torch.compile raises where a graph breaks, where it fails, and where a second one is needed.
        finding = f"no one graph for x {tuple(trial.x.shape)}: {_first(error)}"
        raise LawBroken(proof.law, proof.owner, finding) from error
    return y, final


def _full(proof: Proof, batch: int, time: int) -> Trial:
    """A trial with everything that forward takes: ragged rows, the last one empty, one reset, a carried state."""
    lengths = [max(0, time - row) for row in range(batch - 1)] + [0]
    trial = proof.trial(lengths, time=time)
    reset = torch.zeros(batch, time, dtype=torch.bool)
    reset[0, time // 2] = True
    return trial._replace(reset=reset, state=map_state(_plain, trial.state))


def _plain(leaf: Tensor) -> Tensor:
    return leaf.detach().requires_grad_(torch.is_grad_enabled() and leaf.dtype.is_floating_point)


def _first(error: Exception) -> str:
    """What torch says, without its pages of advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__
