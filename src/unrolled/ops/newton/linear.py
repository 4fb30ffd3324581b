"""Linear recurrences v_t = A_t v_(t-1) + b_t, solved for all times at once.

Two layouts. Blocks: A (batch, time, k, k, width) and b (batch, time, k, width), a k x k matrix for each unit, k = 1 for
a diagonal. Full: A (batch, time, D, D) and b (batch, time, D). Work grows with T, depth with log T: neighbours are
composed into pairs, the recurrence of the pairs, half as long, is solved in the same way, and every second value
follows from the one before it. Source: Blelloch 1990, section 1.4.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from unrolled.ops.diagonal.op import OP as DIAGONAL

__all__ = ["solve_linear", "walk_linear"]


def solve_linear(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    """v (shaped as b) for all times at once; before (batch, ...) is the value before the first step."""
    if a.ndim == 5 and a.shape[2] == 1:
        found = _by_kernel(a, b, before)
        if found is not None:
            return found
    first = _apply(a[:, :1], before[:, None]) + b[:, :1]
    return _halve(a, torch.cat([first, b[:, 1:]], 1))


def walk_linear(a: Tensor, b: Tensor, before: Tensor) -> Tensor:
    """`solve_linear`, one step after another: no matrices are multiplied, so nothing but v itself can overflow."""
    found = []
    for t in range(b.shape[1]):
        before = (_apply(a[:, t : t + 1], before[:, None]) + b[:, t : t + 1])[:, 0]
        found.append(before)
    return torch.stack(found, 1)


def _by_kernel(a: Tensor, b: Tensor, before: Tensor) -> Tensor | None:
    """By the op `diagonal`, where a compiled kernel takes it."""
    arguments = (a[:, :, 0, 0], b[:, :, 0], before[:, 0], None, None, None)
    kernel = DIAGONAL.choose("auto", *arguments)
    if kernel.name == "reference":
        return None
    return kernel.forward(*arguments, False)[0].unsqueeze(2)


def _halve(a: Tensor, b: Tensor) -> Tensor:
    """The recurrence from a value of zero; the first matrix does not count."""
    time = b.shape[1]
    if time == 1:
        return b
    even = slice(0, time - time % 2, 2)
    a_odd, b_odd = a[:, 1::2], b[:, 1::2]
    odd = _halve(_compose(a_odd, a[:, even]), _apply(a_odd, b[:, even]) + b_odd)
    v = torch.empty_like(b)
    v[:, 1::2] = odd
    v[:, 0] = b[:, 0]
    if time > 2:
        later = slice(2, None, 2)
        v[:, later] = _apply(a[:, later], odd[:, : (time - 1) // 2]) + b[:, later]
    return v


def _compose(after: Tensor, first: Tensor) -> Tensor:
    """after times first, step by step."""
    if after.ndim == 4:
        return after @ first
    if after.shape[2] == 1:
        return after * first
    return _sum_of_products((after[:, :, :, j : j + 1], first[:, :, j : j + 1]) for j in range(after.shape[2]))


def _apply(a: Tensor, v: Tensor) -> Tensor:
    """a times v, step by step."""
    if a.ndim == 4:
        return (a @ v[..., None])[..., 0]
    if a.shape[2] == 1:
        return a[:, :, 0] * v
    return _sum_of_products((a[:, :, :, j], v[:, :, j : j + 1]) for j in range(a.shape[2]))


def _sum_of_products(pairs: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
    left, right = next(pairs)
    total = left * right
    for left, right in pairs:
        total.addcmul_(left, right)
    return total
