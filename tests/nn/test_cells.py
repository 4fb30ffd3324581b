"""The cells: their equations written out by hand, options, initialisation per gate, and what they refuse."""

from __future__ import annotations

import inspect
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from unrolled.errors import (
    DtypeError,
    KernelError,
    LengthsError,
    NonFiniteError,
    OptionError,
    ShapeError,
    UnrolledError,
)
from unrolled.nn import CELLS, GRU, LSTM, RNN, Cell, HState, LSTMState, make_cell
from unrolled.state import leaves, map_state

EXACT = {"rtol": 0.0, "atol": 1e-12}


def moved(cell: Any) -> Any:
    """The cell in float64 with every parameter moved, so that what starts at zero or one counts too."""
    torch.manual_seed(0)
    cell = cell.double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return cell


def normalised(x: Tensor, gain: Tensor) -> Tensor:
    mean, variance = x.mean(-1, keepdim=True), x.var(-1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + 1e-5).sqrt() * gain


# The equations


@pytest.mark.parametrize("peephole", [False, True])
@pytest.mark.parametrize("coupled", [False, True])
@pytest.mark.parametrize("projection_size", [None, 3])
@pytest.mark.parametrize("normed", [False, True])
def test_lstm_follows_its_equations(peephole: bool, coupled: bool, projection_size: int | None, normed: bool) -> None:
    cell = moved(LSTM(3, 4, peephole=peephole, coupled=coupled, projection_size=projection_size, layer_norm=normed))
    x = torch.randn(2, 3, dtype=torch.float64)
    h = torch.randn(2, projection_size or 4, dtype=torch.float64)
    c = torch.randn(2, 4, dtype=torch.float64)
    input_part, recurrent_part = x @ cell.weight_x.T, h @ cell.weight_h.T
    if normed:
        input_part = normalised(input_part, cell.norm_x)
        recurrent_part = normalised(recurrent_part, cell.norm_h)
    sums = dict(zip("igo" if coupled else "ifgo", (input_part + recurrent_part + cell.bias).split(4, 1), strict=True))
    diagonal = dict(zip("io" if coupled else "ifo", cell.peephole, strict=True)) if peephole else {}
    i = torch.sigmoid(sums["i"] + diagonal.get("i", 0) * c)
    f = 1 - i if coupled else torch.sigmoid(sums["f"] + diagonal.get("f", 0) * c)
    new_c = f * c + i * torch.tanh(sums["g"])
    o = torch.sigmoid(sums["o"] + diagonal.get("o", 0) * new_c)
    seen = normalised(new_c, cell.norm_c[0]) + cell.norm_c[1] if normed else new_c
    new_h = o * torch.tanh(seen)
    if projection_size:
        new_h = new_h @ cell.weight_p.T
    y, state = cell.step(x, LSTMState(h, c))
    torch.testing.assert_close(state.c, new_c, **EXACT)
    torch.testing.assert_close(state.h, new_h, **EXACT)
    assert torch.equal(y, state.h)


