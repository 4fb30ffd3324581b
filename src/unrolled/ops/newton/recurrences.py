"""The recurrences that can be solved for all times at once: a reference step, and the same step with its Jacobian."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from unrolled.ops.gru.reference import gru_step
from unrolled.ops.lstm.reference import lstm_step
from unrolled.ops.newton.jacobians import linear_gru, linear_lstm, linear_rnn
from unrolled.ops.rnn.reference import rnn_step

__all__ = ["Recurrence", "gru_recurrence", "lstm_recurrence", "rnn_recurrence"]


@dataclass(frozen=True)
class Recurrence:
    """One step over N rows.

    step(operands, state, weights): y and the new state, plain differentiable torch. linear(operands, state, weights,
    form): the new state as one vector, and its Jacobian, as in `jacobians`. y is the state's first leaf.
    """

    step: Callable[[Any, Any, Any], tuple[Tensor, Any]]
    linear: Callable[[Any, Any, Any, str], tuple[Tensor, Tensor]]


def rnn_recurrence(nonlinearity: str, rate_h: float = 0.0) -> Recurrence:
    """The vanilla step; weights: RNNWeights."""
    return Recurrence(
        lambda operands, state, weights: rnn_step(operands, state, weights.weight_h, nonlinearity, rate_h),
        lambda operands, state, weights, form: linear_rnn(operands, state, weights, form, nonlinearity, rate_h),
    )


def gru_recurrence(reset_after: bool, rate_h: float = 0.0) -> Recurrence:
    """The GRU's step; weights: GRUWeights."""
    return Recurrence(
        lambda operands, state, weights: gru_step(operands, state, weights, reset_after, rate_h),
        lambda operands, state, weights, form: linear_gru(operands, state, weights, form, reset_after, rate_h),
    )


def lstm_recurrence(coupled: bool, rate_h: float = 0.0, rate_c: float = 0.0) -> Recurrence:
    """The LSTM's step; weights: LSTMWeights."""
    return Recurrence(
        lambda operands, state, weights: lstm_step(operands, state, weights, coupled, rate_h, rate_c),
        lambda operands, state, weights, form: linear_lstm(operands, state, weights, form, coupled, rate_h, rate_c),
    )
