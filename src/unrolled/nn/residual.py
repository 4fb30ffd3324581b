"""A layer with a way around it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.nn.held import held_layer
from unrolled.nn.recurrent import Recurrent

__all__ = ["Residual"]


class Residual(Recurrent[Any]):
    """A layer's output added to its input.

        y = x + layer(x)

    layer: any Recurrent whose output_size equals its input_size. The state is the layer's.

    Source: He et al. 2015, arXiv:1512.03385; between recurrent layers: Wu et al. 2016, arXiv:1609.08144, section 3.1.

    >>> from unrolled.nn import GRU
    >>> y, state = Residual(GRU(5, 5))(torch.zeros(2, 7, 5))
    >>> y.shape, state.h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    def __init__(self, layer: Recurrent[Any]) -> None:
        super().__init__()
        self.layer = held_layer("Residual", "layer", layer)
        if layer.input_size != layer.output_size:
            raise OptionError(
                f"Residual: layer must give as many features as it takes, got {layer.input_size} in and "
                f"{layer.output_size} out; x and y cannot be added."
            )
        self.input_size = self.output_size = layer.input_size

    @property
    def streamable(self) -> bool:
        """As the layer."""
        return self.layer.streamable

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Any:
        return self.layer.initial_state(batch_size, device=device, dtype=dtype)

    def sequence(self, x: Tensor, state: Any, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Any]:
        y, state = self.layer.sequence(x, state, lengths, reset)
        return x + y, state

    def advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = self.layer.advance(x, state)
        return x + y, state
