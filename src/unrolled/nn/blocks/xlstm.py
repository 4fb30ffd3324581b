"""The two residual blocks of xLSTM."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from unrolled.check import check_size, check_state_dtype
from unrolled.errors import OptionError
from unrolled.nn.blocks.causal import CausalConv, WindowState
from unrolled.nn.blocks.parts import (
    BlockLinear,
    GatedLinear,
    HeadNorm,
    block_heads,
    check_factor,
    entrance,
    small_normal,
)
from unrolled.nn.recurrent import Recurrent
from unrolled.ops.core.scan import outside_autocast
from unrolled.ops.mlstm import mlstm
from unrolled.ops.mlstm.reference import MLSTMOperands, MLSTMState, mlstm_step
from unrolled.ops.slstm import slstm
from unrolled.ops.slstm.reference import SLSTMOperands, SLSTMState, slstm_step
from unrolled.padding import zero_padding

__all__ = ["MLSTMBlock", "MLSTMBlockState", "SLSTMBlock", "SLSTMBlockState"]

HEADS = 4
"""As many heads as the paper has, where they divide the width."""


class SLSTMBlockState(NamedTuple):
    """window: the convolution's last inputs, None without one; cell: of the sLSTM."""

    window: WindowState | None
    cell: SLSTMState


class MLSTMBlockState(NamedTuple):
    """window: the convolution's last inputs; cell: of the mLSTM."""

    window: WindowState
    cell: MLSTMState


