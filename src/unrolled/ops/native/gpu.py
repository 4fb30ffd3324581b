"""Where the Triton kernels run, and what they refuse: every tensor is looked at before its address leaves Python.

With TRITON_INTERPRET=1 in the environment, Triton runs its programs step by step in numpy, on the CPU too: slow, and
the way to prove them where there is no GPU.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

__all__ = ["block", "contiguous", "objection"]

FLOATS = (torch.float32, torch.float64)
TYPES = {"lengths": torch.int64, "reset": torch.bool}


def objection(given: Mapping[str, Tensor | None], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Why a Triton kernel cannot run these tensors, in words, or None. shapes: what each must have.

    The first tensor says the dtype and the device of all.
    """
    name, first = next((name, tensor) for name, tensor in given.items() if tensor is not None)
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if not first.is_cuda and not (interpreted and first.device.type == "cpu"):
        return f"{name} is on {first.device}, it runs on a GPU"
    if not _installed():
        return "triton is not installed"
    if first.dtype not in FLOATS:
        return f"{name} is {first.dtype}, it runs on float32 and float64"
    for name, tensor in given.items():
        if tensor is None:
            continue
        dtype = TYPES.get(name, first.dtype)
        if tensor.device != first.device:
            return f"{name} is on {tensor.device}, expected {first.device}"
        if tensor.dtype != dtype:
            return f"{name} is {tensor.dtype}, expected {dtype}"
        if tuple(tensor.shape) != shapes[name] or 0 in tensor.shape:
            return f"{name} has the shape {tuple(tensor.shape)}, expected {shapes[name]}, none of them 0"
    return None


def contiguous(tensors: Sequence[Tensor | None]) -> list[Any]:
    """The tensors as a kernel reads them; what is None stays None."""
    return [None if tensor is None else tensor.contiguous() for tensor in tensors]


def block(width: int, least: int = 1) -> int:
    """The power of two that holds `width` lanes, and at least `least`."""
    return max(least, 1 << (width - 1).bit_length())


@cache
def _installed() -> bool:
    return find_spec("triton") is not None
