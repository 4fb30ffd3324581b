"""Layers with one seeded bug each, of the kind that people write; `Sound` is what they would be without it."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear

from unrolled.nn import GRU, LSTM, Cell, Recurrent
from unrolled.nn.wrappers.bidirectional import Bidirectional
from unrolled.ops import scan
from unrolled.padding import valid_mask
from unrolled.state import HState, map_state, where_rows


class Operands(NamedTuple):
    gates: Tensor


class Sound(Cell[HState]):
    """A vanilla recurrence on the plain scan: keeps every law that needs no dynamic time."""

    def __init__(self, input_size: int = 3, hidden_size: int = 5, *, learn: bool = False) -> None:
        super().__init__(input_size, hidden_size)
        self.weight_x = nn.Parameter(0.5 * torch.randn(hidden_size, input_size))
        self.weight_h = nn.Parameter(0.5 * torch.randn(hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.randn(hidden_size))
        self.learn_initial_state(learn)

    def zero_state(self, batch_size: int, device: Any, dtype: Any) -> HState:
        return HState(torch.zeros(batch_size, self.output_size, device=device, dtype=dtype))

    def project(self, x: Tensor) -> Operands:
        return Operands(linear(x, self.weight_x, self.bias))

    def recur(self, operands: Operands, state: HState) -> tuple[Tensor, HState]:
        h = torch.tanh(operands.gates + state.h @ self.weight_h.T)
        return h, HState(h)


class MultipliesPadding(GRU):
    """Masks by multiplication, so that NaN in the padding survives as NaN; an op is given x as it is."""

    def __init__(self) -> None:
        super().__init__(3, 5, kernel="reference")

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None) -> Any:  # type: ignore[misc]
        state = self.initial_state(x.shape[0], dtype=x.dtype) if state is None else state
        if lengths is not None:
            x = x * valid_mask(lengths, x.shape[1])[..., None]
        return self.sequence(x, state, lengths, reset)


class NotFrozen(Sound):
    """The state walks on through the padding."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        y, _ = super().run(operands, state, lengths, reset)
        _, final = super().run(operands, state, None, reset)
        return y, final


class LeaksPadding(Sound):
    """y in the padding is what the last state gives, not zero."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        y, _ = super().run(operands, state, None, reset)
        return y, super().run(operands, state, lengths, reset)[1]


class NaiveFlip(Bidirectional):
    """Reverses the padded tensor instead of each row by its length."""

    def sequence(self, x: Tensor, state: Any, lengths: Any, reset: Any) -> tuple[Tensor, Any]:
        y_forward, forward = self.forward_layer.sequence(x, state.forward, lengths, reset)
        y_backward, backward = self.backward_layer.sequence(x.flip(1), state.backward, lengths, None)
        return torch.cat([y_forward, y_backward.flip(1)], -1), type(state)(forward, backward)


class BackwardIgnoresReset(Bidirectional):
    """Only the forward layer sees the resets."""

    def sequence(self, x: Tensor, state: Any, lengths: Any, reset: Any) -> tuple[Tensor, Any]:
        y, final = super().sequence(x, state, lengths, None)
        y_forward, forward = self.forward_layer.sequence(x, state.forward, lengths, reset)
        return torch.cat([y_forward, y[..., y_forward.shape[2] :]], -1), final._replace(forward=forward)


class FinalOfLastStep(Sound):
    """The final state is y at the last time, which is padding for a short row."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        y, _ = super().run(operands, state, lengths, reset)
        return y, HState(y[:, -1])


class FinalDropped(Sound):
    """The state that came in goes out again."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        return super().run(operands, state, lengths, reset)[0], state


class WrapsAround(Sound):
    """Gathers the final state at lengths - 1, which is the last step for a row of length zero."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        full, final = super().run(operands, state, None, reset)
        if lengths is None:
            return full, final
        y, _ = super().run(operands, state, lengths, reset)
        return y, HState(full[torch.arange(len(lengths)), lengths - 1])


