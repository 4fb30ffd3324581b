"""A layer with a way around it."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from unrolled.errors import OptionError
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.held import held_layer
from unrolled.padding import zero_padding

__all__ = ["Residual"]

S = TypeVar("S")


class Residual(Recurrent[S]):
    """A layer's output added to its input.

        y = x + layer(x)
        y = x + layer(LN(x))          norm=True

    layer: any Recurrent whose output_size equals its input_size. norm: the layer reads x normalised over its features,
    with a gain and a bias for each, which lets any cell be stacked deep. The state is the layer's.

    Source: He et al. 2015, arXiv:1512.03385; between recurrent layers: Wu et al. 2016, arXiv:1609.08144, section 3.1;
    the norm before the layer: Xiong et al. 2020, arXiv:2002.04745.

    >>> from unrolled.nn import GRU
    >>> y, state = Residual(GRU(5, 5), norm=True)(torch.zeros(2, 7, 5))
    >>> y.shape, state.h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 5]))
    """

    def __init__(self, layer: Recurrent[S], *, norm: bool = False) -> None:
        super().__init__()
        self.layer = held_layer("Residual", "layer", layer)
        if layer.input_size != layer.output_size:
            raise OptionError(
                f"Residual: layer must give as many features as it takes, got {layer.input_size} in and "
                f"{layer.output_size} out; x and y cannot be added."
            )
        self.input_size = self.output_size = layer.input_size
        self.norm = nn.LayerNorm(layer.input_size) if norm else None

    @property
    def streamable(self) -> bool:
        """As the layer."""
        return self.layer.streamable

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> S:
        return self.layer.initial_state(batch_size, device=device, dtype=dtype)

    def sequence(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        # A layer is given zero in the padding, where the norm would put its bias.
        read = x if self.norm is None else zero_padding(self.norm(x), lengths)
        y, state = self.layer.sequence(read, state, lengths, reset)
        return x + y, state

    def advance(self, x: Tensor, state: S) -> tuple[Tensor, S]:
        y, state = self.layer.advance(x if self.norm is None else self.norm(x), state)
        return x + y, state
