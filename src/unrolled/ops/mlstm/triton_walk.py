"""The matrix long short-term memory in Triton: one program walks one head of a row through time.

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
def _log_sigmoid(x):
    return tl.minimum(x, 0.0) - tl.log(1.0 + tl.exp(-tl.abs(x)))


@triton.jit
def _load_state(place, keys, values, key, value):
    """c, n and m as they stand one after another."""
    grid = (key[:, None] < keys) & (value[None, :] < values)
    c = tl.load(place + key[:, None] * values + value[None, :], mask=grid, other=0.0)
    n = tl.load(place + keys * values + key, mask=key < keys, other=0.0)
    return c, n, tl.load(place + keys * values + keys)


@triton.jit
def _store_state(place, c, n, m, keys, values, key, value):
    grid = (key[:, None] < keys) & (value[None, :] < values)
    tl.store(place + key[:, None] * values + value[None, :], c, mask=grid)
    tl.store(place + keys * values + key, n, mask=key < keys)
    tl.store(place + keys * values + keys, m)


@triton.jit
def _load_leaves(c, n, m, at, keys, values, key, value):
    """The state of a row's head out of its three leaves."""
    grid = (key[:, None] < keys) & (value[None, :] < values)
    memory = tl.load(c + at * keys * values + key[:, None] * values + value[None, :], mask=grid, other=0.0)
    return memory, tl.load(n + at * keys + key, mask=key < keys, other=0.0), tl.load(m + at)


@triton.jit
def _store_leaves(c, n, m, at, memory, norm, size, keys, values, key, value):
    grid = (key[:, None] < keys) & (value[None, :] < values)
    tl.store(c + at * keys * values + key[:, None] * values + value[None, :], memory, mask=grid)
    tl.store(n + at * keys + key, norm, mask=key < keys)
    tl.store(m + at, size)


@triton.jit
def _step(k, v, i, f, c, n, m, step, keys, values, key, value):
    """The state after a step, and what the step made of its gates: forget, write, kept, and k and v as read."""
    k_now = tl.load(k + step * keys + key, mask=key < keys, other=0.0)
    v_now = tl.load(v + step * values + value, mask=value < values, other=0.0)
    enter = tl.load(i + step)
    kept = _log_sigmoid(tl.load(f + step)) + m
    new_m = tl.maximum(kept, enter)
    forget, write = tl.exp(kept - new_m), tl.exp(enter - new_m)
    # In two steps: a square root of an integer would be taken in float32.
    scaled = k_now * write * (1.0 / tl.sqrt(keys * tl.full((), 1.0, k_now.dtype)))
    new_c = forget * c + scaled[:, None] * v_now[None, :]
    return new_c, forget * n + scaled, new_m, forget, write, kept, scaled, v_now