class ResetLate(Sound):
    """Zeroes after step t, as libraries with a `done` flag do."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        if reset is not None:
            reset = torch.cat([torch.zeros_like(reset[:, :1]), reset[:, :-1]], 1)
        return super().run(operands, state, lengths, reset)


class ResetToZero(Sound):
    """Returns to zeros at a reset, although the initial state is learned."""

    def __init__(self) -> None:
        super().__init__(learn=True)

    def start(self, state: HState, reset: Any) -> Any:
        return None if reset is None else map_state(torch.zeros_like, state)


class ResetsWholeBatch(Sound):
    """One row's reset restarts its neighbours."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        if reset is not None:
            reset = reset.any(0, keepdim=True).expand_as(reset)
        return super().run(operands, state, lengths, reset)


class ResetInPadding(Sound):
    """Reads the flags in the padding, which the door would have cleared."""

    def forward(self, x: Any, state: Any = None, *, lengths: Any = None, reset: Any = None) -> Any:  # type: ignore[misc]
        y, final = Recurrent.forward(self, x, state, lengths=lengths, reset=reset)
        if lengths is None or reset is None:
            return y, final
        late = (reset & ~valid_mask(lengths, x.shape[1])).any(1)
        return y, where_rows(late, self.initial_state(x.shape[0], dtype=x.dtype), final)


class MixesRows(Sound):
    """Centres the operands over the batch."""

    def project(self, x: Tensor) -> Operands:
        gates = super().project(x).gates
        return Operands(gates - 0.1 * gates.mean(0, keepdim=True))


class Stabilised(NamedTuple):
    c: Tensor
    n: Tensor
    m: Tensor


class StabiliserPerBatch(Cell[Stabilised]):
    """Exponential gates whose stabiliser is one maximum for all rows, under a floor in the stabilised scale."""

    def __init__(self) -> None:
        super().__init__(3, 5)
        self.weight = nn.Parameter(torch.randn(10, 3))

    def zero_state(self, batch_size: int, device: Any, dtype: Any) -> Stabilised:
        zero = torch.zeros(batch_size, 5, device=device, dtype=dtype)
        return Stabilised(zero, zero, zero)

    def project(self, x: Tensor) -> Operands:
        return Operands(linear(x, self.weight))

    def recur(self, operands: Operands, state: Stabilised) -> tuple[Tensor, Stabilised]:
        i, z = operands.gates.chunk(2, -1)
        m = torch.maximum(i, state.m).amax(0, keepdim=True).expand_as(i)
        keep, take = torch.exp(state.m - m), torch.exp(i - m)
        c, n = keep * state.c + take * torch.tanh(z), keep * state.n + take
        return c / n.clamp(min=1.0), Stabilised(c, n, m.contiguous())


class DetachesState(Sound):
    """The gradient of the carried state is lost."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        return super().run(operands, HState(state.h.detach()), lengths, reset)

    def advance(self, x: Tensor, state: HState) -> tuple[Tensor, HState]:
        return self.recur(self.project(x), HState(state.h.detach()))


class DetachesLearned(Sound):
    """The learned initial state receives no gradient."""

    def __init__(self) -> None:
        super().__init__(learn=True)

    def initial_state(self, batch_size: int, *, device: Any = None, dtype: Any = None) -> HState:
        return map_state(Tensor.detach, super().initial_state(batch_size, device=device, dtype=dtype))


class StepWithoutBias(Sound):
    """The single step is written a second time, and the bias forgotten."""

    def advance(self, x: Tensor, state: HState) -> tuple[Tensor, HState]:
        return self.recur(Operands(linear(x, self.weight_x)), state)


class WritesState(Sound):
    """Saves memory by writing the final state over the one that came in."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        y, final = super().run(operands, HState(state.h.clone()), lengths, reset)
        with torch.no_grad():
            state.h.detach().copy_(final.h)
        return y, final


