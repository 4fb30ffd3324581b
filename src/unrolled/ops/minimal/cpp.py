"""The C++ kernel of the op `minimal`: the gates are made inside the walk of op `diagonal`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from unrolled.ops import native
from unrolled.ops.core.register import Kernel
from unrolled.ops.diagonal.cpp import TYPES, ScanSizes, shared, walk, wrong_tensor
from unrolled.ops.minimal.reference import parts

__all__ = ["cpp_kernel"]

_TENSORS = ("gates", "h0", "lengths", "reset", "start_h")

Tensors = Sequence[Tensor | None]


def _refuses(
    gates: Tensor, h0: Tensor, lengths: Tensor | None, reset: Tensor | None, start_h: Tensor | None, lstm: bool, _: bool
) -> str | None:
    if gates.dtype not in TYPES:
        return f"gates is {gates.dtype}, it runs on float32 and float64"
    if gates.ndim != 3 or 0 in gates.shape or gates.shape[2] % parts(lstm):
        wanted = f"(batch, time, {parts(lstm)} hidden)"
        return f"gates has the shape {tuple(gates.shape)}, expected {wanted}, none of them 0"
    if reset is not None and start_h is None:
        return "reset is given without start_h, the state it returns to"
    batch, time, width = _sizes(gates, lstm)
    rows = 1 if start_h is not None and start_h.shape[:1] == (1,) else batch
    shapes = (tuple(gates.shape), (batch, width), (batch,), (batch, time), (rows, width))
    return native.reason() or wrong_tensor(_TENSORS, (gates, h0, lengths, reset, start_h), shapes, gates.dtype)


def _sizes(gates: Tensor, lstm: bool) -> ScanSizes:
    return ScanSizes(gates.shape[0], gates.shape[1], gates.shape[2] // parts(lstm))


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    gates, h0, lengths, reset, start_h, lstm, positive, _ = arguments
    y, h = gates.new_empty(_sizes(gates, lstm)), h0.new_empty(h0.shape)
    _run("diagonal_forward", (gates, h0, lengths, reset, start_h), (lstm, positive), y=y, h=h)
    return y, h, gates.new_empty(0)


def _backward(
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    gates, h0, *_, start_h = given
    assert gates is not None
    assert h0 is not None
    wanted = zip(_TENSORS, needs, (gates.shape, h0.shape, None, None, h0.shape), strict=True)
    found: dict[str, Tensor | None] = {
        f"grad_{name}": gates.new_empty(shape) for name, need, shape in wanted if need and shape is not None
    }
    _run("diagonal_backward", given, values, y=outputs[0], grad_y=grads[0], grad_h=grads[1], **found)
    found["grad_start_h"] = shared(found.get("grad_start_h"), start_h)
    return [found.get(f"grad_{name}") for name in _TENSORS]


def _run(function: str, given: Tensors, values: Sequence[Any], **others: Tensor | None) -> None:
    gates, (lstm, positive) = given[0], values
    assert gates is not None
    tensors = {**dict(zip(_TENSORS, given, strict=True)), **others}
    walk(function, _sizes(gates, lstm), gates.dtype, tensors, form=2 if lstm else 1, positive=int(positive))


cpp_kernel = Kernel("cpp", _refuses, _forward, _backward)
