"""Zoneout: state entries that randomly keep their old value."""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from unrolled.check import check_rate
from unrolled.errors import OptionError, ShapeError
from unrolled.nn.cell import Cell
from unrolled.nn.wrappers.held import held_cell
from unrolled.ops.core.zone import zone_state
from unrolled.state import leaves, map_state

__all__ = ["Zoneout", "ZoneoutOperands"]

S = TypeVar("S")


class ZoneoutOperands(NamedTuple):
    """The cell's operands, and in training state-shaped bool masks (batch, [time,] ...): True takes the new value."""

    inner: Any
    masks: Any


class Zoneout(Cell[S]):
    """A cell in which each entry of the state randomly keeps its old value for a step.

        state' = mask * (new - state) + state          training: each mask entry is 1 with probability 1 - rate
        state' = (1 - rate) * (new - state) + state    evaluation: the expectation

    y follows: it is the first leaf of state'. Where the new h is computed from the new c (LSTM), that c is the one
    before zoneout, as in the paper.

    cell: any Cell with `emits_state`. rate: one number in [0, 1) for every leaf, or the cell's state with a number for
    each leaf, as in LSTMState(h=0.05, c=0.5), the paper's choice for language models. Masks are drawn afresh for every
    step, all at once for a sequence. The state is the cell's.

    Source: Krueger et al. 2016, arXiv:1606.01305, eq. 2-5.

    >>> from unrolled.nn import LSTM, LSTMState
    >>> y, state = Zoneout(LSTM(3, 5), rate=LSTMState(h=0.05, c=0.5))(torch.zeros(2, 7, 3))
    >>> bool((y[:, -1] == state.h).all())
    True
    """

    emits_state = True

    def __init__(self, cell: Cell[S], rate: float | S) -> None:
        held = held_cell("Zoneout", "cell", cell)
        super().__init__(held.input_size, held.output_size)
        if not held.emits_state:
            raise OptionError(
                "Zoneout: cell must have a state that begins with y and can be mixed part by part, as RNN, LSTM and "
                f"GRU have, got {type(held).__name__}; use VariationalDropout instead."
            )
        self.cell = held
        self.rates = _state_of_rates(rate, held.zero_state(1, "meta", None))

    @property
    def streamable(self) -> bool:
        """As the cell."""
        return self.cell.streamable

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> S:
        return self.cell.zero_state(batch_size, device, dtype)

    def learn_initial_state(self, learn: bool) -> None:
        """Turn the cell's initial state into parameters."""
        self.cell.learn_initial_state(learn)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> S:
        return self.cell.initial_state(batch_size, device=device, dtype=dtype)

    def project(self, x: Tensor) -> ZoneoutOperands:
        return ZoneoutOperands(self.cell.project(x), self._draw(x) if self.training else None)

    def op_projects(self, x: Tensor) -> bool:
        return self.cell.op_projects(x)

    def walks(self) -> bool:
        return type(self.cell).run_zoned is Cell.run_zoned

    def operands(self, x: Tensor) -> ZoneoutOperands:
        return ZoneoutOperands(self.cell.operands(x), self._draw(x) if self.training else None)

    def mask_recurrent(self, operands: ZoneoutOperands, mask: Tensor) -> ZoneoutOperands:
        return operands._replace(inner=self.cell.mask_recurrent(operands.inner, mask))

    def recur(self, operands: ZoneoutOperands, state: S) -> tuple[Tensor, S]:
        _, new = self.cell.recur(operands.inner, state)
        state = zone_state(new, state, operands.masks, self.rates)
        return leaves(state)[0], state

    def run(
        self,
        operands: ZoneoutOperands,
        state: S,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, S]:
        return self.cell.run_zoned(operands.inner, state, lengths, reset, operands.masks, self.rates, reverse)

    def _draw(self, x: Tensor) -> S:
        def mask(leaf: Tensor, rate: float) -> Tensor:
            return _kept(torch.Size((*x.shape[:-1], *leaf.shape[1:])), rate, x.device)

        return map_state(mask, self.cell.zero_state(1, "meta", None), self.rates)

    def extra_repr(self) -> str:
        return f"rate={self.rates}"


def _kept(shape: torch.Size, rate: float, device: torch.device) -> Tensor:
    """A bool mask, True with probability 1 - rate (rounded to 1 in 65536) in each entry.

    16 random bits an entry, four entries a draw, take less than half the time of torch.rand.
    """
    count = shape.numel()
    bits = torch.randint(-(2**63), 2**63 - 1, ((count + 3) // 4,), device=device)
    threshold = round(rate * 2**16) - 2**15
    # A rate below 1 lets an entry through now and then, whatever it is rounded to.
    return bits.view(torch.int16)[:count].view(shape) >= min(threshold, 2**15 - 1)


def _state_of_rates(rate: float | S, like: S) -> S:
    if not isinstance(rate, tuple):
        number = check_rate("Zoneout", "rate", rate)
        return map_state(lambda _: number, like)
    try:
        return map_state(lambda _, value: check_rate("Zoneout", "rate", value), like, rate)
    except ShapeError as error:
        raise OptionError(
            f"Zoneout: rate must be one number, or a {type(like).__name__} with a number for each leaf, got {rate!r}."
        ) from error
