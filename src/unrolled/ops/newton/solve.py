"""Newton's method on all steps of a recurrence at once, and its gradients by the implicit function theorem.

    r_t = s_t - f(s_(t-1), x_t)                      the residuals of a guess s, all times at once
    d_t = J_t d_(t-1) - r_t                          a linear recurrence, J_t = df / ds at s_(t-1), or a part of it
    s  <- s + d

    l_t = g_t + J_(t+1)^T l_(t+1)                    backward, with the whole J: g is the gradient of s as an output
    gradient of x and of the weights = sum over t of (df / d.)^T l_t

A solution is accepted by its residual alone, measured on the reference step. Where J is only a part of the Jacobian the
backward recurrence is iterated too, the part serving as preconditioner, until what it leaves of the equation above is
below the tolerance; so gradients are those of the whole Jacobian in every form. Nothing is kept from the iterations.

Source: Lim et al. 2023, arXiv:2309.12252, sections 3.1-3.2 (full); Gonzalez et al. 2024, arXiv:2407.19115, section 4
(diagonal); Danieli et al. 2025, arXiv:2510.21450 (2 x 2 blocks for an LSTM; there with cells whose true Jacobian is of
that form, here with any weights). Differences: the papers accept a step's change, not a residual; they differentiate
through the diagonal form's own Jacobian or restrict the cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unrolled.errors import ConvergenceError, KernelError
from unrolled.ops.newton.linear import solve_linear, walk_linear
from unrolled.ops.newton.problem import Problem
from unrolled.ops.newton.settings import Certificate, Newton
from unrolled.padding import last_step
from unrolled.state import leaves, map_state

__all__ = ["Solver"]


@dataclass(frozen=True)
class Solver:
    """One call: whose it is, its settings, and where the certificates go.

    owner: for messages. record(certificate, backward): called once for each pass.
    """

    owner: str
    settings: Newton
    record: Callable[[Certificate, bool], None]

    def run(self, problem: Problem) -> tuple[Tensor, Any] | None:
        """y (batch, time, output) and the final state; None if it did not converge and "sequential" is to follow.

        Raises ConvergenceError.
        """
        with torch.no_grad():
            states, iterations = self._iterate(problem)
        previous = problem.previous(states)
        new = problem.step(previous)
        with torch.no_grad():
            residual = float(_residual(states, new, previous))
        if not self._accept(problem, iterations, residual, backward=False):
            return None
        if new.requires_grad:
            new = _Adjoint.apply(new, lambda grad: self._adjoint(problem, states, grad))  # type: ignore[no-untyped-call]
        found = problem.unstack(new)
        lengths = problem.lengths
        final = map_state(lambda leaf: last_step(leaf, lengths), found)
        if lengths is not None:
            empty = (lengths == 0)[:, None]
            final = map_state(lambda leaf, old: torch.where(empty, old, leaf), final, problem.state)
        return leaves(found)[0].contiguous(), final

    def _iterate(self, problem: Problem) -> tuple[Tensor, int]:
        """States of all times, and how many iterations they took."""
        before = problem.vector(problem.state)
        states = before.new_zeros(before.shape[0], problem.size[1], *before.shape[1:])
        tolerance = self.settings.tolerance_for(states.dtype)
        iterations = 0
        while iterations < self.settings.iterations:
            iterations += 1
            states, residual = _improve(problem, states)
            # What the last correction left is far smaller: the reference step is asked about that.
            if float(residual) <= tolerance:
                break
        return states, iterations

    def _adjoint(self, problem: Problem, states: Tensor, grad: Tensor) -> Tensor:
        """l of all times, from g."""
        previous = problem.previous(states).detach()
        pull = _pullback(problem, previous)
        factors = _transposed(problem, previous)
        kept = list(factors()) if problem.form == "diagonal" else None
        found, tolerance = torch.zeros_like(grad), self.settings.tolerance_for(grad.dtype)
        defect, iterations = grad, 0
        while iterations < self.settings.iterations:
            iterations += 1
            step = _backwards(kept or factors(), defect, solve_linear)
            better = found + step
            found = torch.where(torch.isfinite(better), better, found + defect)
            defect = grad + pull(found) - found
            residual = float(_relative(defect, found))
            if residual <= tolerance:
                break
        if self._accept(problem, iterations, residual, backward=True):
            return found
        whole = replace(problem, form="full")
        factors = _transposed(whole, previous.flatten(2))
        return _backwards(factors(), grad.flatten(2), walk_linear).view(grad.shape)

    def _accept(self, problem: Problem, iterations: int, residual: float, *, backward: bool) -> bool:
        """Record how it went; raises ConvergenceError, or returns whether the solution counts."""
        settings = self.settings
        tolerance = settings.tolerance_for(leaves(problem.state)[0].dtype)
        converged = residual <= tolerance
        where = "backward pass" if backward else "forward pass"
        reason = "" if converged else f"the {where} of Newton's method left a residual of {residual:.3g}"
        solver = "newton" if converged else "sequential" if settings.otherwise == "sequential" else "none"
        certificate = Certificate(
            solver, problem.form, problem.size[1], iterations, residual, tolerance, converged, reason
        )
        self.record(certificate, backward)
        if not converged and settings.otherwise == "raise":
            other = "form='full', or " if problem.form == "diagonal" else ""
            raise ConvergenceError(
                f"{self.owner}: the {where} of solver='newton' (form={problem.form!r}) must leave a residual of at "
                f"most {tolerance:.3g} within {settings.iterations} iterations, got {residual:.3g} over "
                f"{problem.size[1]} steps; use solver='auto' to do without it, {other}shorter sequences."
            )
        return converged


def _improve(problem: Problem, states: Tensor) -> tuple[Tensor, Tensor]:
    """One iteration: better states, and the residual of those that came in."""
    previous = problem.previous(states)
    change = torch.zeros_like(states[:, 0])
    found, residuals = [], []
    for first, last in problem.parts():
        part, before = states[:, first:last], previous[:, first:last]
        new, jacobian = problem.linear(before, first, last)
        residuals.append(_residual(part, new, before))
        better = part + solve_linear(jacobian, new - part, change)
        # Where products of Jacobians overflow, a plain step: it carries what is exact one step further.
        better = torch.where(torch.isfinite(better), better, torch.nan_to_num(new, 0.0, 0.0, 0.0))
        change = better[:, -1] - part[:, -1]
        found.append(better)
    return torch.cat(found, 1), torch.stack(residuals).amax()


def _residual(states: Tensor, new: Tensor, previous: Tensor) -> Tensor:
    """The largest |s_t - f|, in units of the largest of 1, |s_t| and |s_(t-1)|; NaN if anything is NaN."""
    left, scale = (_largest(states - new), torch.maximum(_largest(states), _largest(previous)).clamp(min=1))
    return (left / scale).amax()


def _relative(defect: Tensor, found: Tensor) -> Tensor:
    """The largest defect of a row in units of its largest value."""
    left, scale = _largest(defect).amax(1), _largest(found).amax(1)
    return (left / scale.clamp(min=torch.finfo(scale.dtype).tiny)).amax()


def _largest(vectors: Tensor) -> Tensor:
    """(batch, time, ...) -> (batch, time)."""
    return vectors.abs().flatten(2).amax(2)


def _pullback(problem: Problem, previous: Tensor) -> Callable[[Tensor], Tensor]:
    """l -> J_(t+1)^T l_(t+1) of all times, by the reference step's own derivative."""
    with torch.enable_grad():
        seen = previous.requires_grad_()
        new = problem.step(seen)

    def pull(values: Tensor) -> Tensor:
        (found,) = torch.autograd.grad(new, seen, values, retain_graph=True)
        linked = problem.linked(found)
        return torch.cat([linked[:, 1:], torch.zeros_like(linked[:, :1])], 1)

    return pull


