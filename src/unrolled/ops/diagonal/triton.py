"""The Triton kernel of the op `diagonal`, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from unrolled.ops.core.register import Attribute, Kernel
from unrolled.ops.native.gpu import block, contiguous, objection

__all__ = ["triton_kernel"]

_TENSORS = ("decay", "drive", "h0", "lengths", "reset", "start_h")
_MOST = 128
"""Channels that one program walks."""

Tensors = Sequence[Tensor | None]


def _refuses(*arguments: Any) -> str | None:
    given = dict(zip(_TENSORS, arguments, strict=False))
    decay, start = given["decay"], given["start_h"]
    if decay.ndim != 3:
        return f"decay has the shape {tuple(decay.shape)}, expected (batch, time, width)"
    if (given["reset"] is None) != (start is None):
        return "reset and the start it returns to must come together"
    batch, time, width = decay.shape
    rows = 1 if start is not None and start.shape[:1] == (1,) else batch
    shapes = ((batch, time, width), (batch, time, width), (batch, width), (batch,), (batch, time), (rows, width))
    return objection(given, dict(zip(_TENSORS, shapes, strict=True)))


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    from unrolled.ops.diagonal.triton_walk import forward_walk

    given = contiguous(arguments[: len(_TENSORS)])
    decay, drive, h0, *_, start = given
    y, h = drive.new_empty(drive.shape), h0.new_empty(h0.shape)
    batch, time, width = decay.shape
    lanes = min(_MOST, block(width))
    forward_walk[(batch, -(-width // lanes))](*given, y, h, time, width, _stride(start, width), lanes)
    return y, h, decay.new_empty(0)


def _backward(
    given: Tensors, values: Sequence[Attribute], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    from unrolled.ops.diagonal.triton_walk import backward_walk

    dense = contiguous((*given, outputs[0], *grads))
    decay, drive, h0, _, _, start = dense[: len(_TENSORS)]
    batch, time, width = decay.shape
    found = [decay.new_empty(decay.shape), drive.new_empty(drive.shape), h0.new_empty(h0.shape)]
    starts = None if start is None else h0.new_empty(h0.shape)
    lanes = min(_MOST, block(width))
    backward_walk[(batch, -(-width // lanes))](*dense, *found, starts, time, width, _stride(start, width), lanes)
    if starts is not None and start.shape[0] == 1:
        starts = starts.sum(0, keepdim=True)
    return [grad if need else None for grad, need in zip((*found, None, None, starts), needs, strict=True)]


def _stride(start: Tensor | None, width: int) -> int:
    """From one row's start to the next one's: none where one row serves all."""
    return 0 if start is None or start.shape[0] == 1 else width


triton_kernel = Kernel("triton", _refuses, _forward, _backward)
