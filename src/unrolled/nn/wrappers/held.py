"""What a wrapper may hold: checked once, at its constructor."""

from __future__ import annotations

from typing import TypeVar

from unrolled.errors import OptionError
from unrolled.nn.cell import Cell
from unrolled.nn.recurrent import Recurrent

__all__ = ["held_cell", "held_layer"]

S = TypeVar("S")


def held_layer(owner: str, name: str, layer: Recurrent[S]) -> Recurrent[S]:
    """`layer` if it keeps the contract; otherwise an OptionError."""
    if not isinstance(layer, Recurrent):
        raise OptionError(
            f"{owner}: {name} must be a Recurrent layer, got {type(layer).__name__}; "
            "convert a torch.nn layer with unrolled.nn.from_torch()."
        )
    return layer


def held_cell(owner: str, name: str, cell: Recurrent[S]) -> Cell[S]:
    """`cell` if it has single steps of its own to change; otherwise an OptionError."""
    if not isinstance(cell, Cell):
        raise OptionError(
            f"{owner}: {name} must be a Cell, got {type(cell).__name__}; wrap the cells inside it one by one."
        )
    return cell
