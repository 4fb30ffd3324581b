"""The sLSTM cell: continuation, resets with gates of any size, how it begins, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from unrolled.errors import DtypeError, OptionError
from unrolled.nn import SLSTM, DropConnect, SLSTMState, VariationalDropout, Zoneout
from unrolled.testing import check_recurrent

KERNELS = ["auto", "reference"]
FORGET = ["sigmoid", "exponential"]


def cell(forget: str = "sigmoid", kernel: str = "auto", size: float = 1.0) -> SLSTM:
    """A float64 cell whose gates grow with `size`, none of its weights zero."""
    torch.manual_seed(0)
    made = SLSTM(3, 6, heads=2, forget=forget, kernel=kernel).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
        made.weight_x.mul_(size)
    return made


def pieces(time: int, width: int) -> Iterator[slice]:
    return (slice(at, min(at + width, time)) for at in range(0, time, width))


def assert_close(got: Tensor, want: Tensor) -> None:
    assert float((got - want).detach().abs().max()) <= 1e-10 * float(want.detach().abs().max())


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("forget", FORGET)
@pytest.mark.parametrize("width", [1, 3, 7, 64, 130])
def test_any_chunk_length_continues_exactly(width: int, forget: str, kernel: str) -> None:
    made, x = cell(forget, kernel), torch.randn(3, 130, 3, dtype=torch.float64)
    leaf, same = x.clone().requires_grad_(), x.clone().requires_grad_()
    whole, final = made(leaf)
    state, ys = None, []
    for piece in pieces(130, width):
        y, state = made(same[:, piece], state)
        ys.append(y)
    assert state is not None
    assert_close(torch.cat(ys, 1), whole)
    for got, want in zip(state, final, strict=True):
        assert_close(got, want)
    weights = [leaf, *made.parameters()]
    want = torch.autograd.grad((whole * whole).sum() + sum(part.sum() for part in final), weights)
    found = torch.cat(ys, 1)
    got = torch.autograd.grad((found * found).sum() + sum(part.sum() for part in state), [same, *made.parameters()])
    for one, other in zip(got, want, strict=True):
        assert_close(one, other)


@pytest.mark.parametrize("forget", FORGET)
def test_single_steps_equal_the_whole(forget: str) -> None:
    made, x = cell(forget), torch.randn(3, 64, 3, dtype=torch.float64)
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
@pytest.mark.parametrize("forget", FORGET)
def test_a_row_reset_among_others_starts_afresh_whatever_the_gates(forget: str, kernel: str) -> None:
    made = cell(forget, kernel, size=30)
    x = torch.randn(3, 40, 3, dtype=torch.float64)
    gates = made.project(x).gates.detach()
    assert float(gates.abs().max()) > 50
    x *= 50 / float(gates.abs().max())
    reset = torch.zeros(3, 40, dtype=torch.bool)
    reset[1, [13, 14, 30]] = True
    leaf = x.clone().requires_grad_()
    y, final = made(leaf, reset=reset)
    plain, _ = made(x)
    assert torch.equal(y[[0, 2]], plain[[0, 2]])
    for begin, end in ((0, 13), (13, 14), (14, 30), (30, 40)):
        alone, last = made(x[1:2, begin:end])
        assert_close(y[1:2, begin:end], alone)
    for got, want in zip(final, last, strict=True):
        assert_close(got[1:2], want)
    found = torch.autograd.grad(y.sum() + sum(part.sum() for part in final), [leaf, *made.parameters()])
    assert all(grad.isfinite().all() for grad in found)


def test_it_keeps_the_laws_under_dropped_weights() -> None:
    check_recurrent(lambda: DropConnect(SLSTM(3, 6, heads=3), 0.3), graphs=False)


def test_the_stabiliser_changes_no_output() -> None:
    made = cell()
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    _, state = made(x)
    # The same memory in the scale of another m.
    moved = SLSTMState(state.h, state.c * torch.e**2, state.n * torch.e**2, state.m - 2)
    torch.testing.assert_close(made(x, moved)[0], made(x, state)[0], rtol=1e-12, atol=1e-12)


def test_forget_gates_begin_open_and_spread_over_each_head() -> None:
    made, other = SLSTM(3, 8, heads=2), SLSTM(3, 8, heads=2, forget="exponential")
    assert made.bias is not None
    assert other.bias is not None
    bias = made.bias.detach().view(4, 2, 4)
    torch.testing.assert_close(bias[1], torch.tensor([3.0, 4.0, 5.0, 6.0]).expand(2, 4))
    assert not bias[[0, 2, 3]].any()
    torch.testing.assert_close(other.bias.detach()[8:16].exp(), bias[1].flatten().sigmoid())


def test_recurrent_weights_begin_orthogonal_for_each_gate_and_head() -> None:
    blocks = SLSTM(3, 12, heads=3).weight_h.detach().view(12, 4, 4)
    torch.testing.assert_close(blocks @ blocks.transpose(1, 2), torch.eye(4).expand(12, 4, 4), rtol=1e-5, atol=1e-5)


def test_heads_do_not_see_each_other() -> None:
    made = cell()
    with torch.no_grad():
        made.weight_x.view(4, 2, 3, 3)[:, 1] = 0
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    y, other = made(x)[0], made(2 * x)[0]
    assert torch.equal(y[..., 3:], other[..., 3:])
    assert not torch.equal(y[..., :3], other[..., :3])


def test_what_cannot_be_is_refused_in_one_sentence() -> None:
    with pytest.raises(
        OptionError, match="SLSTM: hidden_size must be divisible by heads, got hidden_size=10 and heads=4"
    ):
        SLSTM(3, 10)
    with pytest.raises(OptionError, match="SLSTM: forget must be one of sigmoid, exponential, got 'exp'"):
        SLSTM(3, 8, forget="exp")
    with pytest.raises(OptionError, match="Zoneout: cell must have a state that begins with y"):
        Zoneout(SLSTM(3, 8), 0.1)
    with pytest.raises(OptionError, match="VariationalDropout: recurrent needs a cell with a recurrent mask"):
        VariationalDropout(SLSTM(3, 8), recurrent=0.1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_state_of_half_precision_is_refused(dtype: torch.dtype) -> None:
    with pytest.raises(DtypeError, match="SLSTM: its state must be float32 or float64"):
        SLSTM(3, 8).to(dtype)(torch.zeros(2, 5, 3, dtype=dtype))


def test_mixed_precision_keeps_the_state_in_single_precision() -> None:
    made, x = SLSTM(3, 8), torch.randn(2, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = made(x)
    assert {leaf.dtype for leaf in state} == {torch.float32}
    torch.testing.assert_close(y.float(), made(x)[0], rtol=0.05, atol=0.05)
