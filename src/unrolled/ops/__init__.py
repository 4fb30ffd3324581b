"""Recurrences as pure functions of tensors: one registered operator each, with a table of kernels.

`explain("lstm", *arguments)` says which kernel would run and why the others would not; `kernels()` lists them all.
"""

from unrolled.ops.diagonal import diagonal
from unrolled.ops.gru import gru
from unrolled.ops.lstm import lstm
from unrolled.ops.register import Kernel, Op, explain, kernels, register
from unrolled.ops.rnn import rnn
from unrolled.ops.scan import scan

__all__ = ["Kernel", "Op", "diagonal", "explain", "gru", "kernels", "lstm", "register", "rnn", "scan"]
