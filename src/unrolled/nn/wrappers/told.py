"""A layer that is told the same vector at every step."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.check import check_size
from unrolled.errors import OptionError
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.held import held_layer
from unrolled.padding import zero_padding

__all__ = ["Told", "ToldState"]


class ToldState(NamedTuple):
    """The inner state, and the vector (batch, features) that is told: the same from step to step."""

    inner: Any
    vector: Tensor


class Told(Recurrent[ToldState]):
    """A layer that reads, beside its input, a vector that its state carries unchanged.

        y_t, state = layer([x_t, v], state)

    v is zero in the initial state, and again after a reset: whoever starts a sequence puts it there, as
    `unrolled.align.bridge.Bridge` does.

    layer: any Recurrent. vector_size: features of v, fewer than the layer takes.

    >>> from unrolled.nn import GRU
    >>> y, state = Told(GRU(8, 5), 3)(torch.zeros(2, 7, 5))
    >>> y.shape, state.vector.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 3]))
    """

    def __init__(self, layer: Recurrent[Any], vector_size: int) -> None:
        super().__init__()
        self.layer = held_layer("Told", "layer", layer)
        self.vector_size = check_size("Told", "vector_size", vector_size)
        if vector_size >= layer.input_size:
            raise OptionError(
                f"Told: the layer takes {layer.input_size} features, got vector_size={vector_size}, which leaves none "
                "for x; make the layer as wide as both together."
            )
        self.input_size, self.output_size = layer.input_size - vector_size, layer.output_size

    @property
    def streamable(self) -> bool:
        """As the layer."""
        return self.layer.streamable

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> ToldState:
        inner = self.layer.initial_state(batch_size, device=device, dtype=dtype)
        return ToldState(inner, torch.zeros(batch_size, self.vector_size, device=device, dtype=dtype))

    def sequence(
        self, x: Tensor, state: ToldState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, ToldState]:
        told = state.vector[:, None].expand(-1, x.shape[1], -1)
        if reset is not None:
            told = torch.where((reset.cumsum(1) > 0)[..., None], 0, told)
        # In the padding no reset stands, so the last step tells what holds at the end of every row.
        y, inner = self.layer.sequence(zero_padding(torch.cat([x, told], -1), lengths), state.inner, lengths, reset)
        return y, ToldState(inner, told[:, -1])

    def advance(self, x: Tensor, state: ToldState) -> tuple[Tensor, ToldState]:
        y, inner = self.layer.advance(torch.cat([x, state.vector], -1), state.inner)
        return y, ToldState(inner, state.vector)

    def extra_repr(self) -> str:
        return f"vector_size={self.vector_size}"
