"""The C++ kernel of the op `delta`."""

from __future__ import annotations

from unrolled.ops.delta.memory import memory_shape
from unrolled.ops.native.door import Walk, argument, walk_kernel

__all__ = ["cpp_kernel"]

cpp_kernel = walk_kernel(
    Walk(
        "delta",
        (
            argument("q: batch, time, heads, keys"),
            argument("s0: batch, heads, keys, values"),
            argument("w: batch, time, heads, keys"),
            argument("k: batch, time, heads, keys"),
            argument("v: batch, time, heads, values"),
            argument("a: batch, time, heads, keys"),
            argument("b: batch, time, heads, keys"),
            argument("lengths: batch"),
            argument("reset: batch, time"),
            argument("start_s: rows, heads, keys, values"),
        ),
        outputs={"y": ("batch", "time", "heads", "values"), "s": ("batch", "heads", "keys", "values")},
        read=(),
        memory=memory_shape,
        words=lambda chunk: {"chunk": chunk},
        least={"chunk": 1},
    )
)
