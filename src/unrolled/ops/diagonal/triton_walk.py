"""The diagonal recurrence in Triton: one program walks a row's time for some of its channels."""

# The language of these programs has no types that mypy knows.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["backward_walk", "forward_walk"]


@triton.jit
def forward_walk(decay, drive, h0, lengths, reset, start, y, h, time, width, start_stride, LANES: tl.constexpr):
    """h = decay * h + drive, from the first step to the last."""
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * LANES + tl.arange(0, LANES)
    inside = channel < width
    state = tl.load(h0 + row * width + channel, mask=inside, other=0.0)
    length = time
    if lengths is not None:
        length = tl.load(lengths + row)
    first = state
    if start is not None:
        first = tl.load(start + row * start_stride + channel, mask=inside, other=0.0)
    for t in range(time):
        at = (row * time + t) * width + channel
        valid = t < length
        if reset is not None:
            state = tl.where(tl.load(reset + row * time + t) != 0, first, state)
        new = tl.load(decay + at, mask=inside, other=0.0) * state + tl.load(drive + at, mask=inside, other=0.0)
        tl.store(y + at, tl.where(valid, new, 0.0), mask=inside)
        state = tl.where(valid, new, state)
    tl.store(h + row * width + channel, state, mask=inside)


@triton.jit
def backward_walk(
    decay, drive, h0, lengths, reset, start, y, grad_y, grad_h,
    grad_decay, grad_drive, grad_h0, grad_start, time, width, start_stride, LANES: tl.constexpr,
):  # fmt: skip
    """From the last step to the first; what is carried is the gradient of the state before the step."""
    row = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * LANES + tl.arange(0, LANES)
    inside = channel < width
    carried = tl.load(grad_h + row * width + channel, mask=inside, other=0.0)
    initial = tl.load(h0 + row * width + channel, mask=inside, other=0.0)
    length = time
    if lengths is not None:
        length = tl.load(lengths + row)
    first, starts = initial, tl.zeros_like(initial)
    if start is not None:
        first = tl.load(start + row * start_stride + channel, mask=inside, other=0.0)
    for step in range(time):
        t = time - 1 - step
        at = (row * time + t) * width + channel
        valid = t < length
        grad = carried + tl.load(grad_y + at, mask=inside, other=0.0)
        later = at >= (row * time + 1) * width
        before = tl.where(later, tl.load(y + at - width, mask=inside & later, other=0.0), initial)
        again = False
        if reset is not None:
            again = tl.load(reset + row * time + t) != 0
            before = tl.where(again, first, before)
        tl.store(grad_drive + at, tl.where(valid, grad, 0.0), mask=inside)
        tl.store(grad_decay + at, tl.where(valid, grad * before, 0.0), mask=inside)
        carried = tl.where(valid, grad * tl.load(decay + at, mask=inside, other=0.0), carried)
        if reset is not None:
            starts += tl.where(again, carried, 0.0)
            carried = tl.where(again, 0.0, carried)
    tl.store(grad_h0 + row * width + channel, carried, mask=inside)
    if grad_start is not None:
        tl.store(grad_start + row * width + channel, starts, mask=inside)
