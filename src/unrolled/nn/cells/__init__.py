"""Every cell, and the table by which tasks and the command line find them: a new cell is one file and one line here."""

from __future__ import annotations

import inspect
from typing import Any

from unrolled.check import check_choice
from unrolled.errors import OptionError, suggest
from unrolled.nn.blocks import RWKV7, GatedDeltaNet, MLSTMBlock, SLSTMBlock
from unrolled.nn.cells.gru import GRU
from unrolled.nn.cells.lru import LRU
from unrolled.nn.cells.lstm import LSTM
from unrolled.nn.cells.mingru import MinGRU
from unrolled.nn.cells.minlstm import MinLSTM
from unrolled.nn.cells.mlstm import MLSTM
from unrolled.nn.cells.rglru import RGLRU
from unrolled.nn.cells.rnn import RNN
from unrolled.nn.cells.slstm import SLSTM
from unrolled.nn.recurrent import Recurrent

__all__ = ["CELLS", "GRU", "LRU", "LSTM", "MLSTM", "MinGRU", "MinLSTM", "RGLRU", "RNN", "SLSTM", "make_cell"]

CELLS: dict[str, type[Recurrent[Any]]] = {
    "rnn": RNN,
    "lstm": LSTM,
    "gru": GRU,
    "mingru": MinGRU,
    "minlstm": MinLSTM,
    "rglru": RGLRU,
    "lru": LRU,
    "slstm": SLSTM,
    "mlstm": MLSTM,
    "slstm_block": SLSTMBlock,
    "mlstm_block": MLSTMBlock,
    "rwkv7": RWKV7,
    "gated_deltanet": GatedDeltaNet,
}


def make_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> Recurrent[Any]:
    """A cell or block by its name in `CELLS`; `options` go to its constructor. Raises OptionError for unknown words."""
    kind: Any = CELLS[check_choice("make_cell", "cell", name, CELLS)]
    known = list(inspect.signature(kind).parameters)[2:]
    for option in options:
        if option not in known:
            raise OptionError(
                f"{kind.__name__}: option {option!r} is unknown; it has {', '.join(known)}.{suggest(option, known)}"
            )
    cell: Recurrent[Any] = kind(input_size, hidden_size, **options)
    return cell
