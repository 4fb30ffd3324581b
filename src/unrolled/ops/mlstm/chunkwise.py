"""The op `mlstm` chunk by chunk in torch: matrix products inside a chunk, the state from chunk to chunk.

With m_t as the step has it, sums of log f from j + 1 to t in D_tj, and b_t = m_before + D_(t, before the chunk):

    W_tj = exp(D_tj + i_j - m_t) for j <= t,  o_t = exp(b_t - m_t),  m_t = max(b_t, max_j D_tj + i_j)
    A = W * q k^T / sqrt(keys)
    y_t  = (o_t c q_t + A_t v) / max(|o_t n q_t + sum_j A_tj|, exp(-m_t))
    c'   = o_T c + sum_j W_Tj k_j v_j / sqrt(keys),  n' = o_T n + sum_j W_Tj k_j / sqrt(keys)

A step after a reset sees the start in place of c, n and m, and nothing from before the reset. A chunk as long as the
sequence is the parallel form. The backward pass runs each chunk again from the state that entered it, so that what is
kept grows with the number of chunks.

Source: Beck et al. 2024, arXiv:2405.04517, eq. 19-27 and appendix A.3 (parallel form); Beck et al. 2025,
arXiv:2503.14376 (chunkwise form). There D is a difference of running sums, which loses what large gates cancel; here it
is summed for each pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from unrolled.ops.core.register import Attribute, Kernel
from unrolled.ops.mlstm.memory import memory_shape
from unrolled.ops.mlstm.reference import MLSTMOperands, MLSTMState

__all__ = ["chunkwise_kernel"]

Tensors = Sequence[Tensor | None]


class _Origin(NamedTuple):
    """Where a step's share of old state comes from: the state before the chunk, or the start after a reset.

    level (batch, heads, time): log of its weight. fresh (batch, time): is it the start? None: never.
    """

    level: Tensor
    fresh: Tensor | None


def _refuses(*arguments: Any) -> str | None:
    reset, starts, chunk = arguments[9], arguments[10:13], arguments[13]
    if chunk < 1:
        return f"chunk is {chunk}, expected at least 1"
    if reset is not None and any(start is None for start in starts):
        return "reset is given without start_c, start_n and start_m, the state it returns to"
    return None


def _chunk(
    operands: MLSTMOperands, state: MLSTMState, start: MLSTMState | None, valid: Tensor | None, reset: Tensor | None
) -> tuple[Tensor, MLSTMState]:
    """Operands (batch, time, ...) of one chunk and the state before it -> y and the state after it."""
    q, k, v, i, f = (leaf.transpose(1, 2) for leaf in operands)
    forgotten = logsigmoid(f)
    if valid is not None:
        # A step in the padding keeps all and takes nothing.
        forgotten = torch.where(valid[:, None], forgotten, 0.0)
        i = torch.where(valid[:, None], i, -torch.inf)
    sums = _pair_sums(forgotten)
    origin = _origin(forgotten, sums, state, start, reset)
    levels = (sums + i[..., None, :]).masked_fill(~_pairs(sums, reset), -torch.inf)
    level = torch.cat([origin.level[..., None], levels], -1)
    m, shares = _shares(level)
    kept, weights = shares[..., 0], shares[..., 1:]
    k = k * k.shape[-1] ** -0.5
    attention = weights * (q @ k.transpose(-1, -2))
    old = _select(origin.fresh, start, state, lambda s: q @ s.c)
    normal = _select(origin.fresh, start, state, lambda s: (q @ s.n[..., None]).squeeze(-1))
    read = attention @ v + kept[..., None] * old
    size = torch.maximum((attention.sum(-1) + kept * normal).abs(), torch.exp(-m))
    y = (read / size[..., None]).transpose(1, 2)
    if valid is not None:
        y = torch.where(valid[..., None, None], y, 0.0)
    # The last step's shares are those of the state.
    kept, taken = kept[..., -1:], weights[..., -1, :, None] * k
    before = _before(origin.fresh, start, state)
    c = kept[..., None] * before.c + taken.transpose(-1, -2) @ v
    return y, MLSTMState(c, kept * before.n + taken.sum(-2), m[..., -1])


def _shares(levels: Tensor) -> tuple[Tensor, Tensor]:
    """m, the largest of the last dimension, and exp(levels - m)."""
    m = levels.amax(-1, keepdim=True)
    # The largest is 1 whatever its gate. Left to autograd, what it gains and what m takes back would have to cancel.
    largest = levels == m
    alone = largest & (largest.sum(-1, keepdim=True) == 1)
    return m.squeeze(-1), torch.where(alone, 1.0, torch.exp(levels - m))


def _pair_sums(values: Tensor) -> Tensor:
    """values (..., time) -> (..., time, time): at t, j the sum from j + 1 to t, for j <= t."""
    time = values.shape[-1]
    later = torch.ones(time, time, dtype=torch.bool, device=values.device).tril(-1)
    return torch.where(later, values[..., None], 0.0).cumsum(-2)


def _pairs(sums: Tensor, reset: Tensor | None) -> Tensor:
    """Where step t sees step j: j <= t with no reset in between."""
    seen = torch.ones(sums.shape[-2:], dtype=torch.bool, device=sums.device).tril()
    if reset is None:
        return seen
    number = reset.cumsum(-1)
    return seen & (number[:, None, :, None] == number[:, None, None, :])


def _origin(
    forgotten: Tensor, sums: Tensor, state: MLSTMState, start: MLSTMState | None, reset: Tensor | None
) -> _Origin:
    level = forgotten.cumsum(-1) + state.m[..., None]
    if reset is None or start is None:
        return _Origin(level, None)
    steps = torch.arange(reset.shape[1], device=reset.device)
    latest = torch.where(reset, steps, -1).cummax(-1).values
    index = latest.clamp(min=0)[:, None].expand_as(forgotten)
    since = sums.gather(-1, index[..., None]).squeeze(-1) + forgotten.gather(-1, index)
    fresh = latest >= 0
    return _Origin(torch.where(fresh[:, None], since + start.m[..., None], level), fresh)


def _select(fresh: Tensor | None, start: MLSTMState | None, state: MLSTMState, read: Any) -> Tensor:
    """read(state) (batch, heads, time, ...), but read(start) where it is fresh."""
    found: Tensor = read(state)
    if fresh is None or start is None:
        return found
    return torch.where(fresh.reshape(fresh.shape[0], 1, -1, *[1] * (found.ndim - 3)), read(start), found)


def _before(fresh: Tensor | None, start: MLSTMState | None, state: MLSTMState) -> MLSTMState:
    """What is left in the state after the last step comes from here."""
    if fresh is None or start is None:
        return state
    last = fresh[:, -1]
    return MLSTMState(
        *(torch.where(last.view(-1, *[1] * (no.ndim - 1)), yes, no) for yes, no in zip(start, state, strict=True))
    )


class _Call(NamedTuple):
    """The op's tensors in groups."""

    operands: MLSTMOperands
    state: MLSTMState
    start: MLSTMState | None
    lengths: Tensor | None
    reset: Tensor | None
    chunk: int

    def spans(self) -> list[slice]:
        time = self.operands.q.shape[1]
        return [slice(begin, min(begin + self.chunk, time)) for begin in range(0, time, self.chunk)]

    def masks(self, span: slice) -> tuple[Tensor | None, Tensor | None]:
        """valid and reset of a span."""
        lengths, reset = self.lengths, self.reset
        steps = torch.arange(span.start, span.stop, device=self.operands.q.device)
        valid = None if lengths is None else steps < lengths[:, None]
        return valid, None if reset is None else reset[:, span]


