"""The real-gated linear recurrent unit."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

from unrolled.check import check_heads, check_size, check_state_dtype
from unrolled.errors import OptionError
from unrolled.nn.cell import Cell
from unrolled.nn.init import xavier_per_gate
from unrolled.ops import diagonal
from unrolled.ops.core.scan import outside_autocast
from unrolled.padding import reverse_padded
from unrolled.state import map_state

__all__ = ["RGLRU", "RGLRUOperands", "RGLRUState"]

SHARPNESS = 8.0
"""The paper's c: how much faster a wide open recurrence gate forgets."""

RADII = (0.9, 0.999)
"""exp(-softplus(L)), the decay of one step at r = 1/8, is drawn between these, with equal density over a ring."""


class RGLRUState(NamedTuple):
    """h (batch, hidden); begun (batch, 1): 0 before the first step of a row or segment, 1 from then on."""

    h: Tensor
    begun: Tensor


class RGLRUOperands(NamedTuple):
    """u (batch, [time,] hidden), and the pre-activations of the two gates that it makes, of the same shape."""

    u: Tensor
    recurrence: Tensor
    input: Tensor


class _Terms(NamedTuple):
    """decay a, the gated input i * u, and the multiplier sqrt(1 - a^2)."""

    decay: Tensor
    gated: Tensor
    multiplier: Tensor