@pytest.mark.parametrize("reset", ["after", "before"])
@pytest.mark.parametrize("normed", [False, True])
def test_gru_follows_its_equations(reset: str, normed: bool) -> None:
    cell = moved(GRU(3, 4, reset=reset, layer_norm=normed))
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)

    def gain(name: str, rows: slice) -> Any:
        return getattr(cell, name)[rows] if normed else None

    def normed_if_asked(value: Tensor, scale: Tensor | None) -> Tensor:
        return value if scale is None else normalised(value, scale)

    gates, new = slice(0, 8), slice(8, 12)
    x_gates = normed_if_asked(x @ cell.weight_x[gates].T, gain("norm_x", gates)) + cell.bias[gates]
    x_new = normed_if_asked(x @ cell.weight_x[new].T, gain("norm_x", new)) + cell.bias[new]
    r, z = torch.sigmoid(x_gates + normed_if_asked(h @ cell.weight_h[gates].T, gain("norm_h", gates))).split(4, 1)
    if reset == "after":
        n = torch.tanh(x_new + r * (normed_if_asked(h @ cell.weight_h[new].T, gain("norm_h", new)) + cell.bias_h))
    else:
        n = torch.tanh(x_new + normed_if_asked((r * h) @ cell.weight_h[new].T, gain("norm_h", new)))
    y, state = cell.step(x, HState(h))
    torch.testing.assert_close(y, z * h + (1 - z) * n, **EXACT)
    assert torch.equal(y, state.h)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_rnn_follows_its_equation(nonlinearity: str) -> None:
    cell = moved(RNN(3, 4, nonlinearity=nonlinearity))
    x, h = torch.randn(2, 3, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    y, _ = cell.step(x, HState(h))
    torch.testing.assert_close(y, getattr(torch, nonlinearity)(x @ cell.weight_x.T + cell.bias + h @ cell.weight_h.T))


def test_the_norm_of_this_test_is_the_layer_norm_of_torch() -> None:
    x = torch.randn(2, 6, dtype=torch.float64)
    torch.testing.assert_close(normalised(x, torch.ones(6)), layer_norm(x, (6,)), **EXACT)


# Initialisation


GATES = [(RNN(7, 6), 1), (LSTM(7, 6), 4), (LSTM(7, 6, coupled=True), 3), (GRU(7, 6), 3)]


@pytest.mark.parametrize(("cell", "gates"), GATES)
def test_recurrent_weights_are_orthogonal_gate_by_gate(cell: Any, gates: int) -> None:
    blocks = cell.weight_h.detach().chunk(gates)
    for block in blocks:
        torch.testing.assert_close(block @ block.T, torch.eye(6), rtol=0.0, atol=1e-5)
    for one, other in itertools.pairwise(blocks):
        assert not torch.allclose(one, other)


def test_input_weights_are_xavier_with_the_fans_of_one_gate() -> None:
    cell = LSTM(100, 200)
    bound = (6 / (100 + 200)) ** 0.5
    assert 0.98 * bound < cell.weight_x.abs().max() <= bound


def test_projected_recurrent_weights_have_orthonormal_columns_in_each_gate() -> None:
    for block in LSTM(3, 8, projection_size=5).weight_h.detach().chunk(4):
        torch.testing.assert_close(block.T @ block, torch.eye(5), rtol=0.0, atol=1e-5)


def test_the_forget_gate_starts_open() -> None:
    def bias(**options: Any) -> list[list[float]]:
        found = LSTM(2, 2, **options).bias
        assert found is not None
        return [gate.tolist() for gate in found.chunk(3 if "coupled" in options else 4)]

    zero, one = [0.0, 0.0], [1.0, 1.0]
    assert bias() == [zero, one, zero, zero]
    assert bias(forget_bias=2.5) == [zero, [2.5, 2.5], zero, zero]
    assert bias(coupled=True) == [[-1.0, -1.0], zero, zero]
    assert bias(init="torch", forget_bias=1.0)[1] == one


def test_peepholes_start_silent_and_gains_at_one() -> None:
    cell: Any = LSTM(2, 3, peephole=True, layer_norm=True)
    assert (cell.peephole == 0).all()
    assert (cell.norm_x == 1).all()
    assert (cell.norm_h == 1).all()
    assert cell.norm_c.tolist() == [[1.0] * 3, [0.0] * 3]


def test_reset_parameters_draws_anew() -> None:
    cell = GRU(3, 4)
    before = cell.weight_h.clone()
    cell.reset_parameters()
    assert not torch.equal(cell.weight_h, before)


# Options


def test_parameters_have_the_documented_names_and_shapes() -> None:
    def shapes(cell: Any) -> dict[str, tuple[int, ...]]:
        return {name: tuple(p.shape) for name, p in cell.named_parameters()}

    assert shapes(RNN(3, 4)) == {"weight_x": (4, 3), "weight_h": (4, 4), "bias": (4,)}
    assert shapes(GRU(3, 4)) == {"weight_x": (12, 3), "weight_h": (12, 4), "bias": (12,), "bias_h": (4,)}
    assert shapes(GRU(3, 4, reset="before", bias=False)) == {"weight_x": (12, 3), "weight_h": (12, 4)}
    full = LSTM(3, 4, peephole=True, coupled=True, projection_size=2, layer_norm=True)
    assert shapes(full) == {
        "weight_x": (12, 3), "weight_h": (12, 2), "bias": (12,), "peephole": (2, 4), "weight_p": (2, 4),
        "norm_x": (12,), "norm_h": (12,), "norm_c": (2, 4),
    }  # fmt: skip


LEARNERS = [name for name, kind in CELLS.items() if "learn_initial_state" in inspect.signature(kind).parameters]


@pytest.mark.parametrize("name", LEARNERS)
def test_the_initial_state_is_learned_on_request(name: str) -> None:
    cell = make_cell(name, 3, 4, learn_initial_state=True).double()
    assert cell.initial is not None
    with torch.no_grad():
        for parameter in cell.initial:
            parameter.normal_()
    x = torch.randn(2, 3, 3, dtype=torch.float64)
    y, _ = cell(x)
    torch.testing.assert_close(y, cell(x, cell.initial_state(2, dtype=torch.float64))[0], **EXACT)
    y.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in cell.initial)


