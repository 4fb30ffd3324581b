"""The pieces of the parallel solver: Jacobians in closed form, linear recurrences, one system of all steps."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.ops.core.scan import scan
from unrolled.ops.gru import reference as gru_reference
from unrolled.ops.gru.reference import GRUOperands, GRUWeights
from unrolled.ops.lstm import reference as lstm_reference
from unrolled.ops.lstm.reference import LSTMOperands, LSTMState, LSTMWeights
from unrolled.ops.newton import (
    Certificate,
    Newton,
    Problem,
    Recurrence,
    RNNWeights,
    Solver,
    gru_recurrence,
    lstm_recurrence,
    rnn_recurrence,
)
from unrolled.ops.newton.jacobians import stack_leaves
from unrolled.ops.newton.linear import solve_linear, walk_linear
from unrolled.ops.rnn.reference import RNNOperands
from unrolled.state import HState, leaves, map_state

ROWS, WIDTH, OUT = 3, 5, 4
LIMIT = 2**10 * torch.finfo(torch.float64).eps
"""Closed form and automatic derivative sum some tens of products of size up to 10 in two orders."""

Case = tuple[Recurrence, Any, Any, Any]
"""A recurrence, operands, state and weights of `ROWS` rows."""


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def masks(on: bool, out: int) -> tuple[Tensor | None, Tensor | None]:
    """A mask on the h that the weights see, and one of zoneout."""
    return (2.0 * (torch.rand(ROWS, out) < 0.6).double(), torch.rand(ROWS, out) < 0.6) if on else (None, None)


def rnn_case(nonlinearity: str, masked: bool, rate: float) -> Case:
    operands = RNNOperands(draw(ROWS, WIDTH), *masks(masked, WIDTH))
    return rnn_recurrence(nonlinearity, rate), operands, HState(draw(ROWS, WIDTH)), RNNWeights(draw(WIDTH, WIDTH))


def gru_case(after: bool, norm: bool, masked: bool, rate: float) -> Case:
    weights = GRUWeights(draw(3 * WIDTH, WIDTH), draw(WIDTH) if after else None, draw(3 * WIDTH) if norm else None)
    operands = GRUOperands(draw(ROWS, 3 * WIDTH), *masks(masked, WIDTH))
    return gru_recurrence(after, rate), operands, HState(draw(ROWS, WIDTH)), weights


def lstm_case(peephole: bool, coupled: bool, projection: bool, norm: bool, masked: bool, rate: float) -> Case:
    gates, out = 3 if coupled else 4, OUT if projection else WIDTH
    weights = LSTMWeights(
        draw(gates * WIDTH, out),
        draw(gates - 1, WIDTH) if peephole else None,
        draw(OUT, WIDTH) if projection else None,
        draw(gates * WIDTH) if norm else None,
        draw(2, WIDTH) if norm else None,
    )
    zone_c = torch.rand(ROWS, WIDTH) < 0.6 if masked else None
    operands = LSTMOperands(draw(ROWS, gates * WIDTH), *masks(masked, out), zone_c)
    return lstm_recurrence(coupled, rate, rate / 2), operands, LSTMState(draw(ROWS, out), draw(ROWS, WIDTH)), weights


SWITCHES = (False, True)
PLAIN: dict[str, Callable[[], Case]] = {}
NORMED: dict[str, Callable[[], Case]] = {}
PROJECTED: dict[str, Callable[[], Case]] = {}
for word, masked, rate in itertools.product(("tanh", "relu"), SWITCHES, (0.0, 0.25)):
    PLAIN[f"rnn {word} {masked=} {rate=}"] = lambda a=(word, masked, rate): rnn_case(*a)
for after, norm, masked, rate in itertools.product(SWITCHES, SWITCHES, SWITCHES, (0.0, 0.25)):
    (NORMED if norm else PLAIN)[f"gru {after=} {norm=} {masked=} {rate=}"] = lambda a=(after, norm, masked, rate): (
        gru_case(*a)
    )
for chosen in itertools.product(SWITCHES, SWITCHES, SWITCHES, SWITCHES, SWITCHES, (0.0, 0.25)):
    table = PROJECTED if chosen[2] else NORMED if chosen[3] else PLAIN
    names = dict(zip(("peephole", "coupled", "projection", "norm", "masked", "rate"), chosen))
    table[f"lstm {names}"] = lambda a=chosen: lstm_case(*a)


def true_jacobian(case: Case) -> Tensor:
    """(N, D, D) of the reference step, by automatic differentiation, row by row."""
    recurrence, operands, state, weights = case
    widths = [leaf.shape[1] for leaf in state]

    def step(vector: Tensor, mine: Any) -> Tensor:
        one = type(state)(*(part[None] for part in vector.split(widths)))
        _, new = recurrence.step(map_state(lambda leaf: leaf[None], mine), one, weights)
        return torch.cat(list(new), 1)[0]

    rows = [
        torch.func.jacrev(lambda v, n=n: step(v, map_state(lambda leaf: leaf[n], operands)))(
            torch.cat(list(state), 1)[n]
        )
        for n in range(ROWS)
    ]
    return torch.stack(rows)


def blocks_of(full: Tensor, count: int) -> Tensor:
    """What couples a unit with itself: (N, D, D) -> (N, count, count, WIDTH)."""
    return full.view(ROWS, count, WIDTH, count, WIDTH).diagonal(dim1=2, dim2=4)


def close(got: Tensor, want: Tensor) -> None:
    assert got.shape == want.shape
    assert float((got - want).abs().max()) <= LIMIT * max(1.0, float(want.abs().max()))


@pytest.mark.parametrize("name", [*PLAIN, *NORMED, *PROJECTED])
def test_the_full_closed_form_is_the_jacobian_of_the_reference_step(name: str) -> None:
    torch.manual_seed(0)
    case = (PLAIN | NORMED | PROJECTED)[name]()
    recurrence, operands, state, weights = case
    new, jacobian = recurrence.linear(operands, state, weights, "full")
    close(new, torch.cat(list(recurrence.step(operands, state, weights)[1]), 1))
    close(jacobian, true_jacobian(case))


@pytest.mark.parametrize("name", PLAIN)
def test_the_diagonal_closed_form_is_what_couples_a_unit_with_itself(name: str) -> None:
    torch.manual_seed(0)
    case = PLAIN[name]()
    recurrence, operands, state, weights = case
    new, jacobian = recurrence.linear(operands, state, weights, "diagonal")
    close(new, stack_leaves(recurrence.step(operands, state, weights)[1], "diagonal"))
    close(jacobian, blocks_of(true_jacobian(case), len(state)))


@pytest.mark.parametrize("name", NORMED)
def test_the_diagonal_form_holds_the_statistics_of_a_layer_norm(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def held(values: Tensor, _: Any, gain: Tensor, bias: Tensor | None, epsilon: float) -> Tensor:
        mean, size = values.mean(-1, keepdim=True), (values.var(-1, correction=0, keepdim=True) + epsilon).sqrt()
        normed = (values - mean.detach()) / size.detach() * gain
        return normed if bias is None else normed + bias

    torch.manual_seed(0)
    case = NORMED[name]()
    recurrence, operands, state, weights = case
    _, jacobian = recurrence.linear(operands, state, weights, "diagonal")
    monkeypatch.setattr(gru_reference, "layer_norm", held)
    monkeypatch.setattr(lstm_reference, "layer_norm", held)
    close(jacobian, blocks_of(true_jacobian(case), len(state)))


@pytest.mark.parametrize("time", [1, 2, 3, 63, 100])
@pytest.mark.parametrize("layout", ["diagonal", "blocks", "full"])
def test_a_linear_recurrence_is_solved_as_by_walking_it(layout: str, time: int) -> None:
    torch.manual_seed(0)
    matrix, vector = {"diagonal": ((1, 1, 7), (1, 7)), "blocks": ((2, 2, 7), (2, 7)), "full": ((6, 6), (6,))}[layout]
    a, b, before = 0.3 * draw(3, time, *matrix), draw(3, time, *vector), draw(3, *vector)
    expected, value = [], before
    for t in range(time):
        product = "bijw,bjw->biw" if len(matrix) == 3 else "bij,bj->bi"
        value = torch.einsum(product, a[:, t], value) + b[:, t]
        expected.append(value)
    close(solve_linear(a, b, before), torch.stack(expected, 1))
    close(walk_linear(a, b, before), torch.stack(expected, 1))


def test_a_diagonal_recurrence_is_the_same_without_a_compiled_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    a, b, before = 0.5 * draw(2, 37, 1, 1, 5), draw(2, 37, 1, 5), draw(2, 1, 5)
    by_kernel = solve_linear(a, b, before)
    monkeypatch.setattr("unrolled.ops.newton.linear._by_kernel", lambda *_: None)
    close(solve_linear(a, b, before), by_kernel)


def chaos(time: int, scale: float) -> Problem:
    """A vanilla network whose recurrent weights stretch the state at every step."""
    torch.manual_seed(0)
    weights = RNNWeights(scale * draw(8, 8))
    operands = RNNOperands(draw(2, time, 8))
    return Problem(rnn_recurrence("tanh"), operands, weights, HState(draw(2, 8)), None, None, None, "full")


@pytest.mark.parametrize("form", ["full", "diagonal"])
def test_as_many_iterations_as_steps_always_suffice_even_where_products_overflow(form: str) -> None:
    problem = chaos(60, 1e6)
    problem = Problem(**{**vars(problem), "form": form})
    record: list[Certificate] = []
    solver = Solver("RNN", Newton(iterations=61), lambda certificate, _: record.append(certificate))
    found = solver.run(problem)
    assert record[0].converged
    step, weights = problem.recurrence.step, problem.weights
    y, final = scan(lambda operands, state: step(operands, state, weights), problem.operands, problem.state)
    assert found is not None
    # Every unit is saturated, so what rounding does to its argument is lost again.
    close(found[0], y)
    close(leaves(found[1])[0], final.h)


def test_time_is_cut_into_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = chaos(50, 0.2)
    solver = Solver("RNN", Newton(), lambda *_: None)
    whole = solver.run(problem)
    monkeypatch.setattr("unrolled.ops.newton.problem.CPU_BYTES", 1)
    monkeypatch.setattr("unrolled.ops.newton.problem.LEAST_STEPS", 7)
    assert list(problem.parts())[-1] == (49, 50)
    parts = solver.run(problem)
    assert whole is not None
    assert parts is not None
    close(parts[0], whole[0])


def test_the_tolerance_follows_the_dtype() -> None:
    for dtype in (torch.float32, torch.float64):
        assert Newton().tolerance_for(dtype) == 64 * torch.finfo(dtype).eps
    assert Newton(tolerance=0.5).tolerance_for(torch.float64) == 0.5
