"""Cells and blocks whose live step is a program: all of them, at their limits, and what makes torch step instead."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from steppers import INPUT, PROGRAMS, assert_near, expected, make, samples, steps
from torch import Tensor, nn
from torch.nn.utils import parametrize

from unrolled.errors import OptionError
from unrolled.live import behind as live
from unrolled.nn import (
    CELLS,
    GRU,
    LSTM,
    DropConnect,
    MinGRU,
    Residual,
    Stack,
    Stepper,
    VariationalDropout,
    Zoneout,
    make_cell,
)
from unrolled.nn.blocks import RWKV7, MLSTMBlock
from unrolled.ops import native
from unrolled.state import HState, leaves, map_state

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")

HIDDEN = 12


def stirred(layer: Any, spread: float = 0.2) -> Any:
    """The layer in float64 with all parameters moved, so that none is zero."""
    layer = layer.double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return layer


def close(got: Any, want: Any) -> None:
    """Within 1e-12 of a number or of 1."""
    torch.testing.assert_close(got, want.detach(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_steps_live_as_by_torch(name: str, rows: int) -> None:
    torch.manual_seed(0)
    layer = stirred(make_cell(name, INPUT, HIDDEN))
    xs = samples(rows, 40)
    stepper = Stepper(layer, rows)
    ys, final = expected(layer, xs[:20])
    close(steps(stepper, xs[:20]), ys)
    for got, want in zip(leaves(stepper.state()), leaves(final), strict=True):
        close(got, want)
    stepper.reset([rows - 1])
    fresh = layer.initial_state(rows, dtype=torch.float64)
    last = torch.arange(rows) == rows - 1
    state = map_state(lambda old, new: torch.where(last.view(-1, *[1] * (old.ndim - 1)), new, old), final, fresh)
    close(steps(stepper, xs[20:]), expected(layer, xs[20:], state)[0])
    kept = stepper.state()
    other = Stepper(layer, rows)
    other.load_state(kept)
    assert torch.equal(other.step(xs[0]), stepper.step(xs[0]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CELLS)
def test_gates_at_their_limits_give_finite_steps(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer = stirred(make_cell(name, INPUT, HIDDEN)).to(dtype)
    with torch.no_grad():
        for key, parameter in layer.named_parameters():
            if "bias" in key:
                signs = 1 - 2 * (torch.arange(parameter.numel()) % 2)
                parameter.copy_(50.0 * signs.view_as(parameter))
    xs = 20 * samples(2, 12).to(dtype)
    ys, _ = expected(layer, xs)
    stepper = Stepper(layer, 2)
    got = steps(stepper, xs)
    assert bool(torch.isfinite(got).all())
    assert all(bool(torch.isfinite(leaf).all()) for leaf in leaves(stepper.state()))
    torch.testing.assert_close(got, ys, rtol=1e3 * torch.finfo(dtype).eps, atol=1e4 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("name", PROGRAMS)
def test_changed_weights_are_seen(name: str) -> None:
    layer, xs = make(name), samples(2)
    parameters = list(layer.parameters())
    stepper = Stepper(layer, 2)
    for parameter in parameters:
        steps(stepper, xs)
        state = stepper.state()
        with torch.no_grad():
            parameter.mul_(1.25)
        close(steps(stepper, xs), expected(layer, xs, state)[0])


def test_another_module_in_the_place_is_seen() -> None:
    layer, xs = make("mlstm block heads"), samples(2)
    stepper = Stepper(layer, 2)
    steps(stepper, xs)
    state = stepper.state()
    layer.up = nn.Linear(INPUT, layer.up.out_features, bias=False).double()  # type: ignore[union-attr]
    assert_near(steps(stepper, xs), expected(layer, xs, state)[0])
    norm = nn.LayerNorm(INPUT, eps=0.5, bias=False).double()
    with torch.inference_mode():
        layer.step(xs[0])
        layer.norm = norm
        got, _ = layer.step(xs[0])
    assert_near(got, layer.step(xs[0])[0])


def test_another_option_is_seen() -> None:
    layer, xs = Zoneout(MinGRU(INPUT, 9), 0.3).double().eval(), samples(2)
    stepper = Stepper(layer, 2)
    steps(stepper, xs)
    state = stepper.state()
    layer.rates = HState(h=0.8)
    close(steps(stepper, xs), expected(layer, xs, state)[0])
    with torch.inference_mode():
        before = layer.step(xs[0], state)[0]
        layer.rates = HState(h=0.1)
        after = layer.step(xs[0], state)[0]
    assert not torch.equal(before, after)
    close(after, layer.step(xs[0], state)[0])


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


class Adapted(nn.Linear):
    """As low-rank adapters do: a subclass with more in it."""


class Own(MinGRU):
    """Somebody's own cell."""


