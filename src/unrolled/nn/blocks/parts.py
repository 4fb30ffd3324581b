"""What the blocks are built of: heads, block-diagonal products, norms of heads, a gated layer, and small weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, linear

from unrolled.check import check_heads
from unrolled.errors import OptionError

__all__ = [
    "BlockLinear",
    "GatedLinear",
    "HeadNorm",
    "block_heads",
    "check_factor",
    "entrance",
    "small_normal",
    "unit",
]

DENSE = 512
"""Up to so many features one product with a matrix that is mostly zero is faster than many small ones."""


def block_heads(owner: str, width: int, heads: int | None, preferred: int) -> int:
    """The number of heads asked for, or for None the largest one up to `preferred` that divides the width."""
    if heads is None:
        return next(n for n in range(max(1, min(preferred, width)), 0, -1) if width % n == 0)
    return check_heads(owner, width, heads)


def check_factor(owner: str, name: str, value: object) -> float:
    """How many times as wide as the block an inner layer is: a positive number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise OptionError(f"{owner}: {name} must be a positive number, got {value!r}.")
    return float(value)


def entrance(input_size: int, hidden_size: int) -> nn.Linear | None:
    """The product that brings x to the width of a block with a way around it; None where x has that width."""
    return None if input_size == hidden_size else nn.Linear(input_size, hidden_size, bias=False)


def unit(x: Tensor) -> Tensor:
    """x over its length in the last dimension; a short x stays short, so that its gradient stays bounded."""
    return x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6)


def small_normal(weight: Tensor, width: int) -> None:
    """Normal numbers of variance 2 / (5 width) (Nguyen and Salazar 2019, arXiv:1910.05895)."""
    nn.init.normal_(weight, std=math.sqrt(2 / (5 * width)))


class HeadNorm(nn.Module):
    """Layer norm of every head by itself, with a gain for each feature: (..., heads, width) -> (..., heads * width)."""

    def __init__(self, heads: int, width: int, *, bias: bool = False, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(heads * width))
        self.bias = nn.Parameter(torch.zeros(heads * width)) if bias else None

    def forward(self, y: Tensor) -> Tensor:
        """Every step of every row by itself, so that padding is none of its business."""
        y = layer_norm(y, y.shape[-1:], eps=self.eps).flatten(-2) * self.weight
        return y if self.bias is None else y + self.bias

    def reset_parameters(self) -> None:
        """Back to the plain norm."""
        nn.init.ones_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class BlockLinear(nn.Module):
    """Several block-diagonal matrices on one x: (..., blocks * width) -> (..., outputs, blocks * width).

    weight (outputs, blocks, width, width): of each block its rows.
    """

    def __init__(self, outputs: int, blocks: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, blocks, width, width))

    def forward(self, x: Tensor) -> Tensor:
        outputs, blocks, width, _ = self.weight.shape
        if x.ndim == 3 and blocks > 1 and blocks * width <= DENSE:
            diagonal = torch.eye(blocks, dtype=x.dtype, device=x.device)[:, None, :, None]
            dense = (self.weight.to(x.dtype)[..., None, :] * diagonal).reshape(-1, blocks * width)
            return torch.unflatten(linear(x, dense), -1, (outputs, blocks * width))
        return torch.einsum("...nd,ynod->...yno", torch.unflatten(x, -1, (blocks, width)), self.weight).flatten(-2)


class GatedLinear(nn.Module):
    """A wider layer gated by another of its width: W_down (gelu(W_gate x) * (W_up x))."""

    def __init__(self, size: int, factor: float) -> None:
        super().__init__()
        inner = max(1, round(factor * size))
        self.up = nn.Linear(size, 2 * inner, bias=False)
        self.down = nn.Linear(inner, size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.up(x).chunk(2, -1)
        down: Tensor = self.down(gelu(gate) * up)
        return down
