"""From a vector to the state that an encoder or decoder starts from."""

from __future__ import annotations

from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from unrolled.check import check_size
from unrolled.errors import ShapeError
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.dropout import Dropped
from unrolled.state import map_state

__all__ = ["Bridge", "carried"]

S = TypeVar("S")


class Bridge(nn.Module, Generic[S]):
    """The initial state of a layer, moved by what a vector says: one linear map for each leaf of the state.

        leaf = initial leaf + W v + b                 bounded=False
        leaf = initial leaf + tanh(W v + b)           bounded=True

    input_size: features of v. layer: any Recurrent; its dropout masks stay as it draws them.
    """

    def __init__(self, input_size: int, layer: Recurrent[S], *, bounded: bool) -> None:
        super().__init__()
        self.input_size, self.bounded = check_size("Bridge", "input_size", input_size), bounded
        like = carried(layer.initial_state(1, device="meta"))
        self.maps = nn.ModuleList(nn.Linear(input_size, leaf.numel()) for leaf in like)
        for part in self.maps:
            assert isinstance(part, nn.Linear)
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)

    def forward(self, layer: Recurrent[S], vector: Tensor) -> S:
        """The state of `layer` for vector (batch, input_size), one row for each of its rows."""
        if vector.ndim != 2 or vector.shape[1] != self.input_size:
            raise ShapeError(
                f"Bridge: the vector to start from must be (batch, {self.input_size}), got {tuple(vector.shape)}; "
                "give one vector a row, as wide as the options say."
            )
        initial = layer.initial_state(vector.shape[0], device=vector.device, dtype=vector.dtype)
        chosen, maps = {id(leaf) for leaf in carried(initial)}, iter(self.maps)

        def move(leaf: Tensor) -> Tensor:
            if id(leaf) not in chosen:
                return leaf
            moved: Tensor = next(maps)(vector).view_as(leaf)
            return leaf + (moved.tanh() if self.bounded else moved)

        return map_state(move, initial)

    def extra_repr(self) -> str:
        return f"{self.input_size}, bounded={self.bounded}"


def carried(state: object) -> list[Tensor]:
    """The floating leaves of a state in their order, those left out that are masks of dropout."""
    if isinstance(state, Dropped):
        return carried(state.inner)
    if isinstance(state, tuple):
        return [leaf for part in state for leaf in carried(part)]
    return [state] if isinstance(state, torch.Tensor) and state.dtype.is_floating_point else []
