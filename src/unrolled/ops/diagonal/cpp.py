"""The C++ kernel of the op `diagonal`, and the door to its walk for the ops that bring their own terms.

Every tensor is looked at before its address leaves Python: a wrong dtype, device or shape is refused in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.ops import native
from unrolled.ops.core.register import Kernel

__all__ = ["TYPES", "ScanSizes", "cpp_kernel", "shared", "walk", "wrong_tensor"]

TYPES = {torch.float32: 0, torch.float64: 1}
_TENSORS = ("decay", "drive", "h0", "lengths", "reset", "start_h")

Tensors = Sequence[Tensor | None]


class ScanSizes(NamedTuple):
    """Batch, time and channels of a walk."""

    batch: int
    time: int
    width: int


def wrong_tensor(
    names: Sequence[str], given: Tensors, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype
) -> str | None:
    """Which tensor does not fit, and why; lengths are int64, resets are bool and all else is of the dtype."""
    kinds = {"lengths": torch.int64, "reset": torch.bool}
    for name, tensor, shape in zip(names, given, shapes, strict=True):
        if tensor is None:
            continue
        if tensor.device.type != "cpu":
            return f"{name} is on {tensor.device}, it runs on the CPU"
        if tensor.dtype != kinds.get(name, dtype):
            return f"{name} is {tensor.dtype}, expected {kinds.get(name, dtype)}"
        if tuple(tensor.shape) != shape:
            return f"{name} has the shape {tuple(tensor.shape)}, expected {shape}"
    return None


def walk(
    function: str, sizes: ScanSizes, dtype: torch.dtype, tensors: Mapping[str, Tensor | None], **words: int
) -> None:
    """Call the compiled function on tensors and plain numbers by field name."""
    # Held until the call is over: a strided tensor is read through its copy.
    dense = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    fields = {name: tensor.data_ptr() for name, tensor in dense.items()} | sizes._asdict() | words
    fields |= {"type": TYPES[dtype], "threads": native.threads()}
    fields["start_rows"] = dense["start_h"].shape[0] if "start_h" in dense else 0
    module = native.compiled()
    getattr(module, function)([fields.get(name, 0) for name in module.DIAGONAL_FIELDS])


def shared(gradient: Tensor | None, start: Tensor | None) -> Tensor | None:
    """The gradient of a start, which has a row for each of the batch, as that of the start that was given."""
    if gradient is None or start is None or start.shape[0] == gradient.shape[0]:
        return gradient
    return gradient.sum(0, keepdim=True)


def _refuses(
    decay: Tensor, drive: Tensor, h0: Tensor, lengths: Tensor | None, reset: Tensor | None, start_h: Tensor | None
) -> str | None:
    if decay.dtype not in TYPES:
        return f"decay is {decay.dtype}, it runs on float32 and float64"
    if decay.ndim != 3 or 0 in decay.shape:
        return f"decay has the shape {tuple(decay.shape)}, expected (batch, time, width), none of them 0"
    if reset is not None and start_h is None:
        return "reset is given without start_h, the state it returns to"
    batch, time, width = decay.shape
    rows = 1 if start_h is not None and start_h.shape[:1] == (1,) else batch
    shapes = ((batch, time, width), (batch, time, width), (batch, width), (batch,), (batch, time), (rows, width))
    given = (decay, drive, h0, lengths, reset, start_h)
    return native.reason() or wrong_tensor(_TENSORS, given, shapes, decay.dtype)


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
    found: dict[str, Tensor | None] = {
        f"grad_{name}": decay.new_empty(shape) for name, need, shape in wanted if need and shape is not None
    }
    _run("diagonal_backward", given, y=outputs[0], grad_y=grads[0], grad_h=grads[1], **found)
    found["grad_start_h"] = shared(found.get("grad_start_h"), start_h)
    return [found.get(f"grad_{name}") for name in _TENSORS]


def _run(function: str, given: Tensors, **others: Tensor | None) -> None:
    assert given[0] is not None
    tensors = {**dict(zip(_TENSORS, given, strict=True)), **others}
    walk(function, ScanSizes(*given[0].shape), given[0].dtype, tensors)


cpp_kernel = Kernel("cpp", _refuses, _forward, _backward)
