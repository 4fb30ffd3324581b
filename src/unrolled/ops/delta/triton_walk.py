"""The delta rule in Triton: one program walks one head of a row through time.

The head's memory stays in the program's registers. Only the states that enter a chunk are written down; on the way back
each chunk is walked once more from there, into memory that all chunks share.
"""

# The language of these programs has no types that mypy knows.
# mypy: ignore-errors
# Where a pointer may be absent, the program is compiled without what stands under `if ... is not None`.
# ruff: noqa: SIM102

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["backward_walk", "forward_walk"]


@triton.jit
def _load(place, keys, values, key, value):
    grid = (key[:, None] < keys) & (value[None, :] < values)
    return tl.load(place + key[:, None] * values + value[None, :], mask=grid, other=0.0)


@triton.jit
def _store(place, s, keys, values, key, value):
    grid = (key[:, None] < keys) & (value[None, :] < values)
    tl.store(place + key[:, None] * values + value[None, :], s, mask=grid)


@triton.jit
def _step(w, k, v, a, b, s, step, keys, values, key, value):
    """The state after a step, what stood at a, and the step's vectors: decay, k, v, a and b."""
    wide, at = key < keys, step * keys + key
    decay = tl.exp(tl.load(w + at, mask=wide, other=0.0))
    k_now, a_now = tl.load(k + at, mask=wide, other=0.0), tl.load(a + at, mask=wide, other=0.0)
    b_now = tl.load(b + at, mask=wide, other=0.0)
    v_now = tl.load(v + step * values + value, mask=value < values, other=0.0)
    found = tl.sum(a_now[:, None] * s, 0)
    new = decay[:, None] * s + b_now[:, None] * found[None, :] + k_now[:, None] * v_now[None, :]
    return new, found, decay, k_now, v_now, a_now, b_now


@triton.jit
def forward_walk(
    q, s0, w, k, v, a, b, lengths, reset, start, y, s_end, memory,
    time, heads, keys, values, many_starts, chunk, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """From the first step to the last."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    key, value = tl.arange(0, KEYS), tl.arange(0, VALUES)
    at, numbers = row * heads + head, keys * values
    s = _load(s0 + at * numbers, keys, values, key, value)
    length = time
    if lengths is not None:
        length = tl.load(lengths + row)
    if reset is not None:
        first = _load(start + (row * many_starts * heads + head) * numbers, keys, values, key, value)
    chunks = (time + chunk - 1) // chunk
    for t in range(time):
        if memory is not None:
            if t % chunk == 0:
                _store(memory + (at * chunks + t // chunk) * numbers, s, keys, values, key, value)
        step = (row * time + t) * heads + head
        out = tl.zeros((VALUES,), s.dtype)
        if t < length:
            if reset is not None:
                s = tl.where(tl.load(reset + row * time + t) != 0, first, s)
            s, _, _, _, _, _, _ = _step(w, k, v, a, b, s, step, keys, values, key, value)
            out = tl.sum(tl.load(q + step * keys + key, mask=key < keys, other=0.0)[:, None] * s, 0)
        tl.store(y + step * values + value, out, mask=value < values)
    _store(s_end + at * numbers, s, keys, values, key, value)


@triton.jit
def backward_walk(
    q, s0, w, k, v, a, b, lengths, reset, start, memory, grad_y, grad_s,
    grad_q, grad_s0, grad_w, grad_k, grad_v, grad_a, grad_b, grad_start, seen,
    time, heads, keys, values, many_starts, chunk, most, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """From the last chunk to the first; what is carried is the gradient of the state before the step."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    key, value = tl.arange(0, KEYS), tl.arange(0, VALUES)
    at, numbers = row * heads + head, keys * values
    ds = _load(grad_s + at * numbers, keys, values, key, value)
    length = time
    if lengths is not None:
        length = tl.load(lengths + row)
    if reset is not None:
        first = _load(start + (row * many_starts * heads + head) * numbers, keys, values, key, value)
        starts = tl.zeros_like(ds)
    chunks = (time + chunk - 1) // chunk
    for passed in range(chunks):
        number = chunks - 1 - passed
        s = _load(memory + (at * chunks + number) * numbers, keys, values, key, value)
        steps = tl.minimum(chunk, time - number * chunk)
        for inner in range(steps):
            t = number * chunk + inner
            if t < length:
                if reset is not None:
                    s = tl.where(tl.load(reset + row * time + t) != 0, first, s)
                _store(seen + (at * most + inner) * numbers, s, keys, values, key, value)
                step = (row * time + t) * heads + head
                s, _, _, _, _, _, _ = _step(w, k, v, a, b, s, step, keys, values, key, value)
        # What one thread has written here, others read below.
        tl.debug_barrier()
        for back in range(steps):
            inner = steps - 1 - back
            t = number * chunk + inner
            step = (row * time + t) * heads + head
            dq, dw, dk = tl.zeros((KEYS,), ds.dtype), tl.zeros((KEYS,), ds.dtype), tl.zeros((KEYS,), ds.dtype)
            da, db, dv = tl.zeros((KEYS,), ds.dtype), tl.zeros((KEYS,), ds.dtype), tl.zeros((VALUES,), ds.dtype)
            if t < length:
                old = _load(seen + (at * most + inner) * numbers, keys, values, key, value)
                s, found, decay, k_now, v_now, a_now, b_now = _step(w, k, v, a, b, old, step, keys, values, key, value)
                q_now = tl.load(q + step * keys + key, mask=key < keys, other=0.0)
                dy = tl.load(grad_y + step * values + value, mask=value < values, other=0.0)
                dq = tl.sum(s * dy[None, :], 1)
                ds += q_now[:, None] * dy[None, :]
                dk, dv = tl.sum(ds * v_now[None, :], 1), tl.sum(ds * k_now[:, None], 0)
                db, d_found = tl.sum(ds * found[None, :], 1), tl.sum(ds * b_now[:, None], 0)
                dw = decay * tl.sum(ds * old, 1)
                da = tl.sum(old * d_found[None, :], 1)
                ds = decay[:, None] * ds + a_now[:, None] * d_found[None, :]
                if reset is not None:
                    again = tl.load(reset + row * time + t) != 0
                    starts += tl.where(again, ds, 0.0)
                    ds = tl.where(again, 0.0, ds)
            wide, place = key < keys, step * keys + key
            tl.store(grad_q + place, dq, mask=wide)
            tl.store(grad_w + place, dw, mask=wide)
            tl.store(grad_k + place, dk, mask=wide)
            tl.store(grad_a + place, da, mask=wide)
            tl.store(grad_b + place, db, mask=wide)
            tl.store(grad_v + step * values + value, dv, mask=value < values)
        tl.debug_barrier()
    _store(grad_s0 + at * numbers, ds, keys, values, key, value)
    if reset is not None:
        _store(grad_start + at * numbers, starts, keys, values, key, value)