class RGLRU(Cell[RGLRUState]):
    """Real-gated linear recurrent unit, the recurrence of Griffin and RecurrentGemma.

        u     = W_in x                              projection=False: u = x
        r, i  = sigmoid(W_a u + b_a), sigmoid(W_i u + b_i)      block-diagonal by head: (batch, hidden), in (0, 1)
        log a = -8 r * softplus(L)
        h'    = a * h + sqrt(1 - a^2) * (i * u)     y = h'
        h'    = i * u                               the first step of a row, and of a segment that a reset begins

    The first step has no past to share with, so its input enters whole. Whether a row is at its first step is part of
    the state (`begun`), which makes the paper's rule for resets the same as a fresh run: zero h, and the multiplier 1.
    There is no initial state to learn, since that step would forget it.

    input_size, hidden_size: features of x and of h. heads: blocks of the gates' matrices, a divisor of hidden_size.
    projection: False leaves W_in out, and then input_size must equal hidden_size. kernel: "auto" or the name of a
    kernel of op `diagonal`. The state is float32 or float64, also under automatic mixed precision; half precision is
    refused.

    Parameters: weight_in (hidden, input); weight_a and weight_i (heads, hidden / heads, hidden / heads), of which each
    block maps u to a gate as block @ u; bias_a, bias_i (hidden,); decay (hidden,), which is L.

    Source: De et al. 2024, arXiv:2402.19427, eq. 1-4; the first step and the initial decays (0.9 to 0.999 at
    r = 1/8, where the paper says r = 1) are those of the authors' code, whose blocks are stored transposed (u @ block)
    and whose gradient of the square root is clipped, for which there is no need where 1 - a^2 does not cancel.

    >>> y, state = RGLRU(3, 6, heads=2)(torch.zeros(2, 7, 3), lengths=[7, 0])
    >>> y.shape, state.h.shape, state.begun.tolist()
    (torch.Size([2, 7, 6]), torch.Size([2, 6]), [[1.0], [0.0]])
    """

    emits_state = True
    parallel_in_time = True

    def __init__(
        self, input_size: int, hidden_size: int, *, heads: int = 1, projection: bool = True, kernel: str = "auto"
    ) -> None:
        super().__init__(check_size("RGLRU", "input_size", input_size), check_size("RGLRU", "hidden_size", hidden_size))
        self.heads = check_heads("RGLRU", hidden_size, heads)
        if not projection and input_size != hidden_size:
            raise OptionError(
                "RGLRU: projection=False needs input_size equal to hidden_size, "
                f"got {input_size} and {hidden_size}; leave projection on to change the width."
            )
        self.kernel = kernel
        block = (heads, hidden_size // heads, hidden_size // heads)
        self.weight_in = nn.Parameter(torch.empty(hidden_size, input_size)) if projection else None
        self.weight_a = nn.Parameter(torch.empty(block))
        self.weight_i = nn.Parameter(torch.empty(block))
        self.bias_a = nn.Parameter(torch.empty(hidden_size))
        self.bias_i = nn.Parameter(torch.empty(hidden_size))
        self.decay = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        if self.weight_in is not None:
            xavier_per_gate(self.weight_in, 1)
        for weight, bias in ((self.weight_a, self.bias_a), (self.weight_i, self.bias_i)):
            nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[-1]))
            nn.init.zeros_(bias)
        low, high = RADII
        with torch.no_grad():
            radius = self.decay.uniform_(low**2, high**2).sqrt()
            self.decay.copy_((1 / radius - 1).log())

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> RGLRUState:
        kept = check_state_dtype("RGLRU", dtype)
        h = torch.zeros(batch_size, self.output_size, device=device, dtype=kept)
        return RGLRUState(h, torch.zeros(batch_size, 1, device=device, dtype=kept))

    def project(self, x: Tensor) -> RGLRUOperands:
        u = x if self.weight_in is None else linear(x, self.weight_in)
        return RGLRUOperands(u, self._gate(u, self.weight_a, self.bias_a), self._gate(u, self.weight_i, self.bias_i))

    def _gate(self, u: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if self.heads == 1:
            return linear(u, weight[0], bias)
        blocks = torch.einsum("...hi,hoi->...ho", u.reshape(*u.shape[:-1], self.heads, -1), weight)
        return blocks.flatten(-2) + bias

    def _terms(self, operands: RGLRUOperands) -> _Terms:
        log_decay = -SHARPNESS * operands.recurrence.sigmoid() * softplus(self.decay.to(operands.u.dtype))
        # 1 - a^2 of a decay near 1, without cancellation. The square root has no slope at 0, and any at all above it
        # meets the slope of log a, which vanishes faster: the smallest number bounds it and changes nothing else.
        power = (-torch.expm1(2 * log_decay)).clamp_min(torch.finfo(log_decay.dtype).tiny)
        return _Terms(log_decay.exp(), operands.input.sigmoid() * operands.u, power.sqrt())

    def recur(self, operands: RGLRUOperands, state: RGLRUState) -> tuple[Tensor, RGLRUState]:
        decay, gated, multiplier = self._terms(operands)
        h = decay * state.h + (1 + state.begun * (multiplier - 1)) * gated
        return h, RGLRUState(h, torch.ones_like(state.begun))

    def run(
        self,
        operands: RGLRUOperands,
        state: RGLRUState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, RGLRUState]:
        start = self.start(state, reset)
        if reverse:
            operands = map_state(lambda leaf: reverse_padded(leaf, lengths), operands)
            reset = None if reset is None else reverse_padded(reset, lengths)

        def walk(given: RGLRUOperands, old: RGLRUState) -> tuple[Tensor, Tensor]:
            decay, gated, multiplier = self._terms(given)
            drive = (1 + _begun(old.begun, given.u.shape[1], reset) * (multiplier - 1)) * gated
            first = None if start is None else start.h
            return diagonal(decay, drive, old.h, lengths=lengths, reset=reset, start_h=first, kernel=self.kernel)

        y, h = outside_autocast(walk, operands, state)
        begun = torch.ones_like(state.begun)
        if lengths is not None:
            begun = torch.where(lengths[:, None] > 0, begun, state.begun)
        return reverse_padded(y, lengths) if reverse else y, RGLRUState(h, begun)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, heads={self.heads}"


def _begun(carried: Tensor, time: int, reset: Tensor | None) -> Tensor:
    """`begun` before every step: (batch, time, 1)."""
    first = torch.arange(time, device=carried.device)[None, :, None] == 0
    begun = torch.where(first, carried[:, None], 1.0)
    return begun if reset is None else torch.where(reset[..., None], 0.0, begun)
