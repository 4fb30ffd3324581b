"""One registered operator per recurrence, with a table of kernels behind it.

The operator has one signature whatever kernel runs, so one compiled graph or exported program holds it; the choice is
made inside, on real tensors. A kernel that cannot run says why; a choice by name that cannot run is an error.

Beside the op's own outputs the operator returns one more tensor, the memory: what a kernel's forward pass leaves for
its own backward pass. Its shape is the same whichever kernel runs: a traced graph is laid out before one is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, library

from unrolled.errors import KernelError, listed, suggest
from unrolled.ops.core.direct import Direct, filled_in, once, transformed
from unrolled.ops.core.kernel import (
    Argument,
    Attribute,
    Kernel,
    Memory,
    Tensors,
    differentiable_kernel,
    fresh_memory,
    reference_kernel,
)
from unrolled.ops.core.scan import outside_autocast

__all__ = [
    "Argument",
    "Attribute",
    "Kernel",
    "Memory",
    "Op",
    "Tensors",
    "differentiable_kernel",
    "explain",
    "find",
    "kernels",
    "reference_kernel",
    "register",
]


@dataclass(frozen=True)
class Op:
    """A recurrence over a whole sequence, called with its tensors, then its attributes; `kernel`: "auto" or a name.

    memory(*tensors, *attributes): the shape of the memory.
    """

    name: str
    tensors: tuple[str, ...]
    attributes: tuple[str, ...]
    kernels: tuple[Kernel, ...]
    memory: Callable[..., tuple[int, ...]]
    registered: Any

    def __call__(self, *arguments: Any, kernel: str = "auto") -> tuple[Tensor, ...]:
        tensors, attributes = arguments[: len(self.tensors)], arguments[len(self.tensors) :]
        # The second tensor of every op is a leaf of the state, whose dtype the whole recurrence keeps.
        return outside_autocast(lambda given, _: self._call(*given, *attributes, kernel=kernel), tensors, tensors[1])

    def _call(self, *arguments: Any, kernel: str) -> tuple[Tensor, ...]:
        given = arguments[: len(self.tensors)]
        save = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in given)
        if torch.compiler.is_compiling():
            return tuple(self.registered(*arguments, save, kernel)[:-1])
        # The reference is plain differentiable torch, so outside a traced graph it runs as itself: double backward,
        # forward mode and vmap work through it, and nothing is computed twice.
        chosen = self.choose(kernel, *arguments)
        if chosen.differentiable or (not save and _plain(given)):
            return chosen.forward(*arguments, False)[:-1]
        if _plain(given):
            # The registered operator's way through Python costs more than a short sequence.
            # A kernel that was asked for by name is not left without a word.
            other = self.kernels[-1] if kernel == "auto" else None
            return tuple(Direct.apply(chosen, other, len(given), *arguments))  # type: ignore[no-untyped-call]
        # By name, so that the backward pass cannot go to a kernel that did not write the memory.
        return tuple(self.registered(*arguments, save, chosen.name)[:-1])

    def in_order(self, **arguments: Argument) -> list[Argument]:
        """Arguments by name as a call takes them: what is left out is None, or 0 and False among the attributes."""
        every = (*self.tensors, *self.attributes)
        for name in arguments:
            if name not in every:
                raise KernelError(f"{self.name}: has no argument {name!r}.{suggest(name, every)}")
        return [*(arguments.get(name) for name in self.tensors), *(arguments.get(name, 0) for name in self.attributes)]

    def choose(self, kernel: str, *arguments: Any) -> Kernel:
        """The kernel that runs these arguments: the first that accepts them, or the one named."""
        if kernel == "auto":
            return next(k for k in self.kernels if self.refusal(k, *arguments) is None)
        named = {k.name: k for k in self.kernels}
        if kernel not in named:
            raise KernelError(
                f"{self.name}: kernel must be 'auto' or one of {listed(named)}, got {kernel!r}.{suggest(kernel, named)}"
            )
        reason = self.refusal(named[kernel], *arguments)
        if reason is not None:
            other = self.choose("auto", *arguments).name
            raise KernelError(f"{self.name}: kernel {kernel!r} refuses: {reason}. kernel='auto' would use {other!r}.")
        return named[kernel]

    def refusal(self, kernel: Kernel, *arguments: Any) -> str | None:
        """Why a kernel cannot run these arguments, in words, or None."""
        if kernel is not self.kernels[-1] and transformed(arguments[: len(self.tensors)]):
            return "torch.func, forward-mode AD or torch.jit.trace is at work, which needs the differentiable reference"
        return kernel.refuses(*arguments)

    def choose_backward(self, kernel: str, save: bool, *arguments: Any) -> Kernel:
        """The kernel of the backward pass: that of the forward pass, or, where nothing was saved, the reference."""
        if save:
            return self.choose(kernel, *arguments)
        # A graph traced without gradients may be differentiated later; the reference replays and needs no memory.
        if kernel not in ("auto", "reference"):
            raise KernelError(
                f"{self.name}: the backward pass of kernel {kernel!r} needs a forward pass with save=True, "
                "got save=False; trace with gradients enabled, or use kernel='auto'."
            )
        return self.kernels[-1]


_OPS: dict[str, Op] = {}


def kernels() -> Mapping[str, tuple[str, ...]]:
    """The kernels of every op, best first: {"lstm": ("reference",), ...}."""
    return {name: tuple(kernel.name for kernel in op.kernels) for name, op in _OPS.items()}


def find(name: str) -> Op:
    """The op of this name, with its kernels. Raises KernelError for an unknown one."""
    if name not in _OPS:
        raise KernelError(f"There is no op {name!r}; there are {listed(_OPS)}.{suggest(name, _OPS)}")
    return _OPS[name]


def explain(name: str, **arguments: Argument) -> str:
    """One line a kernel: would it run on these arguments of the op, given by name, and if not, why."""
    op = find(name)
    given = op.in_order(**arguments)
    lines = []
    for kernel in op.kernels:
        reason = op.refusal(kernel, *given)
        lines.append(f"{name}: {kernel.name:<10} {'can run' if reason is None else 'refuses: ' + reason}")
    return "\n".join(lines)


def register(
    name: str,
    *,
    tensors: Sequence[str],
    attributes: Sequence[str] = (),
    outputs: int,
    shapes: Callable[..., tuple[Tensor, ...]],
    memory: Callable[..., tuple[int, ...]],
    kernels: Sequence[Kernel],
) -> Op:
    """Register `unrolled::name` with its fake and autograd implementations and return the callable `Op`.

    tensors: argument names in order, a leaf of the state second, a trailing "?" where None is allowed. attributes: as
    "bool coupled". outputs: how many, the memory not counted. shapes: fresh outputs of the right shapes from the
    arguments, for tracing. memory: the shape of the memory from the arguments. kernels: best first; the last must be
    the reference, which accepts everything.
    """
    forward_op, backward_op = _define(name, tensors, attributes, outputs)
    names = tuple(t.rstrip("?") for t in tensors)
    op = Op(name, names, tuple(a.split()[-1] for a in attributes), tuple(kernels), memory, forward_op)
    _register_kernels(op)
    _register_fakes(op, shapes)
    _register_autograd(op, backward_op)
    _OPS[name] = op
    return op


def _register_kernels(op: Op) -> None:
    """What runs: the kernel chosen, on real tensors."""
    count = len(op.tensors)

    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        *plain, save, kernel = arguments
        return op.choose(kernel, *plain).forward(*plain, save)

    def backward(*arguments: Any) -> list[Tensor]:
        given = arguments[:count]
        results, remembered, grads, needs, *values, save, kernel = arguments[count:]
        chosen = op.choose_backward(kernel, save, *given, *values)
        found = chosen.backward(given, values, results, remembered, grads, needs)
        return [_empty(given) if grad is None else grad for grad in found]

    library.impl(f"unrolled::{op.name}", "CompositeExplicitAutograd", forward)
    library.impl(f"unrolled::{op.name}_backward", "CompositeExplicitAutograd", backward)


def _register_fakes(op: Op, shapes: Callable[..., tuple[Tensor, ...]]) -> None:
    """What tracing sees: tensors of the right shapes."""
    count = len(op.tensors)

    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        *plain, save, _ = arguments
        return (*shapes(*plain), fresh_memory(op.memory, plain, save))

    def backward(*arguments: Any) -> list[Tensor]:
        given, needs = arguments[:count], arguments[count + 3]
        pairs = zip(given, needs, strict=True)
        return [torch.empty_like(t, memory_format=torch.contiguous_format) if n else _empty(given) for t, n in pairs]

    library.register_fake(f"unrolled::{op.name}", forward)
    library.register_fake(f"unrolled::{op.name}_backward", backward)


def _register_autograd(op: Op, backward_op: Callable[..., list[Tensor]]) -> None:
    """How the operator is differentiated: by its backward operator, once."""
    count = len(op.tensors)

    def remember(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.tail = inputs[count:]
        ctx.save_for_backward(*inputs[:count], *output)
        ctx.mark_non_differentiable(output[-1])
        # Otherwise autograd would make zeros as large as the memory to stand for its gradient.
        ctx.set_materialize_grads(False)

    def differentiate(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        given, (*results, remembered) = saved[:count], saved[count:]
        filled = filled_in(results, grads[:-1])
        needs = list(ctx.needs_input_grad[:count])
        with torch.no_grad():
            plain = backward_op(*given, results, remembered, filled, needs, *ctx.tail)
        found = once(ctx.tail[-1], plain, (*given, *filled))
        return (*(grad if need else None for grad, need in zip(found, needs, strict=True)), *(None for _ in ctx.tail))

    library.register_autograd(f"unrolled::{op.name}", differentiate, setup_context=remember)


def _define(name: str, tensors: Sequence[str], attributes: Sequence[str], outputs: int) -> tuple[Any, Any]:
    """The bare operators `unrolled::name` and `unrolled::name_backward`."""
    typed = ", ".join(f"Tensor? {t[:-1]}" if t.endswith("?") else f"Tensor {t}" for t in tensors)
    tail = ", ".join([*attributes, "bool save", "str kernel"])
    library.define(f"unrolled::{name}", f"({typed}, {tail}) -> ({', '.join(['Tensor'] * (outputs + 1))})")
    library.define(
        f"unrolled::{name}_backward",
        f"({typed}, Tensor[] outputs, Tensor memory, Tensor[] grads, bool[] needs, {tail}) -> Tensor[]",
    )
    return getattr(torch.ops.unrolled, name).default, getattr(torch.ops.unrolled, f"{name}_backward").default


def _plain(given: Tensors) -> bool:
    """Tensors with memory of their own: no subclass stands for others, and no mode watches what is done to them."""
    return torch._C._len_torch_dispatch_stack() == 0 and all(
        t is None or type(t) in (Tensor, torch.nn.Parameter) for t in given
    )


def _empty(given: Tensors) -> Tensor:
    return torch.empty(0, dtype=given[0].dtype, device=given[0].device)  # type: ignore[union-attr]
