"""Attention: a weighted mean of remembered vectors, the weights found by a query."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

from unrolled.check import check_choice, check_size
from unrolled.errors import ShapeError
from unrolled.padding import valid_mask, zero_padding

__all__ = ["Attention", "Memory"]

KINDS = ("additive", "dot")

# Entries of tanh(query + key) that exist at once: about what a core's cache holds.
ENTRIES = 1 << 18


class Memory(NamedTuple):
    """What a query looks through: keys (batch, places, size), values (batch, places, features), lengths (batch,).

    Keys and values are computed once for all queries. It is a state tree: `select_rows` works on it.
    """

    keys: Tensor
    values: Tensor
    lengths: Tensor


class Attention(nn.Module):
    """One head of attention over the valid places of each row.

        k_s = W_k v_s (+ b, additive)                q_t = W_q query_t
        e_ts = w . tanh(q_t + k_s)                   kind="additive"
        e_ts = q_t . k_s / sqrt(size)                kind="dot"
        weights_t = softmax over s < length of e_t   context_t = sum_s weights_ts v_s

    query_size, value_size: features of queries and of remembered values. size: features of q and k. kind: "additive" or
    "dot".

    A row of length 0 has weights 0 and context 0. What stands in the padding of the values is never read.

    Source: additive: Bahdanau et al. 2014, arXiv:1409.0473, appendix A.1.2; dot: Luong et al. 2015, arXiv:1508.04025,
    "general", with its matrix as the product of W_q and W_k, scaled as in Vaswani et al. 2017, arXiv:1706.03762, eq. 1.

    >>> attention = Attention(4, 6, 5)
    >>> memory = attention.remember(torch.zeros(2, 7, 6), torch.tensor([7, 3]))
    >>> context, weights = attention(torch.zeros(2, 4), memory)
    >>> context.shape, weights.shape
    (torch.Size([2, 6]), torch.Size([2, 7]))
    """

    def __init__(self, query_size: int, value_size: int, size: int, kind: str = "additive") -> None:
        super().__init__()
        self.query_size = check_size("Attention", "query_size", query_size)
        self.value_size = check_size("Attention", "value_size", value_size)
        self.size = check_size("Attention", "size", size)
        self.kind = check_choice("Attention", "kind", kind, KINDS)
        self.query = nn.Linear(query_size, size, bias=False)
        self.key = nn.Linear(value_size, size, bias=kind == "additive")
        self.score = nn.Parameter(torch.empty(size)) if kind == "additive" else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew: Xavier-uniform matrices, zero bias, w uniform in +-1 / sqrt(size)."""
        for layer in (self.query, self.key):
            nn.init.xavier_uniform_(layer.weight)
        if self.score is not None:
            nn.init.zeros_(self.key.bias)
            nn.init.uniform_(self.score, -1 / math.sqrt(self.size), 1 / math.sqrt(self.size))

    def remember(self, values: Tensor, lengths: Tensor) -> Memory:
        """The memory of values (batch, places, value_size), of which the first lengths (batch,) of each row count."""
        if values.ndim != 3 or values.shape[2] != self.value_size:
            raise ShapeError(
                f"Attention: values must be (batch, places, {self.value_size}), got {tuple(values.shape)}; "
                "make the layer with their number of features."
            )
        lengths = lengths.to(values.device)
        values = zero_padding(values, lengths)
        return Memory(self.key(values), values, lengths)

    def forward(self, query: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """The context and the weights of one query a row, or of one a step.

        query: (batch, query_size) or (batch, time, query_size). Returns context (batch[, time], value_size) and weights
        (batch[, time], places), which sum to 1 over the valid places.
        """
        if query.ndim not in (2, 3) or query.shape[-1] != self.query_size:
            raise ShapeError(
                f"Attention: query must be (batch, {self.query_size}) or (batch, time, {self.query_size}), "
                f"got {tuple(query.shape)}; make the layer with its number of features."
            )
        queries = query[:, None] if query.ndim == 2 else query
        weights = self._weights(self._scores(self.query(queries), memory.keys), memory.lengths)
        context = torch.bmm(weights.to(memory.values.dtype), memory.values)
        return (context[:, 0], weights[:, 0]) if query.ndim == 2 else (context, weights)

    def _scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        if self.score is None:
            return torch.bmm(queries, keys.transpose(1, 2)) / math.sqrt(self.size)
        scores: Tensor = _AdditiveScores.apply(queries, keys, self.score.to(queries.dtype))  # type: ignore[no-untyped-call]
        return scores

    def _weights(self, scores: Tensor, lengths: Tensor) -> Tensor:
        mask = valid_mask(lengths, scores.shape[2])[:, None]
        # A finite floor keeps a row without a place from NaN; selection then makes it zero.
        weights = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).softmax(2)
        return torch.where(mask, weights, 0)

    def extra_repr(self) -> str:
        return f"{self.query_size}, {self.value_size}, size={self.size}, kind={self.kind!r}"


class _AdditiveScores(torch.autograd.Function):
    """w . tanh(q_t + k_s) for all t and s; tanh is made again in the backward pass, a part at a time.

    Memory grows with (time x places), not with (time x places x size).
    """

    @staticmethod
    def forward(ctx: FunctionCtx, queries: Tensor, keys: Tensor, score: Tensor) -> Tensor:
        ctx.save_for_backward(queries, keys, score)
        out = queries.new_empty(*queries.shape[:2], keys.shape[1])
        for part in _parts(queries, keys):
            out[:, part] = _tanh_of_sum(queries[:, part], keys).matmul(score)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        queries, keys, score = ctx.saved_tensors
        to_queries, to_keys, to_score = torch.empty_like(queries), torch.zeros_like(keys), torch.zeros_like(score)
        for part in _parts(queries, keys):
            grad = grads[0][:, part]
            bent = _tanh_of_sum(queries[:, part], keys)
            to_score += grad.reshape(1, -1).matmul(bent.view(-1, len(score)))[0]
            slope = bent.square_().neg_().add_(1).mul_(score).mul_(grad[..., None])
            to_queries[:, part] = slope.sum(2)
            to_keys += slope.sum(1)
        return to_queries, to_keys, to_score


def _parts(queries: Tensor, keys: Tensor) -> list[slice]:
    """The steps of the queries in parts whose entries the cache holds."""
    a_step = max(1, keys.numel())
    steps = max(1, ENTRIES // a_step)
    return [slice(at, at + steps) for at in range(0, queries.shape[1], steps)]


def _tanh_of_sum(queries: Tensor, keys: Tensor) -> Tensor:
    return (queries[:, :, None] + keys[:, None]).tanh_()
