"""The C++ kernel of the op `rotation`, a form of the walk of op `diagonal`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from unrolled.ops import native
from unrolled.ops.core.register import Kernel
from unrolled.ops.diagonal.cpp import TYPES, ScanSizes, shared, walk, wrong_tensor

__all__ = ["cpp_kernel"]

_TENSORS = ("drive", "h0", "decay", "lengths", "reset", "start_h")
_FORM = 3

Tensors = Sequence[Tensor | None]


def _refuses(
    drive: Tensor, h0: Tensor, decay: Tensor, lengths: Tensor | None, reset: Tensor | None, start_h: Tensor | None
) -> str | None:
    if drive.dtype not in TYPES:
        return f"drive is {drive.dtype}, it runs on float32 and float64"
    if drive.ndim != 3 or 0 in drive.shape or drive.shape[2] % 2:
        return f"drive has the shape {tuple(drive.shape)}, expected (batch, time, 2 width), none of them 0"
    if reset is not None and start_h is None:
        return "reset is given without start_h, the state it returns to"
    batch, time, both = drive.shape
    rows = 1 if start_h is not None and start_h.shape[:1] == (1,) else batch
    shapes = ((batch, time, both), (batch, both), (both,), (batch,), (batch, time), (rows, both))
    given = (drive, h0, decay, lengths, reset, start_h)
    return native.reason() or wrong_tensor(_TENSORS, given, shapes, drive.dtype)


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    *given, _ = arguments
    y, h = given[0].new_empty(given[0].shape), given[1].new_empty(given[1].shape)
    _run("diagonal_forward", given, y=y, h=h)
    return y, h, given[0].new_empty(0)


def _backward(
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    drive, h0, *_, start_h = given
    assert drive is not None
    assert h0 is not None
    # Each row has its own share of the gradients of what all share, so that rows can be walked at once.
    wanted = zip(_TENSORS, needs, (drive.shape, h0.shape, h0.shape, None, None, h0.shape), strict=True)
    found: dict[str, Tensor | None] = {
        f"grad_{name}": drive.new_empty(shape) for name, need, shape in wanted if need and shape is not None
    }
    _run("diagonal_backward", given, y=outputs[0], grad_y=grads[0], grad_h=grads[1], **found)
    found["grad_start_h"] = shared(found.get("grad_start_h"), start_h)
    by_row = found.get("grad_decay")
    found["grad_decay"] = None if by_row is None else by_row.sum(0)
    return [found.get(f"grad_{name}") for name in _TENSORS]


def _run(function: str, given: Tensors, **others: Tensor | None) -> None:
    drive = given[0]
    assert drive is not None
    sizes = ScanSizes(drive.shape[0], drive.shape[1], drive.shape[2] // 2)
    walk(function, sizes, drive.dtype, {**dict(zip(_TENSORS, given, strict=True)), **others}, form=_FORM)


cpp_kernel = Kernel("cpp", _refuses, _forward, _backward)
