"""The C++ kernel of the op `slstm`."""

from __future__ import annotations

from unrolled.ops.native.door import Walk, argument, walk_kernel
from unrolled.ops.slstm.memory import memory_shape

__all__ = ["cpp_kernel"]

_STATE = ("batch", "heads width")

cpp_kernel = walk_kernel(
    Walk(
        "slstm",
        (
            argument("gates: batch, time, 4 heads width"),
            *(argument(f"{leaf}0: batch, heads width") for leaf in "hcnm"),
            argument("weight_h: heads, 4 width, width"),
            argument("lengths: batch"),
            argument("reset: batch, time"),
            *(argument(f"start_{leaf}: rows, heads width") for leaf in "hcnm"),
        ),
        outputs={"y": ("batch", "time", "heads width"), "h": _STATE, "c": _STATE, "n": _STATE, "m": _STATE},
        read=("y",),
        memory=memory_shape,
        words=lambda exponential: {"exponential": int(exponential)},
    )
)
