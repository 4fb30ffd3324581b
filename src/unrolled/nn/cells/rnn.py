"""The vanilla recurrent network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from unrolled.check import check_choice, check_size
from unrolled.nn.cell import projected_inside
from unrolled.nn.cells.newton import Solvable
from unrolled.nn.init import INITIALISATIONS, orthogonal_per_gate, torch_uniform, xavier_per_gate
from unrolled.ops import rnn
from unrolled.ops.newton import Newton, RNNWeights, rnn_recurrence
from unrolled.ops.rnn.reference import NONLINEARITIES, RNNOperands, rnn_step
from unrolled.state import HState

__all__ = ["RNN"]


class RNN(Solvable[HState]):
    """Vanilla (Elman) recurrent network.

        h' = f(W_x x + b + W_h h)          f = tanh or relu; y = h'

    input_size, hidden_size: features of x and of h. nonlinearity: "tanh" or "relu". bias: False leaves b out.
    learn_initial_state: h before the first step is a parameter. init: "xavier" (Xavier input weights, orthogonal
    recurrent weights, zero bias) or "torch" (uniform as torch.nn). kernel: "auto" or the name of a kernel of op `rnn`.
    solver: "sequential", or all steps at once: "newton", "auto" or a `Newton`, see `unrolled.nn.cells.newton.Solvable`.

    Parameters: weight_x (hidden, input), weight_h (hidden, hidden), bias (hidden,): one bias where torch.nn has two.

    Source: Elman 1990; the relu form with identity-like weights is Le et al. 2015, arXiv:1504.00941.

    >>> y, state = RNN(3, 5)(torch.zeros(2, 7, 3))
    >>> y.shape, state.h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    emits_state = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        learn_initial_state: bool = False,
        init: str = "xavier",
        kernel: str = "auto",
        solver: str | Newton | Mapping[str, Any] = "sequential",
    ) -> None:
        check_size("RNN", "input_size", input_size)
        super().__init__(input_size, check_size("RNN", "hidden_size", hidden_size), solver)
        self.nonlinearity = check_choice("RNN", "nonlinearity", nonlinearity, NONLINEARITIES)
        self.init = check_choice("RNN", "init", init, INITIALISATIONS)
        self.kernel = kernel
        self.weight_x = nn.Parameter(torch.empty(hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(hidden_size)) if bias else None
        self.reset_parameters()
        self.learn_initial_state(learn_initial_state)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        if self.init == "torch":
            for weight in (self.weight_x, self.weight_h):
                torch_uniform(weight, self.output_size)
        else:
            xavier_per_gate(self.weight_x, 1)
            orthogonal_per_gate(self.weight_h, 1)
        if self.bias is not None:
            torch_uniform(self.bias, self.output_size, draws=2 if self.init == "torch" else 0)

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> HState:
        return HState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

    def project(self, x: Tensor) -> RNNOperands:
        return RNNOperands(linear(x, self.weight_x, self.bias))

    def op_projects(self, x: Tensor) -> bool:
        return self.newton_settings() is not None or projected_inside(x, self.kernel)

    def operands(self, x: Tensor) -> RNNOperands:
        if self.newton_settings() is not None or not self.op_projects(x):
            return self.project(x)
        return RNNOperands(x, weight_x=self.weight_x, bias=self.bias)

    def mask_recurrent(self, operands: RNNOperands, mask: Tensor) -> RNNOperands:
        return operands._replace(mask_h=mask)

    def recur(self, operands: RNNOperands, state: HState) -> tuple[Tensor, HState]:
        return rnn_step(operands, state, self.weight_h, self.nonlinearity)

    def run(
        self,
        operands: RNNOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, HState]:
        return self._run(operands, state, lengths, reset, 0.0, reverse)

    def run_zoned(
        self,
        operands: RNNOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        masks: HState | None,
        rates: Any,
        reverse: bool = False,
    ) -> tuple[Tensor, HState]:
        if masks is not None:
            operands = operands._replace(zone_h=masks.h)
        return self._run(operands, state, lengths, reset, rates.h, reverse)

    def _run(
        self,
        operands: RNNOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        rate_h: float,
        reverse: bool,
    ) -> tuple[Tensor, HState]:
        recurrence = rnn_recurrence(self.nonlinearity, rate_h)
        found = self.solve(recurrence, operands, RNNWeights(self.weight_h), state, lengths, reset, reverse)
        if found is not None:
            return found
        start = self.start(state, reset)
        y, h = rnn(
            operands.gates, state.h, self.weight_h, weight_x=operands.weight_x, bias=operands.bias,
            mask_h=operands.mask_h, zone_h=operands.zone_h, lengths=lengths, reset=reset,
            start_h=None if start is None else start.h, nonlinearity=self.nonlinearity, rate_h=rate_h, reverse=reverse,
            kernel=self.kernel,
        )  # fmt: skip
        return y, HState(h)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, nonlinearity={self.nonlinearity!r}{self.solver_repr()}"