class SLSTMBlock(Recurrent[SLSTMBlockState]):
    """The residual xLSTM block around an sLSTM, which widens after the recurrence.

        x'         = W_in x                                    only where input_size differs from hidden_size
        u          = LN(x')
        i~, f~     = W_i s, W_f s + recurrent + bias           s = silu(conv(u)); conv=0: s = u
        z~, o~     = W_z u, W_o u + recurrent + bias
        h          = sLSTM(i~, f~, z~, o~)                     op `slstm`, heads apart from one another
        a          = x' + GN(h)                                every head normalised by itself
        y          = a + W_down (gelu(W_gate LN(a)) * (W_up LN(a)))

    input_size, hidden_size: features of x and of y. heads: must divide hidden_size and leave 2 features or more; None
    takes 4, or the largest smaller number that fits. conv: steps that the convolution sees; 0 means none. exponential:
    the forget gate is exp(f~) instead of sigmoid(f~). factor: width of the gated layer over hidden_size. blocks: how
    many blocks will stand on one another, by which the weights of what a block adds shrink. kernel: "auto" or the name
    of a kernel of op `slstm`.

    The four input matrices are block-diagonal by heads, as the recurrent ones. First the recurrent weights are zero,
    and the forget biases of a head fall from 5 to -7.

    Difference from the package xlstm: the gated layer is factor * hidden_size wide, not rounded up to a multiple of 64;
    the gain of a norm is stored itself, not its difference from 1; and the first step of a row is fresh whatever
    the other rows of the batch have seen.

    The state must be float32 or float64. It is walked step by step: no form parallel in time exists.

    Source: Beck et al. 2024, arXiv:2405.04517, eq. 8-17 and figure 9.

    >>> y, state = SLSTMBlock(6, 8, heads=2)(torch.zeros(2, 7, 6), lengths=[7, 2])
    >>> y.shape, state.cell.c.shape, state.window.past.shape
    (torch.Size([2, 7, 8]), torch.Size([2, 8]), torch.Size([2, 3, 8]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int | None = None,
        conv: int = 4,
        exponential: bool = False,
        factor: float = 4 / 3,
        blocks: int = 1,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        owner = "SLSTMBlock"
        self.input_size = check_size(owner, "input_size", input_size)
        self.output_size = check_size(owner, "hidden_size", hidden_size)
        self.heads = block_heads(owner, hidden_size, heads, min(HEADS, hidden_size // 2))
        if self.heads == hidden_size > 1:
            raise OptionError(
                f"{owner}: a head must have at least 2 features to be normalised, got hidden_size={hidden_size} and "
                f"heads={heads}; use fewer heads."
            )
        self.exponential = exponential
        self.blocks = check_size(owner, "blocks", blocks)
        self.kernel = kernel
        width = hidden_size // self.heads
        self.entrance = entrance(input_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, bias=False)
        # Zero is a plain word for "none" here; anything else is a width.
        self.conv = None if type(conv) is int and conv == 0 else CausalConv(
            hidden_size, check_size(owner, "conv", conv), activation="silu"
        )  # fmt: skip
        self.gates_if = BlockLinear(2, self.heads, width)
        self.gates_zo = BlockLinear(2, self.heads, width)
        self.weight_h = nn.Parameter(torch.empty(self.heads, 4 * width, width))
        self.bias = nn.Parameter(torch.empty(4 * hidden_size))
        self.head_norm = HeadNorm(self.heads, width)
        self.gated_norm = nn.LayerNorm(hidden_size, bias=False)
        self.gated = GatedLinear(hidden_size, check_factor(owner, "factor", factor))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        size = self.output_size
        for layer in (self.entrance, self.norm, self.conv, self.head_norm, self.gated_norm):
            if layer is not None:
                layer.reset_parameters()
        for weight in (self.gates_if.weight, self.gates_zo.weight, self.gated.up.weight):
            small_normal(weight, size)
        nn.init.normal_(self.gated.down.weight, std=2 / self.blocks / math.sqrt(size))
        nn.init.zeros_(self.weight_h)
        place = torch.linspace(0, 1, size // self.heads)
        with torch.no_grad():
            self.bias.zero_()
            self.bias[size : 2 * size] = (5 - 12 * place**0.3).repeat(self.heads)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> SLSTMBlockState:
        dtype = check_state_dtype("SLSTMBlock", dtype)
        zeros = [torch.zeros(batch_size, self.output_size, device=device, dtype=dtype) for _ in range(4)]
        window = None if self.conv is None else self.conv.initial_state(batch_size, device=device, dtype=dtype)
        return SLSTMBlockState(window, SLSTMState(*zeros))

    def sequence(
        self, x: Tensor, state: SLSTMBlockState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, SLSTMBlockState]:
        x = x if self.entrance is None else self.entrance(x)
        u = self.norm(x)
        read, window = u, None
        if self.conv is not None and state.window is not None:
            read, window = self.conv.convolve(u, state.window, lengths, reset)
        fresh = None if reset is None else state.cell.h.new_zeros(1, state.cell.h.shape[1])
        h, *cell = slstm(
            self._gates(u, read), *state.cell, self.weight_h, lengths=lengths, reset=reset, start_h=fresh,
            start_c=fresh, start_n=fresh, start_m=fresh, exponential=self.exponential, kernel=self.kernel,
        )  # fmt: skip
        return zero_padding(self._finish(x, h), lengths), SLSTMBlockState(window, SLSTMState(*cell))

    def advance(self, x: Tensor, state: SLSTMBlockState) -> tuple[Tensor, SLSTMBlockState]:
        x = x if self.entrance is None else self.entrance(x)
        u = self.norm(x)
        read, window = u, None
        if self.conv is not None and state.window is not None:
            read, window = self.conv.advance(u, state.window)
        h, cell = outside_autocast(
            lambda operands, old: slstm_step(operands, old, self.weight_h, self.exponential),
            SLSTMOperands(self._gates(u, read)), state.cell,
        )  # fmt: skip
        return self._finish(x, h), SLSTMBlockState(window, cell)

    def _gates(self, u: Tensor, read: Tensor) -> Tensor:
        """i~, f~, z~, o~ without the recurrence: (..., 4 * hidden)."""
        return torch.cat((self.gates_if(read), self.gates_zo(u)), -2).flatten(-2) + self.bias

    def _finish(self, x: Tensor, h: Tensor) -> Tensor:
        x = x + self.head_norm(torch.unflatten(h, -1, (self.heads, -1)))
        added: Tensor = self.gated(self.gated_norm(x))
        return x + added

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, heads={self.heads}, exponential={self.exponential}"


class MLSTMBlock(Recurrent[MLSTMBlockState]):
    """The residual xLSTM block around an mLSTM, which widens before the recurrence.

        x'         = W_in x                                    only where input_size differs from hidden_size
        u, g       = W_up LN(x')                               each about factor times as wide
        s          = silu(conv(u))
        q, k, v    = W_q s, W_k s, W_v u                       block-diagonal matrices, `block` features a block
        i~, f~     = W [q, k, v] + b                           one of each a head
        h          = GN(mLSTM(q, k, v, i~, f~))                op `mlstm`, every head normalised by itself
        y          = x' + W_down ((h + skip * s) * silu(g))

    input_size, hidden_size: features of x and of y. heads: must divide hidden_size; None takes 4, or the largest
    smaller number that fits. conv: steps that the convolution sees. factor: inner width over hidden_size; it is rounded
    up to a multiple of block and of 2 * heads. block: neighbouring features that q, k and v mix.
    chunk: steps that the op takes at a time; every chunk gives the same numbers. blocks: how many blocks will stand on
    one another, by which the weights of what a block adds shrink. kernel: "auto" or the name of a kernel of op `mlstm`.

    First the gates' weights are zero, and the forget biases of the heads grow from 3 to 6.

    Differences from the package xlstm: the inner width is not rounded up to a multiple of 64; the normaliser has no
    1e-6 added; the gain of a norm is stored itself, not its difference from 1.

    The state must be float32 or float64.

    Source: Beck et al. 2024, arXiv:2405.04517, eq. 19-27 and figure 10.

    >>> y, state = MLSTMBlock(6, 8, heads=2)(torch.zeros(2, 7, 6), lengths=[7, 2])
    >>> y.shape, state.cell.c.shape, state.window.past.shape
    (torch.Size([2, 7, 8]), torch.Size([2, 2, 8, 8]), torch.Size([2, 3, 16]))
    """

    parallel_in_time = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int | None = None,
        conv: int = 4,
        factor: float = 2.0,
        block: int = 4,
        chunk: int = 64,
        blocks: int = 1,
        kernel: str = "auto",
    ) -> None:
        super().__init__()
        owner = "MLSTMBlock"
        self.input_size = check_size(owner, "input_size", input_size)
        self.output_size = check_size(owner, "hidden_size", hidden_size)
        self.heads = block_heads(owner, hidden_size, heads, HEADS)
        self.chunk = check_size(owner, "chunk", chunk)
        self.blocks = check_size(owner, "blocks", blocks)
        self.kernel = kernel
        multiple = math.lcm(check_size(owner, "block", block), 2 * self.heads)
        self.inner_size = inner = multiple * math.ceil(check_factor(owner, "factor", factor) * hidden_size / multiple)
        self.entrance = entrance(input_size, hidden_size)
        self.norm = nn.LayerNorm(hidden_size, bias=False)
        self.up = nn.Linear(hidden_size, 2 * inner, bias=False)
        self.conv = CausalConv(inner, check_size(owner, "conv", conv), activation="silu")
        self.query_key = BlockLinear(2, inner // block, block)
        self.value = BlockLinear(1, inner // block, block)
        self.weight_gates = nn.Parameter(torch.empty(2 * self.heads, 3 * inner))
        self.bias_gates = nn.Parameter(torch.empty(2 * self.heads))
        self.head_norm = HeadNorm(self.heads, inner // self.heads)
        self.skip = nn.Parameter(torch.empty(inner))
        self.down = nn.Linear(inner, hidden_size, bias=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        size = self.output_size
        for layer in (self.entrance, self.norm, self.conv, self.head_norm):
            if layer is not None:
                layer.reset_parameters()
        for weight in (self.up.weight, self.query_key.weight, self.value.weight):
            small_normal(weight, size)
        nn.init.normal_(self.down.weight, std=2 / self.blocks / math.sqrt(size))
        nn.init.ones_(self.skip)
        nn.init.zeros_(self.weight_gates)
        with torch.no_grad():
            self.bias_gates[: self.heads].normal_(std=0.1)
            self.bias_gates[self.heads :] = torch.linspace(3, 6, self.heads)

    def initial_state(
        self, batch_size: int, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> MLSTMBlockState:
        dtype = check_state_dtype("MLSTMBlock", dtype)
        window = self.conv.initial_state(batch_size, device=device, dtype=dtype)
        keys = self.inner_size // self.heads
        shapes = ((batch_size, self.heads, keys, keys), (batch_size, self.heads, keys), (batch_size, self.heads))
        cell = MLSTMState(*(torch.zeros(shape, device=device, dtype=dtype) for shape in shapes))
        return MLSTMBlockState(window, cell)

    def sequence(
        self, x: Tensor, state: MLSTMBlockState, lengths: Tensor | None, reset: Tensor | None
    ) -> tuple[Tensor, MLSTMBlockState]:
        x = x if self.entrance is None else self.entrance(x)
        u, gate = self.up(self.norm(x)).chunk(2, -1)
        read, window = self.conv.convolve(u, state.window, lengths, reset)
        q, k, v, i, f = self._operands(u, read)
        start = [None] * 3 if reset is None else [leaf.new_zeros(1, *leaf.shape[1:]) for leaf in state.cell]
        c0, n0, m0 = state.cell
        h, *cell = mlstm(
            q=q, k=k, v=v, i=i, f=f, c0=c0, n0=n0, m0=m0, lengths=lengths, reset=reset, start_c=start[0],
            start_n=start[1], start_m=start[2], chunk=self.chunk, kernel=self.kernel,
        )  # fmt: skip
        return zero_padding(self._finish(x, h, read, gate), lengths), MLSTMBlockState(window, MLSTMState(*cell))

    def advance(self, x: Tensor, state: MLSTMBlockState) -> tuple[Tensor, MLSTMBlockState]:
        x = x if self.entrance is None else self.entrance(x)
        u, gate = self.up(self.norm(x)).chunk(2, -1)
        read, window = self.conv.advance(u, state.window)
        h, cell = outside_autocast(mlstm_step, self._operands(u, read), state.cell)
        return self._finish(x, h, read, gate), MLSTMBlockState(window, cell)

    def _operands(self, u: Tensor, read: Tensor) -> MLSTMOperands:
        mixed = torch.cat((self.query_key(read), self.value(u)), -2)
        i, f = linear(mixed.flatten(-2), self.weight_gates, self.bias_gates).chunk(2, -1)
        q, k, v = torch.unflatten(mixed, -1, (self.heads, -1)).unbind(-3)
        return MLSTMOperands(q, k, v, i, f)

    def _finish(self, x: Tensor, h: Tensor, read: Tensor, gate: Tensor) -> Tensor:
        added: Tensor = self.down((self.head_norm(h) + self.skip * read) * silu(gate))
        return x + added

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, heads={self.heads}, chunk={self.chunk}"