@pytest.mark.parametrize("name", LEARNERS)
def test_a_reset_returns_to_the_learned_state_and_trains_it(name: str) -> None:
    cell = make_cell(name, 3, 4, learn_initial_state=True).double()
    assert cell.initial is not None
    with torch.no_grad():
        for parameter in cell.initial:
            parameter.normal_()
    x = torch.randn(1, 5, 3, dtype=torch.float64)
    given = cell.zero_state(1, None, torch.float64)
    reset = torch.tensor([[False, False, True, False, False]])
    y, _ = cell(x, given, reset=reset)
    torch.testing.assert_close(y[:, 2:], cell(x[:, 2:])[0], **EXACT)
    y.sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in cell.initial)


def test_make_cell_builds_by_name_and_says_what_it_does_not_know() -> None:
    cell = make_cell("lstm", 3, 5, peephole=True)
    assert isinstance(cell, LSTM)
    assert cell.peephole is not None
    with pytest.raises(OptionError, match=r"one of rnn, lstm, gru, .*, got 'lsmt'. Did you mean 'lstm'"):
        make_cell("lsmt", 3, 5)
    with pytest.raises(OptionError, match=r"GRU: option 'layernorm' is unknown.*Did you mean 'layer_norm'"):
        make_cell("gru", 3, 5, layernorm=True)


@pytest.mark.parametrize("name", CELLS)
def test_every_cell_prints_its_sizes(name: str) -> None:
    assert "3, 4" in repr(make_cell(name, 3, 4))


