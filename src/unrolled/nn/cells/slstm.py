"""The scalar long short-term memory of xLSTM."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid

from unrolled.check import check_choice, check_heads, check_size, check_state_dtype
from unrolled.nn.cell import Cell
from unrolled.nn.init import orthogonal_per_gate, xavier_per_gate
from unrolled.ops import slstm
from unrolled.ops.slstm.reference import SLSTMOperands, SLSTMState, slstm_step

__all__ = ["SLSTM"]


LEAST_BIAS, MOST_BIAS = 3.0, 6.0
"""Biases of the first and the last sigmoid forget gate of a head: at first they keep from 0.953 to 0.998 in a step."""


class SLSTM(Cell[SLSTMState]):
    """Scalar long short-term memory: exponential gates, a normaliser, and heads that do not see each other in time.

        i, f, z, o = W x + R h + b          R block-diagonal: each head reads its own h
        m' = max(log f + m, i)              log f = logsigmoid(f), or f itself with forget="exponential"
        c' = exp(log f + m - m') c + exp(i - m') tanh(z)
        n' = exp(log f + m - m') n + exp(i - m')
        h' = sigmoid(o) * c' / n'           y = h'

    c and n are memory and normaliser times exp(-m): the stabiliser m changes no h, it only keeps every exp at most 1.
    A unit whose n is 0 has seen nothing yet, and then m' = i.

    input_size, hidden_size: features of x and of h. heads: how many blocks R has; it must divide hidden_size. forget:
    "sigmoid" or "exponential". bias: False leaves b out. kernel: "auto" or the name of a kernel of op `slstm`.

    Parameters, gates in the order i, f, z, o: weight_x (4 hidden, input), weight_h (heads, 4 width, width) with
    width = hidden / heads, bias (4 hidden,). They start as in the other cells, Xavier and orthogonal per gate (and
    head), biases zero but for the forget gate: over the units of each head sigmoid(f) begins with biases evenly spread
    from 3 to 6, and exp(f) with the same shares kept. The state must be float32 or float64. Zoneout refuses this cell:
    c and n stand in the scale of their m, so that old and new parts cannot be mixed entry by entry.

    Source: Beck et al. 2024, arXiv:2405.04517, eq. 8-17 and appendix A. Unlike the package `xlstm`, whether a unit is
    fresh is decided for each one and not for the whole batch, so that one row can be reset among others; R does not
    start at zero, and the forget biases are that package's "small_init" instead of its power law.

    >>> y, state = SLSTM(3, 8, heads=2)(torch.zeros(2, 7, 3), lengths=[7, 4])
    >>> y.shape, state.m.shape
    (torch.Size([2, 7, 8]), torch.Size([2, 8]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 4,
        forget: str = "sigmoid",
        bias: bool = True,
        kernel: str = "auto",
    ) -> None:
        super().__init__(check_size("SLSTM", "input_size", input_size), check_size("SLSTM", "hidden_size", hidden_size))
        self.heads = check_heads("SLSTM", hidden_size, heads)
        self.forget = check_choice("SLSTM", "forget", forget, ("sigmoid", "exponential"))
        self.kernel = kernel
        width = hidden_size // heads
        self.weight_x = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(heads, 4 * width, width))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        xavier_per_gate(self.weight_x, 4)
        for block in self.weight_h.detach():
            orthogonal_per_gate(block, 4)
        if self.bias is None:
            return
        width = self.output_size // self.heads
        with torch.no_grad():
            kept = torch.linspace(LEAST_BIAS, MOST_BIAS, width).repeat(self.heads)
            self.bias.zero_()
            self.bias.chunk(4)[1].copy_(logsigmoid(kept) if self.forget == "exponential" else kept)

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> SLSTMState:
        dtype = check_state_dtype("SLSTM", dtype)
        zeros = (torch.zeros(batch_size, self.output_size, device=device, dtype=dtype) for _ in SLSTMState._fields)
        return SLSTMState(*zeros)

    def project(self, x: Tensor) -> SLSTMOperands:
        return SLSTMOperands(linear(x, self.weight_x, self.bias))

    def recur(self, operands: SLSTMOperands, state: SLSTMState) -> tuple[Tensor, SLSTMState]:
        return slstm_step(operands, state, self.weight_h, self.forget == "exponential")

    def run(
        self,
        operands: SLSTMOperands,
        state: SLSTMState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, SLSTMState]:
        if reverse:
            return super().run(operands, state, lengths, reset, reverse)
        start = self.start(state, reset)
        start_h, start_c, start_n, start_m = (None, None, None, None) if start is None else start
        y, *final = slstm(
            operands.gates, *state, self.weight_h, lengths=lengths, reset=reset, start_h=start_h, start_c=start_c,
            start_n=start_n, start_m=start_m, exponential=self.forget == "exponential", kernel=self.kernel,
        )  # fmt: skip
        return y, SLSTMState(*final)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, heads={self.heads}, forget={self.forget!r}"
