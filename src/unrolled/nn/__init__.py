"""Recurrent layers: cells, and the wrappers that hold any of them."""

from unrolled.nn.bidirectional import Bidirectional, Both
from unrolled.nn.cell import Cell
from unrolled.nn.cells import CELLS, GRU, LSTM, RNN, make_cell
from unrolled.nn.dropout import DropConnect, Dropped, VariationalDropout
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.residual import Residual
from unrolled.nn.stack import Stack
from unrolled.nn.stepper import Stepper
from unrolled.nn.torch_layout import from_torch, to_torch
from unrolled.nn.zoneout import Zoneout
from unrolled.ops.lstm.reference import LSTMState
from unrolled.state import HState

__all__ = [
    "CELLS",
    "Bidirectional",
    "Both",
    "Cell",
    "DropConnect",
    "Dropped",
    "GRU",
    "HState",
    "LSTM",
    "LSTMState",
    "RNN",
    "Recurrent",
    "Residual",
    "Stack",
    "Stepper",
    "VariationalDropout",
    "Zoneout",
    "from_torch",
    "make_cell",
    "to_torch",
]
