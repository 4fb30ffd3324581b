"""The op `delta` in matrix products: plain torch on any device, and the kernel "chunkwise" made of it.

Inside a block of a few steps, u_t = a_t^T s_(t-1), what is found at a_t, solves a triangular system, and all else
follows in matrix products (time down, L_t the sum of w up to t, entries for j < t, in y for j <= t):

    U = (a_t e^L_(t-1)) s_0 + [a_t e^(L_(t-1) - L_j) b_j] U + [a_t e^(L_(t-1) - L_j) k_j] V
    y = (q_t e^L_t) s_0     + [q_t e^(L_t - L_j) b_j] U     + [q_t e^(L_t - L_j) k_j] V

A decay between two steps is split where a power of two of steps ends, e^(L_t - L_m) e^(L_m - L_j): both exponents are
sums of steps of one sign, so nothing is lost beside a larger number and nothing overflows, as it would in
e^L_t / e^L_j. For all pairs split at one place that is one matrix product.
Source of the form: Yang et al. 2024, arXiv:2406.06484, sections 3.2 and 3.3; with a decay a channel, here by blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.linalg import solve_triangular
from torch.nn.functional import pad

from unrolled.ops.core.register import Attribute, Kernel
from unrolled.ops.delta.reference import DeltaOperands
from unrolled.state import map_state

__all__ = ["chunkwise_kernel", "delta_chunk"]

BLOCK = 32
"""Steps of a block, a power of two."""

LOWEST = -1000.0
"""exp of it is zero in every dtype; sums of it are finite."""

Tensors = Sequence[Tensor | None]


class Block(NamedTuple):
    """What is known of blocks of some steps, every tensor (batch, heads, blocks, ...).

    upto, before (..., steps, keys): sums of w from the block's begin to just after and just before a step; beyond:
    from just after a step to the end. pairs (..., 2, t, 2, j): what q and a read at step t of what b and k wrote at
    step j.
    """

    upto: Tensor
    before: Tensor
    beyond: Tensor
    pairs: Tensor


def delta_chunk(
    operands: DeltaOperands, s: Tensor, reset: Tensor | None = None, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Some steps of the recurrence at once: (y, s after them), as `delta_step` one after the other finds them.

    operands: (batch, time, heads, ...) of any time; s (batch, heads, keys, values); where reset (batch, time) is True
    the state becomes start (1 or batch rows) before the step. What is not finite passes beyond a reset, as 0 times it.
    """
    time = operands.q.shape[1]
    length = min(BLOCK, 1 << (time - 1).bit_length())
    # A step of zeros changes nothing, so the last block is filled up with them.
    q, w, k, v, a, b = map_state(lambda leaf: _blocks(leaf, length), operands)
    w = w.clamp(min=LOWEST)
    block = _block(w, torch.stack([q, a], -3), torch.stack([b, k], -3))
    pairs, before, after, leaving = block.pairs, block.before.exp(), block.upto.exp(), block.beyond.exp()
    inside = None
    if reset is not None:
        # The number of the last reset: only steps of one number see each other.
        number = _blocks(reset[:, :, None, None], length)[..., 0].cumsum(-1)
        joined = (number[..., None] == number[..., None, :]).to(w)
        pairs = pairs * joined[..., None, :, None, :]
        before, after = (joined.tril(-1) @ w).exp(), (joined.tril() @ w).exp()
        leaving, inside = leaving * joined[..., -1, :, None], (number == 0)[..., None]
    enters, reads, last = a * before, q * after, after[..., -1, :, None]
    known, y = pairs[..., 1, :, 1, :] @ v, pairs[..., 0, :, 1, :] @ v
    added = (k * leaving).mT @ v
    if start is not None and inside is not None:
        origin, outside = start[:, :, None], ~inside
        known = known + (enters * outside) @ origin
        y = y + (reads * outside) @ origin
        added = added + (last * outside[..., -1:, :]) * origin
        enters, reads, last = enters * inside, reads * inside, last * inside[..., -1:, :]
    unit = torch.eye(length, dtype=s.dtype, device=s.device)
    system, sides = unit - pairs[..., 1, :, 0, :], torch.cat([enters, known], -1)
    solved = solve_triangular(system, sides, upper=False, unitriangular=True)
    enters, known = solved.split([q.shape[-1], v.shape[-1]], -1)
    given = (b * leaving).mT
    states, s = _walk(torch.diag_embed(last[..., 0]) + given @ enters, added + given @ known, s)
    y = y + reads @ states + pairs[..., 0, :, 0, :] @ (known + enters @ states)
    return y.flatten(2, 3)[:, :, :time].transpose(1, 2), s


