"""The long short-term memory and its variants."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from unrolled.check import check_choice, check_size
from unrolled.errors import OptionError
from unrolled.nn.cell import projected_inside
from unrolled.nn.cells.newton import Solvable
from unrolled.nn.init import INITIALISATIONS, orthogonal_per_gate, torch_uniform, xavier_per_gate
from unrolled.ops import lstm
from unrolled.ops.lstm.reference import EPSILON, LSTMOperands, LSTMState, LSTMWeights, lstm_step
from unrolled.ops.newton import Newton, lstm_recurrence

__all__ = ["LSTM"]


class LSTM(Solvable[LSTMState]):
    """Long short-term memory, with peepholes, coupled gates, projection and layer norm in any combination.

        i = sigmoid(W_i x + b_i + U_i h [+ p_i * c])          input gate
        f = sigmoid(W_f x + b_f + U_f h [+ p_f * c])          forget gate; coupled: f = 1 - i
        g = tanh(W_g x + b_g + U_g h)
        c' = f * c + i * g
        o = sigmoid(W_o x + b_o + U_o h [+ p_o * c'])         output gate: its peephole sees the new c
        h' = o * tanh(c')                                     projection: h' = W_p (o * tanh(c')); y = h'

    With layer_norm, W x becomes LN(W x) and U h becomes LN(U h), each over all gates with its own gain, and tanh(c')
    becomes tanh(LN(c')) in h' alone; c itself is carried as it is.

    input_size: features of x. hidden_size: features of c. peephole: diagonal weights from c to the gates. coupled: one
    gate for input and forget (CIFG). projection_size: features of h, fewer than hidden_size; None means no projection.
    forget_bias: where b_f starts (default 1; not with coupled, where b_i starts at -1 for the same effect). bias: False
    leaves b out. learn_initial_state: h and c before the first step are parameters. init: "xavier" (Xavier input
    weights, orthogonal recurrent weights, each gate by itself, zero biases but for the forget gate) or "torch" (uniform
    as torch.nn, biases included). kernel: "auto" or the name of a kernel of op `lstm`. solver: "sequential", or all
    steps at once: "newton", "auto" or a `Newton`, see `unrolled.nn.cells.newton.Solvable`; with projection_size only
    `Newton(form="full")`.

    Parameters, gates in the order i, f, g, o (coupled: i, g, o): weight_x (gates hidden, input), weight_h (gates
    hidden, output), bias (gates hidden,): one where torch.nn has two, which only ever act as their sum; peephole
    (3, hidden) for i, f, o (coupled: (2, hidden) for i, o), which starts at zero; weight_p (projection, hidden);
    norm_x, norm_h (gates hidden,) gains; norm_c (2, hidden) gain and bias.

    Source: Hochreiter and Schmidhuber 1997; forget gate, peepholes: Gers et al. 2000, 2002; coupled gates: Greff et al.
    2017, arXiv:1503.04069; projection: Sak et al. 2014, arXiv:1402.1128; layer norm: Ba et al. 2016, arXiv:1607.06450,
    eq. 20-22 (other libraries normalise each gate, or the sum, or the carried c: their weights do not fit here).

    >>> y, state = LSTM(3, 5, peephole=True, projection_size=4)(torch.zeros(2, 7, 3))
    >>> y.shape, state.h.shape, state.c.shape
    (torch.Size([2, 7, 4]), torch.Size([2, 4]), torch.Size([2, 5]))
    """

    emits_state = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        peephole: bool = False,
        coupled: bool = False,
        projection_size: int | None = None,
        layer_norm: bool = False,
        forget_bias: float | None = None,
        bias: bool = True,
        learn_initial_state: bool = False,
        init: str = "xavier",
        kernel: str = "auto",
        solver: str | Newton | Mapping[str, Any] = "sequential",
    ) -> None:
        self.hidden_size = check_size("LSTM", "hidden_size", hidden_size)
        output_size = _output_size(hidden_size, projection_size)
        super().__init__(check_size("LSTM", "input_size", input_size), output_size, solver)
        _check_forget_bias(forget_bias, coupled, bias)
        self.coupled = coupled
        self.gates = 3 if coupled else 4
        self.forget_bias = forget_bias
        self.init = check_choice("LSTM", "init", init, INITIALISATIONS)
        self.kernel = kernel
        stacked = self.gates * hidden_size
        self.weight_x = nn.Parameter(torch.empty(stacked, input_size))
        self.weight_h = nn.Parameter(torch.empty(stacked, output_size))
        self.bias = nn.Parameter(torch.empty(stacked)) if bias else None
        self.peephole = nn.Parameter(torch.empty(self.gates - 1, hidden_size)) if peephole else None
        self.weight_p = nn.Parameter(torch.empty(output_size, hidden_size)) if projection_size else None
        self.norm_x = nn.Parameter(torch.empty(stacked)) if layer_norm else None
        self.norm_h = nn.Parameter(torch.empty(stacked)) if layer_norm else None
        self.norm_c = nn.Parameter(torch.empty(2, hidden_size)) if layer_norm else None
        self.reset_parameters()
        self.learn_initial_state(learn_initial_state)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        if self.init == "torch":
            for weight in (self.weight_x, self.weight_h, self.weight_p):
                if weight is not None:
                    torch_uniform(weight, self.hidden_size)
        else:
            xavier_per_gate(self.weight_x, self.gates)
            orthogonal_per_gate(self.weight_h, self.gates)
            if self.weight_p is not None:
                xavier_per_gate(self.weight_p, 1)
        self._reset_bias()
        if self.peephole is not None:
            nn.init.zeros_(self.peephole)
        if self.norm_x is not None and self.norm_h is not None and self.norm_c is not None:
            nn.init.ones_(self.norm_x)
            nn.init.ones_(self.norm_h)
            nn.init.ones_(self.norm_c[0])
            nn.init.zeros_(self.norm_c[1])

    def _reset_bias(self) -> None:
        if self.bias is None:
            return
        torch_uniform(self.bias, self.hidden_size, draws=2 if self.init == "torch" else 0)
        with torch.no_grad():
            if self.coupled and self.init != "torch":
                self.bias[: self.hidden_size] = -1.0
            elif not self.coupled and (self.forget_bias is not None or self.init != "torch"):
                forget = 1.0 if self.forget_bias is None else self.forget_bias
                self.bias[self.hidden_size : 2 * self.hidden_size] = forget

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> LSTMState:
        h = torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)
        return LSTMState(h, torch.zeros(batch_size, self.hidden_size, device=device, dtype=dtype))

    def project(self, x: Tensor) -> LSTMOperands:
        if self.norm_x is None:
            return LSTMOperands(linear(x, self.weight_x, self.bias))
        gates = layer_norm(linear(x, self.weight_x), self.norm_x.shape, self.norm_x, self.bias, EPSILON)
        return LSTMOperands(gates)

    def op_projects(self, x: Tensor) -> bool:
        return self.newton_settings() is not None or (self.norm_x is None and projected_inside(x, self.kernel))

    def operands(self, x: Tensor) -> LSTMOperands:
        if self.newton_settings() is not None or not self.op_projects(x):
            return self.project(x)
        return LSTMOperands(x, weight_x=self.weight_x, bias=self.bias)

    def mask_recurrent(self, operands: LSTMOperands, mask: Tensor) -> LSTMOperands:
        return operands._replace(mask_h=mask)

    def recur(self, operands: LSTMOperands, state: LSTMState) -> tuple[Tensor, LSTMState]:
        return lstm_step(operands, state, self._weights(), self.coupled)

    def run(
        self,
        operands: LSTMOperands,
        state: LSTMState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, LSTMState]:
        return self._run(operands, state, lengths, reset, (0.0, 0.0), reverse)

    def run_zoned(
        self,
        operands: LSTMOperands,
        state: LSTMState,
        lengths: Tensor | None,
        reset: Tensor | None,
        masks: LSTMState | None,
        rates: Any,
        reverse: bool = False,
    ) -> tuple[Tensor, LSTMState]:
        if masks is not None:
            operands = operands._replace(zone_h=masks.h, zone_c=masks.c)
        return self._run(operands, state, lengths, reset, rates, reverse)

    def _run(
        self,
        operands: LSTMOperands,
        state: LSTMState,
        lengths: Tensor | None,
        reset: Tensor | None,
        rates: tuple[float, float],
        reverse: bool,
    ) -> tuple[Tensor, LSTMState]:
        recurrence = lstm_recurrence(self.coupled, *rates)
        found = self.solve(recurrence, operands, self._weights(), state, lengths, reset, reverse)
        if found is not None:
            return found
        start_h, start_c = self.start(state, reset) or (None, None)
        y, h, c = lstm(
            operands.gates, state.h, state.c, self.weight_h, weight_x=operands.weight_x, bias=operands.bias,
            peephole=self.peephole, weight_p=self.weight_p, norm_h=self.norm_h, norm_c=self.norm_c,
            mask_h=operands.mask_h, zone_h=operands.zone_h, zone_c=operands.zone_c, lengths=lengths, reset=reset,
            start_h=start_h, start_c=start_c, coupled=self.coupled, rate_h=rates[0], rate_c=rates[1], reverse=reverse,
            kernel=self.kernel,
        )  # fmt: skip
        return y, LSTMState(h, c)

    def _weights(self) -> LSTMWeights:
        return LSTMWeights(self.weight_h, self.peephole, self.weight_p, self.norm_h, self.norm_c)

    def extra_repr(self) -> str:
        switched = {
            "peephole": self.peephole is not None,
            "coupled": self.coupled,
            "layer_norm": self.norm_h is not None,
        }
        words = [f"{name}=True" for name, on in switched.items() if on]
        if self.weight_p is not None:
            words.append(f"projection_size={self.output_size}")
        return ", ".join([str(self.input_size), str(self.hidden_size), *words]) + self.solver_repr()


def _output_size(hidden_size: int, projection_size: int | None) -> int:
    if projection_size is None:
        return hidden_size
    if check_size("LSTM", "projection_size", projection_size) >= hidden_size:
        raise OptionError(
            f"LSTM: projection_size must be smaller than hidden_size={hidden_size}, got {projection_size}; "
            "leave it out for an h as wide as c."
        )
    return projection_size


def _check_forget_bias(forget_bias: float | None, coupled: bool, bias: bool) -> None:
    if forget_bias is None:
        return
    if coupled:
        raise OptionError(
            "LSTM: forget_bias goes with a forget gate, but coupled=True has none; leave one of them out."
        )
    if not bias:
        raise OptionError("LSTM: forget_bias needs bias=True, got bias=False; leave one of them out.")
