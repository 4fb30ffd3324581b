"""The C++ kernel of the op `mlstm`.

Every tensor is looked at before its address leaves Python: a wrong dtype, device or shape is refused in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.ops import native
from unrolled.ops.core.register import Kernel
from unrolled.ops.mlstm.memory import memory_shape

__all__ = ["cpp_kernel"]

_TYPES = {torch.float32: 0, torch.float64: 1}
_TENSORS = ("q", "c0", "n0", "m0", "k", "v", "i", "f", "lengths", "reset", "start_c", "start_n", "start_m")
_STARTS = _TENSORS[-3:]

Tensors = Sequence[Tensor | None]


def _refuses(*arguments: Any) -> str | None:
    *given, chunk = arguments
    q, c0 = given[:2]
    if q.dtype not in _TYPES:
        return f"q is {q.dtype}, it runs on float32 and float64"
    if q.ndim != 4 or 0 in q.shape:
        return f"q has the shape {tuple(q.shape)}, expected (batch, time, heads, keys), none of them 0"
    if c0.ndim != 4 or c0.shape[3] == 0:
        return f"c0 has the shape {tuple(c0.shape)}, expected (batch, heads, keys, values), none of them 0"
    if chunk < 1:
        return f"chunk is {chunk}, expected at least 1"
    if given[9] is not None and any(start is None for start in given[-3:]):
        return "reset is given without start_c, start_n and start_m, the state it returns to"
    return native.reason() or _wrong_tensor(given)


def _wrong_tensor(given: Tensors) -> str | None:
    """Which tensor does not fit q and c0, the first one, and why."""
    q, c0, start = given[0], given[1], given[10]
    assert q is not None
    assert c0 is not None
    (batch, time, heads, keys), values = q.shape, c0.shape[3]
    rows = 1 if start is not None and start.shape[:1] == (1,) else batch
    gate, state = (batch, time, heads), ((heads, keys, values), (heads, keys), (heads,))
    shapes = (
        q.shape, *((batch, *leaf) for leaf in state), q.shape, (*gate, values), gate, gate, (batch,), (batch, time),
        *((rows, *leaf) for leaf in state),
    )  # fmt: skip
    for name, tensor, shape in zip(_TENSORS, given, shapes, strict=True):
        if tensor is None:
            continue
        dtype = {"lengths": torch.int64, "reset": torch.bool}.get(name, q.dtype)
        if tensor.device.type != "cpu":
            return f"{name} is on {tensor.device}, it runs on the CPU"
        if tensor.dtype != dtype:
            return f"{name} is {tensor.dtype}, expected {dtype}"
        if tuple(tensor.shape) != tuple(shape):
            return f"{name} has the shape {tuple(tensor.shape)}, expected {tuple(shape)}"
    return None


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    *given, chunk, save = arguments
    q, c0, n0, m0, _, v = given[:6]
    y, c, n, m = (like.new_empty(like.shape) for like in (v, c0, n0, m0))
    memory = q.new_empty(memory_shape(*given, chunk) if save else (0,))
    _run("mlstm_forward", given, chunk, y=y, c=c, n=n, m=m, memory=memory if save else None)
    return y, c, n, m, memory


def _backward(
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    states = dict(zip(_STARTS, given[1:4], strict=True))
    found = {}
    for name, tensor, need in zip(_TENSORS, given, needs, strict=True):
        # Each row has its own share of the start's gradient, so that rows can be walked at once.
        like = states.get(name, tensor)
        if need and like is not None:
            found[f"grad_{name}"] = like.new_empty(like.shape)
    y, c, n, m = outputs
    into = dict(zip(("grad_y", "grad_c", "grad_n", "grad_m"), grads, strict=True))
    _run("mlstm_backward", given, values[0], y=y, c=c, n=n, m=m, memory=memory, **into, **found)
    for name, start in zip(_STARTS, given[-3:], strict=True):
        shared = found.get(f"grad_{name}")
        if shared is not None and start is not None and start.shape[0] == 1:
            found[f"grad_{name}"] = shared.sum(0, keepdim=True)
    return [found.get(f"grad_{name}") for name in _TENSORS]


def _run(function: str, given: Tensors, chunk: int, **others: Tensor | None) -> None:
    """Call the compiled function on the op's tensors and on others by field name."""
    tensors = {**dict(zip(_TENSORS, given, strict=True)), **others}
    # Held until the call is over: a strided tensor is read through its copy.
    dense = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    batch, time, heads, keys = dense["q"].shape
    fields = {name: tensor.data_ptr() for name, tensor in dense.items()}
    fields |= {"type": _TYPES[dense["q"].dtype], "threads": native.threads(), "chunk": chunk}
    fields |= {"batch": batch, "time": time, "heads": heads, "keys": keys, "values": dense["v"].shape[3]}
    fields["start_rows"] = dense["start_c"].shape[0] if "start_c" in dense else 0
    module = native.compiled()
    getattr(module, function)([fields.get(name, 0) for name in module.MLSTM_FIELDS])


cpp_kernel = Kernel("cpp", _refuses, _forward, _backward)
