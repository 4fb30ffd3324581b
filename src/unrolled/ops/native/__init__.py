"""Compiled kernels: loading them, one door to C++, cuDNN, and what runs on a GPU."""

from unrolled.ops.native.loading import (
    VARIABLE,
    WORDS,
    available,
    compiled,
    level,
    levels,
    memory,
    reason,
    threads,
    use_level,
)

__all__ = ["VARIABLE", "WORDS", "available", "compiled", "level", "levels", "memory", "reason", "threads", "use_level"]
