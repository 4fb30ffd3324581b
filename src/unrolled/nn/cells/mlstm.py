"""The matrix long short-term memory of xLSTM."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from unrolled.check import check_heads, check_size, check_state_dtype
from unrolled.nn.cell import Cell
from unrolled.nn.init import xavier_per_gate
from unrolled.ops import mlstm
from unrolled.ops.mlstm.reference import MLSTMOperands, MLSTMState, mlstm_step

__all__ = ["MLSTM", "GatedOperands"]


LEAST_BIAS, MOST_BIAS = 3.0, 6.0
"""Biases of the first and the last head's forget gate: at first they keep from 0.953 to 0.998 in a step."""


class GatedOperands(NamedTuple):
    """What a step needs besides the state: the op's own part, and the output gate (..., hidden) before its sigmoid."""

    inner: MLSTMOperands
    output: Tensor


class MLSTM(Cell[MLSTMState]):
    """Matrix long short-term memory: every head stores values under keys in a matrix, and reads it with a query.

        q, k, v, o = W x + b                     hidden features each, shared among the heads; width = hidden / heads
        i, f       = w x + b                     one number a head
        m' = max(log f + m, i)                   log f = logsigmoid(f)
        c' = exp(log f + m - m') c + exp(i - m') k v^T / sqrt(width)
        n' = exp(log f + m - m') n + exp(i - m') k / sqrt(width)
        y  = sigmoid(o) * c'^T q / max(|n'^T q|, exp(-m'))

    c and n are memory and normaliser times exp(-m): the stabiliser m changes no y, it only keeps every exp at most 1.
    No gate looks at the state, so training runs chunk by chunk in matrix products, with the same y and state as step by
    step, and keeps time / chunk states for the backward pass.

    input_size, hidden_size: features of x and of y. heads: how many matrices there are; it must divide hidden_size.
    chunk: steps between two states that training keeps; the backward pass makes those in between again, a chunk at a
    time, so the result does not depend on it. bias: False leaves every b out. kernel: "auto" or the name of a kernel
    of op `mlstm`.

    Parameters, in the order q, k, v, o, i, f: weight_x (4 hidden + 2 heads, input) and bias (4 hidden + 2 heads,). They
    start as Xavier for q, k, v and o, zero for the gates and the biases, but forget biases that are evenly spread from
    3 to 6 over the heads. The state must be float32 or float64. Zoneout refuses this cell: y is not its state.

    Source: Beck et al. 2024, arXiv:2405.04517, eq. 19-27 and appendix A. The paper scales W_k x and not b_k; here, as
    in the package `xlstm`, the whole of k is scaled. `mlstm_kernels` scales q in its place, so its c and n are larger
    by sqrt(width); both packages add 1e-6 to what y is divided by. c is (keys, values) as in `mlstm_kernels`, which is
    the paper's transposed. `xlstm`'s layer normalises the heads and has no gate on its output but that of its block.

    >>> y, state = MLSTM(3, 8, heads=2)(torch.zeros(2, 7, 3), lengths=[7, 4])
    >>> y.shape, state.c.shape, state.n.shape, state.m.shape
    (torch.Size([2, 7, 8]), torch.Size([2, 2, 4, 4]), torch.Size([2, 2, 4]), torch.Size([2, 2]))
    """

    parallel_in_time: ClassVar[bool] = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 4,
        chunk: int = 64,
        bias: bool = True,
        kernel: str = "auto",
    ) -> None:
        super().__init__(check_size("MLSTM", "input_size", input_size), check_size("MLSTM", "hidden_size", hidden_size))
        self.heads = check_heads("MLSTM", hidden_size, heads)
        self.chunk = check_size("MLSTM", "chunk", chunk)
        self.kernel = kernel
        rows = 4 * hidden_size + 2 * heads
        self.weight_x = nn.Parameter(torch.empty(rows, input_size))
        self.bias = nn.Parameter(torch.empty(rows)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        with torch.no_grad():
            xavier_per_gate(self.weight_x[: 4 * self.output_size], 4)
            self.weight_x[4 * self.output_size :].zero_()
            if self.bias is not None:
                self.bias.zero_()
                self.bias[-self.heads :] = torch.linspace(LEAST_BIAS, MOST_BIAS, self.heads)

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> MLSTMState:
        dtype = check_state_dtype("MLSTM", dtype)
        width = self.output_size // self.heads
        shapes = ((width, width), (width,), ())
        return MLSTMState(*(torch.zeros(batch_size, self.heads, *s, device=device, dtype=dtype) for s in shapes))

    def project(self, x: Tensor) -> GatedOperands:
        projected = linear(x, self.weight_x, self.bias)
        sizes = [self.output_size] * 4 + [self.heads] * 2
        # Cut at once, so that autograd puts the gradients together at once.
        *wide, output, i, f = torch.split_with_sizes(projected, sizes, -1)
        q, k, v = (part.reshape(*part.shape[:-1], self.heads, -1) for part in wide)
        return GatedOperands(MLSTMOperands(q, k, v, i, f), output)

    def recur(self, operands: GatedOperands, state: MLSTMState) -> tuple[Tensor, MLSTMState]:
        y, state = mlstm_step(operands.inner, state)
        return torch.sigmoid(operands.output) * y.flatten(-2), state

    def run(
        self,
        operands: GatedOperands,
        state: MLSTMState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, MLSTMState]:
        if reverse:
            return super().run(operands, state, lengths, reset, reverse)
        start = self.start(state, reset)
        start_c, start_n, start_m = (None, None, None) if start is None else start
        q, k, v, i, f = operands.inner
        y, *final = mlstm(
            q=q, k=k, v=v, i=i, f=f, c0=state.c, n0=state.n, m0=state.m, lengths=lengths, reset=reset,
            start_c=start_c, start_n=start_n, start_m=start_m, chunk=self.chunk, kernel=self.kernel,
        )  # fmt: skip
        return torch.sigmoid(operands.output) * y.flatten(-2), MLSTMState(*final)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, heads={self.heads}, chunk={self.chunk}"
