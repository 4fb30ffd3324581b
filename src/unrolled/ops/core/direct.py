"""A kernel's two passes as one node of autograd's graph, and what a second look at its gradients meets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.errors import KernelError
from unrolled.ops.core.kernel import Attribute, Kernel, Tensors, pulled_back

__all__ = ["Direct", "filled_in", "once", "transformed"]


class Direct(torch.autograd.Function):
    """A kernel's two passes as one node of autograd's graph, outside traced graphs.

    other: the reference, which takes the backward pass where that has to be differentiated or batched; None: refused.
    """

    @staticmethod
    def forward(ctx: Any, kernel: Kernel, other: Kernel | None, count: int, *arguments: Any) -> tuple[Tensor, ...]:
        *outputs, memory = kernel.forward(*arguments, True)
        ctx.kernel, ctx.other, ctx.count, ctx.values = kernel, other, count, arguments[count:]
        ctx.save_for_backward(*arguments[:count], *outputs, memory)
        ctx.set_materialize_grads(False)
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        # Read once: torch.utils.checkpoint makes them anew at the first look and has none for a second.
        saved = ctx.saved_tensors
        given, (*outputs, memory) = saved[: ctx.count], saved[ctx.count :]
        needs = ctx.needs_input_grad[3 : 3 + ctx.count]
        filled = filled_in(outputs, grads)
        batched = transformed(filled)
        if ctx.other is not None and (batched or torch.is_grad_enabled()):
            found = _gradients(ctx.other, given, ctx.values, filled, needs)
            return (None, None, None, *found, *(None for _ in ctx.values))
        if batched:
            raise KernelError(
                f"The backward pass of kernel {ctx.kernel.name!r} takes one gradient of each output, got a batch of "
                "them from torch.vmap; use kernel='reference', which takes both."
            )
        with torch.no_grad():
            found = ctx.kernel.backward(given, ctx.values, outputs, memory, filled, needs)
        return (None, None, None, *once(ctx.kernel.name, found, (*given, *filled)), *(None for _ in ctx.values))


def _gradients(
    reference: Kernel, given: Tensors, values: Sequence[Attribute], grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    """Gradients by the plain differentiable reference, with a graph where one is wanted."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        # Views, so that what one tensor was made of another is no way for a gradient.
        inputs = [t.view_as(t) if t is not None and n else t for t, n in zip(given, needs, strict=True)]
        *results, _ = reference.forward(*inputs, *values, False)
    return pulled_back(results, inputs, grads, needs, again=again)


class _Once(torch.autograd.Function):
    """Gradients as they are; to differentiate them again is an error.

    torch's own `once_differentiable` is silent where the second derivative is asked for one tensor alone.
    """

    @staticmethod
    def forward(ctx: Any, kernel: str, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.kernel = kernel
        return tuple(tensor.detach() for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        raise KernelError(
            f"The gradients of kernel {ctx.kernel!r} cannot be differentiated again; use kernel='reference', which is "
            "plain differentiable torch."
        )


def once(kernel: str, found: Tensors, sources: Tensors) -> list[Tensor | None]:
    """The gradients found, tied to what they were made from where a graph of them is wanted."""
    origins = [t for t in sources if t is not None and t.requires_grad]
    if not torch.is_grad_enabled() or not origins:
        return list(found)
    present = [t for t in found if t is not None]
    tied = iter(_Once.apply(kernel, len(present), *present, *origins))  # type: ignore[no-untyped-call]
    return [None if t is None else next(tied) for t in found]


def transformed(given: Tensors) -> bool:
    functorch: Any = torch._C._functorch
    # While torch.jit traces, even sizes are tensors.
    if torch.autograd.forward_ad._current_level >= 0 or torch._C._get_tracing_state() is not None:
        return True
    wrapped = functorch.is_functorch_wrapped_tensor, functorch.is_legacy_batchedtensor
    return any(t is not None and any(is_wrapped(t) for is_wrapped in wrapped) for t in given)


def filled_in(outputs: Sequence[Tensor], grads: Sequence[Tensor | None]) -> list[Tensor]:
    """The incoming gradients, zeros for those that are missing."""
    return [torch.zeros_like(y) if grad is None else grad for y, grad in zip(outputs, grads, strict=True)]
