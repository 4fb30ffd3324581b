"""The laws that every recurrent layer and every kernel keeps, as checks for anybody's own layer or kernel.

`check_recurrent(make)` proves a layer, `check_kernel(op)` the kernels of an op; each law is a function of its own.
A broken law raises `LawBroken`, whose message names it.
"""

from unrolled.testing.graphs import check_compile, check_export
from unrolled.testing.kernels import check_kernel
from unrolled.testing.laws import check_batch, check_chunk, check_gradient, check_padding, check_reset
from unrolled.testing.promises import (
    check_bytes,
    check_copy,
    check_parallel,
    check_pure,
    check_rows,
    check_save,
    check_state,
    check_stream,
)
from unrolled.testing.proof import LawBroken
from unrolled.testing.suite import LAWS, check_recurrent

__all__ = [
    "LAWS",
    "LawBroken",
    "check_batch",
    "check_bytes",
    "check_chunk",
    "check_compile",
    "check_copy",
    "check_export",
    "check_gradient",
    "check_kernel",
    "check_padding",
    "check_parallel",
    "check_pure",
    "check_recurrent",
    "check_reset",
    "check_rows",
    "check_save",
    "check_state",
    "check_stream",
]
