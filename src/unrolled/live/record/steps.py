"""The reference steps of the ops: what a recorded layer calls them with becomes one instruction each."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from unrolled.live.record.gated import WEIGHTS
from unrolled.live.record.products import grouped
from unrolled.live.record.tape import CONSTANTS, Node, Tape, nodes_of
from unrolled.live.record.values import Recorded
from unrolled.nn.blocks.causal import window_step
from unrolled.ops.core.zone import zone
from unrolled.ops.delta.reference import DeltaOperands, DeltaState, delta_step
from unrolled.ops.gru.reference import GRUOperands, GRUWeights, gru_step
from unrolled.ops.lstm.reference import LSTMOperands, LSTMState, LSTMWeights, lstm_step
from unrolled.ops.mlstm.reference import MLSTMOperands, MLSTMState, mlstm_step
from unrolled.ops.rnn.reference import RNNOperands, rnn_step
from unrolled.ops.slstm.reference import SLSTMOperands, SLSTMState, slstm_step
from unrolled.state import HState

__all__ = ["GATED", "STEPS"]

Value: TypeAlias = Recorded | Tensor
Step: TypeAlias = Callable[..., object]
"""(tape, the step's own arguments) -> what the step returns, or None where its equations have to be recorded."""


def _stateful(
    tape: Tape,
    op: str,
    inputs: list[Value],
    state: tuple[Value, ...],
    y: int,
    sizes: tuple[int, int, int],
    weights: tuple[Tensor | None, Tensor | None] = (None, None),
) -> tuple[Recorded, list[Recorded]]:
    """An instruction of `y` numbers that keeps its state in place: flat y, and the new state."""
    operands = tuple(tape.row_places(one) for one in (*inputs, *state))
    width = y + sum(len(one) for one in operands[len(inputs) :])
    places = tape.places(tape.node(Node(op, operands, width, sizes, weights=weights)))
    after = []
    start = y
    for leaf in state:
        count = leaf.shape[1:].numel()
        after.append(tape.view(places[start : start + count], leaf.shape[1:]))
        start += count
    return tape.view(places[:y], (y,)), after


def _heads(y: Recorded, like: Value) -> Recorded:
    return Recorded(y.tape, y.codes.view(-1, *like.shape[1:]))


def _delta(tape: Tape, operands: DeltaOperands, state: DeltaState) -> tuple[Recorded, DeltaState]:
    q, w, k, v, a, b = operands
    heads, keys = q.shape[1:]
    inputs = [q, torch.exp(w), k, v, a, b]
    y, (s,) = _stateful(tape, "delta", inputs, (state.s,), v.shape[1:].numel(), (keys, heads, v.shape[2]))
    return _heads(y, v), DeltaState(s)


def _mlstm(tape: Tape, operands: MLSTMOperands, state: MLSTMState) -> tuple[Recorded, MLSTMState]:
    heads, keys = operands.q.shape[1:]
    v = operands.v
    y, after = _stateful(tape, "mlstm", list(operands), tuple(state), v.shape[1:].numel(), (keys, heads, v.shape[2]))
    return _heads(y, v), MLSTMState(*after)


def _slstm(
    tape: Tape, operands: SLSTMOperands, state: SLSTMState, weight_h: Tensor, exponential: bool = False
) -> tuple[Recorded, SLSTMState]:
    heads, _, width = weight_h.shape
    h = tape.view(tape.row_places(state.h), (heads, width))
    gates = [
        gate + grouped(tape, h, weight).flatten(1)
        for gate, weight in zip(operands.gates.chunk(4, -1), weight_h.chunk(4, 1), strict=True)
    ]
    y, after = _stateful(tape, "slstm", list(gates), tuple(state), heads * width, (heads * width, 1, int(exponential)))
    return y, SLSTMState(*after)


def _window(tape: Tape, x: Recorded, past: Recorded, weight: Tensor, bias: Tensor | None) -> tuple[Recorded, Recorded]:
    # The instruction has the oldest step first.
    weights = weight.flip(0), bias
    y, (after,) = _stateful(tape, "window", [x], (past,), x.shape[1], (x.shape[1], 1, past.shape[1]), weights)
    return y, after


def _zone(tape: Tape, new: Recorded, old: Recorded, mask: Tensor | None, rate: float) -> Recorded | None:
    places = tape.row_places(new)
    sources = nodes_of(places)
    if mask is not None or not rate or len(sources) != 1 or sources[0] >= CONSTANTS:
        return None
    if tape.nodes[sources[0]].op != "gated":
        return None
    node = Node("zone", (places, tape.row_places(old)), len(places), (len(places), 1, 0), (float(rate), 0.0))
    return tape.view(tape.places(tape.node(node)), new.shape[1:])


def _gated(
    tape: Tape, word: str, gates: Recorded, state: tuple[Value, ...], weights: dict[str, Tensor | None]
) -> tuple[Recorded, ...] | None:
    """A node that may become a whole layer: the new state."""
    operands = tuple(tape.row_places(one) for one in (gates, *state))
    width = sum(map(len, operands[1:]))
    given = tuple(weights.get(name) for name in WEIGHTS)
    if any(isinstance(one, Recorded) for one in given):
        return None
    places = tape.places(tape.node(Node("gated", operands, width, weights=given, word=word)))  # type: ignore[arg-type]
    bounds = np.cumsum([len(one) for one in operands[1:-1]])
    return tuple(tape.view(one, (len(one),)) for one in np.split(places, bounds))


def _plain(operands: RNNOperands | GRUOperands | LSTMOperands, *rates: float) -> bool:
    """No mask and no zoneout inside the step."""
    return all(one is None for one in operands[1:]) and not any(rates) and isinstance(operands.gates, Recorded)


def _rnn(
    tape: Tape, operands: RNNOperands, state: HState, weight_h: Tensor, nonlinearity: str, rate_h: float = 0.0
) -> tuple[Recorded, HState] | None:
    if not _plain(operands, rate_h):
        return None
    assert isinstance(operands.gates, Recorded)
    after = _gated(tape, f"rnn {nonlinearity}", operands.gates, (state.h,), {"weight_h": weight_h})
    return None if after is None else (after[0], HState(after[0]))


def _gru(
    tape: Tape, operands: GRUOperands, state: HState, weights: GRUWeights, reset_after: bool, rate_h: float = 0.0
) -> tuple[Recorded, HState] | None:
    if not _plain(operands, rate_h):
        return None
    assert isinstance(operands.gates, Recorded)
    word = "gru after" if reset_after else "gru before"
    after = _gated(tape, word, operands.gates, (state.h,), weights._asdict())
    return None if after is None else (after[0], HState(after[0]))


def _lstm(
    tape: Tape, operands: LSTMOperands, state: LSTMState, weights: LSTMWeights, coupled: bool, rate_h: float = 0.0,
    rate_c: float = 0.0,
) -> tuple[Recorded, LSTMState] | None:  # fmt: skip
    if not _plain(operands, rate_h, rate_c):
        return None
    assert isinstance(operands.gates, Recorded)
    word = "lstm coupled" if coupled else "lstm"
    after = _gated(tape, word, operands.gates, tuple(state), weights._asdict())
    return None if after is None else (after[0], LSTMState(*after))


STEPS: dict[Callable[..., object], Step] = {
    delta_step: _delta,
    mlstm_step: _mlstm,
    slstm_step: _slstm,
    window_step: _window,
}

GATED: dict[Callable[..., object], Step] = {rnn_step: _rnn, gru_step: _gru, lstm_step: _lstm, zone: _zone}
"""Of cells that are whole compiled layers, where nothing else sees their state."""