def hooked(block: Any) -> None:
    block.down.register_forward_hook(lambda module, given, y: 2 * y)


def wrapped(block: Any) -> None:
    parametrize.register_parametrization(block.down, "weight", Doubled())


def adapted(block: Any) -> None:
    block.down = Adapted(block.down.in_features, block.down.out_features, bias=False)


@pytest.mark.parametrize(("change", "word"), [(hooked, "with hooks"), (wrapped, "Parametrized")])
def test_what_a_program_would_not_see_is_left_to_torch(change: Any, word: str) -> None:
    torch.manual_seed(0)
    block, x = stirred(MLSTMBlock(INPUT, 8)), samples(2)[0]
    change(block)
    block.double()
    with pytest.raises(OptionError, match=f"got .*{word}.*step it with layer"):
        Stepper(block)
    with torch.inference_mode():
        got, _ = block.step(x)
    assert not live._KEPT.get(block)
    torch.testing.assert_close(got, block.step(x)[0].detach(), rtol=0, atol=0)


def test_a_subclass_of_a_module_inside_is_recorded_as_it_is() -> None:
    torch.manual_seed(0)
    block, xs = stirred(MLSTMBlock(INPUT, 8)), samples(2)
    adapted(block)
    block.double()
    close(steps(Stepper(block, 2), xs), expected(block, xs)[0])


@pytest.mark.parametrize(
    "layer",
    [
        Own(INPUT, 4),
        Residual(VariationalDropout(GRU(INPUT, INPUT), input=0.2, output=0.1, recurrent=0.3)),
        Stack([Own(INPUT, 4), DropConnect(GRU(4, 4), 0.5)]),
        VariationalDropout(Zoneout(LSTM(INPUT, 5), 0.2), output=0.4),
    ],
    ids=["own", "residual", "stack", "masks"],
)
def test_what_evaluation_does_not_use_steps_live_too(layer: Any) -> None:
    layer, xs = layer.double().eval(), samples(2)
    close(steps(Stepper(layer, 2), xs), expected(layer, xs)[0])
    with torch.inference_mode():
        got, _ = layer.step(xs[0], layer.initial_state(2, dtype=torch.float64))
    assert live._KEPT.get(layer) or type(layer) is Stack
    close(got, layer.step(xs[0])[0])


def test_a_kernel_named_reference_inside_is_respected() -> None:
    layer, x = Residual(MLSTMBlock(INPUT, INPUT, kernel="reference")), torch.randn(2, INPUT)
    with torch.inference_mode():
        layer.step(x)
    assert not live._KEPT.get(layer)


def test_dropout_between_layers_drops_in_training() -> None:
    layer, x = Stack([MinGRU(INPUT, 20), MinGRU(20, 4)], dropout=0.5), torch.randn(2, INPUT)
    with torch.inference_mode():
        still = [layer.eval().step(x)[0] for _ in range(3)]
        moving = [layer.train().step(x)[0] for _ in range(8)]
    assert all(torch.equal(one, still[0]) for one in still)
    assert not all(torch.equal(one, moving[0]) for one in moving)


@pytest.mark.parametrize("weights", ["bf16", "int8"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_coarse_weights_come_near(name: str, weights: str) -> None:
    layer, xs = make(name, dtype=torch.float32), samples(3, dtype=torch.float32)
    ys, _ = expected(layer, xs)
    got = steps(Stepper(layer, 3, weights), xs)
    # Half a unit of bf16 is 2^-9, of int8 1/254 of the largest weight; a few layers carry it on.
    assert (got - ys).abs().max() <= 0.05 * ys.abs().max()


def test_long_runs_are_single_steps() -> None:
    torch.manual_seed(0)
    layer, xs = RWKV7(INPUT, 8, heads=2, layers=2), torch.randn(150, 2, INPUT)
    one, other = Stepper(layer, 2), Stepper(layer, 2)
    assert torch.equal(one.run(xs), steps(other, xs))
