"""One layer reading forwards, one backwards."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.held import held_layer

__all__ = ["Bidirectional", "Both"]


class Both(NamedTuple):
    """The states of the layer that reads forwards and of the one that reads backwards."""

    forward: Any
    backward: Any


class Bidirectional(Recurrent[Both]):
    """One layer reads each row from left to right, another from right to left; their outputs stand side by side.

        y_t = [forward(x_1 ... x_t), backward(x_L ... x_t)]          L: the row's length

    forward_layer, backward_layer: any Recurrent layers of one input_size; output_size is the sum of theirs.

    A row is reversed by its own length, so padding stays on the right. Resets cut a row into segments, each of which is
    read backwards by itself. The backward state that comes in stands at each row's right end, where the last segment is
    entered from the right; the one that goes out stands at the row's left end. The layer needs the whole sequence: it
    is not streamable, and a sequence cut into chunks is another function.

    Source: Schuster and Paliwal 1997. The final states are those of torch.nn's h_n.

    >>> from unrolled.nn import GRU
    >>> y, state = Bidirectional(GRU(3, 5), GRU(3, 4))(torch.zeros(2, 7, 3), lengths=[7, 2])
    >>> y.shape, state.backward.h.shape
    (torch.Size([2, 7, 9]), torch.Size([2, 4]))
    """

    def __init__(self, forward_layer: Recurrent[Any], backward_layer: Recurrent[Any]) -> None:
        super().__init__()
        self.forward_layer = held_layer("Bidirectional", "forward_layer", forward_layer)
        self.backward_layer = held_layer("Bidirectional", "backward_layer", backward_layer)
        if forward_layer.input_size != backward_layer.input_size:
            raise OptionError(
                "Bidirectional: forward_layer and backward_layer must have the same input_size, "
                f"got {forward_layer.input_size} and {backward_layer.input_size}."
            )
        self.input_size = forward_layer.input_size
        self.output_size = forward_layer.output_size + backward_layer.output_size

    @property
    def streamable(self) -> bool:
        """Always False: the backward layer starts at the end."""
        return False

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Both:
        layers = (self.forward_layer, self.backward_layer)
        return Both(*(layer.initial_state(batch_size, device=device, dtype=dtype) for layer in layers))

    def sequence(self, x: Tensor, state: Both, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, Both]:
        y_forward, forward = self.forward_layer.sequence(x, state.forward, lengths, reset)
        y_backward, backward = self.backward_layer.sequence_backwards(x, state.backward, lengths, reset)
        return torch.cat([y_forward, y_backward], -1), Both(forward, backward)