def _grouped(given: Tensors, chunk: int) -> _Call:
    q, c0, n0, m0, k, v, i, f, lengths, reset, *starts = given
    start = None if reset is None else MLSTMState(*starts)  # type: ignore[arg-type]
    return _Call(MLSTMOperands(q, k, v, i, f), MLSTMState(c0, n0, m0), start, lengths, reset, chunk)  # type: ignore[arg-type]


def _forward(*arguments: Any) -> tuple[Tensor, ...]:
    *given, chunk, save = arguments
    call = _grouped(given, chunk)
    q, v = call.operands.q, call.operands.v
    y, state = v.new_empty(v.shape), call.state
    memory = q.new_empty(memory_shape(*given, chunk) if save else (0,))
    for number, span in enumerate(call.spans()):
        if save:
            _part(memory, number, call)[:] = torch.cat([state.c.flatten(2), state.n, state.m[..., None]], -1)
        part = MLSTMOperands(*(leaf[:, span] for leaf in call.operands))
        y[:, span], state = _chunk(part, state, call.start, *call.masks(span))
    return y, *(leaf.contiguous() for leaf in state), memory


def _backward(
    given: Tensors, values: Sequence[Attribute], outputs: Tensors, memory: Tensor, grads: Tensors, needs: Sequence[bool]
) -> Tensors:
    call = _grouped(given, int(values[0]))
    found = MLSTMOperands(*(leaf.new_empty(leaf.shape) for leaf in call.operands))
    grad_y, *grad_state = grads
    assert grad_y is not None
    total = None if call.start is None else [torch.zeros_like(leaf) for leaf in call.start]
    for number, span in reversed(list(enumerate(call.spans()))):
        part = MLSTMOperands(*(leaf[:, span].detach().requires_grad_() for leaf in call.operands))
        state = _recalled(_part(memory, number, call), call.state)
        start = None if call.start is None else MLSTMState(*(leaf.detach().requires_grad_() for leaf in call.start))
        with torch.enable_grad():
            y, after = _chunk(part, state, start, *call.masks(span))
        wanted = [*part, *state, *(start or ())]
        parts = torch.autograd.grad((y, *after), wanted, (grad_y[:, span], *grad_state), materialize_grads=True)
        for leaf, grad in zip(found, parts, strict=False):
            leaf[:, span] = grad
        grad_state = list(parts[5:8])
        if total is not None:
            total = [one + other for one, other in zip(total, parts[8:], strict=True)]
    q, k, v, i, f = found
    everything = (q, *grad_state, k, v, i, f, None, None, *(total or _no_starts(given)))
    return [
        grad.contiguous() if need and grad is not None else None for grad, need in zip(everything, needs, strict=True)
    ]


def _part(memory: Tensor, number: int, call: _Call) -> Tensor:
    """What the memory holds of one chunk: (batch, heads, numbers)."""
    return memory.reshape(*memory.shape[:2], len(call.spans()), -1)[:, :, number]


def _recalled(numbers: Tensor, like: MLSTMState) -> MLSTMState:
    """The state that a chunk's memory (batch, heads, numbers) holds, with a gradient of its own."""
    keys = like.n.shape[-1]
    c, n, m = numbers[..., : -keys - 1].reshape(like.c.shape), numbers[..., -keys - 1 : -1], numbers[..., -1]
    return MLSTMState(*(leaf.clone().requires_grad_() for leaf in (c, n, m)))


def _no_starts(given: Tensors) -> list[Tensor | None]:
    return [None if start is None else torch.zeros_like(start) for start in given[-3:]]


chunkwise_kernel = Kernel("chunkwise", _refuses, _forward, _backward)