# Refusals


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RNN(0, 4), r"RNN: input_size must be an integer of at least 1, got 0"),
        (lambda: GRU(3, 2.5), r"GRU: hidden_size must be an integer of at least 1, got 2.5"),  # type: ignore[arg-type]
        (lambda: RNN(3, 4, nonlinearity="tahn"), r"one of tanh, relu, got 'tahn'. Did you mean 'tanh'"),
        (lambda: GRU(3, 4, reset="afer"), r"one of after, before, got 'afer'. Did you mean 'after'"),
        (lambda: LSTM(3, 4, init="he"), r"init must be one of xavier, torch, got 'he'"),
        (lambda: LSTM(3, 4, projection_size=4), r"projection_size must be smaller than hidden_size=4, got 4"),
        (lambda: LSTM(3, 4, coupled=True, forget_bias=1.0), r"coupled=True has none"),
        (lambda: LSTM(3, 4, bias=False, forget_bias=1.0), r"forget_bias needs bias=True"),
    ],
)
def test_options_out_of_range_are_refused(make: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        make()


X = torch.zeros(2, 4, 3)


@pytest.mark.parametrize(
    ("error", "says", "arguments", "options"),
    [
        (ShapeError, r"x must be \(batch, time, 3\), got \(2, 4, 5\)", (torch.zeros(2, 4, 5),), {}),
        (ShapeError, r"For one time step call step\(\)", (torch.zeros(4, 3),), {}),
        (ShapeError, r"at least one time step", (torch.zeros(2, 0, 3),), {}),
        (ShapeError, r"at least one row", (torch.zeros(0, 4, 3),), {}),
        (DtypeError, r"floating tensor, got torch.int64", (torch.zeros(2, 4, 3, dtype=torch.long),), {}),
        (DtypeError, r"x must be torch.float32 .* got torch.float64", (X.double(),), {}),
        (DtypeError, r"x must be a torch tensor, got list", ([[[0.0]]],), {}),
        (NonFiniteError, r"got nan at row 1, step 2, feature 0", (X.index_put((torch.tensor(1), torch.tensor(2),
            torch.tensor(0)), torch.tensor(torch.nan)),), {}),
        (LengthsError, r"must lie in 0..4 .* got 5 in row 1", (X,), {"lengths": [4, 5]}),
        (LengthsError, r"must lie in 0..4 .* got -1 in row 0", (X,), {"lengths": [-1, 4]}),
        (LengthsError, r"must be integers, got torch.float32", (X,), {"lengths": torch.ones(2)}),
        (LengthsError, r"one integer a row, \(2,\), got \(3,\)", (X,), {"lengths": [1, 2, 3]}),
        (ShapeError, r"reset must be \(batch, time\) = \(2, 4\), got \(2, 3\)", (X,), {"reset": torch.zeros(2, 3) > 0}),
        (DtypeError, r"reset must be a bool tensor, got a tensor of torch.float32", (X,), {"reset": torch.zeros(2, 4)}),
        (ShapeError, r"state must be a LSTMState", (X, HState(torch.zeros(2, 5))), {}),
        (ShapeError, r"leaf must be \(2, 5\), got \(3, 5\)", (X, LSTMState(torch.zeros(3, 5), torch.zeros(3, 5))), {}),
        (DtypeError, r"leaf must be torch.float32", (X, LSTMState(*torch.zeros(2, 2, 5).long())), {}),
    ],
)  # fmt: skip
def test_the_door_refuses_in_one_sentence(error: Any, says: str, arguments: Any, options: Any) -> None:
    with pytest.raises(error, match=says) as caught:
        LSTM(3, 5)(*arguments, **options)
    assert isinstance(caught.value, UnrolledError)
    assert str(caught.value).startswith("LSTM: ")


@pytest.mark.parametrize("name", CELLS)
def test_an_unknown_kernel_is_named(name: str) -> None:
    with pytest.raises(KernelError, match=r"'auto' or one of .*got 'refrence'. Did you mean 'reference'"):
        make_cell(name, 3, 4, kernel="refrence")(X)


def test_a_step_refuses_a_sequence() -> None:
    with pytest.raises(ShapeError, match=r"one step's x must be \(batch, 3\), got \(2, 4, 3\)"):
        GRU(3, 5).step(X)


@pytest.mark.parametrize("name", CELLS)
def test_a_row_of_length_zero_keeps_its_state(name: str) -> None:
    cell = make_cell(name, 3, 4)
    state = cell(torch.randn(2, 4, 3))[1]
    y, after = cell(torch.randn(2, 4, 3), state, lengths=[0, 4])
    assert (y[0] == 0).all()
    pairs = list(zip(leaves(state), leaves(after), strict=True))
    assert all(torch.equal(old[0], new[0]) for old, new in pairs)
    assert any(not torch.equal(old[1], new[1]) for old, new in pairs)


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_lengths_come_in_any_integer_dtype(name: str, dtype: torch.dtype) -> None:
    cell, x = make_cell(name, 3, 4), torch.randn(2, 4, 3)
    assert torch.equal(cell(x, lengths=torch.tensor([3, 1], dtype=dtype))[0], cell(x, lengths=[3, 1])[0])


def test_the_reference_is_twice_differentiable() -> None:
    for name in CELLS:
        cell: Cell[Any] = make_cell(name, 2, 4, kernel="reference").double()
        x = torch.randn(1, 2, 2, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradgradcheck(lambda value, cell=cell: cell(value)[0], (x,))


@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("name", CELLS)
def test_weights_and_states_may_lie_in_any_layout(name: str, kernel: str) -> None:
    torch.manual_seed(0)
    layer = CELLS[name](8, 8).double()
    for module in layer.modules():
        if "kernel" in vars(module):
            module.kernel = kernel  # type: ignore[assignment]
    x = torch.randn(3, 4, 8, dtype=torch.float64)
    want, state = layer(x)
    again, _ = layer(x, state)

    def strided(values: Tensor) -> Tensor:
        return torch.stack([values, torch.full_like(values, torch.nan)], -1)[..., 0]

    for parameter in layer.parameters():
        parameter.data = strided(parameter.data)
    torch.testing.assert_close(layer(x)[0], want)
    torch.testing.assert_close(layer(x, map_state(strided, state))[0], again)
