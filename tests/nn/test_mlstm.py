"""The mLSTM cell: continuation by any chunk, resets with gates of any size, how it begins, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from unrolled.errors import DtypeError, OptionError
from unrolled.nn import MLSTM, DropConnect, MLSTMState, VariationalDropout, Zoneout, make_cell

KERNELS = ["auto", "chunkwise", "reference"]


def cell(kernel: str = "auto", size: float = 0.3, chunk: int = 64) -> MLSTM:
    """A float64 cell whose gates grow with `size`, none of its weights zero."""
    torch.manual_seed(0)
    made = MLSTM(3, 6, heads=2, chunk=chunk, kernel=kernel).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        made.weight_x[-4:] = size * torch.randn(4, 3)
    return made


def pieces(time: int, width: int) -> Iterator[slice]:
    return (slice(at, min(at + width, time)) for at in range(0, time, width))


def assert_close(got: Tensor, want: Tensor) -> None:
    assert float((got - want).detach().abs().max()) <= 1e-10 * max(1e-3, float(want.detach().abs().max()))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("width", [1, 3, 7, 64, 130])
def test_any_piece_continues_exactly(width: int, kernel: str) -> None:
    made, x = cell(kernel, chunk=width), torch.randn(3, 130, 3, dtype=torch.float64)
    leaf, same = x.clone().requires_grad_(), x.clone().requires_grad_()
    whole, final = cell("reference")(leaf)
    state, ys = None, []
    for piece in pieces(130, max(width, 40)):
        y, state = made(same[:, piece], state)
        ys.append(y)
    assert state is not None
    found = torch.cat(ys, 1)
    assert_close(found, whole)
    for got, want in zip(state, final, strict=True):
        assert_close(got, want)
    want = torch.autograd.grad((whole * whole).sum() + sum(part.sum() for part in final), leaf)
    got = torch.autograd.grad((found * found).sum() + sum(part.sum() for part in state), same)
    assert_close(got[0], want[0])


def test_single_steps_equal_the_whole() -> None:
    made, x = cell(chunk=7), torch.randn(3, 64, 3, dtype=torch.float64)
    whole, final = made(x)
    state, ys = None, []
    for t in range(64):
        y, state = made.step(x[:, t], state)
        ys.append(y)
    assert state is not None
    assert_close(torch.stack(ys, 1), whole)
    for got, want in zip(state, final, strict=True):
        assert_close(got, want)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_row_reset_among_others_starts_afresh_whatever_the_gates(kernel: str) -> None:
    made = cell(kernel, size=25, chunk=16)
    x = torch.randn(3, 40, 3, dtype=torch.float64)
    inner = made.project(x).inner
    assert float(inner.f.detach().min()) < -50
    assert float(inner.f.detach().max()) > 50
    reset = torch.zeros(3, 40, dtype=torch.bool)
    reset[1, 21] = True
    leaf = x.clone().requires_grad_()
    y, final = made(leaf, reset=reset)
    fresh, ends = made(x[1:2, 21:])
    plain, _ = made(x)
    assert_close(y[1:2, 21:], fresh)
    assert_close(y[[0, 2]], plain[[0, 2]])
    for got, want in zip(final, ends, strict=True):
        assert_close(got[1:2], want)
    (found,) = torch.autograd.grad(y[1, 21:].sum(), leaf, retain_graph=True)
    assert float(found[1, :21].abs().max()) == 0.0
    (found,) = torch.autograd.grad(y.sum() + sum(part.sum() for part in final), leaf)
    assert bool(torch.isfinite(found).all())


def test_a_fresh_cell_keeps_from_3_to_6_and_its_gates_do_not_see_the_input() -> None:
    made = MLSTM(5, 12, heads=4)
    inner = made.project(torch.randn(2, 5)).inner
    assert torch.equal(inner.f, torch.tensor([3.0, 4.0, 5.0, 6.0]).expand(2, 4))
    assert torch.equal(inner.i, torch.zeros(2, 4))
    assert bool((made.weight_x[:48] != 0).all())


def test_without_bias_every_gate_begins_half_open() -> None:
    made = make_cell("mlstm", 5, 12, heads=2, bias=False)
    assert [name for name, _ in made.named_parameters()] == ["weight_x"]
    assert float(made.project(torch.randn(2, 5)).inner.f.detach().abs().max()) == 0.0  # type: ignore[operator]


def test_what_it_cannot_be_is_said_in_one_sentence() -> None:
    with pytest.raises(OptionError, match=r"MLSTM: hidden_size must be divisible by heads, got hidden_size=6"):
        MLSTM(3, 6, heads=4)
    with pytest.raises(OptionError, match=r"MLSTM: chunk must be an integer of at least 1, got 0\."):
        MLSTM(3, 8, chunk=0)
    with pytest.raises(DtypeError, match=r"MLSTM: its state must be float32 or float64, got torch\.bfloat16"):
        MLSTM(3, 8).bfloat16()(torch.zeros(1, 2, 3, dtype=torch.bfloat16))


def test_wrappers_that_need_what_it_has_not_refuse_it() -> None:
    with pytest.raises(OptionError):
        Zoneout(MLSTM(3, 8), 0.2)
    with pytest.raises(OptionError):
        DropConnect(MLSTM(3, 8), 0.2)
    with pytest.raises(OptionError):
        VariationalDropout(MLSTM(3, 8), recurrent=0.2).train()(torch.zeros(1, 2, 3))


def test_mixed_precision_keeps_the_state_in_float32() -> None:
    made, x = MLSTM(3, 8), torch.randn(2, 5, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = made(x)
        step, _ = made.step(x[:, 0])
    assert isinstance(state, MLSTMState)
    assert {leaf.dtype for leaf in (y, step, *state)} == {torch.float32}
