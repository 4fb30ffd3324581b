"""One registered operator per recurrence, with a table of kernels behind it.

The operator has one signature whatever kernel runs, so one compiled graph or exported program holds it; the choice is
made inside, on real tensors. A kernel that cannot run says why; a choice by name that cannot run is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, library

from unrolled.errors import KernelError, suggest
from unrolled.ops.scan import outside_autocast

__all__ = ["Kernel", "Op", "explain", "kernels", "register", "replay"]

Tensors = Sequence[Tensor | None]


@dataclass(frozen=True)
class Kernel:
    """One way to run an op.

    refuses(*tensors, *attributes): a reason in words why it cannot run, or None.
    forward(*tensors, *attributes): the op's outputs.
    backward(tensors, attributes, outputs, grads, needs): one gradient per tensor, None where `needs` is False.
    """

    name: str
    refuses: Callable[..., str | None]
    forward: Callable[..., tuple[Tensor, ...]]
    backward: Callable[[Tensors, Sequence[Any], Tensors, Tensors, Sequence[bool]], Tensors]


@dataclass(frozen=True)
class Op:
    """A recurrence over a whole sequence, called with its tensors, then its attributes; `kernel`: "auto" or a name."""

    name: str
    tensors: tuple[str, ...]
    attributes: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    registered: Any

    def __call__(self, *arguments: Any, kernel: str = "auto") -> tuple[Tensor, ...]:
        tensors, attributes = arguments[: len(self.tensors)], arguments[len(self.tensors) :]
        # The second tensor of every op is a leaf of the state, whose dtype the whole recurrence keeps.
        return outside_autocast(lambda given, _: self._call(*given, *attributes, kernel=kernel), tensors, tensors[1])

    def _call(self, *arguments: Any, kernel: str) -> tuple[Tensor, ...]:
        if not torch.compiler.is_compiling():
            # The reference is plain differentiable torch, so outside a traced graph it runs as itself: double
            # backward, forward mode and vmap work through it, and nothing is computed twice.
            chosen = self.choose(kernel, *arguments)
            if chosen.name == "reference":
                return chosen.forward(*arguments)
        return tuple(self.registered(*arguments, kernel))

    def choose(self, kernel: str, *arguments: Any) -> Kernel:
        """The kernel that runs these arguments: the first that accepts them, or the one named."""
        if kernel == "auto":
            return next(k for k in self.kernels if k.refuses(*arguments) is None)
        named = {k.name: k for k in self.kernels}
        if kernel not in named:
            raise KernelError(
                f"{self.name}: kernel must be 'auto' or one of {', '.join(named)}, got {kernel!r}."
                f"{suggest(kernel, named)}"
            )
        reason = named[kernel].refuses(*arguments)
        if reason is not None:
            other = self.choose("auto", *arguments).name
            raise KernelError(f"{self.name}: kernel {kernel!r} refuses: {reason}. kernel='auto' would use {other!r}.")
        return named[kernel]


_OPS: dict[str, Op] = {}


def kernels() -> Mapping[str, tuple[str, ...]]:
    """The kernels of every op, best first: {"lstm": ("reference",), ...}."""
    return {name: tuple(kernel.name for kernel in op.kernels) for name, op in _OPS.items()}


def explain(name: str, *arguments: Any) -> str:
    """One line a kernel: would it run on these arguments, and if not, why."""
    if name not in _OPS:
        raise KernelError(f"explain: op must be one of {', '.join(_OPS)}, got {name!r}.{suggest(name, _OPS)}")
    lines = []
    for kernel in _OPS[name].kernels:
        reason = kernel.refuses(*arguments)
        lines.append(f"{name}: {kernel.name:<10} {'can run' if reason is None else 'refuses: ' + reason}")
    return "\n".join(lines)


def register(
    name: str,
    *,
    tensors: Sequence[str],
    attributes: Sequence[str] = (),
    outputs: int,
    shapes: Callable[..., tuple[Tensor, ...]],
    kernels: Sequence[Kernel],
) -> Op:
    """Register `unrolled::name` with its fake and autograd implementations and return the callable `Op`.

    tensors: argument names in order, a leaf of the state second, a trailing "?" where None is allowed. attributes: as
    "bool coupled". shapes: fresh outputs of the right shapes from the arguments, for tracing. kernels: best first; the
    last must accept everything.
    """
    count, full = len(tensors), f"unrolled::{name}"
    forward_op, backward_op = _define(name, tensors, attributes, outputs)
    names = tuple(t.rstrip("?") for t in tensors)
    op = Op(name, names, tuple(a.split()[-1] for a in attributes), tuple(kernels), forward_op)

    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        *plain, kernel = arguments
        return op.choose(kernel, *plain).forward(*plain)

    def backward(*arguments: Any) -> list[Tensor]:
        given, (results, grads, needs, *values, kernel) = arguments[:count], arguments[count:]
        chosen = op.choose(kernel, *given, *values)
        found = chosen.backward(given, values, results, grads, needs)
        return [_empty(given) if grad is None else grad for grad in found]

    def fake_backward(*arguments: Any) -> list[Tensor]:
        given, needs = arguments[:count], arguments[count + 2]
        pairs = zip(given, needs, strict=True)
        return [torch.empty_like(t, memory_format=torch.contiguous_format) if n else _empty(given) for t, n in pairs]

    def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.tail = inputs[count:]
        ctx.save_for_backward(*inputs[:count], *output)

    def differentiate(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        needs = list(ctx.needs_input_grad[:count])
        found = backward_op(*saved[:count], list(saved[count:]), list(grads), needs, *ctx.tail)
        return (*(grad if need else None for grad, need in zip(found, needs, strict=True)), *(None for _ in ctx.tail))

    library.impl(full, "CompositeExplicitAutograd", forward)
    library.impl(f"{full}_backward", "CompositeExplicitAutograd", backward)
    library.register_fake(full, lambda *arguments: shapes(*arguments[:-1]))
    library.register_fake(f"{full}_backward", fake_backward)
    library.register_autograd(full, differentiate, setup_context=remember)
    _OPS[name] = op
    return op


def _define(name: str, tensors: Sequence[str], attributes: Sequence[str], outputs: int) -> tuple[Any, Any]:
    """The bare operators `unrolled::name` and `unrolled::name_backward`."""
    typed = ", ".join(f"Tensor? {t[:-1]}" if t.endswith("?") else f"Tensor {t}" for t in tensors)
    tail = ", ".join([*attributes, "str kernel"])
    library.define(f"unrolled::{name}", f"({typed}, {tail}) -> ({', '.join(['Tensor'] * outputs)})")
    library.define(
        f"unrolled::{name}_backward",
        f"({typed}, Tensor[] outputs, Tensor[] grads, bool[] needs, {tail}) -> Tensor[]",
    )
    return getattr(torch.ops.unrolled, name).default, getattr(torch.ops.unrolled, f"{name}_backward").default


def replay(forward: Callable[..., tuple[Tensor, ...]]) -> Callable[..., Tensors]:
    """A kernel's backward out of its differentiable forward: run it again with a graph and differentiate that."""

    def backward(given: Tensors, values: Sequence[Any], _: Tensors, grads: Tensors, needs: Sequence[bool]) -> Tensors:
        with torch.enable_grad():
            inputs = [None if t is None else t.detach().requires_grad_(n) for t, n in zip(given, needs, strict=True)]
            results = forward(*inputs, *values)
            wanted = [t for t, n in zip(inputs, needs, strict=True) if n and t is not None]
            pairs = [(r, g) for r, g in zip(results, grads, strict=True) if r.requires_grad]
            found = iter(
                torch.autograd.grad(
                    [r for r, _ in pairs], wanted, [g for _, g in pairs], allow_unused=True, materialize_grads=True
                )
            )
        return [next(found).contiguous() if need else None for need in needs]

    return backward


def _empty(given: Tensors) -> Tensor:
    return torch.empty(0, dtype=given[0].dtype, device=given[0].device)  # type: ignore[union-attr]
