"""Gated cells as users write them: two Linear layers a step, and a Python loop over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import layer_norm

__all__ = ["LOOPS", "Loop"]

State = tuple[Tensor, Tensor]


class Loop(torch.nn.Module, ABC):
    """x (B, T, I) -> y (B, T, H) and the last state, with copies of the weights of a layer of ours."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        (stacked, features), (_, self.hidden) = layer.weight_x.shape, layer.weight_h.shape
        self.from_x = torch.nn.Linear(features, stacked)
        self.from_h = torch.nn.Linear(self.hidden, stacked, bias=False)
        with torch.no_grad():
            self.from_x.weight.copy_(layer.weight_x)
            self.from_x.bias.copy_(layer.bias)
            self.from_h.weight.copy_(layer.weight_h)

    def forward(self, x: Tensor) -> tuple[Tensor, State]:
        """The whole sequence."""
        zeros = x.new_zeros(x.shape[0], self.hidden)
        state = (zeros, zeros)
        outputs = []
        for x_t in x.unbind(1):
            state = self.step(x_t, state)
            outputs.append(state[0])
        return torch.stack(outputs, 1), state

    @abstractmethod
    def step(self, x: Tensor, state: State) -> State:
        """One step: x (B, I), state (h, c), where only an LSTM uses c."""


class LoopLSTM(Loop):
    """Peepholes, coupled gates and layer norm as our LSTM defines them."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.coupled, self.gates = layer.coupled, layer.gates
        self.peephole = _copy(layer.peephole)
        self.norm_x, self.norm_h, self.norm_c = _copy(layer.norm_x), _copy(layer.norm_h), _copy(layer.norm_c)
        if self.norm_x is not None:
            # The bias of this form stands behind the norm.
            self.from_x.bias = None
            self.bias = _copy(layer.bias)

    def step(self, x: Tensor, state: State) -> State:
        """One step."""
        h, c = state
        from_x, from_h = self.from_x(x), self.from_h(h)
        if self.norm_x is not None:
            from_x = layer_norm(from_x, self.norm_x.shape, self.norm_x, self.bias)
            from_h = layer_norm(from_h, self.norm_h.shape, self.norm_h)
        i, *forget, g, o = (from_x + from_h).chunk(self.gates, -1)
        p, n = self.peephole, self.norm_c
        i = torch.sigmoid(i if p is None else i + p[0] * c)
        f = 1 - i if self.coupled else torch.sigmoid(forget[0] if p is None else forget[0] + p[1] * c)
        c = f * c + i * torch.tanh(g)
        o = torch.sigmoid(o if p is None else o + p[-1] * c)
        return o * torch.tanh(c if n is None else layer_norm(c, c.shape[-1:], n[0], n[1])), c


class LoopGRU(Loop):
    """The reset gate after the matrix, as torch has it."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer)
        self.bias_h = _copy(layer.bias_h)

    def step(self, x: Tensor, state: State) -> State:
        """One step."""
        h = state[0]
        (x_r, x_z, x_n), (h_r, h_z, h_n) = self.from_x(x).chunk(3, -1), self.from_h(h).chunk(3, -1)
        z = torch.sigmoid(x_z + h_z)
        n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * (h_n + self.bias_h))
        h = z * h + (1 - z) * n
        return h, h


class LoopRNN(Loop):
    """With tanh."""

    def step(self, x: Tensor, state: State) -> State:
        """One step."""
        h = torch.tanh(self.from_x(x) + self.from_h(state[0]))
        return h, h


LOOPS: dict[str, type[Loop]] = {"lstm": LoopLSTM, "gru": LoopGRU, "rnn": LoopRNN}


def _copy(weight: Tensor | None) -> torch.nn.Parameter | None:
    return None if weight is None else torch.nn.Parameter(weight.detach().clone())
