"""What minGRU and minLSTM share: gates that see the input alone, so that a layer is one product and one scan."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from unrolled.check import check_choice, check_size
from unrolled.nn.cell import Cell
from unrolled.nn.init import INITIALISATIONS, torch_uniform, xavier_per_gate
from unrolled.ops import diagonal, minimal
from unrolled.ops.core.scan import outside_autocast
from unrolled.ops.diagonal.reference import DiagonalOperands
from unrolled.ops.minimal.reference import MinimalOperands, minimal_step, minimal_terms, parts
from unrolled.padding import reverse_padded
from unrolled.state import HState, map_state

__all__ = ["FORMS", "Minimal"]

FORMS = ("linear", "log")


class Minimal(Cell[HState]):
    """h' = (1 - z) * h + z * candidate, where z and the candidate depend on x alone; y = h'."""

    emits_state = True
    parallel_in_time = True
    lstm: ClassVar[bool]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        form: str,
        bias: bool,
        learn_initial_state: bool,
        init: str,
        kernel: str,
    ) -> None:
        owner = type(self).__name__
        super().__init__(check_size(owner, "input_size", input_size), check_size(owner, "hidden_size", hidden_size))
        self.form = check_choice(owner, "form", form, FORMS)
        self.init = check_choice(owner, "init", init, INITIALISATIONS)
        self.kernel = kernel
        self.weight_x = nn.Parameter(torch.empty(parts(self.lstm) * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(parts(self.lstm) * hidden_size)) if bias else None
        self.reset_parameters()
        self.learn_initial_state(learn_initial_state)

    @final
    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        if self.init == "torch":
            torch_uniform(self.weight_x, self.output_size)
        else:
            xavier_per_gate(self.weight_x, parts(self.lstm))
        if self.bias is not None:
            torch_uniform(self.bias, self.output_size, draws=1 if self.init == "torch" else 0)
            self._open_gates(self.bias)

    @abstractmethod
    def _open_gates(self, bias: Tensor) -> None:
        """Change a freshly drawn bias where a gate should start open."""

    @final
    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> HState:
        return HState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

    @final
    def project(self, x: Tensor) -> MinimalOperands:
        return MinimalOperands(linear(x, self.weight_x, self.bias))

    @final
    def recur(self, operands: MinimalOperands, state: HState) -> tuple[Tensor, HState]:
        return minimal_step(operands, state, self.lstm, self.form == "log")

    @final
    def run(
        self,
        operands: MinimalOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, HState]:
        start = self.start(state, reset)
        gates = operands.gates
        if reverse:
            gates, reset = reverse_padded(gates, lengths), None if reset is None else reverse_padded(reset, lengths)
        y, h = minimal(
            gates, state.h, lengths=lengths, reset=reset, start_h=None if start is None else start.h, lstm=self.lstm,
            positive=self.form == "log", kernel=self.kernel,
        )  # fmt: skip
        return reverse_padded(y, lengths) if reverse else y, HState(h)

    @final
    def run_zoned(
        self,
        operands: MinimalOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        masks: HState | None,
        rates: Any,
        reverse: bool = False,
    ) -> tuple[Tensor, HState]:
        start = self.start(state, reset)
        given = (operands.gates, None if masks is None else masks.h, reset)
        if reverse:
            given = map_state(lambda leaf: reverse_padded(leaf, lengths), given)
        gates, mask, reset = given
        decay, drive = outside_autocast(lambda raw, _: self._zoned(raw, mask, rates.h), gates, state)
        # The names that op `minimal` alone has mean no other walk.
        kernel = "auto" if self.kernel == "split" else self.kernel
        first = None if start is None else start.h
        y, h = diagonal(decay, drive, state.h, lengths=lengths, reset=reset, start_h=first, kernel=kernel)
        return reverse_padded(y, lengths) if reverse else y, HState(h)

    def _zoned(self, gates: Tensor, mask: Tensor | None, rate: float) -> DiagonalOperands:
        """Zoneout of a linear step is another linear step."""
        decay, drive = minimal_terms(gates, self.lstm, self.form == "log")
        if mask is None:
            return DiagonalOperands(rate + (1 - rate) * decay, (1 - rate) * drive)
        return DiagonalOperands(torch.where(mask, decay, 1.0), torch.where(mask, drive, 0.0))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, form={self.form!r}"
