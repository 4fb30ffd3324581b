"""Dropout made for recurrences: one mask a sequence, and masks on the recurrent weights."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import dropout

from unrolled.check import check_rate
from unrolled.errors import OptionError
from unrolled.nn.cell import Cell
from unrolled.nn.recurrent import Recurrent
from unrolled.nn.wrappers.held import held_cell, held_layer

__all__ = ["DropConnect", "Dropped", "VariationalDropout"]

S = TypeVar("S")


class Dropped(NamedTuple):
    """The inner state and the masks of this sequence, (batch, features) each; (batch, 0) where the rate is 0.

    A mask holds 0 where a feature is dropped and 1 / (1 - rate) where it is kept.
    """

    inner: Any
    input: Tensor
    output: Tensor
    recurrent: Tensor


class VariationalDropout(Recurrent[Dropped]):
    """Dropout with one mask for a whole sequence, the same at every step.

        y_t, state = layer(x_t * m_input, state)        the recurrent weights see h * m_recurrent
        y_t = y_t * m_output

    layer: any Recurrent; a Cell where `recurrent` is used. input, output, recurrent: rates in [0, 1), on the features
    of x, of y, and of the h that the recurrent weights read; the h that is carried and emitted is never masked.

    Each row has masks of its own. They are drawn by `initial_state` and live in the state, so that chunks and single
    steps go on with them; a reset draws new ones for the segment it begins. In evaluation there is no dropout, and
    `initial_state` draws nothing: masks of a state made there are all ones.

    Source: Gal and Ghahramani 2015, arXiv:1512.05287, with one h mask for all gates (the paper's tied form).

    >>> from unrolled.nn import LSTM
    >>> y, state = VariationalDropout(LSTM(3, 5), input=0.2, recurrent=0.3)(torch.zeros(2, 7, 3))
    >>> y.shape, state.input.shape, state.output.shape, state.recurrent.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 3]), torch.Size([2, 0]), torch.Size([2, 5]))
    """

    def __init__(
        self, layer: Recurrent[Any], *, input: float = 0.0, output: float = 0.0, recurrent: float = 0.0
    ) -> None:
        super().__init__()
        self.layer = held_layer("VariationalDropout", "layer", layer)
        self.input_rate = check_rate("VariationalDropout", "input", input)
        self.output_rate = check_rate("VariationalDropout", "output", output)
        self.recurrent_rate = check_rate("VariationalDropout", "recurrent", recurrent)
        if self.recurrent_rate:
            _check_maskable(held_cell("VariationalDropout", "layer of a recurrent mask", layer))
        self.input_size = layer.input_size
        self.output_size = layer.output_size

    @property
    def streamable(self) -> bool:
        """As the layer."""
        return self.layer.streamable

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Dropped:
        inner = self.layer.initial_state(batch_size, device=device, dtype=dtype)
        return Dropped(inner, *self._draw((batch_size,), device, dtype))

    def sequence(
        self, x: Tensor, state: Dropped, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, Dropped]:
        masks = self._over_time(state, reset)
        if self.training and self.input_rate:
            x = x * masks[0]
        if self.training and self.recurrent_rate and isinstance(self.layer, Cell):
            operands = self.layer.mask_recurrent(self.layer.read(x, lengths), masks[2].expand(-1, x.shape[1], -1))
            y, inner = self.layer.run(operands, state.inner, lengths, reset)
        else:
            y, inner = self.layer.sequence(x, state.inner, lengths, reset)
        if self.training and self.output_rate:
            y = y * masks[1]
        return y, Dropped(inner, *(mask[:, -1] for mask in masks))

    def advance(self, x: Tensor, state: Dropped) -> tuple[Tensor, Dropped]:
        if self.training:
            return super().advance(x, state)
        y, inner = self.layer.advance(x, state.inner)
        return y, state._replace(inner=inner)

    def _draw(
        self, lead: tuple[int, ...], device: torch.device | str | None, dtype: torch.dtype | None
    ) -> list[Tensor]:
        sized = (
            (self.input_rate, self.input_size),
            (self.output_rate, self.output_size),
            (self.recurrent_rate, self.output_size),
        )
        masks = []
        for rate, width in sized:
            ones = torch.ones(*lead, width if rate else 0, device=device, dtype=dtype)
            # On the meta device only shapes are asked for, and the random state must stay as it is.
            masks.append(dropout(ones, rate) if rate and self.training and not ones.is_meta else ones)
        return masks

    def _over_time(self, state: Dropped, reset: Tensor | None) -> list[Tensor]:
        carried = [mask[:, None] for mask in state[1:]]
        if reset is None:
            return carried
        first = state.input
        fresh = self._draw((reset.shape[0], reset.shape[1]), first.device, first.dtype)
        steps = torch.arange(1, reset.shape[1] + 1, device=reset.device)
        # The position of the last reset up to each step, counted from 1; 0 stands for the mask that came in.
        latest = torch.where(reset, steps, 0).cummax(1).values[..., None]
        return [
            torch.cat([old, new], 1).gather(1, latest.expand(-1, -1, old.shape[2]))
            for old, new in zip(carried, fresh, strict=True)
        ]

    def extra_repr(self) -> str:
        return f"input={self.input_rate}, output={self.output_rate}, recurrent={self.recurrent_rate}"


class DropConnect(Recurrent[S]):
    """Dropout on the recurrent weights: entries of every weight_h inside the layer are zero for a whole call.

        U' = mask * U / (1 - rate)          each mask entry is 1 with probability 1 - rate; off in evaluation

    layer: any Recurrent that holds at least one parameter `weight_h`, at any depth. rate: in [0, 1). One mask serves
    all rows and steps of a call, so in training each chunk, and each `step`, draws its own. The state is the layer's;
    parameters keep their names under "layer.", and gradients reach the undropped parameter.

    Source: Wan et al. 2013; on recurrent weights: Merity et al. 2017, arXiv:1708.02182, section 2.

    >>> from unrolled.nn import LSTM
    >>> layer = DropConnect(LSTM(3, 5), rate=0.5)
    >>> list(layer.state_dict())
    ['layer.weight_x', 'layer.weight_h', 'layer.bias']
    """

    def __init__(self, layer: Recurrent[S], rate: float) -> None:
        super().__init__()
        self.layer = held_layer("DropConnect", "layer", layer)
        self.rate = check_rate("DropConnect", "rate", rate)
        self.input_size = layer.input_size
        self.output_size = layer.output_size
        self.dropped = tuple(_recurrent_weights(layer))
        if not self.dropped:
            raise OptionError(
                f"DropConnect: layer must hold a parameter weight_h, but {type(layer).__name__} has none; "
                "use VariationalDropout instead."
            )
        # In a tuple the module is not registered, so that no parameter gets a second name.
        self._hook = (_Sequence(layer),)

    @property
    def streamable(self) -> bool:
        """As the layer."""
        return self.layer.streamable

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> S:
        return self.layer.initial_state(batch_size, device=device, dtype=dtype)

    def sequence(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        if not self.training or not self.rate:
            return self.layer.sequence(x, state, lengths, reset)
        weights = {f"layer.{name}": dropout(self.layer.get_parameter(name), self.rate) for name in self.dropped}
        result: tuple[Tensor, S] = functional_call(self._hook[0], weights, (x, state, lengths, reset))
        return result

    def advance(self, x: Tensor, state: S) -> tuple[Tensor, S]:
        return super().advance(x, state) if self.training else self.layer.advance(x, state)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


class _Sequence(nn.Module, Generic[S]):
    """The unchecked hook of a layer as a module's forward, which is what `functional_call` calls."""

    def __init__(self, layer: Recurrent[S]) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: S, lengths: Tensor | None, reset: Tensor | None) -> tuple[Tensor, S]:
        return self.layer.sequence(x, state, lengths, reset)


def _recurrent_weights(layer: Recurrent[S]) -> list[str]:
    names = []
    for path, module in layer.named_modules():
        own = dict(module.named_parameters(recurse=False))
        if isinstance(module, Recurrent) and "weight_h" in own:
            names.append(f"{path}.weight_h" if path else "weight_h")
    return names


def _check_maskable(cell: Cell[S]) -> None:
    # Refused here rather than at the first training step.
    if type(cell).mask_recurrent is Cell.mask_recurrent:
        raise OptionError(
            f"VariationalDropout: recurrent needs a cell with a recurrent mask, but {type(cell).__name__} has none; "
            "use input= or output=."
        )
