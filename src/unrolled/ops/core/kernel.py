"""A kernel: one way to run an op, and how one is made of a plain differentiable function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "Argument",
    "Attribute",
    "Kernel",
    "Memory",
    "Tensors",
    "differentiable_kernel",
    "fresh_memory",
    "pulled_back",
    "reference_kernel",
]

Tensors = Sequence[Tensor | None]
Attribute = str | bool | int | float
"""What an op is told beside its tensors."""

Argument = Tensor | Attribute | None
"""What an op is called with."""

Memory = Callable[..., tuple[int, ...]]
"""The shape of an op's memory, from its tensors and attributes."""


@dataclass(frozen=True)
class Kernel:
    """One way to run an op.

    refuses(*tensors, *attributes): a reason in words why it cannot run, or None. The answer must be the same before the
    backward pass, which may see other strides: what another kernel left in the memory is no use to this one.
    forward(*tensors, *attributes, save): the op's outputs, and the memory in the dtype of the first tensor: of the op's
    memory shape with save=True, else of shape (0,).
    backward(tensors, attributes, outputs, memory, grads, needs): one gradient per tensor, None where `needs` is False.
    The memory must stay as it is, for a second backward pass through the same graph.
    differentiable: `forward` is plain torch, which autograd follows by itself wherever no graph is traced.
    """

    name: str
    refuses: Callable[..., str | None]
    forward: Callable[..., tuple[Tensor, ...]]
    backward: Callable[[Tensors, Sequence[Attribute], Tensors, Tensor, Tensors, Sequence[bool]], Tensors]
    differentiable: bool = False


def reference_kernel(forward: Callable[..., tuple[Tensor, ...]], memory: Callable[..., tuple[int, ...]]) -> Kernel:
    """The kernel "reference" out of a plain differentiable forward(*tensors, *attributes) -> outputs.

    It accepts everything.
    """
    return differentiable_kernel("reference", lambda *_: None, forward, memory)


def differentiable_kernel(
    name: str,
    refuses: Callable[..., str | None],
    forward: Callable[..., tuple[Tensor, ...]],
    memory: Callable[..., tuple[int, ...]],
) -> Kernel:
    """A kernel out of a plain differentiable forward(*tensors, *attributes) -> outputs.

    Its memory is there for the shape's sake and never written: the backward pass replays.
    """

    def run(*arguments: Any) -> tuple[Tensor, ...]:
        *plain, save = arguments
        return (*forward(*plain), fresh_memory(memory, plain, save))

    return Kernel(name, refuses, run, _replay(forward), differentiable=True)


def _replay(
    forward: Callable[..., tuple[Tensor, ...]],
) -> Callable[[Tensors, Sequence[Attribute], Tensors, Tensor, Tensors, Sequence[bool]], Tensors]:
    """A backward pass out of a differentiable forward: run it again with a graph and differentiate that."""

    def backward(
        given: Tensors, values: Sequence[Attribute], _: Tensors, __: Tensor, grads: Tensors, needs: Sequence[bool]
    ) -> Tensors:
        with torch.enable_grad():
            inputs = [None if t is None else t.detach().requires_grad_(n) for t, n in zip(given, needs, strict=True)]
            results = forward(*inputs, *values)
        return pulled_back(results, inputs, grads, needs, again=False)

    return backward


def pulled_back(
    results: Sequence[Tensor], inputs: Tensors, grads: Tensors, needs: Sequence[bool], *, again: bool
) -> Tensors:
    """One gradient an input, None where none is needed; again: they can be differentiated themselves."""
    wanted = [t for t, n in zip(inputs, needs, strict=True) if n and t is not None]
    pairs = [(r, g) for r, g in zip(results, grads, strict=True) if r.requires_grad]
    found = iter(
        torch.autograd.grad(
            [r for r, _ in pairs],
            wanted,
            [g for _, g in pairs],
            create_graph=again,
            allow_unused=True,
            materialize_grads=True,
        )
    )
    return [next(found).contiguous() if need else None for need in needs]


def fresh_memory(shape: Callable[..., tuple[int, ...]], arguments: Sequence[Any], save: bool) -> Tensor:
    memory: Tensor = arguments[0].new_empty(shape(*arguments) if save else (0,))
    return memory
