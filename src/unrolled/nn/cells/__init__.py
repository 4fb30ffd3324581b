"""Every cell, and the table by which tasks and the command line find them: a new cell is one file and one line here."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from unrolled.check import check_choice
from unrolled.errors import OptionError, listed, suggest
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

__all__ = ["CELLS", "GRU", "LRU", "LSTM", "MLSTM", "MinGRU", "MinLSTM", "RGLRU", "RNN", "SLSTM"]
__all__ += ["make_cell", "register_cell"]

_CELLS: dict[str, type[Recurrent[Any]]] = {
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

CELLS: Mapping[str, type[Recurrent[Any]]] = MappingProxyType(_CELLS)
"""Every cell and block by the name that `make_cell`, the tasks and the command line know; `register_cell` adds one."""


def register_cell(name: str, cell: type[Recurrent[Any]]) -> None:
    """Make a cell or block of your own known by a name: to `make_cell`, every task's `cell=`, and the command line.

    cell: a subclass of `Recurrent` that is made as cell(input_size, hidden_size, **options). A model that was saved
    with it can be loaded wherever the same name is registered. To register a cell again does nothing. Raises
    OptionError for a name that another cell has.

    >>> register_cell("gru", GRU)
    >>> type(make_cell("gru", 3, 5)).__name__
    'GRU'
    """
    if not isinstance(name, str) or not name.replace("_", "").isalnum():
        raise OptionError(f"register_cell: name must be of letters, digits and underscores, got {name!r}.")
    if not isinstance(cell, type) or not issubclass(cell, Recurrent):
        raise OptionError(
            f"register_cell: cell must be a subclass of unrolled.nn.Recurrent, got {cell!r}; give the class itself."
        )
    if name in _CELLS and _CELLS[name] is not cell:
        raise OptionError(
            f"register_cell: the name {name!r} is taken by {_CELLS[name].__name__}; choose another, "
            f"the names are {listed(_CELLS)}."
        )
    _CELLS[name] = cell


def make_cell(name: str, input_size: int, hidden_size: int, **options: Any) -> Recurrent[Any]:
    """A cell or block by its name in `CELLS`; `options` go to its constructor. Raises OptionError for unknown words."""
    kind: Any = CELLS[check_choice("make_cell", "cell", name, CELLS)]
    known = list(inspect.signature(kind).parameters)[2:]
    for option in options:
        if option not in known:
            raise OptionError(
                f"{kind.__name__}: option {option!r} is unknown; it has {listed(known)}.{suggest(option, known)}"
            )
    cell: Recurrent[Any] = kind(input_size, hidden_size, **options)
    return cell
