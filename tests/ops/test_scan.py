"""The walk through time by itself."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from unrolled.ops import scan
from unrolled.state import HState


class Operands(NamedTuple):
    gain: Tensor | None
    drive: Tensor


def add(operands: Operands, state: HState) -> tuple[Tensor, HState]:
    assert operands.gain is None
    h = state.h + operands.drive
    return 10 * h, HState(h)


def ones(batch: int, time: int) -> Operands:
    return Operands(None, torch.ones(batch, time, 1, dtype=torch.float64))


def test_scan_counts_steps() -> None:
    y, final = scan(add, ones(1, 4), HState(torch.zeros(1, 1, dtype=torch.float64)))
    assert y.flatten().tolist() == [10, 20, 30, 40]
    assert final.h.item() == 4


def test_a_row_freezes_after_its_last_step_and_its_y_is_zero() -> None:
    state = HState(torch.tensor([[0.0], [5.0]], dtype=torch.float64))
    y, final = scan(add, ones(2, 3), state, lengths=torch.tensor([2, 0]))
    assert y[..., 0].tolist() == [[10, 20, 0], [0, 0, 0]]
    assert final.h.flatten().tolist() == [2, 5]


def test_reset_comes_before_the_step_and_start_may_be_one_row_for_all() -> None:
    reset = torch.tensor([[False, False, True], [True, False, False]])
    start = HState(torch.tensor([[100.0]], dtype=torch.float64))
    y, final = scan(add, ones(2, 3), HState(torch.zeros(2, 1, dtype=torch.float64)), reset=reset, start=start)
    assert y[..., 0].tolist() == [[10, 20, 1010], [1010, 1020, 1030]]
    assert final.h.flatten().tolist() == [101, 103]
