"""The C++ kernel of the op `slstm`.

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

TYPES = {torch.float32: 0, torch.float64: 1}
STATE = ("h0", "c0", "n0", "m0")
STARTS = ("start_h", "start_c", "start_n", "start_m")
TENSORS = ("gates", *STATE, "weight_h", "lengths", "reset", *STARTS)

Tensors = Sequence[Tensor | None]


def cpp_kernel(memory: Callable[..., tuple[int, ...]]) -> Kernel:
    """The kernel "cpp"; memory(*arguments): the shape of what the forward pass leaves."""

    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        *plain, save = arguments
        gates, h0 = plain[:2]
        results = [gates.new_empty((*gates.shape[:2], h0.shape[1])), *(h0.new_empty(h0.shape) for _ in STATE)]
        left = gates.new_empty(memory(*plain) if save else (0,))
        outputs = dict(zip(("y", "h", "c", "n", "m"), results, strict=True))
        _run("slstm_forward", plain[:-1], exponential=plain[-1], **outputs, **({"memory": left} if save else {}))
        return (*results, left)

    return Kernel("cpp", _refuses, forward, _backward)


def _refuses(*arguments: Any) -> str | None:
    *given, _ = arguments
    gates, h0, weight_h, reset = given[0], given[1], given[5], given[7]
    if gates.dtype not in TYPES:
        return f"gates is {gates.dtype}, it runs on float32 and float64"
    if gates.ndim != 3 or 0 in gates.shape:
        return f"gates has the shape {tuple(gates.shape)}, expected (batch, time, 4 * hidden), none of them 0"
    if weight_h.ndim != 3 or 0 in weight_h.shape or weight_h.shape[1] != 4 * weight_h.shape[2]:
        return f"weight_h has the shape {tuple(weight_h.shape)}, expected (heads, 4 * width, width), none of them 0"
    if h0.ndim != 2:
        return f"h0 has the shape {tuple(h0.shape)}, expected (batch, hidden)"
    if reset is not None and None in given[8:]:
        return "reset is given without the whole start, the state it returns to"
    return native.reason() or _wrong_tensor(given)


def _wrong_tensor(given: Tensors) -> str | None:
    """Which tensor does not fit the gates and the weight, and why."""
    gates, weight_h, start_h = given[0], given[5], given[8]
    assert gates is not None
    assert weight_h is not None
    batch, time, _ = gates.shape
    hidden = weight_h.shape[0] * weight_h.shape[2]
    rows = 1 if start_h is not None and start_h.shape[:1] == (1,) else batch
    state, start = [(batch, hidden)] * 4, [(rows, hidden)] * 4
    shapes = ((batch, time, 4 * hidden), *state, tuple(weight_h.shape), (batch,), (batch, time), *start)
    dtypes = (*[gates.dtype] * 6, torch.int64, torch.bool, *[gates.dtype] * 4)
    for name, tensor, shape, dtype in zip(TENSORS, given, shapes, dtypes, strict=True):
        if tensor is None:
            continue
        if tensor.device.type != "cpu":
            return f"{name} is on {tensor.device}, it runs on the CPU"
        if tensor.dtype != dtype:
            return f"{name} is {tensor.dtype}, expected {dtype}"
        if tuple(tensor.shape) != shape:
            return f"{name} has the shape {tuple(tensor.shape)}, expected {shape}"
    return None


def _backward(
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    h0 = given[1]
    assert h0 is not None
    wanted = {name for name, need in zip(TENSORS, needs, strict=True) if need}
    found = {}
    for name, tensor in zip(TENSORS, given, strict=True):
        if name in wanted and tensor is not None:
            # Each row has its own share of the start's gradient, so that rows can be walked at once.
            found[f"grad_{name}"] = tensor.new_empty(h0.shape if name in STARTS else tensor.shape)
    incoming = dict(zip(("grad_y", "grad_h", "grad_c", "grad_n", "grad_m"), grads, strict=True))
    _run("slstm_backward", given, exponential=values[0], y=outputs[0], memory=memory, **incoming, **found)
    for name, tensor in zip(STARTS, given[8:], strict=True):
        if f"grad_{name}" in found and tensor is not None and tensor.shape[0] == 1:
            found[f"grad_{name}"] = found[f"grad_{name}"].sum(0, keepdim=True)
    return [found.get(f"grad_{name}") for name in TENSORS]


def _run(function: str, given: Tensors, *, exponential: bool, **others: Tensor | None) -> None:
    """Call the compiled function on the op's tensors and on others by field name."""
    tensors = {**dict(zip(TENSORS, given, strict=True)), **others}
    # Held until the call is over: a strided tensor is read through its copy.
    dense = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    batch, time, _ = dense["gates"].shape
    heads, _, width = dense["weight_h"].shape
    fields = {name: tensor.data_ptr() for name, tensor in dense.items()}
    fields |= {"type": TYPES[dense["gates"].dtype], "threads": native.threads(), "exponential": int(exponential)}
    fields |= {"batch": batch, "time": time, "heads": heads, "width": width}
    fields["start_rows"] = dense["start_h"].shape[0] if "start_h" in dense else 0
    module = native.compiled()
    getattr(module, function)([fields.get(name, 0) for name in module.SLSTM_FIELDS])
