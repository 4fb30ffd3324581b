"""The Triton kernel of the op `delta`, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from unrolled.ops.core.register import Attribute, Kernel
from unrolled.ops.native.gpu import block, contiguous, objection

__all__ = ["triton_kernel"]

_TENSORS = ("q", "s0", "w", "k", "v", "a", "b", "lengths", "reset", "start_s")
_MOST = 128
"""Keys, and values, of a head whose whole memory one program holds."""

Tensors = Sequence[Tensor | None]


def _refuses(*arguments: Any) -> str | None:
    given = dict(zip(_TENSORS, arguments, strict=False))
    q, s0, start = given["q"], given["s0"], given["start_s"]
    if q.ndim != 4 or s0.ndim != 4:
        return "q and s0 must be (batch, time, heads, keys) and (batch, heads, keys, values)"
    (batch, time, heads, keys), values = q.shape, s0.shape[3]
    if max(keys, values) > _MOST:
        return f"a head has {keys} keys and {values} values, it holds up to {_MOST} of each"
    if (given["reset"] is None) != (start is None):
        return "reset and the start it returns to must come together"
    rows = 1 if start is not None and start.shape[:1] == (1,) else batch
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("q", "w", "k", "a", "b"), (batch, time, heads, keys))
    shapes |= {"v": (batch, time, heads, values), "s0": (batch, heads, keys, values)}
    shapes |= {"start_s": (rows, heads, keys, values), "lengths": (batch,), "reset": (batch, time)}
    return objection(given, shapes)


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    from unrolled.ops.delta.triton_walk import forward_walk

    *plain, chunk, save = arguments
    given = contiguous(plain)
    q, s0, v = given[0], given[1], given[4]
    batch, time, heads, keys = q.shape
    y, s = v.new_empty(v.shape), s0.new_empty(s0.shape)
    memory = q.new_empty(batch * heads * -(-time // chunk) * keys * v.shape[3] if save else 0)
    forward_walk[(batch, heads)](*given, y, s, memory if save else None, *_sizes(given), chunk, *_blocks(given))
    return y, s, memory


def _backward(
    given: Tensors, values: Sequence[Attribute], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    from unrolled.ops.delta.triton_walk import backward_walk

    dense = contiguous((*given, memory, *grads))
    inputs, start = dense[: len(_TENSORS)], dense[len(_TENSORS) - 1]
    (batch, time, heads, keys), chunk = inputs[0].shape, values[0]
    found = [t.new_empty(t.shape) for t in inputs[:7]]
    starts = None if start is None else inputs[1].new_empty(inputs[1].shape)
    # The states that the steps of one chunk see, written before they are needed.
    seen = memory.new_empty((batch, heads, min(chunk, time), keys, inputs[4].shape[3]))
    grid = (batch, heads)
    backward_walk[grid](*dense, *found, starts, seen, *_sizes(inputs), chunk, seen.shape[2], *_blocks(inputs))
    if starts is not None and start.shape[0] == 1:
        starts = starts.sum(0, keepdim=True)
    return [grad if need else None for grad, need in zip((*found, None, None, starts), needs, strict=True)]


def _sizes(given: Sequence[Tensor]) -> tuple[int, ...]:
    """Time, heads, keys, values, and whether start has one row for each of the batch."""
    (_, time, heads, keys), start = given[0].shape, given[-1]
    return time, heads, keys, given[4].shape[3], int(start is not None and start.shape[0] > 1)


def _blocks(given: Sequence[Tensor]) -> tuple[int, int]:
    return block(given[0].shape[3]), block(given[4].shape[3])


triton_kernel = Kernel("triton", _refuses, _forward, _backward)
