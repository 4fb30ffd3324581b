"""The C++ kernel of the op `lstm`."""

from __future__ import annotations

from collections.abc import Callable

from unrolled.ops.core.register import Kernel
from unrolled.ops.native.gated import gated_kernel

__all__ = ["cpp_kernel"]


def cpp_kernel(tensors: tuple[str, ...], memory: Callable[..., tuple[int, ...]]) -> Kernel:
    """The kernel "cpp". tensors: the op's argument names; memory: the shape of its memory."""
    return gated_kernel(
        tensors,
        cell=lambda coupled, *_: "lstm coupled" if coupled else "lstm",
        memory=memory,
        rates=lambda _, rate_h, rate_c, __: (rate_h, rate_c),
    )
