"""Recurrences as pure functions of tensors: one registered operator each, with a table of kernels.

Each is a function that takes its arguments by name. `explain("lstm", x=x, ...)` says which kernel would run and why the
others would not; `kernels()` lists them all, and `find("lstm")` is the table behind one.
"""

from unrolled.ops.core.register import Kernel, Op, explain, find, kernels, register
from unrolled.ops.core.scan import scan
from unrolled.ops.delta import delta
from unrolled.ops.diagonal import diagonal
from unrolled.ops.gru import gru
from unrolled.ops.lstm import lstm
from unrolled.ops.minimal import minimal
from unrolled.ops.mlstm import mlstm
from unrolled.ops.rnn import rnn
from unrolled.ops.rotation import rotation
from unrolled.ops.slstm import slstm

__all__ = [
    "Kernel",
    "Op",
    "delta",
    "diagonal",
    "explain",
    "find",
    "gru",
    "kernels",
    "lstm",
    "minimal",
    "mlstm",
    "register",
    "rnn",
    "rotation",
    "scan",
    "slstm",
]
