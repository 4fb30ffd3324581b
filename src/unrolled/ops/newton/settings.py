"""How a recurrence is to be solved for all times at once, and the record of how that went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field

from unrolled.options import Options

__all__ = ["FORMS", "Certificate", "Newton"]

FORMS = ("diagonal", "full")

ROUNDING = 64
"""A residual of so many units in the last place of the state is what rounding alone may leave: see `Newton`."""


class Newton(Options):
    """Settings of `solver=`: Newton's method on all steps of a recurrence at once.

    form: what stands for the Jacobian of a step. "full" is the Jacobian, D x D numbers a step for a state of D
    (an LSTM's D is 2 hidden): few iterations, each of them D^3 work a step. "diagonal" keeps what couples a unit with
    itself: one number a unit for RNN and GRU, 2 x 2 for an LSTM's (h, c): cheap iterations, and more of them.

    tolerance: the largest residual |s_t - f(s_(t-1), x_t)| allowed, in units of the largest of 1, |s_t|, |s_(t-1)|.
    None is 64 eps of the dtype: one step of f sums hidden products of size about 1 / sqrt(hidden), which rounds by a
    few eps, and the rest leaves room for recurrent weights a few times larger.

    iterations: how many at most. T iterations always suffice where nothing overflows: each of them makes at least one
    more step exact. A recurrence that needs anything like T of them gains nothing here.

    otherwise: what follows if the residual stays above the tolerance: "raise" a ConvergenceError, or "sequential", one
    step after another; the certificate then says so.

    >>> Newton(form="full").to_json()
    {'form': 'full', 'tolerance': None, 'iterations': 100, 'otherwise': 'raise'}
    """

    form: Literal["diagonal", "full"] = "diagonal"
    tolerance: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    iterations: int = Field(default=100, ge=1)
    otherwise: Literal["raise", "sequential"] = "raise"

    def tolerance_for(self, dtype: torch.dtype) -> float:
        """The tolerance, in a dtype."""
        return ROUNDING * torch.finfo(dtype).eps if self.tolerance is None else self.tolerance


@dataclass(frozen=True)
class Certificate:
    """What a solver did in one call.

    solver: what gave the result, "newton" or "sequential". form: of the Jacobian. steps: T. iterations: how many were
    taken. residual: the largest one left, in units of the scale; it is measured on the reference step itself, or, of a
    backward pass, on the true Jacobian. tolerance: what it had to reach. converged: it did. reason: why the result is
    "sequential", in words; otherwise empty.
    """

    solver: str
    form: str
    steps: int
    iterations: int
    residual: float
    tolerance: float
    converged: bool
    reason: str = ""
