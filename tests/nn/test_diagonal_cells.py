"""minGRU, minLSTM, RG-LRU and LRU: equations by hand, any chunks, extreme gates, the first step, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.errors import DtypeError, OptionError
from unrolled.nn import LRU, RGLRU, Bidirectional, Cell, MinGRU, MinLSTM, RGLRUState, Stack, Zoneout, make_cell
from unrolled.state import HState, leaves, map_state

EXACT = {"rtol": 0.0, "atol": 1e-12}

CELLS: dict[str, Any] = {
    "mingru": lambda: MinGRU(3, 6),
    "mingru-log": lambda: MinGRU(3, 6, form="log"),
    "minlstm": lambda: MinLSTM(3, 6),
    "minlstm-log": lambda: MinLSTM(3, 6, form="log"),
    "rglru": lambda: RGLRU(3, 6, heads=2),
    "lru": lambda: LRU(3, 6, state_size=5, learn_initial_state=True),
}


def moved(cell: Any) -> Any:
    """The cell in float64 with every parameter moved, so that what starts at zero counts too."""
    torch.manual_seed(0)
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return cell


def g(x: Tensor) -> Tensor:
    return torch.where(x >= 0, x + 0.5, 1 / (1 + (-x).exp()))


# The equations


@pytest.mark.parametrize("form", ["linear", "log"])
def test_min_gru_follows_its_equations(form: str) -> None:
    cell = moved(MinGRU(3, 4, form=form))
    x, h = torch.randn(2, 3).double(), torch.randn(2, 4).double()
    z, n = (x @ cell.weight_x.T + cell.bias).split(4, 1)
    z, n = torch.sigmoid(z), g(n) if form == "log" else n
    y, state = cell.step(x, HState(h))
    torch.testing.assert_close(y, (1 - z) * h + z * n, **EXACT)
    assert torch.equal(y, state.h)


@pytest.mark.parametrize("form", ["linear", "log"])
def test_min_lstm_follows_its_equations(form: str) -> None:
    cell = moved(MinLSTM(3, 4, form=form))
    x, h = torch.randn(2, 3).double(), torch.randn(2, 4).double()
    f, i, n = (x @ cell.weight_x.T + cell.bias).split(4, 1)
    f, i, n = torch.sigmoid(f), torch.sigmoid(i), g(n) if form == "log" else n
    y, state = cell.step(x, HState(h))
    torch.testing.assert_close(y, f / (f + i) * h + i / (f + i) * n, **EXACT)
    assert torch.equal(y, state.h)


@pytest.mark.parametrize("begun", [0.0, 1.0])
def test_rglru_follows_its_equations(begun: float) -> None:
    cell = moved(RGLRU(3, 4, heads=2))
    x, h = torch.randn(2, 3).double(), torch.randn(2, 4).double() * begun
    u = x @ cell.weight_in.T
    r, i = (
        torch.sigmoid(u @ torch.block_diag(*weight).T + bias)
        for weight, bias in ((cell.weight_a, cell.bias_a), (cell.weight_i, cell.bias_i))
    )
    a = torch.exp(-8 * r * torch.log(1 + cell.decay.exp()))
    scale = (1 - a**2).sqrt() if begun else 1.0
    y, state = cell.step(x, RGLRUState(h, torch.full((2, 1), begun).double()))
    torch.testing.assert_close(y, a * h + scale * (i * u), **EXACT)
    assert torch.equal(y, state.h)
    assert (state.begun == 1).all()


def test_lru_follows_its_equations() -> None:
    cell = moved(LRU(3, 4, state_size=5))
    x, h = torch.randn(2, 3).double(), torch.randn(2, 10).double()
    a = torch.exp(-cell.nu.exp() + 1j * cell.theta.exp())
    b, c = (torch.complex(*weight.chunk(2, side)) for weight, side in ((cell.weight_x, 0), (cell.weight_y, 1)))
    new = a * torch.complex(*h.chunk(2, 1)) + cell.gamma.exp() * (x.cdouble() @ b.T)
    y, state = cell.step(x, HState(h))
    torch.testing.assert_close(state.h, torch.cat([new.real, new.imag], 1), **EXACT)
    torch.testing.assert_close(y, (new @ c.T).real + x @ cell.weight_d.T, **EXACT)


# Sequences


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("time", [1, 2, 63, 100])
@pytest.mark.parametrize("chunk", [1, 3, 7, 64])
def test_any_chunks_give_the_whole(name: str, time: int, chunk: int) -> None:
    cell = moved(CELLS[name]())
    x = torch.randn(2, time, 3).double()
    reset = torch.rand(2, time) < 0.1
    whole, final = cell(x, reset=reset)
    state, pieces = None, []
    for begin in range(0, time, chunk):
        part = slice(begin, begin + chunk)
        y, state = cell(x[:, part], state, reset=reset[:, part])
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), whole, rtol=1e-10, atol=1e-12)
    for got, want in zip(leaves(state), leaves(final), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def saturated(operands: Any, time: int) -> Any:
    """The operands with -50 or 50 in place of about every second pre-activation, and 50 at every third step."""

    def saturate(leaf: Tensor) -> Tensor:
        size = 50.0 * torch.randn_like(leaf).sign()
        drawn = torch.where(torch.rand_like(leaf) < 0.5, size, leaf)
        return torch.where((torch.arange(time) % 3 == 0)[:, None], 50.0, drawn)

    return map_state(saturate, operands)


@pytest.mark.parametrize("name", [name for name in CELLS if name != "lru"])
@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("time", [1, 2, 63, 100])
def test_gates_that_are_shut_or_open_leave_values_and_gradients_finite(
    name: str, kernel: str, dtype: torch.dtype, time: int
) -> None:
    torch.manual_seed(time)
    cell = CELLS[name]().to(dtype)
    cell.kernel = kernel
    lengths = torch.tensor([time, (time + 1) // 2, 1, 0])
    reset = (torch.rand(4, time) < 0.2) & (torch.arange(time) < lengths[:, None])
    x = torch.randn(4, time, 3, dtype=dtype)
    operands = map_state(lambda leaf: leaf.detach().requires_grad_(), saturated(cell.project(x), time))
    y, state = cell.run(operands, cell.initial_state(4, dtype=dtype), lengths, reset)
    (y.square().sum() + state.h.square().sum()).backward()
    found = [tensor.grad for tensor in (*operands, *cell.parameters()) if tensor.grad is not None]
    assert len(found) >= len(operands)
    for tensor in (y, state.h, *found):
        assert tensor.isfinite().all()
    with torch.no_grad():
        exact, end = cell.double().run(
            map_state(Tensor.double, operands), cell.initial_state(4, dtype=torch.float64), lengths, reset
        )
    scale = float(exact.abs().max())
    # A step rounds some ten numbers, none much larger than the largest h, and every step may add up.
    limit = 64 * time * torch.finfo(dtype).eps * scale
    assert float((y.detach() - exact).abs().max()) <= limit
    assert float((state.h.detach() - end.h).abs().max()) <= limit


@pytest.mark.parametrize("shift", [-50.0, -200.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rglru_with_decays_of_one_keeps_finite_gradients(shift: float, dtype: torch.dtype) -> None:
    cell = RGLRU(3, 4).to(dtype)
    with torch.no_grad():
        cell.bias_a += shift
        cell.decay += shift
    x = torch.randn(2, 9, 3, dtype=dtype).requires_grad_()
    y, _ = cell(x)
    y.sum().backward()
    for tensor in (y, x.grad, *(p.grad for p in cell.parameters())):
        assert tensor.isfinite().all()


def test_min_lstm_shares_by_the_ratio_of_gates_that_are_both_shut() -> None:
    cell = MinLSTM(1, 1).double()
    with torch.no_grad():
        cell.weight_x.zero_()
        # 1 - i is 1 in float32 for both; what is left of the gates is as 3 to 1.
        cell.bias.copy_(torch.tensor([-50.0 + math.log(3), -50.0, 0.0]))
    for dtype in (torch.float64, torch.float32):
        y, _ = cell.to(dtype)(torch.zeros(1, 2, 1, dtype=dtype), HState(torch.ones(1, 1, dtype=dtype)))
        torch.testing.assert_close(y[0, :, 0].double(), torch.tensor([0.75, 0.5625]).double(), rtol=1e-5, atol=0)


def test_the_log_form_stays_positive_and_carries_h_as_it_is() -> None:
    for kind in (MinGRU, MinLSTM):
        cell = moved(kind(3, 6, form="log"))
        y, state = cell(5 * torch.randn(2, 50, 3).double())
        assert (y > 0).all()
        open_, shut = cell.bias[:6].sigmoid(), cell.bias[6:12].sigmoid()
        share = open_ if kind is MinGRU else shut / (open_ + shut)
        after = cell.step(torch.zeros(2, 3).double(), state)[1]
        torch.testing.assert_close(after.h, (1 - share) * state.h + share * g(cell.bias[-6:]), **EXACT)


def test_the_first_step_of_a_row_or_segment_of_rglru_takes_its_input_whole() -> None:
    cell = moved(RGLRU(3, 4))
    x = torch.randn(1, 5, 3).double()
    reset = torch.tensor([[False, False, True, False, False]])
    operands = cell.project(x)
    whole = operands.input.sigmoid() * operands.u
    y, _ = cell(x, reset=reset)
    torch.testing.assert_close(y[:, [0, 2]], whole[:, [0, 2]], **EXACT)
    assert ((y - whole)[:, [1, 3, 4]].abs() > 1e-6).all()


def test_a_row_of_length_zero_has_not_begun() -> None:
    cell = moved(RGLRU(3, 4))
    _, state = cell(torch.randn(2, 5, 3).double(), lengths=[0, 5])
    assert state.begun.tolist() == [[0.0], [1.0]]
    x = torch.randn(2, 4, 3).double()
    torch.testing.assert_close(cell(x, state)[0][0], cell(x)[0][0], **EXACT)


@pytest.mark.parametrize("name", ["mingru", "minlstm-log"])
@pytest.mark.parametrize("training", [False, True])
def test_zoneout_of_a_linear_step_is_zoneout_step_by_step(name: str, training: bool) -> None:
    layer = Zoneout(moved(CELLS[name]()), 0.3).double().train(training)
    x = torch.randn(3, 9, 3).double()
    operands = layer.project(x)
    state = layer.initial_state(3, dtype=torch.float64)
    lengths, reset = torch.tensor([9, 4, 0]), torch.zeros(3, 9, dtype=torch.bool)
    reset[0, 3] = True
    y, final = layer.run(operands, state, lengths, reset)
    plain, end = Cell.run_zoned(layer.cell, operands.inner, state, lengths, reset, operands.masks, layer.rates)
    torch.testing.assert_close(y, plain, **EXACT)
    torch.testing.assert_close(final.h, end.h, **EXACT)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_runs_from_right_to_left(name: str) -> None:
    cell = moved(CELLS[name]())
    x, lengths = torch.randn(2, 6, 3).double(), torch.tensor([6, 4])
    y, state = cell.run(cell.operands(x), cell.initial_state(2, dtype=torch.float64), lengths, None, reverse=True)
    want, end = cell(torch.stack([x[0].flip(0), torch.cat([x[1, :4].flip(0), x[1, 4:]])]), lengths=lengths)
    torch.testing.assert_close(y[0], want[0].flip(0), **EXACT)
    torch.testing.assert_close(y[1, :4], want[1, :4].flip(0), **EXACT)
    for got, should in zip(leaves(state), leaves(end), strict=True):
        torch.testing.assert_close(got, should, **EXACT)


# Initialisation


def test_lru_starts_on_its_ring_with_states_of_size_one() -> None:
    torch.manual_seed(0)
    cell = LRU(64, 64, state_size=256, radii=(0.8, 0.95), largest_angle=math.pi / 4)
    radius, angle = (-cell.nu.detach().exp()).exp(), cell.theta.detach().exp()
    assert 0.8 <= float(radius.min()) < float(radius.max()) <= 0.95
    assert 0 < float(angle.min()) < float(angle.max()) <= math.pi / 4
    _, state = cell(torch.randn(64, 200, 64))
    power = state.h.detach().square().sum(1).mean() / 256
    # 64 rows of 256 channels with exponential powers: a standard error of 1 %.
    assert 0.9 < float(power) < 1.1


def test_rglru_starts_with_the_decays_of_its_authors() -> None:
    cell = RGLRU(4, 512, heads=4)
    radius = torch.exp(-torch.nn.functional.softplus(cell.decay.detach()))
    assert 0.9 - 1e-6 <= float(radius.min()) < float(radius.max()) <= 0.999 + 1e-6


def test_the_forget_gate_of_min_lstm_starts_open() -> None:
    assert MinLSTM(3, 4).bias.tolist() == [1.0] * 4 + [0.0] * 8


def test_parameters_have_the_documented_names_and_shapes() -> None:
    def shapes(cell: Any) -> dict[str, tuple[int, ...]]:
        return {name: tuple(parameter.shape) for name, parameter in cell.named_parameters()}

    assert shapes(MinGRU(3, 4)) == {"weight_x": (8, 3), "bias": (8,)}
    assert shapes(MinLSTM(3, 4, bias=False)) == {"weight_x": (12, 3)}
    gates = {"weight_a": (2, 2, 2), "weight_i": (2, 2, 2), "bias_a": (4,), "bias_i": (4,), "decay": (4,)}
    assert shapes(RGLRU(3, 4, heads=2)) == {"weight_in": (4, 3)} | gates
    assert shapes(RGLRU(4, 4, heads=2, projection=False)) == gates
    inside = {"nu": (5,), "theta": (5,), "gamma": (5,)}
    assert shapes(LRU(3, 4, state_size=5)) == {"weight_x": (10, 3), "weight_y": (4, 10), "weight_d": (4, 3)} | inside


# Refusals


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: MinGRU(0, 4), r"MinGRU: input_size must be an integer of at least 1, got 0"),
        (lambda: MinLSTM(3, 2.5), r"MinLSTM: hidden_size must be an integer of at least 1, got 2.5"),  # type: ignore[arg-type]
        (lambda: MinGRU(3, 4, form="lin"), r"MinGRU: form must be one of linear, log, got 'lin'."),
        (lambda: MinLSTM(3, 4, form="linera"), r"MinLSTM: form must be .* Did you mean 'linear'"),
        (lambda: MinLSTM(3, 4, init="he"), r"init must be one of xavier, torch, got 'he'"),
        (lambda: RGLRU(3, 6, heads=4), r"RGLRU: hidden_size must be divisible by heads, got hidden_size=6 and heads=4"),
        (lambda: RGLRU(3, 6, heads=0), r"RGLRU: heads must be an integer of at least 1, got 0"),
        (lambda: RGLRU(3, 6, projection=False), r"RGLRU: projection=False needs input_size equal .* got 3 and 6"),
        (lambda: LRU(3, 6, state_size=0), r"LRU: state_size must be an integer of at least 1, got 0"),
        (lambda: LRU(3, 6, radii=(0.9, 0.5)), r"LRU: radii must be two numbers .* got \(0.9, 0.5\)"),
        (lambda: LRU(3, 6, radii=(0.5, 1.5)), r"LRU: radii must be two numbers .* got \(0.5, 1.5\)"),
        (lambda: LRU(3, 6, largest_angle=0.0), r"LRU: largest_angle must be a number in \(0, 2 pi\], got 0.0"),
        (lambda: Zoneout(LRU(3, 6), 0.1), r"Zoneout: cell must have a state that begins with y .* got LRU"),
        (lambda: make_cell("rglru", 3, 6, head=2), r"RGLRU: option 'head' is unknown.*Did you mean 'heads'"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make()


@pytest.mark.parametrize("kind", [RGLRU, LRU])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_refused_where_the_state_must_be_float32(kind: Any, dtype: torch.dtype) -> None:
    cell = kind(3, 4).to(dtype)
    with pytest.raises(DtypeError, match=rf"{kind.__name__}: its state must be float32 or float64, got {dtype}"):
        cell(torch.zeros(1, 2, 3, dtype=dtype))


@pytest.mark.parametrize("name", CELLS)
def test_automatic_mixed_precision_keeps_the_state_in_float32(name: str) -> None:
    torch.manual_seed(0)
    cell = CELLS[name]()
    x = torch.randn(2, 9, 3)
    want, _ = cell(x)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = cell(x)
    assert all(leaf.dtype == torch.float32 for leaf in (y, *leaves(state)))
    # bfloat16 keeps 8 bits of the products; 9 steps add their errors up.
    torch.testing.assert_close(y, want, rtol=0.1, atol=0.1)


def test_min_gru_runs_in_bfloat16() -> None:
    cell = MinGRU(3, 4).bfloat16()
    y, state = cell(torch.randn(2, 9, 3).bfloat16())
    assert y.dtype == state.h.dtype == torch.bfloat16


def test_cells_of_all_kinds_stand_on_one_another() -> None:
    both = Bidirectional(RGLRU(3, 4), LRU(3, 5))
    y, _ = Stack([both, MinGRU(9, 6), MinLSTM(6, 2, form="log")])(torch.randn(2, 7, 3), lengths=[7, 3])
    assert y.shape == (2, 7, 2)
