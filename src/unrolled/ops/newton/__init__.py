"""Recurrences solved for all times at once by Newton's method, with a certificate and exact gradients."""

from unrolled.ops.newton.jacobians import RNNWeights
from unrolled.ops.newton.problem import Problem
from unrolled.ops.newton.recurrences import Recurrence, gru_recurrence, lstm_recurrence, rnn_recurrence
from unrolled.ops.newton.settings import Certificate, Newton
from unrolled.ops.newton.solve import Solver

__all__ = [
    "Certificate",
    "Newton",
    "Problem",
    "RNNWeights",
    "Recurrence",
    "Solver",
    "gru_recurrence",
    "lstm_recurrence",
    "rnn_recurrence",
]
