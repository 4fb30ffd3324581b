"""Exported layers on the disk: `torch.export.save`, `load`, and the same numbers for another batch."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.export import Dim

from unrolled.nn import (
    CELLS,
    GRU,
    LSTM,
    Bidirectional,
    CausalConv,
    Cell,
    DropConnect,
    Recurrent,
    Residual,
    RWKV7TimeMix,
    Stack,
    TokenShift,
    Told,
    VariationalDropout,
    Zoneout,
    make_cell,
)
from unrolled.state import map_state

LAYERS: dict[str, Callable[[], Recurrent[Any]]] = {
    **{name: lambda name=name: make_cell(name, 4, 4) for name in CELLS},  # type: ignore[misc]
    "conv": lambda: CausalConv(4),
    "shift": lambda: TokenShift(4),
    "time mix": lambda: RWKV7TimeMix(4, 4, heads=2),
    "bidirectional": lambda: Bidirectional(GRU(4, 4), LSTM(4, 4, projection_size=3)),
    "stack": lambda: Stack([GRU(4, 4), Residual(LSTM(4, 4), norm=True)]),
    "zoneout": lambda: Zoneout(LSTM(4, 4), 0.1).eval(),
    "variational": lambda: VariationalDropout(GRU(4, 4), input=0.1).eval(),
    "told": lambda: Told(GRU(6, 4), 2),
    "drop connect": lambda: DropConnect(GRU(4, 4), 0.1).eval(),
}
BOTH = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_a_saved_program_gives_the_same_numbers_for_another_batch(name: str, strict: bool) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]()
    state = layer.initial_state(9)
    shapes = (BOTH, map_state(lambda _: {0: Dim.DYNAMIC}, state))
    program = torch.export.export(layer, (torch.randn(9, 13, 4), state), dynamic_shapes=shapes, strict=strict)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    again: Any = torch.export.load(file).module()
    x, fresh = torch.randn(5, 21, 4), layer.initial_state(5)
    y, final = layer(x, fresh)
    got, end = again(x, fresh)
    torch.testing.assert_close(got, y)
    assert type(end) is type(final)
    torch.testing.assert_close(torch.utils._pytree.tree_leaves(end), torch.utils._pytree.tree_leaves(final))


class Inner(NamedTuple):
    """A stranger's state inside of another."""

    total: Tensor


class Running(NamedTuple):
    """What a stranger's cell carries."""

    inner: Inner
    count: Tensor


class Mean(Cell[Running]):
    """The mean of what was read, of a stranger who says what its state is."""

    def zero_state(self, batch_size: int, device: Any, dtype: torch.dtype | None) -> Running:
        zeros = torch.zeros(batch_size, self.output_size, device=device, dtype=dtype)
        return Running(Inner(zeros), zeros[:, :1])

    def project(self, x: Tensor) -> Inner:
        return Inner(x)

    def recur(self, operands: Inner, state: Running) -> tuple[Tensor, Running]:
        total, count = state.inner.total + operands.total, state.count + 1
        return total / count, Running(Inner(total), count)


def test_a_strangers_layer_is_saved_too(tmp_path: Path) -> None:
    layer = Mean(3, 3)
    program = torch.export.export(layer, (torch.randn(4, 5, 3),), dynamic_shapes=({0: Dim.DYNAMIC},))
    torch.export.save(program, tmp_path / "mean.pt2")
    again: Any = torch.export.load(tmp_path / "mean.pt2").module()
    x = torch.randn(7, 5, 3)
    torch.testing.assert_close(again(x)[0], layer(x)[0])


def test_another_process_loads_a_program(tmp_path: Path) -> None:
    layer, x = Bidirectional(GRU(3, 4), LSTM(3, 4)), torch.ones(2, 5, 3)
    torch.export.save(torch.export.export(layer, (x, layer.initial_state(2))), tmp_path / "both.pt2")
    code = (
        "import sys, torch, unrolled.nn as nn\n"
        "layer = nn.Bidirectional(nn.GRU(3, 4), nn.LSTM(3, 4))\n"
        "y, state = torch.export.load(sys.argv[1]).module()(torch.ones(2, 5, 3), layer.initial_state(2))\n"
        "print(float(y.detach().double().sum()), type(state).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "both.pt2"], capture_output=True, text=True)
    assert not done.stderr
    total, kind = done.stdout.split()
    assert float(total) == pytest.approx(float(layer(x)[0].detach().double().sum()), rel=1e-5)
    assert kind == "Both"
