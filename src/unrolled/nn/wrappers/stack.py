"""Layers on top of one another."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop

from unrolled.check import check_rate
from unrolled.errors import OptionError
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.held import held_layer

__all__ = ["Stack"]


class Stack(Recurrent[tuple[object, ...]]):
    """Layers on top of one another: each reads what the one below gives.

        y = layer_n( drop( ... drop( layer_1(x) ) ) )

    layers: any Recurrent layers, at least one; each must take as many features as the one below gives. dropout: rate in
    [0, 1) between layers, in training only, drawn afresh for every step; never on a carried state nor on the last y.
    For one mask a sequence, wrap the layers in `VariationalDropout`.

    The state is a tuple of the layers' states, the lowest first.

    Difference from torch.nn: layers may be of any kind and width, and nest.

    >>> from unrolled.nn import GRU, LSTM
    >>> y, (low, high) = Stack([GRU(3, 5), LSTM(5, 4)], dropout=0.1)(torch.zeros(2, 7, 3))
    >>> y.shape, low.h.shape, high.c.shape
    (torch.Size([2, 7, 4]), torch.Size([2, 5]), torch.Size([2, 4]))
    """

    def __init__(self, layers: Iterable[Recurrent[Any]], dropout: float = 0.0) -> None:
        super().__init__()
        held = [held_layer("Stack", f"layers[{i}]", layer) for i, layer in enumerate(layers)]
        if not held:
            raise OptionError("Stack: layers must hold at least one layer, got none.")
        for i, (below, above) in enumerate(itertools.pairwise(held)):
            if below.output_size != above.input_size:
                raise OptionError(
                    f"Stack: layers[{i + 1}] must take the {below.output_size} features that layers[{i}] gives, "
                    f"got input_size={above.input_size}; make the two sizes equal."
                )
        self.layers = nn.ModuleList(held)
        self.dropout = check_rate("Stack", "dropout", dropout)
        self.input_size = held[0].input_size
        self.output_size = held[-1].output_size

    @property
    def streamable(self) -> bool:
        """True if every layer is."""
        return all(layer.streamable for layer in self._held())

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> tuple[object, ...]:
        return tuple(layer.initial_state(batch_size, device=device, dtype=dtype) for layer in self._held())

    def sequence(
        self, x: Tensor, state: tuple[object, ...], lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, tuple[object, ...]]:
        finals = []
        for i, (layer, own) in enumerate(zip(self._held(), state, strict=True)):
            x, final = layer.sequence(self._between(i, x), own, lengths, reset)
            finals.append(final)
        return x, tuple(finals)

    def advance(self, x: Tensor, state: tuple[object, ...]) -> tuple[Tensor, tuple[object, ...]]:
        following = []
        for i, (layer, own) in enumerate(zip(self._held(), state, strict=True)):
            x, after = layer.advance(self._between(i, x), own)
            following.append(after)
        return x, tuple(following)

    def _between(self, position: int, x: Tensor) -> Tensor:
        return drop(x, self.dropout, self.training) if position and self.dropout else x

    def _held(self) -> Iterable[Recurrent[Any]]:
        return self.layers  # type: ignore[return-value]

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}" if self.dropout else ""
