"""Cells whose walk over time can be solved for all times at once: the option `solver`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from unrolled.check import check_choice
from unrolled.errors import OptionError
from unrolled.nn.cell import Cell
from unrolled.ops.core.scan import outside_autocast
from unrolled.ops.newton import Certificate, Newton, Problem, Recurrence, Solver
from unrolled.padding import reverse_padded
from unrolled.state import leaves, map_state

__all__ = ["SOLVERS", "Solvable"]

S = TypeVar("S")

SOLVERS: Mapping[str, Newton | None] = {
    "sequential": None,
    "newton": Newton(),
    "auto": Newton(otherwise="sequential"),
}
"""What the words for `solver` stand for."""


class Solvable(Cell[S]):
    """A cell with the option `solver`: how a sequence is walked; single steps are the same with all of them.

    solver: "sequential", one step after another; "newton", all steps at once by Newton's method, iterated until the
    residual of every step is below a tolerance, else a ConvergenceError; "auto", "newton" where that converges, else
    "sequential"; or a `Newton`, or its settings as a dictionary. The attribute may be set again later.

    certificate: what the forward pass of the last call with such a solver did, a `Certificate`, or None before the
    first; gradient_certificate: its backward pass, None until that has run. A call in a traced graph leaves both alone.

    Newton's iterations depend on the data: a traced graph (torch.compile with fullgraph, torch.export), torch.func and
    forward-mode AD cannot hold them, nor does half precision resolve the residual. There "auto" is sequential, and
    "newton" is refused. Gradients are exact, but cannot be differentiated again.
    """

    def __init__(self, input_size: int, output_size: int, solver: str | Newton | Mapping[str, Any]) -> None:
        super().__init__(input_size, output_size)
        self.solver = solver
        self.certificate: Certificate | None = None
        self.gradient_certificate: Certificate | None = None
        settings = self.newton_settings()
        if settings is not None:
            _check_form(type(self).__name__, settings, self.zero_state(1, "meta", None))

    def newton_settings(self) -> Newton | None:
        """What `solver` asks for; None is one step after another. Raises OptionError."""
        owner, given = type(self).__name__, self.solver
        if given == "sequential":
            return None
        if isinstance(given, Newton):
            return given
        if isinstance(given, Mapping):
            return Newton(**given)
        return SOLVERS[check_choice(owner, "solver", given, SOLVERS)]

    def solve(
        self,
        recurrence: Recurrence,
        operands: Any,
        weights: Any,
        state: S,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool,
    ) -> tuple[Tensor, S] | None:
        """All times at once, operands projected; None where one step after another is to follow."""
        settings = self.newton_settings()
        if settings is None:
            return None
        owner = type(self).__name__
        _check_form(owner, settings, state)
        reason = _refusal(leaves((operands, weights, state)))
        if reason is not None:
            if settings.otherwise == "raise":
                raise OptionError(
                    f"{owner}: solver='newton' refuses: {reason}. Use solver='auto', which is sequential there, "
                    "or solver='sequential'."
                )
            if not torch.compiler.is_compiling():
                self._note_refusal(settings, reason, leaves(operands)[0].shape[1], leaves(state)[0].dtype)
            return None
        self.certificate = self.gradient_certificate = None
        if reverse:
            operands = map_state(lambda leaf: reverse_padded(leaf, lengths), operands)
            reset = None if reset is None else reverse_padded(reset, lengths)
        start = self.start(state, reset)
        solver = Solver(owner, settings, self._record)

        def run(given: tuple[Any, Any], first: S) -> tuple[Tensor, S] | None:
            return solver.run(Problem(recurrence, *given, first, start, lengths, reset, settings.form))

        found = outside_autocast(run, (operands, weights), state)
        if found is None or not reverse:
            return found
        return reverse_padded(found[0], lengths), found[1]

    def solver_repr(self) -> str:
        """What `extra_repr` adds for a solver that is not the usual one."""
        return "" if self.newton_settings() is None else f", solver={self.solver!r}"

    def _note_refusal(self, settings: Newton, reason: str, steps: int, dtype: torch.dtype) -> None:
        tolerance = settings.tolerance_for(dtype)
        self.certificate = Certificate("sequential", settings.form, steps, 0, math.nan, tolerance, False, reason)
        self.gradient_certificate = None

    def _record(self, certificate: Certificate, backward: bool) -> None:
        if backward:
            self.gradient_certificate = certificate
        else:
            self.certificate = certificate


def _check_form(owner: str, settings: Newton, state: Any) -> None:
    """The diagonal form pairs the parts of a state unit by unit."""
    widths = {leaf.shape[1] for leaf in leaves(state)}
    if settings.form == "diagonal" and len(widths) > 1:
        raise OptionError(
            f"{owner}: form='diagonal' needs an h as wide as c, but projection_size={min(widths)} makes it narrower; "
            "use solver=Newton(form='full')."
        )


def _refusal(tensors: list[Tensor]) -> str | None:
    """Why these tensors cannot be iterated on, in words."""
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return "a graph is being traced, and how often it iterates depends on the data"
    functorch: Any = torch._C._functorch
    wrapped = functorch.is_functorch_wrapped_tensor, functorch.is_legacy_batchedtensor
    if torch.autograd.forward_ad._current_level >= 0 or any(test(t) for t in tensors for test in wrapped):
        return "torch.func or forward-mode AD is at work"
    dtype = tensors[-1].dtype
    if dtype not in (torch.float32, torch.float64):
        return f"the state is {dtype}, too coarse for a residual; it runs on float32 and float64"
    return None
