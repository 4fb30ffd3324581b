"""The Triton kernel of the op `slstm`, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.ops.core.register import Attribute, Kernel
from unrolled.ops.native.gpu import block, contiguous, objection

__all__ = ["triton_kernel"]

_TENSORS = (
    "gates", "h0", "c0", "n0", "m0", "weight_h", "lengths", "reset", "start_h", "start_c", "start_n", "start_m",
)  # fmt: skip
_MOST = 128
"""Units of one head that a program holds beside its weights."""
_ROWS = 16
"""Batch rows that one program walks: the least that a product of blocks takes."""

Tensors = Sequence[Tensor | None]


def _refuses(*arguments: Any) -> str | None:
    given = dict(zip(_TENSORS, arguments, strict=False))
    gates, h0, weight, start = given["gates"], given["h0"], given["weight_h"], given["start_h"]
    if gates.ndim != 3 or h0.ndim != 2 or weight.ndim != 3:
        return "gates, h0 and weight_h must be (batch, time, gates), (batch, hidden) and (heads, gates, width)"
    (batch, time, _), hidden, (heads, _, width) = gates.shape, h0.shape[1], weight.shape
    if width > _MOST:
        return f"a head is {width} wide, it holds up to {_MOST}"
    if heads * width != hidden:
        return f"weight_h has {heads} heads of {width}, expected heads that share the {hidden} of h0"
    if len({given[name] is None for name in _TENSORS[7:]}) > 1:
        return "reset and the whole start it returns to must come together"
    rows = 1 if start is not None and start.shape[:1] == (1,) else batch
    shapes = dict.fromkeys(_TENSORS[1:5], (batch, hidden)) | dict.fromkeys(_TENSORS[8:], (rows, hidden))
    whole = {"gates": (batch, time, 4 * hidden), "weight_h": (heads, 4 * width, width)}
    return objection(given, whole | shapes | {"lengths": (batch,), "reset": (batch, time)})


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    from unrolled.ops.slstm.triton_walk import forward_walk

    *plain, exponential, save = arguments
    given = contiguous(plain)
    gates, h0 = given[0], given[1]
    y = gates.new_empty((*gates.shape[:2], h0.shape[1]))
    final = [h0.new_empty(h0.shape) for _ in range(4)]
    # For each row and step: the gates before they are squashed, then c, n and m.
    memory = gates.new_empty((*gates.shape[:2], gates.shape[2] + 3 * h0.shape[1]) if save else 0)
    grid, sizes = _sizes(given)
    forward_walk[grid](*given, y, *final, memory if save else None, *sizes, EXPONENTIAL=exponential)
    return y, *final, memory


def _backward(
    given: Tensors, values: Sequence[Attribute], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    from unrolled.ops.slstm.triton_walk import backward_walk

    dense = contiguous((*given, outputs[0], memory, *grads))
    inputs, y = dense[: len(_TENSORS)], dense[len(_TENSORS)]
    gates, h0, weight, reset, start = inputs[0], inputs[1], inputs[5], inputs[7], inputs[8]
    found = [gates.new_empty(gates.shape), *(h0.new_empty(h0.shape) for _ in range(4))]
    starts = [None] * 4 if start is None else [h0.new_empty(h0.shape) for _ in range(4)]
    grid, sizes = _sizes(inputs)
    backward_walk[grid](*dense, *found, *starts, *sizes, EXPONENTIAL=values[0])
    if start is not None and start.shape[0] == 1:
        starts = [None if leaf is None else leaf.sum(0, keepdim=True) for leaf in starts]
    for_weight = _weight_gradient(found[0], _before(y, h0, reset, start), weight) if needs[5] else None
    return [g if need else None for g, need in zip((*found, for_weight, None, None, *starts), needs, strict=True)]


def _sizes(given: Sequence[Tensor]) -> tuple[tuple[int, int], tuple[int, ...]]:
    """The grid, and the sizes that a walk takes: time, rows, heads, width, start's stride, and the blocks."""
    (batch, time, _), (heads, _, width), start = given[0].shape, given[5].shape, given[8]
    stride = 0 if start is None or start.shape[0] == 1 else heads * width
    return (-(-batch // _ROWS), heads), (time, batch, heads, width, stride, _ROWS, block(width, 16))


def _before(y: Tensor, h0: Tensor, reset: Tensor | None, start: Tensor | None) -> Tensor:
    """The h that each step saw: (batch, time, hidden)."""
    seen = torch.cat([h0[:, None], y[:, :-1]], 1)
    return seen if reset is None or start is None else torch.where(reset[..., None], start[:, None], seen)


def _weight_gradient(gates: Tensor, seen: Tensor, weight: Tensor) -> Tensor:
    heads, stacked, width = weight.shape
    batch, time, _ = seen.shape
    split = gates.view(batch, time, 4, heads, width).permute(3, 2, 4, 0, 1).reshape(heads, stacked, -1)
    return split @ seen.view(batch, time, heads, width).permute(2, 0, 1, 3).reshape(heads, -1, width)


triton_kernel = Kernel("triton", _refuses, _forward, _backward)
