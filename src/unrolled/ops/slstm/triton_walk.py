"""The scalar long short-term memory in Triton: one program walks some rows of one head through time."""

# The language of these programs has no types that mypy knows.
# mypy: ignore-errors

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["backward_walk", "forward_walk"]


@triton.jit
def _sigmoid(x):
    small = tl.exp(-tl.abs(x))
    return tl.where(x >= 0, 1.0, small) / (1.0 + small)


@triton.jit
def _log_sigmoid(x):
    return tl.minimum(x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(x)))


@triton.jit
def _tanh(x):
    small = tl.exp(-2.0 * tl.abs(x))
    size = (1.0 - small) / (1.0 + small)
    return tl.where(x >= 0, size, -size)


@triton.jit
def _matrix(weight, gate, head, width, unit, source, TRANSPOSED: tl.constexpr):
    """One gate's weights of a head: (source, unit), or with TRANSPOSED (unit, source)."""
    start = weight + ((head * 4 + gate) * width).to(tl.int64) * width
    if TRANSPOSED:
        at, inside = unit[:, None] * width + source[None, :], (unit[:, None] < width) & (source[None, :] < width)
    else:
        at, inside = unit[None, :] * width + source[:, None], (unit[None, :] < width) & (source[:, None] < width)
    return tl.load(start + at, mask=inside, other=0.0)


@triton.jit
def _seen(h, weight, gate, head, width, unit):
    """What a gate gets from the h of its head."""
    return tl.dot(h, _matrix(weight, gate, head, width, unit, unit, False), input_precision="ieee", out_dtype=h.dtype)


@triton.jit
def _reached(grad, weight, gate, head, width, unit):
    """What reaches h from a gate."""
    return tl.dot(
        grad, _matrix(weight, gate, head, width, unit, unit, True), input_precision="ieee", out_dtype=grad.dtype
    )


@triton.jit
def forward_walk(
    gates, h0, c0, n0, m0, weight, lengths, reset, start_h, start_c, start_n, start_m,
    y, h_end, c_end, n_end, m_end, memory, time, rows, heads, width, start_stride,
    ROWS: tl.constexpr, UNITS: tl.constexpr, EXPONENTIAL: tl.constexpr,
):  # fmt: skip
    """From the first step to the last; the state of all rows stays in the program."""
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    head = tl.program_id(1)
    unit = tl.arange(0, UNITS)
    hidden = heads * width
    inside = (row[:, None] < rows) & (unit[None, :] < width)
    at = row[:, None] * hidden + head * width + unit[None, :]
    h = tl.load(h0 + at, mask=inside, other=0.0)
    c = tl.load(c0 + at, mask=inside, other=0.0)
    n = tl.load(n0 + at, mask=inside, other=1.0)
    m = tl.load(m0 + at, mask=inside, other=0.0)
    length = tl.zeros_like(row) + time
    if lengths is not None:
        length = tl.load(lengths + row, mask=row < rows, other=0)
    if reset is not None:
        from_start = row[:, None] * start_stride + head * width + unit[None, :]
        first_h = tl.load(start_h + from_start, mask=inside, other=0.0)
        first_c = tl.load(start_c + from_start, mask=inside, other=0.0)
        first_n = tl.load(start_n + from_start, mask=inside, other=1.0)
        first_m = tl.load(start_m + from_start, mask=inside, other=0.0)
    for t in range(time):
        if reset is not None:
            again = tl.load(reset + row * time + t, mask=row < rows, other=0)[:, None] != 0
            h, c = tl.where(again, first_h, h), tl.where(again, first_c, c)
            n, m = tl.where(again, first_n, n), tl.where(again, first_m, m)
        step = row[:, None] * time + t
        place = gates + step * 4 * hidden + head * width + unit[None, :]
        i = tl.load(place, mask=inside, other=0.0) + _seen(h, weight, 0, head, width, unit)
        f = tl.load(place + hidden, mask=inside, other=0.0) + _seen(h, weight, 1, head, width, unit)
        z = tl.load(place + 2 * hidden, mask=inside, other=0.0) + _seen(h, weight, 2, head, width, unit)
        o = tl.load(place + 3 * hidden, mask=inside, other=0.0) + _seen(h, weight, 3, head, width, unit)
        kept = m + (f if EXPONENTIAL else _log_sigmoid(f))
        fresh = n == 0
        new_m = tl.where(fresh, i, tl.maximum(kept, i))
        forget, write = tl.exp(tl.where(fresh, 0.0, kept - new_m)), tl.exp(i - new_m)
        new_c = forget * c + write * _tanh(z)
        new_n = forget * n + write
        new_h = _sigmoid(o) * new_c / new_n
        valid = inside & (t < length)[:, None]
        tl.store(y + step * hidden + head * width + unit[None, :], tl.where(valid, new_h, 0.0), mask=inside)
        if memory is not None:
            left = memory + step * 7 * hidden + head * width + unit[None, :]
            tl.store(left, i, mask=inside)
            tl.store(left + hidden, f, mask=inside)
            tl.store(left + 2 * hidden, z, mask=inside)
            tl.store(left + 3 * hidden, o, mask=inside)
            tl.store(left + 4 * hidden, new_c, mask=inside)
            tl.store(left + 5 * hidden, new_n, mask=inside)
            tl.store(left + 6 * hidden, new_m, mask=inside)
        h, c = tl.where(valid, new_h, h), tl.where(valid, new_c, c)
        n, m = tl.where(valid, new_n, n), tl.where(valid, new_m, m)
    tl.store(h_end + at, h, mask=inside)
    tl.store(c_end + at, c, mask=inside)
    tl.store(n_end + at, n, mask=inside)
    tl.store(m_end + at, m, mask=inside)


