"""The time mix and the channel mix of RWKV-7."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from unrolled.check import check_size, check_state_dtype
from unrolled.errors import OptionError
from unrolled.nn.blocks.causal import WindowState, delayed
from unrolled.nn.blocks.parts import HeadNorm, block_heads, check_factor, unit
from unrolled.nn.recurrent import Recurrent
from unrolled.ops.core.scan import outside_autocast
from unrolled.ops.delta import delta
from unrolled.ops.delta.reference import DeltaOperands, DeltaState, delta_step
from unrolled.padding import zero_padding

__all__ = ["Blend", "LowRank", "RWKV7ChannelMix", "RWKV7TimeMix", "RWKV7TimeMixState", "rwkv7_heads"]

HEAD_WIDTH = 64
"""The width of the published models' heads."""

Blend = Callable[[Tensor, Tensor], Tensor]
"""(what v is made of, v) -> v with another layer's mixed in."""


class RWKV7TimeMixState(NamedTuple):
    """shift: the last x; memory: of the delta rule."""

    shift: WindowState
    memory: DeltaState


class LowRank(nn.Module):
    """A bias and a product of low rank with something between its two factors: bias + up f(down x).

    rank: min(size, 32 times the whole number nearest to scale * sqrt(size) / 32, which is at least 1).
    """

    def __init__(self, input_size: int, size: int, scale: float, *, between: str = "", bias: bool = True) -> None:
        super().__init__()
        rank = min(size, max(32, 32 * round(scale * math.sqrt(size) / 32)))
        self.between = between
        self.down = nn.Linear(input_size, rank, bias=False)
        self.up = nn.Linear(rank, size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        inner = self.down(x)
        if self.between:
            inner = torch.tanh(inner) if self.between == "tanh" else torch.sigmoid(inner)
        y: Tensor = self.up(inner)
        return y

    def reset_parameters(self, bias: Tensor | None) -> None:
        """Nothing but the bias at first."""
        nn.init.zeros_(self.down.weight)
        nn.init.orthogonal_(self.up.weight, gain=0.1)
        if bias is not None:
            with torch.no_grad():
                self.up.bias.copy_(bias)


class RWKV7TimeMix(Recurrent[RWKV7TimeMixState]):
    """The time mix of RWKV-7: the delta rule with decay and learning rate for every channel.

        x_c    = x + m_c * (x_(t-1) - x)                     a mix for each c of r, w, k, v, a, g
        r, k, v = W_r x_r, W_k x_k, W_v x_v
        log d  = -exp(-0.5) sigmoid(b_w + V_w tanh(U_w x_w))  decay, d in (0.545, 1)
        a      = sigmoid(b_a + V_a U_a x_a)                  learning rate
        g      = V_g sigmoid(U_g x_g)                        gate
        k^     = (k * k_k) / |k * k_k|,   k' = k * (1 + (a - 1) * k_a)
        S      = S (diag(d) - k^ (k^ * a)^T) + v k'^T        op `delta`, heads apart from one another
        y      = W_o (g * (GN(S r) + (sum of r * k' * r_k) v))

    No norm before and no way around: `RWKV7` adds both. input_size, hidden_size: features of x and of y. heads: must
    divide hidden_size; None takes heads of about 64. layer, layers: the place of this one, from 0, among how many, by
    which mixes and decays begin: the deeper, the less of the step before and the longer a memory. chunk: steps that the
    op takes at a time; every chunk gives the same numbers. kernel: "auto" or the name of a kernel of op `delta`.

    Parameters begin as in the authors' training code: W_o is zero, so y is too. Norms of heads have eps 64e-5 whatever
    their width, as there.

    Differences: k^ is k * k_k over sqrt(|k * k_k|^2 + 1e-6), whose gradient at zero is finite; x may be of another
    width than y; ranks are no larger than hidden_size.

    The state, which holds the last x, must be float32 or float64.

    Source: Peng et al. 2025, arXiv:2503.14456, section 4 and appendix.

    >>> y, state = RWKV7TimeMix(6, 8, heads=2)(torch.zeros(2, 7, 6), lengths=[7, 2])
    >>> y.shape, state.memory.s.shape, state.shift.past.shape
    (torch.Size([2, 7, 8]), torch.Size([2, 2, 4, 4]), torch.Size([2, 1, 6]))
    """

    parallel_in_time = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int | None = None,
        layer: int = 0,
        layers: int = 1,
        chunk: int = 64,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        owner = "RWKV7TimeMix"
        self.input_size = check_size(owner, "input_size", input_size)
        self.output_size = check_size(owner, "hidden_size", hidden_size)
        self.heads = rwkv7_heads(owner, hidden_size, heads)
        self.layer, self.layers = _place(owner, layer, layers)
        self.chunk = check_size(owner, "chunk", chunk)
        self.kernel = kernel
        self.mixes = nn.Parameter(torch.empty(6, input_size))
        self.receptance = nn.Linear(input_size, hidden_size, bias=False)
        self.key = nn.Linear(input_size, hidden_size, bias=False)
        self.value = nn.Linear(input_size, hidden_size, bias=False)
        self.decay = LowRank(input_size, hidden_size, 2.5, between="tanh")
        self.rate = LowRank(input_size, hidden_size, 2.5)
        self.gate = LowRank(input_size, hidden_size, 5, between="sigmoid", bias=False)
        self.key_removed = nn.Parameter(torch.empty(hidden_size))
        self.key_rate = nn.Parameter(torch.empty(hidden_size))
        self.bonus = nn.Parameter(torch.empty(self.heads, hidden_size // self.heads))
        self.head_norm = HeadNorm(self.heads, hidden_size // self.heads, bias=True, eps=64e-5)
        self.output = nn.Linear(hidden_size, hidden_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        size, left = self.output_size, 1 - self.layer / self.layers
        powers = torch.tensor([[0.2], [0.9], [0.7], [0.7], [0.9], [0.2]])
        with torch.no_grad():
            self.mixes.copy_(1 - _ramp(self.input_size) ** (powers * left))
        line = torch.linspace(0, 1, size)
        self.decay.reset_parameters(0.5 + _decays(line, self.layer, self.layers) + 2.5 * self._zigzag())
        self.rate.reset_parameters(-0.19 + 0.3 * self._zigzag() + 0.4 * (line - 0.5))
        self.gate.reset_parameters(None)
        for linear, bound in ((self.receptance, 0.5), (self.key, 0.05), (self.value, 0.5)):
            bound *= self.input_size**-0.5
            nn.init.uniform_(linear.weight, -bound, bound)
        with torch.no_grad():
            self.key_removed.copy_(0.71 - 0.1 * (line - 0.5))
        nn.init.constant_(self.key_rate, 1.02)
        nn.init.constant_(self.bonus, -0.04)
        self.head_norm.reset_parameters()
        nn.init.zeros_(self.output.weight)

    def _zigzag(self) -> Tensor:
        """From -1 to 1 in every head, flat in its middle."""
        way = torch.linspace(-1, 1, self.output_size // self.heads) if self.output_size > self.heads else torch.zeros(1)
        return (way * way.abs()).repeat(self.heads)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> RWKV7TimeMixState:
        dtype = check_state_dtype("RWKV7TimeMix", dtype)
        width = self.output_size // self.heads
        return RWKV7TimeMixState(
            _no_shift(batch_size, self.input_size, device, dtype),
            DeltaState(torch.zeros(batch_size, self.heads, width, width, device=device, dtype=dtype)),
        )

    def sequence(
        self, x: Tensor, state: RWKV7TimeMixState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, RWKV7TimeMixState]:
        y, state, _ = self.mix(x, state, lengths, reset)
        return zero_padding(y, lengths), state

    def mix(
        self,
        x: Tensor,
        state: RWKV7TimeMixState,
        lengths: Tensor | None,
        reset: Tensor | None,
        blend: Blend | None = None,
    ) -> tuple[Tensor, RWKV7TimeMixState, Tensor]:
        """`sequence` with v as a third, where `blend` changes it; y in the padding is finite and of no use."""
        (_, before), shift = delayed(x, state.shift, lengths, reset)
        operands, gate = self._operands(x, before, blend)
        q, w, k, v, a, b = operands
        start = None if reset is None else state.memory.s.new_zeros(1, *state.memory.s.shape[1:])
        read, s = delta(
            q=q, w=w, k=k, v=v, a=a, b=b, s0=state.memory.s, lengths=lengths, reset=reset, start_s=start,
            chunk=self.chunk, kernel=self.kernel,
        )  # fmt: skip
        return self._finish(read, operands, gate), RWKV7TimeMixState(shift, DeltaState(s)), v.flatten(-2)

    def advance(self, x: Tensor, state: RWKV7TimeMixState) -> tuple[Tensor, RWKV7TimeMixState]:
        y, state, _ = self.mix_step(x, state)
        return y, state

    def mix_step(
        self, x: Tensor, state: RWKV7TimeMixState, blend: Blend | None = None
    ) -> tuple[Tensor, RWKV7TimeMixState, Tensor]:
        """`mix` of one step."""
        before, shift = _shift(x, state.shift)
        operands, gate = self._operands(x, before, blend)
        read, memory = outside_autocast(delta_step, operands, state.memory)
        return self._finish(read, operands, gate), RWKV7TimeMixState(shift, memory), operands.v.flatten(-2)

    def _operands(self, x: Tensor, before: Tensor, blend: Blend | None) -> tuple[DeltaOperands, Tensor]:
        """What the op takes, and the gate."""
        mixed = torch.addcmul(x[..., None, :], (before - x)[..., None, :], self.mixes.to(before.dtype))
        for_r, for_w, for_k, for_v, for_a, for_g = mixed.unbind(-2)
        key, v = self.key(for_k), self.value(for_v)
        v = v if blend is None else blend(for_v, v)
        rate = torch.sigmoid(self.rate(for_a))
        w = -math.exp(-0.5) * torch.sigmoid(self.decay(for_w))
        k = key * (1 + (rate - 1) * self.key_rate)
        r, w, k, v, removed, rate = (
            torch.unflatten(part, -1, (self.heads, -1))
            for part in (self.receptance(for_r), w, k, v, key * self.key_removed, rate)
        )
        removed = unit(removed)
        return DeltaOperands(r, w, k, v, -removed, removed * rate), self.gate(for_g)

    def _finish(self, read: Tensor, operands: DeltaOperands, gate: Tensor) -> Tensor:
        bonus = (operands.q * operands.k * self.bonus).sum(-1, keepdim=True) * operands.v
        y: Tensor = self.output((self.head_norm(read) + bonus.flatten(-2)) * gate)
        return y

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, heads={self.heads}, layer={self.layer} of {self.layers}"


class RWKV7ChannelMix(Recurrent[WindowState]):
    """The channel mix of RWKV-7: two matrices with a squared rectifier between them.

        y = W_v max(0, W_k (x + m * (x_(t-1) - x)))^2

    No norm before and no way around: `RWKV7` adds both. input_size, hidden_size: features of x and of y. factor: inner
    width over hidden_size. layer, layers: the place of this one, from 0, among how many, by which the mix begins. The
    state is the last x. First W_v is zero.

    Source: Peng et al. 2025, arXiv:2503.14456, section 4.

    >>> y, state = RWKV7ChannelMix(6, 8)(torch.zeros(2, 7, 6))
    >>> y.shape, state.past.shape
    (torch.Size([2, 7, 8]), torch.Size([2, 1, 6]))
    """

    parallel_in_time = True

    def __init__(
        self, input_size: int, hidden_size: int, *, factor: float = 4.0, layer: int = 0, layers: int = 1
    ) -> None:
        super().__init__()
        owner = "RWKV7ChannelMix"
        self.input_size = check_size(owner, "input_size", input_size)
        self.output_size = check_size(owner, "hidden_size", hidden_size)
        self.layer, self.layers = _place(owner, layer, layers)
        inner = max(1, round(check_factor(owner, "factor", factor) * hidden_size))
        self.mixes = nn.Parameter(torch.empty(input_size))
        self.key = nn.Linear(input_size, inner, bias=False)
        self.value = nn.Linear(inner, hidden_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        with torch.no_grad():
            self.mixes.copy_(1 - _ramp(self.input_size) ** (1 - self.layer / self.layers) ** 4)
        bound = 0.5 * self.input_size**-0.5
        nn.init.uniform_(self.key.weight, -bound, bound)
        nn.init.zeros_(self.value.weight)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> WindowState:
        return _no_shift(batch_size, self.input_size, device, dtype)

    def sequence(
        self, x: Tensor, state: WindowState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, WindowState]:
        (_, before), state = delayed(x, state, lengths, reset)
        return zero_padding(self._mix(x, before), lengths), state

    def advance(self, x: Tensor, state: WindowState) -> tuple[Tensor, WindowState]:
        before, state = _shift(x, state)
        return self._mix(x, before), state

    def _mix(self, x: Tensor, before: Tensor) -> Tensor:
        inner = torch.relu(self.key(torch.addcmul(x, before - x, self.mixes.to(before.dtype))))
        y: Tensor = self.value(inner * inner)
        return y

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, layer={self.layer} of {self.layers}"


def rwkv7_heads(owner: str, width: int, heads: int | None) -> int:
    return block_heads(owner, width, heads, round(width / HEAD_WIDTH))


def _place(owner: str, layer: int, layers: int) -> tuple[int, int]:
    check_size(owner, "layers", layers)
    if isinstance(layer, bool) or not isinstance(layer, int) or not 0 <= layer < layers:
        raise OptionError(f"{owner}: layer must be one of 0..{layers - 1}, the layers from the first, got {layer!r}.")
    return layer, layers


def _no_shift(batch_size: int, size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> WindowState:
    return WindowState(torch.zeros(batch_size, 1, size, device=device, dtype=dtype))


def _shift(x: Tensor, state: WindowState) -> tuple[Tensor, WindowState]:
    """x of the step before, and the state after this one."""
    return state.past[:, 0], WindowState(x.to(state.past.dtype, copy=True)[:, None])


def _ramp(size: int) -> Tensor:
    """0, 1/size, ... : how far along each feature stands."""
    ramp: Tensor = torch.arange(size) / size
    return ramp


def _decays(line: Tensor, layer: int, layers: int) -> Tensor:
    """From -6 to 0, in deeper layers later."""
    ratio = layer / max(1, layers - 1)
    decays: Tensor = -6 + 6 * line ** (1 + ratio**0.3)
    return decays
