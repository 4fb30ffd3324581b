"""Streaming layers that look a few steps back: token shift and causal convolution, and the window they share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from unrolled.check import check_choice, check_size
from unrolled.nn.init import torch_uniform
from unrolled.nn.recurrent import Recurrent
from unrolled.ops.core.whole import whole_step
from unrolled.padding import zero_padding

__all__ = ["CausalConv", "TokenShift", "WindowState", "delayed", "window_step"]


class WindowState(NamedTuple):
    """past (batch, steps, size): the last inputs, the oldest first; zero where there was none."""

    past: Tensor


def delayed(
    x: Tensor, state: WindowState, lengths: Tensor | None, reset: Tensor | None
) -> tuple[list[Tensor], WindowState]:
    """Views of x (batch, time, size) from 0, 1, ... steps earlier, and the window after each row's last valid step.

    As many delays as the window has steps. Before the first step stands the window that came in, before a reset zero.
    What the views hold in the padding is of no use.
    """
    past = state.past
    depth, time = past.shape[1], x.shape[1]
    joined = torch.cat((past, x.to(past.dtype)), 1)
    views = [joined.narrow(1, depth - delay, time) for delay in range(depth + 1)]
    steps = torch.arange(depth, device=x.device)
    # Step t stands at position t + depth, so that the last `depth` inputs begin at the position of a row's length.
    places = (steps + time).expand(x.shape[0], depth) if lengths is None else steps + lengths[:, None]
    last = joined.gather(1, places[..., None].expand(-1, -1, x.shape[2]))
    if reset is None:
        return views, WindowState(last)
    now = torch.arange(time, device=x.device)
    # The step of the latest reset; where there was none, one before everything that the window holds.
    latest = torch.where(reset, now, -depth).cummax(1).values
    views = [
        torch.where((now - latest >= delay)[..., None], view, 0) if delay else view for delay, view in enumerate(views)
    ]
    fresh = (places - depth >= latest[:, -1:])[..., None]
    return views, WindowState(torch.where(fresh, last, 0))


@whole_step
def window_step(x: Tensor, past: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """One step of a causal convolution: x (batch, size) joins past (batch, steps, size), each feature by itself.

    weight (steps + 1, size): the newest step first. The sum of products plus bias, and the past of the next step.
    """
    joined = torch.cat((past, x.to(past.dtype)[:, None]), 1)
    y = (joined * weight.flip(0).to(joined.dtype)).sum(1)
    return y if bias is None else y + bias.to(y.dtype), joined[:, 1:]


class TokenShift(Recurrent[WindowState]):
    """The input of the step before.

        y_t = x_(t-1)

    Zero at the first step and after a reset. size: features of x and of y. No parameters. The state is the last x.

    Source: Peng et al. 2023, arXiv:2305.13048, section 3.1.1, without the mix, which is up to the reader of y.

    >>> y, state = TokenShift(1)(torch.tensor([[[1.0], [2.0], [3.0]]]))
    >>> y.flatten().tolist(), state.past.flatten().tolist()
    ([0.0, 1.0, 2.0], [3.0])
    """

    parallel_in_time = True

    def __init__(self, size: int) -> None:
        super().__init__()
        self.input_size = self.output_size = check_size("TokenShift", "size", size)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> WindowState:
        return WindowState(torch.zeros(batch_size, 1, self.input_size, device=device, dtype=dtype))

    def sequence(
        self, x: Tensor, state: WindowState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, WindowState]:
        (_, before), state = delayed(x, state, lengths, reset)
        return zero_padding(before, lengths), state

    def advance(self, x: Tensor, state: WindowState) -> tuple[Tensor, WindowState]:
        return state.past[:, 0], WindowState(x[:, None].clone())

    def extra_repr(self) -> str:
        return f"{self.input_size}"


class CausalConv(Recurrent[WindowState]):
    """A convolution over the last steps, every feature by itself.

        y_t = f(b + sum over d of w_d * x_(t-d)),   d = 0 .. width - 1

    Before the first step and before a reset stands zero. size: features of x and of y. width: steps that one output
    sees; any chunk length is exact, shorter ones than the width too. bias: False leaves b out. activation: f, None or
    "silu". The state is the last width - 1 inputs.

    Parameters: weight (width, size), the newest step first, and bias (size,).

    Difference from torch.nn.Conv1d(size, size, width, groups=size), padded on the left: its weight (size, 1, width) has
    the oldest step first.

    Source: the short convolution of Fu et al. 2022, arXiv:2212.14052 (there the shift), as in Mamba, arXiv:2312.00752.

    >>> y, state = CausalConv(3, width=4)(torch.zeros(2, 7, 3), lengths=[7, 2])
    >>> y.shape, state.past.shape
    (torch.Size([2, 7, 3]), torch.Size([2, 3, 3]))
    """

    parallel_in_time = True

    def __init__(self, size: int, width: int = 4, *, bias: bool = True, activation: str | None = None) -> None:
        super().__init__()
        self.input_size = self.output_size = check_size("CausalConv", "size", size)
        self.width = check_size("CausalConv", "width", width)
        self.activation = activation if activation is None else check_choice(
            "CausalConv", "activation", activation, ("silu",)
        )  # fmt: skip
        self.weight = nn.Parameter(torch.empty(width, size))
        self.bias = nn.Parameter(torch.empty(size)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew, uniform in +-1/sqrt(width)."""
        torch_uniform(self.weight, self.width)
        if self.bias is not None:
            torch_uniform(self.bias, self.width)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> WindowState:
        return WindowState(torch.zeros(batch_size, self.width - 1, self.input_size, device=device, dtype=dtype))

    def convolve(
        self, x: Tensor, state: WindowState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, WindowState]:
        """`sequence` for whoever sets the padding to zero later: what y holds there is finite and of no use."""
        views, state = delayed(x, state, lengths, reset)
        weight = self.weight.to(views[0].dtype)
        # Few products of whole sequences are faster than torch's own convolution of single features.
        y = views[0] * weight[0]
        for view, part in zip(views[1:], weight[1:], strict=True):
            y = torch.addcmul(y, view, part)
        y = y if self.bias is None else y + self.bias.to(y.dtype)
        return self._activated(y), state

    def sequence(
        self, x: Tensor, state: WindowState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, WindowState]:
        y, state = self.convolve(x, state, lengths, reset)
        return zero_padding(y, lengths), state

    def advance(self, x: Tensor, state: WindowState) -> tuple[Tensor, WindowState]:
        y, past = window_step(x, state.past, self.weight, self.bias)
        return self._activated(y), WindowState(past)

    def _activated(self, y: Tensor) -> Tensor:
        return y if self.activation is None else silu(y)

    def extra_repr(self) -> str:
        return f"{self.input_size}, width={self.width}, activation={self.activation!r}"