@triton.jit
def backward_walk(
    gates, h0, c0, n0, m0, weight, lengths, reset, start_h, start_c, start_n, start_m, y, memory,
    grad_y, grad_h, grad_c, grad_n, grad_m,
    grad_gates, grad_h0, grad_c0, grad_n0, grad_m0, grad_start_h, grad_start_c, grad_start_n, grad_start_m,
    time, rows, heads, width, start_stride, ROWS: tl.constexpr, UNITS: tl.constexpr, EXPONENTIAL: tl.constexpr,
):  # fmt: skip
    """From the last step to the first; what is carried are the gradients of the state before the step."""
    row = (tl.program_id(0) * ROWS + tl.arange(0, ROWS)).to(tl.int64)
    head = tl.program_id(1)
    unit = tl.arange(0, UNITS)
    hidden = heads * width
    inside = (row[:, None] < rows) & (unit[None, :] < width)
    at = row[:, None] * hidden + head * width + unit[None, :]
    dh = tl.load(grad_h + at, mask=inside, other=0.0)
    dc = tl.load(grad_c + at, mask=inside, other=0.0)
    dn = tl.load(grad_n + at, mask=inside, other=0.0)
    dm = tl.load(grad_m + at, mask=inside, other=0.0)
    c_first = tl.load(c0 + at, mask=inside, other=0.0)
    n_first = tl.load(n0 + at, mask=inside, other=1.0)
    m_first = tl.load(m0 + at, mask=inside, other=0.0)
    length = tl.zeros_like(row) + time
    if lengths is not None:
        length = tl.load(lengths + row, mask=row < rows, other=0)
    if reset is not None:
        from_start = row[:, None] * start_stride + head * width + unit[None, :]
        first_c = tl.load(start_c + from_start, mask=inside, other=0.0)
        first_n = tl.load(start_n + from_start, mask=inside, other=1.0)
        first_m = tl.load(start_m + from_start, mask=inside, other=0.0)
        starts_h, starts_c = tl.zeros_like(dh), tl.zeros_like(dh)
        starts_n, starts_m = tl.zeros_like(dh), tl.zeros_like(dh)
    for back in range(time):
        t = time - 1 - back
        step = row[:, None] * time + t
        valid = inside & (t < length)[:, None]
        left = memory + step * 7 * hidden + head * width + unit[None, :]
        i = tl.load(left, mask=valid, other=0.0)
        f = tl.load(left + hidden, mask=valid, other=0.0)
        z = _tanh(tl.load(left + 2 * hidden, mask=valid, other=0.0))
        o = _sigmoid(tl.load(left + 3 * hidden, mask=valid, other=0.0))
        c = tl.load(left + 4 * hidden, mask=valid, other=0.0)
        n = tl.load(left + 5 * hidden, mask=valid, other=1.0)
        m = tl.load(left + 6 * hidden, mask=valid, other=0.0)
        # The state that the step saw: what the step before it left, or what it began with.
        later = valid & (step > row[:, None] * time)
        c_old = tl.where(later, tl.load(left - 3 * hidden, mask=later, other=0.0), c_first)
        n_old = tl.where(later, tl.load(left - 2 * hidden, mask=later, other=0.0), n_first)
        m_old = tl.where(later, tl.load(left - hidden, mask=later, other=0.0), m_first)
        if reset is not None:
            again = tl.load(reset + row * time + t, mask=row < rows, other=0)[:, None] != 0
            c_old, n_old = tl.where(again, first_c, c_old), tl.where(again, first_n, n_old)
            m_old = tl.where(again, first_m, m_old)
        kept = m_old + (f if EXPONENTIAL else _log_sigmoid(f))
        fresh = n_old == 0
        forget, write = tl.exp(tl.where(fresh, 0.0, kept - m)), tl.exp(i - m)
        dy = dh + tl.load(grad_y + step * hidden + head * width + unit[None, :], mask=valid, other=0.0)
        ratio = c / n
        all_c, all_n = dc + dy * o / n, dn - dy * o * ratio / n
        d_write = (all_c * z + all_n) * write
        d_forget = tl.where(fresh, 0.0, (all_c * c_old + all_n * n_old) * forget)
        d_m = dm - d_write - d_forget
        # The larger of the two sets m; where they are equal, each takes half.
        share = tl.where(fresh, 1.0, tl.where(i > kept, 1.0, tl.where(i == kept, 0.5, 0.0)))
        d_kept = d_forget + (1.0 - share) * d_m
        d_i = tl.where(valid, d_write + share * d_m, 0.0)
        d_f = tl.where(valid, d_kept if EXPONENTIAL else d_kept * _sigmoid(-f), 0.0)
        d_z = tl.where(valid, all_c * write * (1.0 - z * z), 0.0)
        d_o = tl.where(valid, dy * ratio * o * (1.0 - o), 0.0)
        place = grad_gates + step * 4 * hidden + head * width + unit[None, :]
        tl.store(place, d_i, mask=inside)
        tl.store(place + hidden, d_f, mask=inside)
        tl.store(place + 2 * hidden, d_z, mask=inside)
        tl.store(place + 3 * hidden, d_o, mask=inside)
        new_h = _reached(d_i, weight, 0, head, width, unit) + _reached(d_f, weight, 1, head, width, unit)
        new_h += _reached(d_z, weight, 2, head, width, unit) + _reached(d_o, weight, 3, head, width, unit)
        dh, dc = tl.where(valid, new_h, dh), tl.where(valid, all_c * forget, dc)
        dn, dm = tl.where(valid, all_n * forget, dn), tl.where(valid, d_kept, dm)
        if reset is not None:
            starts_h, starts_c = starts_h + tl.where(again, dh, 0.0), starts_c + tl.where(again, dc, 0.0)
            starts_n, starts_m = starts_n + tl.where(again, dn, 0.0), starts_m + tl.where(again, dm, 0.0)
            dh, dc = tl.where(again, 0.0, dh), tl.where(again, 0.0, dc)
            dn, dm = tl.where(again, 0.0, dn), tl.where(again, 0.0, dm)
    tl.store(grad_h0 + at, dh, mask=inside)
    tl.store(grad_c0 + at, dc, mask=inside)
    tl.store(grad_n0 + at, dn, mask=inside)
    tl.store(grad_m0 + at, dm, mask=inside)
    if reset is not None:
        tl.store(grad_start_h + at, starts_h, mask=inside)
        tl.store(grad_start_c + at, starts_c, mask=inside)
        tl.store(grad_start_n + at, starts_n, mask=inside)
        tl.store(grad_start_m + at, starts_m, mask=inside)
