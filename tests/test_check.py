"""The door: every bad input ends in its own error class and one sentence with what was expected and what came."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from unrolled.check import check_choice, check_rate, check_size, fitting_state
from unrolled.errors import (
    DtypeError,
    LengthsError,
    NonFiniteError,
    OptionError,
    ShapeError,
    UnrolledError,
)
from unrolled.nn import GRU, LSTM
from unrolled.state import HState


def layer() -> GRU:
    torch.manual_seed(0)
    return GRU(3, 5).double()


def x(batch: int = 2, time: int = 4, features: int = 3) -> torch.Tensor:
    return torch.zeros(batch, time, features, dtype=torch.float64)


def refused(kind: type[UnrolledError], sentence: str, *arguments: Any, **options: Any) -> None:
    with pytest.raises(kind) as caught:
        layer()(*arguments, **options)
    assert str(caught.value).startswith(f"GRU: {sentence}")
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_not_finite_is_named_by_row_step_and_feature(bad: float) -> None:
    values = x()
    values[1, 2, 0] = bad
    values[1, 3, 1] = bad
    refused(NonFiniteError, f"x must be finite, got {bad} at row 1, step 2, feature 0; mask missing values", values)


def test_a_step_that_is_not_finite_is_named_by_row_and_feature() -> None:
    values = x()[:, 0].clone()
    values[1, 2] = float("nan")
    with pytest.raises(NonFiniteError, match="GRU: x must be finite, got nan at row 1, feature 2; "):
        layer().step(values)


def test_finite_values_whose_sum_overflows_are_no_error() -> None:
    y, _ = GRU(3, 5)(torch.full((2, 4, 3), 3e38))
    assert torch.isfinite(y).all()


def test_nan_in_the_padding_is_no_error() -> None:
    values = x()
    values[1, 2:] = float("nan")
    y, _ = layer()(values, lengths=[4, 2])
    assert torch.isfinite(y).all()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (x(features=4), "x must be (batch, time, 3), got (2, 4, 4)."),
        (x()[0], "x must be (batch, time, 3), got (4, 3). For one time step call step()"),
        (x()[None], "x must be (batch, time, 3), got (1, 2, 4, 3)."),
        (torch.zeros((), dtype=torch.float64), "x must be (batch, time, 3), got ()."),
        (x(time=0), "x must hold at least one time step, got (2, 0, 3)"),
        (x(batch=0), "x must hold at least one row, got (0, 4, 3)"),
    ],
)
def test_a_wrong_shape_is_refused(values: torch.Tensor, sentence: str) -> None:
    refused(ShapeError, sentence, values)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (x().float(), "x must be torch.float64 like the layer's weights, got torch.float32; convert one of them"),
        (x().long(), "x must be a floating tensor, got torch.int64; embed categories or call .float()"),
        (x() > 0, "x must be a floating tensor, got torch.bool"),
        (np.zeros((2, 4, 3)), "x must be a torch tensor, got ndarray; wrap it in torch.as_tensor()"),
        ([[0.0]], "x must be a torch tensor, got list"),
        (x().to("meta"), "x must be on cpu like the layer's weights, got meta"),
    ],
)
def test_a_wrong_dtype_or_device_is_refused(values: Any, sentence: str) -> None:
    refused(DtypeError, sentence, values)


@pytest.mark.parametrize(
    ("lengths", "sentence"),
    [
        ([4, 5], "lengths must lie in 0..4 (the time steps of x), got 5 in row 1"),
        ([-1, 5], "lengths must lie in 0..4 (the time steps of x), got -1 in row 0"),
        (torch.tensor([4, -3], dtype=torch.int8), "lengths must lie in 0..4 (the time steps of x), got -3 in row 1"),
        ([4], "lengths must be one integer a row, (2,), got (1,)"),
        (torch.tensor([[4, 4]]), "lengths must be one integer a row, (2,), got (1, 2)"),
        (torch.tensor(4), "lengths must be one integer a row, (2,), got ()"),
        ([4.0, 2.0], "lengths must be integers, got torch.float32"),
        (torch.tensor([True, False]), "lengths must be integers, got torch.bool"),
        ("ab", "lengths must be"),
        ([None, 4], "lengths must be"),
        ([[1], [2, 3]], "lengths must be"),
    ],
)
def test_wrong_lengths_are_refused(lengths: Any, sentence: str) -> None:
    refused(LengthsError, sentence, x(), lengths=lengths)


@pytest.mark.parametrize(
    "lengths",
    [
        [4, 0],
        (4, 0),
        np.array([4, 0]),
        torch.tensor([4, 0], dtype=torch.uint8),
        torch.tensor([4, 0], dtype=torch.int32),
    ],
)
def test_lengths_may_be_any_integers(lengths: Any) -> None:
    y, state = layer()(x() + 1, lengths=lengths)
    assert not y[1].any()
    assert not state.h[1].any()


@pytest.mark.parametrize(
    ("reset", "kind", "sentence"),
    [
        (torch.zeros(2, 4), DtypeError, "reset must be a bool tensor, got a tensor of torch.float32"),
        (torch.zeros(2, 4, dtype=torch.int64), DtypeError, "reset must be a bool tensor, got a tensor of torch.int64"),
        ([[True] * 4] * 2, DtypeError, "reset must be a bool tensor, got list"),
        (torch.zeros(2, 3, dtype=torch.bool), ShapeError, "reset must be (batch, time) = (2, 4), got (2, 3)"),
        (torch.zeros(2, dtype=torch.bool), ShapeError, "reset must be (batch, time) = (2, 4), got (2,)"),
    ],
)
def test_a_wrong_reset_is_refused(reset: Any, kind: type[UnrolledError], sentence: str) -> None:
    refused(kind, sentence, x(), reset=reset)


def h(batch: int = 2, width: int = 5, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.zeros(batch, width, dtype=dtype)


@pytest.mark.parametrize(
    ("state", "kind", "sentence"),
    [
        (h(), ShapeError, "state must be a HState as initial_state() gives it, got a tensor of torch.float64"),
        ((h(),), ShapeError, "state must be a HState as initial_state() gives it, got tuple"),
        (LSTM(3, 5).initial_state(2), ShapeError, "state must be a HState as initial_state() gives it, got LSTMState"),
        (HState(None), ShapeError, "state must be a Tensor as initial_state() gives it, got NoneType"),  # type: ignore[arg-type]
        (HState(h(3)), ShapeError, "a state leaf must be (2, 5), got (3, 5); pass the state of the same layer"),
        (HState(h(2, 6)), ShapeError, "a state leaf must be (2, 5), got (2, 6)"),
        (HState(h(dtype=torch.int64)), DtypeError, "a state leaf must be torch.float64, got torch.int64; convert it"),
        (HState(h(dtype=torch.bool)), DtypeError, "a state leaf must be torch.float64, got torch.bool; convert it"),
        (HState(h().to("meta")), DtypeError, "a state leaf must be on cpu like x, got meta"),
    ],
)
def test_a_wrong_state_is_refused(state: Any, kind: type[UnrolledError], sentence: str) -> None:
    refused(kind, sentence, x(), state)


@pytest.mark.parametrize(
    ("values", "kind", "sentence"),
    [
        (x(), ShapeError, "one step's x must be (batch, 3), got (2, 4, 3)"),
        (x()[:, 0, :2], ShapeError, "one step's x must be (batch, 3), got (2, 2)"),
        (x()[:, 0].float(), DtypeError, "x must be torch.float64"),
        ([1.0], DtypeError, "x must be a torch tensor, got list"),
        (x(batch=0)[:, 0], ShapeError, ""),
    ],
)
def test_a_wrong_step_is_refused(values: Any, kind: type[UnrolledError], sentence: str) -> None:
    with pytest.raises(kind, match=re.escape(f"GRU: {sentence}")):
        layer().step(values)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_state_may_have_any_floating_dtype(dtype: torch.dtype) -> None:
    gru, given = layer(), HState(h(dtype=dtype) + 0.5)
    y, state = gru(x(), given)
    same, _ = gru(x(), HState(h() + 0.5))
    assert torch.equal(y, same)
    assert state.h.dtype is torch.float64
    torch.testing.assert_close(gru.step(x()[:, 0], given)[0], same[:, 0])


def test_a_step_checks_its_state() -> None:
    with pytest.raises(ShapeError, match=re.escape("GRU: a state leaf must be (2, 5), got (3, 5)")):
        layer().step(x()[:, 0], HState(h(3)))


def test_a_refused_call_draws_no_random_number_and_changes_nothing() -> None:
    gru = layer()
    before, weights = torch.random.get_rng_state(), {k: v.clone() for k, v in gru.state_dict().items()}
    with pytest.raises(ShapeError):
        gru(x(), HState(h(3)))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(weights[name], value) for name, value in gru.state_dict().items())


@pytest.mark.parametrize("value", [0, -1, 2.5, "4", None, True])
def test_a_size_is_an_integer_of_at_least_one(value: Any) -> None:
    with pytest.raises(
        OptionError, match=re.escape(f"GRU: hidden_size must be an integer of at least 1, got {value!r}.")
    ):
        check_size("GRU", "hidden_size", value)
    assert check_size("GRU", "hidden_size", 4) == 4


@pytest.mark.parametrize("value", [-0.1, 1, 1.5, "0.1", None, True, float("nan")])
def test_a_rate_is_a_probability_below_one(value: Any) -> None:
    with pytest.raises(OptionError, match=re.escape(f"Stack: dropout must be a probability in [0, 1), got {value!r}.")):
        check_rate("Stack", "dropout", value)
    assert check_rate("Stack", "dropout", 0) == 0.0


def test_a_choice_lists_the_words_and_suggests_the_nearest() -> None:
    assert check_choice("GRU", "reset", "after", ("after", "before")) == "after"
    with pytest.raises(OptionError, match=r"reset must be one of after, before, got 'aftr'\. Did you mean 'after'\?"):
        check_choice("GRU", "reset", "aftr", ("after", "before"))
    with pytest.raises(OptionError, match="got None"):
        check_choice("GRU", "reset", None, ("after", "before"))


def test_a_nested_state_is_checked_to_its_depth() -> None:
    class Pair(NamedTuple):
        low: Any
        high: Any

    good = Pair(HState(h()), HState(h()))
    fitting_state("Stack", good, good, x())
    with pytest.raises(ShapeError, match="Stack: state must be a HState"):
        fitting_state("Stack", Pair(HState(h()), h()), good, x())
    with pytest.raises(ShapeError, match=re.escape("Stack: a state leaf must be (2, 5), got (2, 4)")):
        fitting_state("Stack", Pair(HState(h()), HState(h(2, 4))), good, x())
    with pytest.raises(ShapeError, match="Stack: state must be a tuple"):
        fitting_state("Stack", (HState(h()),), (HState(h()), HState(h())), x())


def test_autocast_lets_other_dtypes_pass_the_door() -> None:
    gru = layer().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = gru(x().float())
    assert torch.isfinite(y).all()