class WritesStateInStep(Sound):
    """As above, in `step` only."""

    def advance(self, x: Tensor, state: HState) -> tuple[Tensor, HState]:
        y, after = self.recur(self.project(x), HState(state.h.clone()))
        state.h.detach().copy_(after.h)
        return y, after


class HiddenMemory(Sound):
    """Carries something from call to call beside the state."""

    memory: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("memory", torch.zeros(5))

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        y, final = super().run(operands, HState(state.h + self.memory), lengths, reset)
        self.memory = 0.1 * y.detach().mean((0, 1))
        return y, final


class DropsInEvaluation(Sound):
    """Dropout without looking at `training`."""

    def project(self, x: Tensor) -> Operands:
        return Operands(dropout(super().project(x).gates, 0.5))


class HardCodedDtype(Sound):
    """The initial state is float32 whatever x is."""

    def zero_state(self, batch_size: int, device: Any, dtype: Any) -> HState:
        return super().zero_state(batch_size, device, torch.float32)


class LayersFirst(Sound):
    """The state has torch.nn's layout (layers, batch, hidden)."""

    def zero_state(self, batch_size: int, device: Any, dtype: Any) -> HState:
        return HState(torch.zeros(1, batch_size, self.output_size, device=device, dtype=dtype))


class OtherStructure(Sound):
    """A bare tuple comes out where a NamedTuple went in."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, Any]:
        y, final = super().run(operands, state, lengths, reset)
        return y, (final.h,)


class WalksInSecret(Sound):
    """Promises to be parallel in time, and walks."""

    parallel_in_time = True


class StreamsBothWays(Bidirectional):
    """Claims that a bidirectional layer can run in chunks."""

    @property
    def streamable(self) -> bool:
        return True


class StepsAnyway(GRU):
    """Says that it needs the whole sequence, and takes single steps."""

    @property
    def streamable(self) -> bool:
        return False

    def step(self, x: Tensor, state: Any = None) -> Any:  # type: ignore[misc]
        return self.advance(x, state)


class WeightBeside(Sound):
    """A weight that no state_dict holds."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = 1 + torch.rand(5, dtype=torch.float64)

    def project(self, x: Tensor) -> Operands:
        return Operands(super().project(x).gates * self.scale.to(x.dtype))


class CopyShares(Sound):
    """A deep copy that hands out the same parameters."""

    def __deepcopy__(self, memo: dict[int, Any]) -> CopyShares:
        return copy.copy(self)


class LastGateOfTwo(LSTM):
    """Takes its walk over the step of another cell: `recur` and the op disagree in the forget gate."""

    def recur(self, operands: Any, state: Any) -> Any:
        return super().recur(operands._replace(gates=operands.gates + 0.1), state)


class ForgetsGradient(Sound):
    """A custom backward that is wrong in one input: the recurrent weight's gradient is halved."""

    def recur(self, operands: Operands, state: HState) -> tuple[Tensor, HState]:
        weight = 0.5 * self.weight_h + 0.5 * self.weight_h.detach()
        h = torch.tanh(operands.gates + state.h @ weight.T)
        return h, HState(h)


class BranchesOnValues(Sound):
    """Reads a value in Python, which breaks the graph."""

    def sequence(self, x: Tensor, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        if lengths is not None and int(lengths.max()) == 1:
            return super().sequence(x[:, :1], state, lengths, reset)
        return super().sequence(x, state, lengths, reset)


class DivergesInGraph(Sound):
    """Takes another path when traced, and that path is wrong."""

    def run(self, operands: Operands, state: HState, lengths: Any, reset: Any) -> tuple[Tensor, HState]:
        late = None if torch.compiler.is_compiling() else lengths
        return scan(self.recur, operands, state, lengths=late, reset=reset, start=self.start(state, reset))
