"""The C++ kernel of the op `diagonal`.

Every tensor is looked at before its address leaves Python: a wrong dtype, device or shape is refused in words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unrolled.ops import native
from unrolled.ops.register import Kernel

__all__ = ["cpp_kernel"]

_TYPES = {torch.float32: 0, torch.float64: 1}
_TENSORS = ("decay", "drive", "h0", "lengths", "reset", "start_h")

Tensors = Sequence[Tensor | None]


def _refuses(
    decay: Tensor, drive: Tensor, h0: Tensor, lengths: Tensor | None, reset: Tensor | None, start_h: Tensor | None
) -> str | None:
    given = (decay, drive, h0, lengths, reset, start_h)
    if decay.dtype not in _TYPES:
        return f"decay is {decay.dtype}, it runs on float32 and float64"
    if decay.ndim != 3 or 0 in decay.shape:
        return f"decay has the shape {tuple(decay.shape)}, expected (batch, time, width), none of them 0"
    if reset is not None and start_h is None:
        return "reset is given without start_h, the state it returns to"
    return native.reason() or _wrong_tensor(given)


def _wrong_tensor(given: Tensors) -> str | None:
    """Which tensor does not fit decay, the first one, and why."""
    decay, start_h = given[0], given[-1]
    assert decay is not None
    batch, time, width = decay.shape
    rows = 1 if start_h is not None and start_h.shape[:1] == (1,) else batch
    state = (batch, width)
    shapes = ((batch, time, width), (batch, time, width), state, (batch,), (batch, time), (rows, width))
    dtypes = (decay.dtype, decay.dtype, decay.dtype, torch.int64, torch.bool, decay.dtype)
    for name, tensor, shape, dtype in zip(_TENSORS, given, shapes, dtypes, strict=True):
        if tensor is None:
            continue
        if tensor.device.type != "cpu":
            return f"{name} is on {tensor.device}, it runs on the CPU"
        if tensor.dtype != dtype:
            return f"{name} is {tensor.dtype}, expected {dtype}"
        if tuple(tensor.shape) != shape:
            return f"{name} has the shape {tuple(tensor.shape)}, expected {shape}"
    return None


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    *given, _ = arguments
    y, h = given[1].new_empty(given[1].shape), given[2].new_empty(given[2].shape)
    _run("diagonal_forward", given, y=y, h=h)
    return y, h, given[0].new_empty(0)


def _backward(
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    decay, _, h0, *_, start_h = given
    assert decay is not None
    assert h0 is not None
    # Each row has its own share of the start's gradient, so that rows can be walked at once.
    wanted = zip(_TENSORS, needs, (decay.shape, decay.shape, h0.shape, None, None, h0.shape), strict=True)
    found = {f"grad_{name}": decay.new_empty(shape) for name, need, shape in wanted if need and shape is not None}
    _run("diagonal_backward", given, y=outputs[0], grad_y=grads[0], grad_h=grads[1], **found)
    shared = found.get("grad_start_h")
    if shared is not None and start_h is not None and start_h.shape[0] == 1:
        found["grad_start_h"] = shared.sum(0, keepdim=True)
    return [found.get(f"grad_{name}") for name in _TENSORS]


def _run(function: str, given: Tensors, **others: Tensor | None) -> None:
    """Call the compiled function on the op's tensors and on others by field name."""
    tensors = {**dict(zip(_TENSORS, given, strict=True)), **others}
    # Held until the call is over: a strided tensor is read through its copy.
    dense = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    batch, time, width = dense["decay"].shape
    fields = {name: tensor.data_ptr() for name, tensor in dense.items()}
    fields |= {"type": _TYPES[dense["decay"].dtype], "threads": native.threads()}
    fields |= {"batch": batch, "time": time, "width": width}
    fields["start_rows"] = dense["start_h"].shape[0] if "start_h" in dense else 0
    module = native.compiled()
    getattr(module, function)([fields.get(name, 0) for name in module.DIAGONAL_FIELDS])


cpp_kernel = Kernel("cpp", _refuses, _forward, _backward)