class _Adjoint(torch.autograd.Function):
    """The new states as they are; backward, g becomes l, which then goes through one step's own derivative."""

    @staticmethod
    def forward(ctx: Any, new: Tensor, solve: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.solve = solve
        ctx.save_for_backward(new)
        return new.detach()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (new,) = ctx.saved_tensors
        with torch.no_grad():
            found = ctx.solve(grad)
        if torch.is_grad_enabled():
            found = _Once.apply(found, new, grad)  # type: ignore[no-untyped-call]
        return found, None


class _Once(torch.autograd.Function):
    """Gradients as they are; to differentiate them again is an error."""

    @staticmethod
    def forward(ctx: Any, found: Tensor, *_: Tensor) -> Tensor:
        return found.detach()

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        raise KernelError(
            "The gradients of solver='newton' cannot be differentiated again; use solver='sequential' with "
            "kernel='reference', which is plain differentiable torch."
        )


Factors = tuple[int, int, Tensor]
"""First and last step of a part of time, and J_(t+1)^T of its steps."""


def _transposed(problem: Problem, previous: Tensor) -> Callable[[], Iterator[Factors]]:
    """The factors of the backward recurrence, part by part, the last part first."""
    time = problem.size[1]

    def parts() -> Iterator[Factors]:
        for first, last in reversed(list(problem.parts())):
            end = min(last + 1, time)
            _, jacobian = problem.linear(previous[:, first:end], first, end)
            if last == time:
                # Nothing comes after the last step.
                jacobian = torch.cat([jacobian, torch.zeros_like(jacobian[:, :1])], 1)
            yield first, last, jacobian[:, 1:].transpose(2, 3)

    return parts


def _backwards(
    factors: Iterator[Factors] | Sequence[Factors], given: Tensor, solve: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """l_t = given_t + J_(t+1)^T l_(t+1)."""
    later = torch.zeros_like(given[:, 0])
    found = []
    for first, last, factor in factors:
        part = solve(factor.flip(1), given[:, first:last].flip(1), later).flip(1)
        later = part[:, 0]
        found.append(part)
    return torch.cat(found[::-1], 1)
