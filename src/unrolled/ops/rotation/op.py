"""The op `rotation`: h' = decay * h + drive in complex numbers, with one decay for all rows and times.

Complex numbers stand as two real halves of the last dimension, real parts first: drive and y (batch, time, 2 width),
h0 and h (batch, 2 width), decay (2 width,), start_h (1 or batch, 2 width); lengths (batch,) int64, reset (batch, time)
bool and False in the padding. It is the complex form of op `diagonal`: a decay that does not change is never laid out
over time, neither itself nor its gradient. Source: Orvieto et al. 2023, arXiv:2303.06349, eq. 1 with a diagonal A.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from unrolled.ops.core.register import reference_kernel, register
from unrolled.ops.core.scan import scan
from unrolled.ops.diagonal.memory import memory_shape
from unrolled.ops.rotation.cpp import cpp_kernel
from unrolled.ops.rotation.reference import RotationOperands, rotation_step
from unrolled.state import HState

__all__ = ["OP"]


def _forward(
    drive: Tensor, h0: Tensor, decay: Tensor, lengths: Tensor | None, reset: Tensor | None, start_h: Tensor | None
) -> tuple[Tensor, Tensor]:
    start = None if start_h is None else HState(start_h)
    step = partial(rotation_step, decay=decay)
    y, final = scan(step, RotationOperands(drive), HState(h0), lengths=lengths, reset=reset, start=start)
    return y, final.h


def _shapes(drive: Tensor, h0: Tensor, *_: object) -> tuple[Tensor, Tensor]:
    return drive.new_empty(drive.shape), h0.new_empty(h0.shape)


OP = register(
    "rotation",
    tensors=("drive", "h0", "decay", "lengths?", "reset?", "start_h?"),
    outputs=2,
    shapes=_shapes,
    memory=memory_shape,
    kernels=(cpp_kernel, reference_kernel(_forward, memory_shape)),
)
