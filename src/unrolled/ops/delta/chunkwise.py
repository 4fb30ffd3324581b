"""The op `delta` in matrix products: plain torch on any device, and the kernel "chunkwise" made of it.

Inside a block of a few steps, u_t = a_t^T s_(t-1), what is found at a_t, solves a triangular system, and all else follows
in matrix products (time down, L_t the sum of w up to t, entries for j < t, in y for j <= t):

    U = (a_t e^L_(t-1)) s_0 + [a_t e^(L_(t-1) - L_j) b_j] U + [a_t e^(L_(t-1) - L_j) k_j] V
    y = (q_t e^L_t) s_0     + [q_t e^(L_t - L_j) b_j] U     + [q_t e^(L_t - L_j) k_j] V

Each exponent is summed by itself from the steps between, which are all of one sign: a difference of two long sums would
lose what is small beside them, and a quotient of two products of decays would divide zero by zero.
Source of the form: Yang et al. 2024, arXiv:2406.06484, sections 3.2 and 3.3; with a decay a channel, here by blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.linalg import solve_triangular
from torch.nn.functional import pad

from unrolled.ops.delta.reference import DeltaOperands
from unrolled.ops.register import Kernel
from unrolled.state import map_state

__all__ = ["chunkwise_kernel", "delta_chunk"]

BLOCK = 16
"""Steps of a block: the decays between any two of them stand in one tensor (block, block, keys)."""

LOWEST = -1000.0
"""exp of it is zero in every dtype; sums of it are finite."""

Tensors = Sequence[Tensor | None]


class Between(NamedTuple):
    """Decays inside blocks (batch, heads, blocks, ...), zero where a reset stands between.

    pairs (..., j, t, keys): from step j to t; before and after (..., t, keys): from the state that enters the block, or
    from the last reset, to just before and just after step t; inside (batch, 1, blocks, t, 1): no reset stood before.
    """

    pairs: Tensor
    before: Tensor
    after: Tensor
    inside: Tensor | None


class Products(NamedTuple):
    """The four matrices of a block (..., t, j): found at a or read at q, of what was written at b or k before."""

    a_b: Tensor
    a_k: Tensor
    q_b: Tensor
    q_k: Tensor


def delta_chunk(
    operands: DeltaOperands, s: Tensor, reset: Tensor | None = None, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Some steps of the recurrence at once: (y, s after them), as `delta_step` one after the other finds them.

    operands: (batch, time, heads, ...) of any time; s (batch, heads, keys, values); where reset (batch, time) is True
    the state becomes start (1 or batch rows) before the step.
    """
    time = operands.q.shape[1]
    length = min(BLOCK, time)
    # A step of zeros changes nothing, so the last block is filled up with them.
    q, w, k, v, a, b = map_state(lambda leaf: _blocks(leaf, length), operands)
    cut = None if reset is None else _blocks(reset[:, :, None, None], length)[..., 0]
    decays = _between(w.clamp(min=LOWEST), cut)
    products = _products(decays.pairs, q, a, torch.stack([b, k], -1), cut)
    enters, reads = a * decays.before, q * decays.after
    known, y = products.a_k @ v, products.q_k @ v
    last, moved = decays.after[..., -1, :, None], decays.pairs[..., -1, :]
    added = (k * moved).mT @ v
    if start is not None and decays.inside is not None:
        origin, outside = start[:, :, None], ~decays.inside
        known = known + (enters * outside) @ origin
        y = y + (reads * outside) @ origin
        added = added + (last * outside[..., -1:, :]) * origin
        enters, reads, last = enters * decays.inside, reads * decays.inside, last * decays.inside[..., -1:, :]
    unit = torch.eye(length, dtype=s.dtype, device=s.device)
    solved = solve_triangular(unit - products.a_b, torch.cat([enters, known], -1), upper=False, unitriangular=True)
    enters, known = solved.split([q.shape[-1], v.shape[-1]], -1)
    given = (b * moved).mT
    states, s = _walk(torch.diag_embed(last[..., 0]) + given @ enters, added + given @ known, s)
    y = y + reads @ states + products.q_b @ (known + enters @ states)
    return y.flatten(2, 3)[:, :, :time].transpose(1, 2), s


def _blocks(tensor: Tensor, length: int) -> Tensor:
    """(batch, time, heads, width) as (batch, heads, blocks, length, width), filled up with zeros."""
    missing = -tensor.shape[1] % length
    return pad(tensor, (0, 0, 0, 0, 0, missing)).unflatten(1, (-1, length)).permute(0, 3, 1, 2, 4)


def _between(w: Tensor, reset: Tensor | None) -> Between:
    """The decays of blocks from their logarithms (..., time, keys)."""
    steps = torch.arange(w.shape[-2], device=w.device)
    # In row j, column t.
    after, upto = steps > steps[:, None], steps >= steps[:, None]
    summed = torch.where(after[..., None], w[..., None, :, :], 0).cumsum(-2)
    if reset is None:
        return Between(summed.exp() * upto[..., None], (after.mT.to(w) @ w).exp(), (upto.mT.to(w) @ w).exp(), None)
    number = reset.cumsum(-1)
    joined = upto & (number[..., None] == number[..., None, :])
    before, later = (joined & after).mT.to(w) @ w, joined.mT.to(w) @ w
    return Between(summed.exp() * joined[..., None], before.exp(), later.exp(), (number == 0)[..., None])


def _products(pairs: Tensor, q: Tensor, a: Tensor, written: Tensor, reset: Tensor | None) -> Products:
    """Both readers of both writers; written (..., j, keys, 2) holds b and k."""
    # What stands after step t is read by q now and by a at the next step, unless a reset comes between.
    later = a if reset is None else a.masked_fill(reset[..., None], 0)
    readers = torch.stack([q, pad(later[..., 1:, :], (0, 0, 0, 1))], -2)
    count, keys = q.shape[-2:]
    weighed = (pairs[..., None, :] * readers[..., None, :, :, :]).flatten(-3, -2)
    found = (weighed @ written).unflatten(-2, (count, 2))
    q_b, q_k, next_b, next_k = (matrix.mT for matrix in found.flatten(-2).unbind(-1))
    a_b, a_k = (pad(following[..., :-1, :], (0, 0, 1, 0)) for following in (next_b, next_k))
    return Products(a_b, a_k, q_b, q_k)


def _walk(matrices: Tensor, added: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """s' = M s + added, block after block: the states that enter the blocks (batch, heads, blocks, ...), and the last."""
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
        for number, piece in enumerate(_pieces(given, chunk)):
            if save:
                kept[:, :, number] = s
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
    given: Tensors, values: Sequence[Any], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    chunk, (grad_y, grad_s) = values[0], grads
    assert grad_y is not None
    assert grad_s is not None
    found = [t.new_empty(t.shape) if t is not None and need else None for t, need in zip(given, needs, strict=True)]
    if found[-1] is not None:
        found[-1].zero_()
    for number, piece in reversed(list(enumerate(_pieces(given, chunk)))):
        span = slice(number * chunk, (number + 1) * chunk)
        grad_s, pieces, start = _differentiate(piece, memory[:, :, number], grad_y[:, span], grad_s)
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
