"""The C++ kernel of the op `mlstm`."""

from __future__ import annotations

from unrolled.ops.mlstm.memory import memory_shape
from unrolled.ops.native.door import Walk, argument, walk_kernel

__all__ = ["cpp_kernel"]

_STATE = {"c": ("heads", "keys", "values"), "n": ("heads", "keys"), "m": ("heads",)}

cpp_kernel = walk_kernel(
    Walk(
        "mlstm",
        (
            argument("q: batch, time, heads, keys"),
            *(argument(f"{leaf}0: batch, {', '.join(dims)}") for leaf, dims in _STATE.items()),
            argument("k: batch, time, heads, keys"),
            argument("v: batch, time, heads, values"),
            argument("i: batch, time, heads"),
            argument("f: batch, time, heads"),
            argument("lengths: batch"),
            argument("reset: batch, time"),
            *(argument(f"start_{leaf}: rows, {', '.join(dims)}") for leaf, dims in _STATE.items()),
        ),
        outputs={
            "y": ("batch", "time", "heads", "values"),
            **{leaf: ("batch", *dims) for leaf, dims in _STATE.items()},
        },
        read=("y", "c", "n", "m"),
        memory=memory_shape,
        words=lambda chunk: {"chunk": chunk},
        least={"chunk": 1},
    )
)
