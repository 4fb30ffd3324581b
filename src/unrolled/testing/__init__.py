"""The laws that every layer, kernel, alignment, head and field keeps, as checks for anybody's own.

`check_recurrent(make)` proves a layer, `check_kernel(op)` the kernels of an op, `check_alignment(make, batch)` a module
with a loss, `check_head(make, values)` a head, `check_field(field)` a field; each law of a layer is a function of its
own.
A broken law raises `LawBroken`, whose message names it.
"""

from unrolled.testing.alignments import ALIGNMENT_LAWS, check_alignment
from unrolled.testing.fields import FIELD_LAWS, check_field
from unrolled.testing.graphs import check_compile, check_export
from unrolled.testing.heads import HEAD_LAWS, check_head
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
    "ALIGNMENT_LAWS",
    "FIELD_LAWS",
    "HEAD_LAWS",
    "LAWS",
    "LawBroken",
    "check_alignment",
    "check_batch",
    "check_bytes",
    "check_chunk",
    "check_compile",
    "check_copy",
    "check_export",
    "check_field",
    "check_gradient",
    "check_head",
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
