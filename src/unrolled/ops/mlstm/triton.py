"""The Triton kernel of the op `mlstm`, for GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from unrolled.ops.core.register import Attribute, Kernel
from unrolled.ops.mlstm.memory import memory_shape
from unrolled.ops.native.gpu import block, contiguous, objection

__all__ = ["triton_kernel"]

_TENSORS = ("q", "c0", "n0", "m0", "k", "v", "i", "f", "lengths", "reset", "start_c", "start_n", "start_m")
_MOST = 128
"""Keys, and values, of a head whose whole memory one program holds."""

Tensors = Sequence[Tensor | None]


def _refuses(*arguments: Any) -> str | None:
    given = dict(zip(_TENSORS, arguments, strict=False))
    q, c0, start = given["q"], given["c0"], given["start_c"]
    if q.ndim != 4 or c0.ndim != 4:
        return "q and c0 must be (batch, time, heads, keys) and (batch, heads, keys, values)"
    (batch, time, heads, keys), values = q.shape, c0.shape[3]
    if max(keys, values) > _MOST:
        return f"a head has {keys} keys and {values} values, it holds up to {_MOST} of each"
    if len({given[name] is None for name in _TENSORS[9:]}) > 1:
        return "reset and the whole start it returns to must come together"
    rows = 1 if start is not None and start.shape[:1] == (1,) else batch
    wide, gate = (batch, time, heads, keys), (batch, time, heads)
    shapes = {"q": wide, "k": wide, "v": (batch, time, heads, values), "i": gate, "f": gate}
    for name, count in (("{}0", batch), ("start_{}", rows)):
        shapes |= {name.format("c"): (count, heads, keys, values), name.format("n"): (count, heads, keys)}
        shapes |= {name.format("m"): (count, heads)}
    return objection(given, shapes | {"lengths": (batch,), "reset": (batch, time)})


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    from unrolled.ops.mlstm.triton_walk import forward_walk

    *plain, chunk, save = arguments
    given = contiguous(plain)
    q, v, state = given[0], given[5], given[1:4]
    batch, _, heads, _ = q.shape
    y, final = v.new_empty(v.shape), [leaf.new_empty(leaf.shape) for leaf in state]
    memory = q.new_empty(memory_shape(*given, chunk) if save else 0)
    forward_walk[(batch, heads)](*given, y, *final, memory if save else None, *_sizes(given), chunk, *_blocks(given))
    return y, *final, memory


def _backward(
    given: Tensors, values: Sequence[Attribute], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    from unrolled.ops.mlstm.triton_walk import backward_walk

    dense = contiguous((*given, outputs[0], memory, *grads))
    inputs, start = dense[: len(_TENSORS)], dense[10]
    (batch, time, heads, keys), chunk = inputs[0].shape, values[0]
    found = [t.new_empty(t.shape) for t in inputs[:8]]
    starts = [None] * 3 if start is None else [t.new_empty(t.shape) for t in inputs[1:4]]
    # The states that the steps of one chunk see, written before they are needed.
    seen = memory.new_empty((batch, heads, min(chunk, time), keys * inputs[5].shape[3] + keys + 1))
    backward_walk[(batch, heads)](
        *dense, *found, *starts, seen, *_sizes(inputs), chunk, seen.shape[2], *_blocks(inputs)
    )  # fmt: skip
    if start is not None and start.shape[0] == 1:
        starts = [None if leaf is None else leaf.sum(0, keepdim=True) for leaf in starts]
    return [g if need else None for g, need in zip((*found, None, None, *starts), needs, strict=True)]


def _sizes(given: Sequence[Tensor]) -> tuple[int, ...]:
    """Time, heads, keys, values, and whether start has one row for each of the batch."""
    (_, time, heads, keys), start = given[0].shape, given[10]
    return time, heads, keys, given[5].shape[3], int(start is not None and start.shape[0] > 1)


def _blocks(given: Sequence[Tensor]) -> tuple[int, int]:
    return block(given[0].shape[3]), block(given[5].shape[3])


triton_kernel = Kernel("triton", _refuses, _forward, _backward)
