"""The block of RWKV-7: layers of time mix and channel mix."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.check import check_size, check_state_dtype
from unrolled.nn.blocks.causal import WindowState
from unrolled.nn.blocks.mixes import Blend, LowRank, RWKV7ChannelMix, RWKV7TimeMix, RWKV7TimeMixState, rwkv7_heads
from unrolled.nn.blocks.parts import check_factor, entrance
from unrolled.nn.recurrent import Recurrent
from unrolled.padding import zero_padding

__all__ = ["RWKV7", "RWKV7LayerState"]


class RWKV7LayerState(NamedTuple):
    """time: of the time mix; channel: the last x of the channel mix."""

    time: RWKV7TimeMixState
    channel: WindowState


class _Layer(nn.Module):
    """One pair of time mix and channel mix, and, but for the first, the mix with the first layer's values."""

    def __init__(self, size: int, factor: float, layer: int, layers: int, options: dict[str, Any]) -> None:
        super().__init__()
        place: dict[str, Any] = {"layer": layer, "layers": layers}
        self.time_norm = nn.LayerNorm(size)
        self.time = RWKV7TimeMix(size, size, **place, **options)
        self.channel_norm = nn.LayerNorm(size)
        self.channel = RWKV7ChannelMix(size, size, factor=factor, **place)
        self.first_value = LowRank(size, size, 1.7) if layer else None
        if self.first_value is not None:
            self.first_value.reset_parameters(0.73 - 0.4 * (torch.linspace(0, 1, size) - 0.5))

    def blend(self, first: Tensor | None) -> Blend | None:
        """How the values of this layer are changed by those of the first."""
        return None if first is None else partial(self._blend, first)

    def _blend(self, first: Tensor, x: Tensor, v: Tensor) -> Tensor:
        assert self.first_value is not None
        return v + (first - v) * torch.sigmoid(self.first_value(x))


class RWKV7(Recurrent[tuple[RWKV7LayerState, ...]]):
    """Layers of RWKV-7, each a time mix and a channel mix with a norm before and a way around.

        x' = W_in x                                          only where input_size differs from hidden_size
        x' = x' + TimeMix(LN(x'))                            in every layer
        x' = x' + ChannelMix(LN(x'))
        y  = x'                                              after the last layer

    In every layer but the first, v of the time mix is v + (v_1 - v) * sigmoid(b_v + V_v U_v x_v), where v_1 is that of
    the first layer at the same step: so layers are an option of the block, and not for a `Stack` of blocks, which would
    be without it.

    input_size, hidden_size: features of x and of y. layers: how many. heads, chunk, kernel: as in `RWKV7TimeMix`.
    factor: as in `RWKV7ChannelMix`. At first y = x'. The state is a tuple with one entry a layer; it must be float32 or
    float64.

    Difference from the authors' language model: its norms right after the embedding and before the last product are
    part of that, not of this.

    Source: Peng et al. 2025, arXiv:2503.14456, section 4 and figure 1.

    >>> y, state = RWKV7(6, 8, heads=2, layers=2)(torch.zeros(2, 7, 6), lengths=[7, 2])
    >>> y.shape, len(state), state[0].time.memory.s.shape
    (torch.Size([2, 7, 8]), 2, torch.Size([2, 2, 4, 4]))
    """

    parallel_in_time = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int | None = None,
        layers: int = 1,
        factor: float = 4.0,
        chunk: int = 64,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        owner = "RWKV7"
        self.input_size = check_size(owner, "input_size", input_size)
        self.output_size = check_size(owner, "hidden_size", hidden_size)
        options = {
            "heads": rwkv7_heads(owner, hidden_size, heads),
            "chunk": check_size(owner, "chunk", chunk),
            "kernel": kernel,
        }
        check_size(owner, "layers", layers)
        check_factor(owner, "factor", factor)
        self.entrance = entrance(input_size, hidden_size)
        self.layers = nn.ModuleList(_Layer(hidden_size, factor, layer, layers, options) for layer in range(layers))

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> tuple[RWKV7LayerState, ...]:
        dtype = check_state_dtype("RWKV7", dtype)
        parts = [(layer.time, layer.channel) for layer in self._held()]
        return tuple(
            RWKV7LayerState(*(part.initial_state(batch_size, device=device, dtype=dtype) for part in pair))
            for pair in parts
        )

    def sequence(
        self, x: Tensor, state: tuple[RWKV7LayerState, ...], lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, tuple[RWKV7LayerState, ...]]:
        x = x if self.entrance is None else self.entrance(x)
        first, finals = None, []
        for layer, own in zip(self._held(), state, strict=True):
            blend = layer.blend(first)
            y, time, v = layer.time.mix(layer.time_norm(x), own.time, lengths, reset, blend)
            first = v if first is None else first
            x = x + y
            y, channel = layer.channel.sequence(layer.channel_norm(x), own.channel, lengths, reset)
            x = x + y
            finals.append(RWKV7LayerState(time, channel))
        return zero_padding(x, lengths), tuple(finals)

    def advance(self, x: Tensor, state: tuple[RWKV7LayerState, ...]) -> tuple[Tensor, tuple[RWKV7LayerState, ...]]:
        x = x if self.entrance is None else self.entrance(x)
        first, after = None, []
        for layer, own in zip(self._held(), state, strict=True):
            y, time, v = layer.time.mix_step(layer.time_norm(x), own.time, layer.blend(first))
            first = v if first is None else first
            x = x + y
            y, channel = layer.channel.advance(layer.channel_norm(x), own.channel)
            x = x + y
            after.append(RWKV7LayerState(time, channel))
        return x, tuple(after)

    def _held(self) -> Iterable[Any]:
        return self.layers

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}"
