"""The C++ kernel of the op `rotation`, a form of the walk of op `diagonal`."""

from __future__ import annotations

from unrolled.ops.diagonal.memory import memory_shape
from unrolled.ops.native.door import Walk, argument, walk_kernel

__all__ = ["cpp_kernel"]

cpp_kernel = walk_kernel(
    Walk(
        "diagonal",
        (
            argument("drive: batch, time, 2 width"),
            argument("h0: batch, 2 width"),
            argument("decay: 2 width", by_row=True),
            argument("lengths: batch"),
            argument("reset: batch, time"),
            argument("start_h: rows, 2 width"),
        ),
        outputs={"y": ("batch", "time", "2 width"), "h": ("batch", "2 width")},
        read=("y",),
        memory=memory_shape,
        words=lambda: {"form": 3},
    )
)
