"""The C++ kernel of the op `diagonal`."""

from __future__ import annotations

from unrolled.ops.diagonal.memory import memory_shape
from unrolled.ops.native.door import Walk, argument, walk_kernel

__all__ = ["cpp_kernel"]

cpp_kernel = walk_kernel(
    Walk(
        "diagonal",
        (
            argument("decay: batch, time, width"),
            argument("drive: batch, time, width"),
            argument("h0: batch, width"),
            argument("lengths: batch"),
            argument("reset: batch, time"),
            argument("start_h: rows, width"),
        ),
        outputs={"y": ("batch", "time", "width"), "h": ("batch", "width")},
        read=("y",),
        memory=memory_shape,
    )
)
