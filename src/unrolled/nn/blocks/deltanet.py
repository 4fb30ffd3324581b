"""Gated DeltaNet, and DeltaNet as its case without decay."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from unrolled.check import check_size, check_state_dtype
from unrolled.errors import OptionError
from unrolled.nn.blocks.causal import CausalConv, WindowState
from unrolled.nn.blocks.parts import block_heads, check_factor, unit
from unrolled.nn.recurrent import Recurrent
from unrolled.ops.core.scan import outside_autocast
from unrolled.ops.delta import delta
from unrolled.ops.delta.reference import DeltaOperands, DeltaState, delta_step
from unrolled.padding import zero_padding

__all__ = ["GatedDeltaNet", "GatedDeltaNetState"]

HEAD_WIDTH = 64
"""Keys of a head where the number of heads is not given."""


class GatedDeltaNetState(NamedTuple):
    """window: the convolution's last inputs, None without one; memory: of the delta rule."""

    window: WindowState | None
    memory: DeltaState


class GatedDeltaNet(Recurrent[GatedDeltaNetState]):
    """Gated DeltaNet: a memory of pairs that forgets as a whole and overwrites what stands at a key.

        q, k, v = silu(conv(W_q x)), silu(conv(W_k x)), silu(conv(W_v x))
        q^, k^  = q / (|q| sqrt(keys)), k / |k|                 in every head
        beta    = sigmoid(W_b x)                                share that is overwritten, one a head; or twice that
        g       = -exp(A) softplus(W_a x + b_a)                 logarithm of the decay, one a head
        S       = exp(g) S (I - beta k^ k^^T) + beta v k^^T     op `delta`
        y       = W_o (RMSNorm(S q^) * silu(W_g x))             every head normalised by itself, with the same gain

    A bare mixer, with no norm before and no way around: `Residual(GatedDeltaNet(n, n), norm=True)` adds both.

    input_size, hidden_size: features of x and of y. heads: must divide hidden_size; None takes heads of about 64. conv:
    steps that the convolutions see; 0 means none, and the silu stays. decay: False makes g zero, which is DeltaNet.
    gate: False leaves out silu(W_g x), as the paper of DeltaNet does. expand_values: values of a head over its keys,
    which together are hidden_size. negative_eigenvalues: True doubles beta, so that a step may turn over what stands at
    a key and the state can count modulo two (Grazzi et al. 2024, arXiv:2411.12537). chunk: steps that the op takes at a
    time; every chunk gives the same numbers. kernel: "auto" or the name of a kernel of op `delta`.

    Parameters: `inward` holds W_q, W_k, W_v, W_g, W_b and W_a one under another; `conv` is over q, k and v together.
    First exp(A) is uniform in (0, 16) and softplus(b_a) log-uniform in (0.001, 0.1), as in Mamba-2.

    Differences from the package fla: |q| and |k| have 1e-6 under the root, as there, but the keys together are as wide
    as hidden_size instead of heads times a width of their own.

    The state must be float32 or float64.

    Source: Yang et al. 2024, arXiv:2412.06464, eq. 10 and section 3.4; without decay Yang et al. 2024,
    arXiv:2406.06484, section 2.2.

    >>> y, state = GatedDeltaNet(6, 8, heads=2, expand_values=2)(torch.zeros(2, 7, 6), lengths=[7, 2])
    >>> y.shape, state.memory.s.shape, state.window.past.shape
    (torch.Size([2, 7, 8]), torch.Size([2, 2, 4, 8]), torch.Size([2, 3, 32]))
    """

    parallel_in_time = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int | None = None,
        conv: int = 4,
        decay: bool = True,
        gate: bool = True,
        expand_values: float = 1.0,
        negative_eigenvalues: bool = False,
        chunk: int = 64,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        owner = "GatedDeltaNet"
        self.input_size = check_size(owner, "input_size", input_size)
        self.output_size = check_size(owner, "hidden_size", hidden_size)
        self.heads = block_heads(owner, hidden_size, heads, round(hidden_size / HEAD_WIDTH))
        self.negative_eigenvalues = negative_eigenvalues
        self.chunk = check_size(owner, "chunk", chunk)
        self.kernel = kernel
        self.value_size = self._values(expand_values)
        mixed = 2 * hidden_size + self.value_size
        self.sizes = [mixed, self.value_size if gate else 0, self.heads, self.heads if decay else 0]
        self.inward = nn.Linear(input_size, sum(self.sizes), bias=False)
        # Zero is a plain word for "none" here; anything else is a width.
        self.conv = None if type(conv) is int and conv == 0 else CausalConv(
            mixed, check_size(owner, "conv", conv), bias=False, activation="silu"
        )  # fmt: skip
        self.decay_rate = nn.Parameter(torch.empty(self.heads)) if decay else None
        self.decay_bias = nn.Parameter(torch.empty(self.heads)) if decay else None
        self.norm = nn.Parameter(torch.empty(self.value_size // self.heads))
        self.output = nn.Linear(self.value_size, hidden_size, bias=False)
        self.reset_parameters()

    @property
    def largest_share(self) -> float:
        """What beta stays below."""
        return 2.0 if self.negative_eigenvalues else 1.0

    def _values(self, expand: float) -> int:
        """Values of all heads together."""
        size = check_factor("GatedDeltaNet", "expand_values", expand) * self.output_size
        if size % self.heads:
            raise OptionError(
                f"GatedDeltaNet: expand_values must give every head a whole number of values, got {expand!r} for "
                f"hidden_size={self.output_size} and heads={self.heads}; use 1 or 2."
            )
        return int(size)

    def reset_parameters(self) -> None:
        """Draw all weights anew: matrices Xavier-uniform, q, k, v and the gate each by itself."""
        size = self.output_size
        with torch.no_grad():
            for block in torch.split(self.inward.weight, [size, size, self.value_size, *self.sizes[1:]]):
                if block.numel():
                    nn.init.xavier_uniform_(block)
        if self.conv is not None:
            self.conv.reset_parameters()
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.ones_(self.norm)
        if self.decay_rate is not None and self.decay_bias is not None:
            with torch.no_grad():
                # One minus [0, 1) keeps the logarithm finite.
                self.decay_rate.copy_((16 * (1 - torch.rand(self.heads))).log())
                wanted = torch.exp(torch.empty(self.heads).uniform_(math.log(0.001), math.log(0.1)))
                self.decay_bias.copy_(wanted + torch.log(-torch.expm1(-wanted)))

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> GatedDeltaNetState:
        dtype = check_state_dtype("GatedDeltaNet", dtype)
        window = None if self.conv is None else self.conv.initial_state(batch_size, device=device, dtype=dtype)
        shape = (batch_size, self.heads, self.output_size // self.heads, self.value_size // self.heads)
        return GatedDeltaNetState(window, DeltaState(torch.zeros(shape, device=device, dtype=dtype)))

    def sequence(
        self, x: Tensor, state: GatedDeltaNetState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, GatedDeltaNetState]:
        mixed, gate, share, decay = torch.split(self.inward(x), self.sizes, -1)
        window = None
        if self.conv is not None and state.window is not None:
            mixed, window = self.conv.convolve(mixed, state.window, lengths, reset)
        q, w, k, v, a, b = self._operands(mixed, share, decay)
        s = state.memory.s
        start = None if reset is None else s.new_zeros(1, *s.shape[1:])
        read, s = delta(
            q=q, w=w, k=k, v=v, a=a, b=b, s0=s, lengths=lengths, reset=reset, start_s=start, chunk=self.chunk,
            kernel=self.kernel,
        )  # fmt: skip
        return zero_padding(self._finish(read, gate), lengths), GatedDeltaNetState(window, DeltaState(s))

    def advance(self, x: Tensor, state: GatedDeltaNetState) -> tuple[Tensor, GatedDeltaNetState]:
        mixed, gate, share, decay = torch.split(self.inward(x), self.sizes, -1)
        window = None
        if self.conv is not None and state.window is not None:
            mixed, window = self.conv.advance(mixed, state.window)
        read, memory = outside_autocast(delta_step, self._operands(mixed, share, decay), state.memory)
        return self._finish(read, gate), GatedDeltaNetState(window, memory)

    def _operands(self, mixed: Tensor, share: Tensor, decay: Tensor) -> DeltaOperands:
        size = self.output_size
        mixed = mixed if self.conv is not None else silu(mixed)
        q, k, v = (
            torch.unflatten(part, -1, (self.heads, -1))
            for part in torch.split(mixed, [size, size, self.value_size], -1)
        )
        q, k = unit(q) * q.shape[-1] ** -0.5, unit(k)
        beta = torch.sigmoid(share)[..., None] * self.largest_share
        if self.decay_rate is None or self.decay_bias is None:
            return DeltaOperands(q, torch.zeros_like(k), beta * k, v, k, -beta * k)
        log = (-torch.exp(self.decay_rate) * softplus(decay + self.decay_bias))[..., None]
        return DeltaOperands(q, log.expand_as(k), beta * k, v, k, -torch.exp(log) * beta * k)

    def _finish(self, read: Tensor, gate: Tensor) -> Tensor:
        read = read * torch.rsqrt((read * read).mean(-1, keepdim=True) + 1e-5) * self.norm
        read = read.flatten(-2)
        y: Tensor = self.output(read * silu(gate) if self.sizes[1] else read)
        return y

    def extra_repr(self) -> str:
        decay = "" if self.decay_rate is not None else ", decay=False"
        turning = ", negative_eigenvalues=True" if self.negative_eigenvalues else ""
        return f"{self.input_size}, {self.output_size}, heads={self.heads}, chunk={self.chunk}{decay}{turning}"
