"""The C++ kernel of the op `minimal`: the gates are made inside the walk of op `diagonal`."""

from __future__ import annotations

from unrolled.ops.diagonal.memory import memory_shape
from unrolled.ops.minimal.reference import parts
from unrolled.ops.native.door import Walk, argument, walk_kernel

__all__ = ["cpp_kernel"]


def _words(lstm: bool, positive: bool) -> dict[str, int]:
    return {"parts": parts(lstm), "form": 2 if lstm else 1, "positive": int(positive)}


cpp_kernel = walk_kernel(
    Walk(
        "diagonal",
        (
            argument("gates: batch, time, parts width"),
            argument("h0: batch, width"),
            argument("lengths: batch"),
            argument("reset: batch, time"),
            argument("start_h: rows, width"),
        ),
        outputs={"y": ("batch", "time", "width"), "h": ("batch", "width")},
        read=("y",),
        memory=memory_shape,
        words=_words,
        constants=("parts",),
    )
)
