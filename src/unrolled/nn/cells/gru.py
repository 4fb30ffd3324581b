"""The gated recurrent unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, linear

from unrolled.check import check_choice, check_size
from unrolled.nn.cell import projected_inside
from unrolled.nn.cells.newton import Solvable
from unrolled.nn.init import INITIALISATIONS, orthogonal_per_gate, torch_uniform, xavier_per_gate
from unrolled.ops import gru
from unrolled.ops.gru.reference import EPSILON, GRUOperands, GRUWeights, gru_step
from unrolled.ops.newton import Newton, gru_recurrence
from unrolled.state import HState

__all__ = ["GRU"]


class GRU(Solvable[HState]):
    """Gated recurrent unit, reset gate after or before the candidate's matrix.

        r, z = sigmoid(W x + U h + b)                  reset gate, keep gate: (batch, hidden), in (0, 1)
        n    = tanh(W_n x + b_n + r * (U_n h + c_n))   reset="after"
        n    = tanh(W_n x + b_n + U_n (r * h))         reset="before"
        h'   = z * h + (1 - z) * n                     y = h'

    With layer_norm, W x becomes LN(W x) and U h becomes LN(U h), each with its own gain, r and z normalised together
    and n by itself (reset="before": LN(U_n (r * h))).

    input_size, hidden_size: features of x and of h. reset: "after" (cuDNN, torch) or "before" (the paper). bias: False
    leaves b and c_n out. learn_initial_state: h before the first step is a parameter. init: "xavier" (Xavier input
    weights, orthogonal recurrent weights, each gate by itself, zero biases) or "torch" (uniform as torch.nn). kernel:
    "auto" or the name of a kernel of op `gru`. solver: "sequential", or all steps at once: "newton", "auto" or a
    `Newton`, see `unrolled.nn.cells.newton.Solvable`.

    Parameters, gates in the order r, z, n: weight_x (3 hidden, input), weight_h (3 hidden, hidden), bias (3 hidden,),
    and for reset="after" bias_h (hidden,), which is c_n: it stands inside r * (...) and cannot be merged into the bias.

    Source: Cho et al. 2014, arXiv:1406.1078, eq. 5-8 (there z is the keep gate too); reset="after" is cuDNN's form;
    layer norm: Ba et al. 2016, arXiv:1607.06450, supplement, with one bias in place of three.

    >>> y, state = GRU(3, 5, reset="before")(torch.zeros(2, 7, 3), lengths=[7, 4])
    >>> y.shape, state.h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    emits_state = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        reset: str = "after",
        layer_norm: bool = False,
        bias: bool = True,
        learn_initial_state: bool = False,
        init: str = "xavier",
        kernel: str = "auto",
        solver: str | Newton | Mapping[str, Any] = "sequential",
    ) -> None:
        check_size("GRU", "input_size", input_size)
        super().__init__(input_size, check_size("GRU", "hidden_size", hidden_size), solver)
        self.reset = check_choice("GRU", "reset", reset, ("after", "before"))
        self.init = check_choice("GRU", "init", init, INITIALISATIONS)
        self.kernel = kernel
        self.weight_x = nn.Parameter(torch.empty(3 * hidden_size, input_size))
        self.weight_h = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size)) if bias else None
        self.bias_h = nn.Parameter(torch.empty(hidden_size)) if bias and reset == "after" else None
        self.norm_x = nn.Parameter(torch.empty(3 * hidden_size)) if layer_norm else None
        self.norm_h = nn.Parameter(torch.empty(3 * hidden_size)) if layer_norm else None
        self.reset_parameters()
        self.learn_initial_state(learn_initial_state)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        width = self.output_size
        if self.init == "torch":
            for weight in (self.weight_x, self.weight_h):
                torch_uniform(weight, width)
        else:
            xavier_per_gate(self.weight_x, 3)
            orthogonal_per_gate(self.weight_h, 3)
        if self.bias is not None:
            torch_uniform(self.bias, width, draws=2 if self.init == "torch" else 0)
        if self.bias_h is not None:
            # With a second bias for n, the first stands for one draw of torch's there.
            torch_uniform(self.bias_h, width, draws=1 if self.init == "torch" else 0)
            if self.init == "torch" and self.bias is not None:
                torch_uniform(self.bias.detach()[2 * width :], width)
        for gain in (self.norm_x, self.norm_h):
            if gain is not None:
                nn.init.ones_(gain)

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> HState:
        return HState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

    def project(self, x: Tensor) -> GRUOperands:
        if self.norm_x is None:
            return GRUOperands(linear(x, self.weight_x, self.bias))
        cut = 2 * self.output_size
        gates = linear(x, self.weight_x)
        parts = [
            layer_norm(part, part.shape[-1:], gain, None, EPSILON)
            for part, gain in ((gates[..., :cut], self.norm_x[:cut]), (gates[..., cut:], self.norm_x[cut:]))
        ]
        normed = torch.cat(parts, -1)
        return GRUOperands(normed if self.bias is None else normed + self.bias)

    def op_projects(self, x: Tensor) -> bool:
        return self.newton_settings() is not None or (self.norm_x is None and projected_inside(x, self.kernel))

    def operands(self, x: Tensor) -> GRUOperands:
        if self.newton_settings() is not None or not self.op_projects(x):
            return self.project(x)
        return GRUOperands(x, weight_x=self.weight_x, bias=self.bias)

    def mask_recurrent(self, operands: GRUOperands, mask: Tensor) -> GRUOperands:
        return operands._replace(mask_h=mask)

    def recur(self, operands: GRUOperands, state: HState) -> tuple[Tensor, HState]:
        weights = GRUWeights(self.weight_h, self.bias_h, self.norm_h)
        return gru_step(operands, state, weights, self.reset == "after")

    def run(
        self,
        operands: GRUOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, HState]:
        return self._run(operands, state, lengths, reset, 0.0, reverse)

    def run_zoned(
        self,
        operands: GRUOperands,
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
        operands: GRUOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        rate_h: float,
        reverse: bool,
    ) -> tuple[Tensor, HState]:
        weights = GRUWeights(self.weight_h, self.bias_h, self.norm_h)
        recurrence = gru_recurrence(self.reset == "after", rate_h)
        found = self.solve(recurrence, operands, weights, state, lengths, reset, reverse)
        if found is not None:
            return found
        start = self.start(state, reset)
        y, h = gru(
            operands.gates, state.h, self.weight_h, weight_x=operands.weight_x, bias=operands.bias,
            bias_h=self.bias_h, norm_h=self.norm_h, mask_h=operands.mask_h, zone_h=operands.zone_h, lengths=lengths,
            reset=reset, start_h=None if start is None else start.h, reset_after=self.reset == "after", rate_h=rate_h,
            reverse=reverse, kernel=self.kernel,
        )  # fmt: skip
        return y, HState(h)

    def extra_repr(self) -> str:
        norm = ", layer_norm=True" if self.norm_h is not None else ""
        return f"{self.input_size}, {self.output_size}, reset={self.reset!r}{norm}{self.solver_repr()}"