def _blocks(tensor: Tensor, length: int) -> Tensor:
    """(batch, time, heads, width) as (batch, heads, blocks, length, width), filled up with zeros."""
    batch, time, *rest = tensor.shape
    filled = pad(tensor, (0, 0, 0, 0, 0, -time % length))
    return filled.reshape(batch, -1, length, *rest).permute(0, 3, 1, 2, 4)


def _block(w: Tensor, readers: Tensor, writers: Tensor) -> Block:
    """Blocks of w (..., steps, keys), readers q, a and writers b, k (..., 2, steps, keys), from single steps on."""
    steps = w.shape[-2]
    single = w[..., None, :]
    at_once = (readers[..., :1, :, None, :] * writers.transpose(-3, -2)[..., None, :, :, :]).sum(-1)
    pairs = torch.cat([at_once, torch.zeros_like(at_once)], -3)
    nothing = torch.zeros_like(single)
    block = Block(single, nothing, nothing, pairs.transpose(-3, -2)[..., :, None, :, None])
    half = 1
    while half < steps:
        block, half = _double(block, _cut(readers, half), _cut(writers, half)), 2 * half
    return Block(*(part.squeeze(w.ndim - 2) for part in block))


def _cut(tensor: Tensor, half: int) -> Tensor:
    """(..., 2, steps, keys) as (..., pieces, 2, half, keys)."""
    *rest, steps, keys = tensor.shape
    return tensor.reshape(*rest, steps // half, half, keys).transpose(-4, -3)


def _double(block: Block, readers: Tensor, writers: Tensor) -> Block:
    """Blocks of twice the steps out of neighbours; readers and writers in pieces of the steps that a block has now."""
    place = block.upto.ndim - 3
    (upto, upto_right), (before, before_right), (beyond, beyond_right), (pairs, pairs_right) = (
        _neighbours(part, place) for part in block
    )
    left, right = _neighbours(writers, place)[0], _neighbours(readers, place)[1]
    reading = torch.stack([upto_right, before_right], -3).exp() * right
    writing = beyond.exp()[..., None, :, :] * left
    across = (reading.flatten(-3, -2) @ writing.flatten(-3, -2).mT).reshape(pairs.shape)
    first, second = torch.cat([pairs, torch.zeros_like(pairs)], -1), torch.cat([across, pairs_right], -1)
    whole, whole_right = upto[..., -1:, :], upto_right[..., -1:, :]
    return Block(
        torch.cat([upto, upto_right + whole], -2),
        torch.cat([before, before_right + whole], -2),
        torch.cat([beyond + whole_right, beyond_right], -2),
        torch.cat([first, second], -3),
    )


def _neighbours(part: Tensor, place: int) -> tuple[Tensor, Tensor]:
    """The first, third, ... of what stands along a dimension, and the second, fourth, ..."""
    left, right = part.reshape(*part.shape[:place], -1, 2, *part.shape[place + 1 :]).unbind(place + 1)
    return left, right


def _walk(matrices: Tensor, added: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """s' = M s + added, block after block: the states that enter them (batch, heads, blocks, ...), and the last one."""
    states = []
    for matrix, more in zip(matrices.unbind(2), added.unbind(2), strict=True):
        states.append(s)
        s = more + matrix @ s
    return torch.stack(states, 2), s


def chunkwise_kernel(memory: Callable[..., tuple[int, ...]]) -> Kernel:
    """The kernel "chunkwise"; memory(*tensors, chunk) is the shape of what the forward pass leaves for the backward.

    The backward pass goes chunk by chunk from the right and makes what it needs of a chunk again from the state that
    entered it, so no more than one chunk of it is ever there.
    """

    @torch.no_grad()
    def forward(*arguments: Any) -> tuple[Tensor, ...]:
        *given, chunk, save = arguments
        q, s, v = given[0], given[1], given[4]
        kept = q.new_empty(memory(*given, chunk) if save else (0,))
        y = v.new_empty(v.shape)
        entering = kept.view(*s.shape[:2], -1, *s.shape[2:]) if save else None
        for number, piece in enumerate(_pieces(given, chunk)):
            if entering is not None:
                entering[:, :, number] = s
            y[:, number * chunk : (number + 1) * chunk], s = _run(piece, s)
        return y, s.clone(memory_format=torch.contiguous_format), kept

    return Kernel("chunkwise", _refuses, forward, _backward)


class Piece(NamedTuple):
    """One chunk of the arguments; valid (batch, time) is False in the padding, None where there is none."""

    operands: DeltaOperands
    valid: Tensor | None
    reset: Tensor | None
    start: Tensor | None


def _pieces(given: Tensors, chunk: int) -> Iterator[Piece]:
    q, _, w, k, v, a, b, lengths, reset, start = given
    assert q is not None
    for begin in range(0, q.shape[1], chunk):
        end = min(begin + chunk, q.shape[1])
        operands = DeltaOperands(*(t[:, begin:end] for t in (q, w, k, v, a, b) if t is not None))
        valid = None
        if lengths is not None:
            valid = torch.arange(begin, end, device=q.device) < lengths.to(q.device)[:, None]
        yield Piece(operands, valid, None if reset is None else reset[:, begin:end], start)


def _run(piece: Piece, s: Tensor) -> tuple[Tensor, Tensor]:
    """One chunk, where the padding is zeros, which leave the state alone and read nothing."""
    operands, valid = piece.operands, piece.valid
    if valid is not None:
        operands = map_state(lambda leaf: torch.where(valid[..., None, None], leaf, 0), operands)
    return delta_chunk(operands, s, piece.reset, piece.start)


def _refuses(*arguments: Any) -> str | None:
    q, v, reset, start_s, chunk = arguments[0], arguments[4], arguments[8], arguments[9], arguments[10]
    if q.dtype not in (torch.float32, torch.float64):
        return f"q is {q.dtype}, it runs on float32 and float64"
    if q.ndim != 4 or 0 in q.shape:
        return f"q has the shape {tuple(q.shape)}, expected (batch, time, heads, keys), none of them 0"
    if v.ndim != 4 or 0 in v.shape:
        return f"v has the shape {tuple(v.shape)}, expected (batch, time, heads, values), none of them 0"
    if reset is not None and start_s is None:
        return "reset is given without start_s, the state it returns to"
    if chunk < 1:
        return f"chunk is {chunk}, expected at least 1"
    return None


def _backward(
    given: Tensors, values: Sequence[Attribute], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    chunk, (grad_y, grad_s) = int(values[0]), grads
    assert grad_y is not None
    assert grad_s is not None
    found = [t.new_empty(t.shape) if t is not None and need else None for t, need in zip(given, needs, strict=True)]
    if found[-1] is not None:
        found[-1].zero_()
    entering = memory.view(*grad_s.shape[:2], -1, *grad_s.shape[2:])
    for number, piece in reversed(list(enumerate(_pieces(given, chunk)))):
        span = slice(number * chunk, (number + 1) * chunk)
        grad_s, pieces, start = _differentiate(piece, entering[:, :, number], grad_y[:, span], grad_s)
        for whole, part in zip((found[0], *found[2:7]), pieces, strict=True):
            if whole is not None:
                whole[:, span] = part
        if found[-1] is not None and start is not None:
            found[-1] += start
    if found[1] is not None:
        found[1].copy_(grad_s)
    return found


def _differentiate(
    piece: Piece, s: Tensor, grad_y: Tensor, grad_s: Tensor
) -> tuple[Tensor, Sequence[Tensor], Tensor | None]:
    """The gradients of the state that enters a chunk, of its operands and of the start."""
    with torch.enable_grad():
        operands = DeltaOperands(*(leaf.detach().requires_grad_() for leaf in piece.operands))
        start = None if piece.start is None else piece.start.detach().requires_grad_()
        s = s.detach().requires_grad_()
        y, after = _run(piece._replace(operands=operands, start=start), s)
        wanted = [s, *operands] if start is None else [s, *operands, start]
        first, *found = torch.autograd.grad(
            [y, after], wanted, [grad_y, grad_s], allow_unused=True, materialize_grads=True
        )
    return first, found[:6], None if start is None else found[6]