@triton.jit
def forward_walk(
    q, c0, n0, m0, k, v, i, f, lengths, reset, start_c, start_n, start_m, y, c_end, n_end, m_end, memory,
    time, heads, keys, values, many_starts, chunk, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """From the first step to the last."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    key, value = tl.arange(0, KEYS), tl.arange(0, VALUES)
    at = row * heads + head
    c, n, m = _load_leaves(c0, n0, m0, at, keys, values, key, value)
    length = time
    if lengths is not None:
        length = tl.load(lengths + row)
    if reset is not None:
        from_start = row * many_starts * heads + head
        first_c, first_n, first_m = _load_leaves(start_c, start_n, start_m, from_start, keys, values, key, value)
    chunks = (time + chunk - 1) // chunk
    for t in range(time):
        if memory is not None:
            if t % chunk == 0:
                place = memory + (at * chunks + t // chunk) * (keys * values + keys + 1)
                _store_state(place, c, n, m, keys, values, key, value)
        step = (row * time + t) * heads + head
        if t < length:
            if reset is not None:
                again = tl.load(reset + row * time + t) != 0
                c, n, m = tl.where(again, first_c, c), tl.where(again, first_n, n), tl.where(again, first_m, m)
            c, n, m, _, _, _, _, _ = _step(k, v, i, f, c, n, m, step, keys, values, key, value)
            q_now = tl.load(q + step * keys + key, mask=key < keys, other=0.0)
            size = tl.maximum(tl.abs(tl.sum(q_now * n, 0)), tl.exp(-m))
            out = tl.sum(q_now[:, None] * c, 0) / size
            tl.store(y + step * values + value, out, mask=value < values)
        else:
            tl.store(y + step * values + value, tl.zeros((VALUES,), c.dtype), mask=value < values)
    _store_leaves(c_end, n_end, m_end, at, c, n, m, keys, values, key, value)


@triton.jit
def backward_walk(
    q, c0, n0, m0, k, v, i, f, lengths, reset, start_c, start_n, start_m, y, memory, grad_y, grad_c, grad_n, grad_m,
    grad_q, grad_c0, grad_n0, grad_m0, grad_k, grad_v, grad_i, grad_f, grad_start_c, grad_start_n, grad_start_m, seen,
    time, heads, keys, values, many_starts, chunk, most, KEYS: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """From the last chunk to the first; what is carried are the gradients of the state before the step."""
    row, head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    key, value = tl.arange(0, KEYS), tl.arange(0, VALUES)
    at, numbers = row * heads + head, keys * values + keys + 1
    dc, dn, dm = _load_leaves(grad_c, grad_n, grad_m, at, keys, values, key, value)
    length = time
    if lengths is not None:
        length = tl.load(lengths + row)
    if reset is not None:
        from_start = row * many_starts * heads + head
        first_c, first_n, first_m = _load_leaves(start_c, start_n, start_m, from_start, keys, values, key, value)
        sum_c, sum_n, sum_m = tl.zeros_like(dc), tl.zeros_like(dn), tl.zeros_like(dm)
    chunks = (time + chunk - 1) // chunk
    for passed in range(chunks):
        number = chunks - 1 - passed
        c, n, m = _load_state(memory + (at * chunks + number) * numbers, keys, values, key, value)
        steps = tl.minimum(chunk, time - number * chunk)
        for inner in range(steps):
            t = number * chunk + inner
            if t < length:
                if reset is not None:
                    again = tl.load(reset + row * time + t) != 0
                    c, n, m = tl.where(again, first_c, c), tl.where(again, first_n, n), tl.where(again, first_m, m)
                _store_state(seen + (at * most + inner) * numbers, c, n, m, keys, values, key, value)
                step = (row * time + t) * heads + head
                c, n, m, _, _, _, _, _ = _step(k, v, i, f, c, n, m, step, keys, values, key, value)
        # What one thread has written here, others read below.
        tl.debug_barrier()
        for back in range(steps):
            inner = steps - 1 - back
            t = number * chunk + inner
            step = (row * time + t) * heads + head
            dq, dk = tl.zeros((KEYS,), dc.dtype), tl.zeros((KEYS,), dc.dtype)
            dv = tl.zeros((VALUES,), dc.dtype)
            d_i, d_f = tl.zeros((), dc.dtype), tl.zeros((), dc.dtype)
            if t < length:
                old_c, old_n, old_m = _load_state(seen + (at * most + inner) * numbers, keys, values, key, value)
                c, n, m, forget, write, kept, scaled, v_now = _step(
                    k, v, i, f, old_c, old_n, old_m, step, keys, values, key, value
                )
                q_now = tl.load(q + step * keys + key, mask=key < keys, other=0.0)
                out = tl.load(y + step * values + value, mask=value < values, other=0.0)
                dy = tl.load(grad_y + step * values + value, mask=value < values, other=0.0)
                product, least = tl.sum(q_now * n, 0), tl.exp(-m)
                size = tl.maximum(tl.abs(product), least)
                read, d_size = dy / size, -tl.sum(dy * out, 0) / size
                # The larger of the two is the size; where they are equal, each has half.
                share = tl.where(tl.abs(product) > least, 1.0, tl.where(tl.abs(product) == least, 0.5, 0.0))
                d_product = d_size * share * tl.where(product > 0, 1.0, tl.where(product < 0, -1.0, 0.0))
                dq = tl.sum(c * read[None, :], 1) + d_product * n
                dc, dn = dc + q_now[:, None] * read[None, :], dn + d_product * q_now
                d_scaled = tl.sum(dc * v_now[None, :], 1) + dn
                dv = tl.sum(dc * scaled[:, None], 0)
                d_forget = (tl.sum(tl.sum(dc * old_c, 1), 0) + tl.sum(dn * old_n, 0)) * forget
                d_write = tl.sum(d_scaled * scaled, 0)
                scale = 1.0 / tl.sqrt(keys * tl.full((), 1.0, dc.dtype))
                dk = d_scaled * write * scale
                dm = dm - d_write - d_forget - d_size * (1.0 - share) * least
                enter, gate = tl.load(i + step), tl.load(f + step)
                part = tl.where(enter > kept, 1.0, tl.where(enter == kept, 0.5, 0.0))
                d_i = d_write + part * dm
                d_kept = d_forget + (1.0 - part) * dm
                d_f = d_kept * tl.exp(_log_sigmoid(-gate))
                dc, dn, dm = forget * dc, forget * dn, d_kept
                if reset is not None:
                    again = tl.load(reset + row * time + t) != 0
                    sum_c, sum_n = sum_c + tl.where(again, dc, 0.0), sum_n + tl.where(again, dn, 0.0)
                    sum_m = sum_m + tl.where(again, dm, 0.0)
                    dc, dn, dm = tl.where(again, 0.0, dc), tl.where(again, 0.0, dn), tl.where(again, 0.0, dm)
            tl.store(grad_q + step * keys + key, dq, mask=key < keys)
            tl.store(grad_k + step * keys + key, dk, mask=key < keys)
            tl.store(grad_v + step * values + value, dv, mask=value < values)
            tl.store(grad_i + step, d_i)
            tl.store(grad_f + step, d_f)
        tl.debug_barrier()
    _store_leaves(grad_c0, grad_n0, grad_m0, at, dc, dn, dm, keys, values, key, value)
    if reset is not None:
        _store_leaves(grad_start_c, grad_start_n, grad_start_m, at, sum_c, sum_n, sum_m, keys, values, key, value)
