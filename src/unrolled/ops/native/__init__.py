"""Compiled kernels: loading them, one door to C++, cuDNN, and what runs on a GPU."""

from unrolled.ops.native.loading import available, compiled, level, levels, reason, threads, use_level

__all__ = ["available", "compiled", "level", "levels", "reason", "threads", "use_level"]
