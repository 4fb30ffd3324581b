"""The linear recurrent unit."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from unrolled.check import check_size, check_state_dtype
from unrolled.errors import OptionError
from unrolled.nn.cell import Cell
from unrolled.nn.init import xavier_per_gate
from unrolled.ops import rotation
from unrolled.ops.core.scan import outside_autocast
from unrolled.ops.rotation.reference import RotationOperands, rotation_step
from unrolled.padding import reverse_padded
from unrolled.state import HState, map_state

__all__ = ["LRU", "LRUOperands"]


class LRUOperands(NamedTuple):
    """drive (batch, [time,] 2 state), which is gamma * B x, real parts first; skip (batch, [time,] hidden), D x."""

    drive: Tensor
    skip: Tensor


class LRU(Cell[HState]):
    """Linear recurrent unit: complex channels that each turn and shrink by a number of their own.

        a  = exp(-exp(nu) + i exp(theta))       one a channel: inside the unit circle whatever nu and theta are
        h' = a * h + exp(gamma) * (B x)         complex (batch, state)
        y  = Re(C h') + D x                     real (batch, hidden)

    a is the same at every step and for every x: the cell is linear, forgets at fixed rates, and needs something
    nonlinear after it (a deep stack, a task's own layers) to compute more than a filter does.

    input_size, hidden_size: features of x and of y. state_size: complex channels, hidden_size by default. radii: at
    first the a lie between these radii, with equal density over the area of the ring. largest_angle: at first their
    angles are uniform from 0 to this. learn_initial_state: h before the first step is a parameter. kernel: "auto" or
    the name of a kernel of op `rotation`. The state is h (batch, 2 state) as real numbers, real parts first, float32 or
    float64, also under automatic mixed precision; half precision is refused.

    Parameters: weight_x (2 state, input), which is B, real rows first; weight_y (hidden, 2 state), which is C, real
    columns first; weight_d (hidden, input), which is D; nu, theta, gamma (state,). gamma starts at log sqrt(1 - |a|^2),
    so that noise as input gives states of size 1.

    Source: Orvieto et al. 2023, arXiv:2303.06349, eq. 1, 5, 7 and appendix A. There D is a vector; a matrix allows
    hidden_size to differ from input_size.

    >>> y, state = LRU(3, 5, state_size=4)(torch.zeros(2, 7, 3))
    >>> y.shape, state.h.shape
    (torch.Size([2, 7, 5]), torch.Size([2, 8]))
    """

    parallel_in_time = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        state_size: int | None = None,
        radii: tuple[float, float] = (0.0, 1.0),
        largest_angle: float = 2 * math.pi,
        learn_initial_state: bool = False,
        kernel: str = "auto",
    ) -> None:
        super().__init__(check_size("LRU", "input_size", input_size), check_size("LRU", "hidden_size", hidden_size))
        size = check_size("LRU", "state_size", hidden_size if state_size is None else state_size)
        self.state_size = size
        self.radii, self.largest_angle = _ring(radii), _angle(largest_angle)
        self.kernel = kernel
        self.weight_x = nn.Parameter(torch.empty(2 * size, input_size))
        self.weight_y = nn.Parameter(torch.empty(hidden_size, 2 * size))
        self.weight_d = nn.Parameter(torch.empty(hidden_size, input_size))
        self.nu = nn.Parameter(torch.empty(size))
        self.theta = nn.Parameter(torch.empty(size))
        self.gamma = nn.Parameter(torch.empty(size))
        self.reset_parameters()
        self.learn_initial_state(learn_initial_state)

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        # Real and imaginary parts share the variance of a complex number.
        nn.init.normal_(self.weight_x, std=1 / math.sqrt(2 * self.input_size))
        nn.init.normal_(self.weight_y, std=1 / math.sqrt(self.state_size))
        xavier_per_gate(self.weight_d, 1)
        low, high = self.radii
        with torch.no_grad():
            # Neither radius nor angle may be 0 under the logarithms.
            square = low**2 + (high**2 - low**2) * torch.rand_like(self.nu).clamp(1e-6, 1 - 1e-6)
            self.nu.copy_((-0.5 * square.log()).log())
            self.theta.copy_((self.largest_angle * torch.rand_like(self.theta).clamp_min(1e-6)).log())
            self.gamma.copy_(0.5 * torch.log1p(-square))

    def zero_state(self, batch_size: int, device: torch.device | str | None, dtype: torch.dtype | None) -> HState:
        kept = check_state_dtype("LRU", dtype)
        return HState(torch.zeros(batch_size, 2 * self.state_size, device=device, dtype=kept))

    def project(self, x: Tensor) -> LRUOperands:
        scale = self.gamma.exp()
        return LRUOperands(linear(x, self.weight_x) * torch.cat([scale, scale]), linear(x, self.weight_d))

    def _decay(self, dtype: torch.dtype) -> Tensor:
        """a (2 state,), real parts first."""
        radius, angle = (-self.nu.exp()).exp(), self.theta.exp()
        return torch.cat([radius * angle.cos(), radius * angle.sin()]).to(dtype)

    def _read(self, h: Tensor, skip: Tensor) -> Tensor:
        real, imaginary = self.weight_y.chunk(2, 1)
        return linear(h, torch.cat([real, -imaginary], 1)) + skip

    def recur(self, operands: LRUOperands, state: HState) -> tuple[Tensor, HState]:
        h, state = rotation_step(RotationOperands(operands.drive), state, self._decay(state.h.dtype))
        return self._read(h, operands.skip), state

    def run(
        self,
        operands: LRUOperands,
        state: HState,
        lengths: Tensor | None,
        reset: Tensor | None,
        reverse: bool = False,
    ) -> tuple[Tensor, HState]:
        start = self.start(state, reset)
        if reverse:
            operands = map_state(lambda leaf: reverse_padded(leaf, lengths), operands)
            reset = None if reset is None else reverse_padded(reset, lengths)

        def walk(given: LRUOperands, old: HState) -> tuple[Tensor, Tensor]:
            states, h = rotation(
                given.drive, old.h, self._decay(old.h.dtype), lengths=lengths, reset=reset,
                start_h=None if start is None else start.h, kernel=self.kernel,
            )  # fmt: skip
            return self._read(states, given.skip), h

        y, h = outside_autocast(walk, operands, state)
        return reverse_padded(y, lengths) if reverse else y, HState(h)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, state_size={self.state_size}"


def _ring(radii: tuple[float, float]) -> tuple[float, float]:
    numbers = isinstance(radii, tuple | list) and len(radii) == 2 and all(isinstance(r, int | float) for r in radii)
    if not numbers or not 0 <= radii[0] < radii[1] <= 1:
        raise OptionError(f"LRU: radii must be two numbers with 0 <= smaller < larger <= 1, got {radii!r}.")
    return float(radii[0]), float(radii[1])


def _angle(largest: float) -> float:
    if isinstance(largest, bool) or not isinstance(largest, int | float) or not 0 < largest <= 2 * math.pi:
        raise OptionError(f"LRU: largest_angle must be a number in (0, 2 pi], got {largest!r}.")
    return float(largest)
