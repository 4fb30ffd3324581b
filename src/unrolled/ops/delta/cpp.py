"""The C++ kernel of the op `delta`.

Every tensor is looked at before its address leaves Python: a wrong dtype, device or shape is refused in words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.ops import native
from unrolled.ops.core.register import Kernel

__all__ = ["cpp_kernel"]

_TYPES = {torch.float32: 0, torch.float64: 1}
_TENSORS = ("q", "s0", "w", "k", "v", "a", "b", "lengths", "reset", "start_s")

Tensors = Sequence[Tensor | None]


def cpp_kernel(memory: Callable[..., tuple[int, ...]]) -> Kernel:
    """The kernel "cpp"; memory(*tensors, chunk) is the shape of what the forward pass leaves for the backward pass."""

    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        *given, chunk, save = arguments
        kept = given[0].new_empty(memory(*given, chunk) if save else (0,))
        y, s = given[4].new_empty(given[4].shape), given[1].new_empty(given[1].shape)
        _run("delta_forward", given, chunk, y=y, s=s, memory=kept if save else None)
        return y, s, kept

    return Kernel("cpp", _refuses, forward, _backward)


def _refuses(*arguments: Any) -> str | None:
    *given, chunk = arguments
    q, s0, v, reset, start_s = given[0], given[1], given[4], given[8], given[9]
    if q.dtype not in _TYPES:
        return f"q is {q.dtype}, it runs on float32 and float64"
    if q.ndim != 4 or 0 in q.shape:
        return f"q has the shape {tuple(q.shape)}, expected (batch, time, heads, keys), none of them 0"
    if s0.ndim != 4 or v.ndim != 4 or 0 in v.shape:
        return f"v has the shape {tuple(v.shape)}, expected (batch, time, heads, values), none of them 0"
    if reset is not None and start_s is None:
        return "reset is given without start_s, the state it returns to"
    if chunk < 1:
        return f"chunk is {chunk}, expected at least 1"
    return native.reason() or _wrong_tensor(given)


def _wrong_tensor(given: Tensors) -> str | None:
    """Which tensor does not fit q and the values of v, the first one, and why."""
    q, v, start_s = given[0], given[4], given[-1]
    assert q is not None
    assert v is not None
    batch, time, heads, keys = q.shape
    rows = 1 if start_s is not None and start_s.shape[:1] == (1,) else batch
    many, state = (batch, time, heads, keys), (heads, keys, v.shape[3])
    written = (batch, time, heads, v.shape[3])
    shapes = (many, (batch, *state), many, many, written, many, many, (batch,), (batch, time), (rows, *state))
    dtypes = {"lengths": torch.int64, "reset": torch.bool}
    for name, tensor, shape in zip(_TENSORS, given, shapes, strict=True):
        if tensor is None:
            continue
        if tensor.device.type != "cpu":
            return f"{name} is on {tensor.device}, it runs on the CPU"
        if tensor.dtype != dtypes.get(name, q.dtype):
            return f"{name} is {tensor.dtype}, expected {dtypes.get(name, q.dtype)}"
        if tuple(tensor.shape) != shape:
            return f"{name} has the shape {tuple(tensor.shape)}, expected {shape}"
    return None


def _backward(
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    s0, start_s = given[1], given[-1]
    assert s0 is not None
    found = {}
    for name, tensor, need in zip(_TENSORS, given, needs, strict=True):
        if need and tensor is not None:
            # Each row has its own share of the start's gradient, so that rows can be walked at once.
            found[f"grad_{name}"] = tensor.new_empty((s0 if name == "start_s" else tensor).shape)
    _run("delta_backward", given, values[0], memory=memory, grad_y=grads[0], grad_s=grads[1], **found)
    shared = found.get("grad_start_s")
    if shared is not None and start_s is not None and start_s.shape[0] == 1:
        found["grad_start_s"] = shared.sum(0, keepdim=True)
    return [found.get(f"grad_{name}") for name in _TENSORS]


def _run(function: str, given: Tensors, chunk: int, **others: Tensor | None) -> None:
    """Call the compiled function on the op's tensors and on others by field name."""
    tensors = {**dict(zip(_TENSORS, given, strict=True)), **others}
    # Held until the call is over: a strided tensor is read through its copy.
    dense = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    batch, time, heads, keys = dense["q"].shape
    fields = {name: tensor.data_ptr() for name, tensor in dense.items()}
    fields |= {"type": _TYPES[dense["q"].dtype], "threads": native.threads()}
    fields |= {"batch": batch, "time": time, "heads": heads, "keys": keys, "values": dense["v"].shape[3]}
    fields |= {"chunk": chunk, "start_rows": dense["start_s"].shape[0] if "start_s" in dense else 0}
    module = native.compiled()
    getattr(module, function)([fields.get(name, 0) for name in module.DELTA_FIELDS])
