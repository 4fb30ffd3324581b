"""`solver="newton"`: the same values, states and gradients as one step after another, or a clear sentence why not."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.errors import ConvergenceError, KernelError, OptionError, UnrolledError
from unrolled.nn import (
    GRU,
    LSTM,
    RNN,
    Bidirectional,
    Cell,
    Certificate,
    DropConnect,
    EncoderOptions,
    Newton,
    Recurrent,
    Stack,
    Stepper,
    VariationalDropout,
    Zoneout,
    make_encoder,
)
from unrolled.ops.newton import Solver
from unrolled.state import leaves, map_state
from unrolled.testing import check_recurrent

LIMIT = 2**14 * torch.finfo(torch.float64).eps
"""A residual of 2**6 eps is what the solver stops at; the recurrence carries it on, by 2**8 times at most in these
trials, whose weights are near orthogonal."""

FORMS = ("diagonal", "full")

VARIANTS: dict[str, Callable[..., Cell[Any]]] = {
    "rnn tanh": partial(RNN, 3, 6),
    "rnn relu": partial(RNN, 3, 6, nonlinearity="relu", learn_initial_state=True),
    "gru after": partial(GRU, 3, 6, learn_initial_state=True),
    "gru before": partial(GRU, 3, 6, reset="before", bias=False),
    "gru after normed": partial(GRU, 3, 6, layer_norm=True),
    "gru before normed": partial(GRU, 3, 6, reset="before", layer_norm=True),
}
for switched in itertools.product((False, True), repeat=4):
    names = ("peephole", "coupled", "layer_norm", "projection_size")
    chosen = {name: 4 if name == "projection_size" else True for name, on in zip(names, switched) if on}
    VARIANTS[" ".join(["lstm", *chosen])] = partial(LSTM, 3, 6, learn_initial_state=True, **chosen)

CASES = [(name, form) for name in VARIANTS for form in FORMS if form == "full" or "projection" not in name]


def moved(layer: Any, amount: float = 0.1) -> Any:
    """In float64, every parameter moved by random numbers, so that what starts at zero counts."""
    layer = layer.double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=amount)
    return layer


def call(layer: Recurrent[Any], time: int, *, plain: bool = False) -> dict[str, Tensor]:
    """Values and gradients of a seeded call: ragged rows, resets and a carried state unless it is plain."""
    generator = torch.Generator().manual_seed(1)
    dtype = next(layer.parameters()).dtype
    x = torch.randn(4, time, layer.input_size, generator=generator, dtype=dtype).requires_grad_()
    lengths = reset = state = None
    if not plain:
        lengths = torch.tensor([time, 0, time // 3, time - 1])
        reset = torch.rand(4, time, generator=generator) < 0.03
        reset[0, min(1, time - 1)] = True
        like = layer.initial_state(4, dtype=dtype)
        state = map_state(lambda leaf: torch.randn(leaf.shape, generator=generator, dtype=dtype).requires_grad_(), like)
    y, final = layer(x, state, lengths=lengths, reset=reset)
    outputs = [y, *leaves(final)]
    total = sum((out * torch.randn(out.shape, generator=generator, dtype=dtype)).sum() for out in outputs)
    wanted = {"x": x} | {f"state {i}": leaf for i, leaf in enumerate(leaves(state))} | dict(layer.named_parameters())
    slopes = torch.autograd.grad(total, list(wanted.values()), allow_unused=True, materialize_grads=True)
    found = {f"output {i}": out.detach() for i, out in enumerate(outputs)}
    return found | {f"gradient of {name}": slope for name, slope in zip(wanted, slopes, strict=True)}


def same(got: dict[str, Tensor], want: dict[str, Tensor], limit: float = LIMIT) -> None:
    for name, expected in want.items():
        if not expected.numel():
            continue
        error = float((got[name] - expected).abs().max() / expected.abs().max().clamp(min=1))
        assert error <= limit, f"{name} is off by {error:.3g}"


@pytest.mark.parametrize("time", [1, 2, 63, 100])
@pytest.mark.parametrize(("name", "form"), CASES)
def test_values_states_and_gradients_are_those_of_one_step_after_another(name: str, form: str, time: int) -> None:
    torch.manual_seed(0)
    layer = moved(VARIANTS[name]())
    expected = call(layer, time)
    layer.solver = Newton(form=form)
    same(call(layer, time), expected)
    for certificate in (layer.certificate, layer.gradient_certificate):
        assert certificate.solver == "newton"
        assert certificate.converged
        assert certificate.residual <= certificate.tolerance == 64 * torch.finfo(torch.float64).eps
        assert (certificate.form, certificate.steps, certificate.reason) == (form, time, "")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_single_precision_agrees_to_its_own_tolerance(kind: Any, form: str) -> None:
    torch.manual_seed(0)
    layer = kind(3, 6)
    expected = call(layer, 300)
    layer.solver = Newton(form=form)
    same(call(layer, 300), expected, LIMIT * torch.finfo(torch.float32).eps / torch.finfo(torch.float64).eps)


WRAPPED: dict[str, Callable[[Newton], Recurrent[Any]]] = {
    "rnn": lambda solver: RNN(3, 5, solver=solver),
    "rnn relu": lambda solver: RNN(3, 5, nonlinearity="relu", learn_initial_state=True, solver=solver),
    "gru after": lambda solver: GRU(3, 5, solver=solver),
    "gru before normed": lambda solver: GRU(3, 5, reset="before", layer_norm=True, solver=solver),
    "lstm": lambda solver: LSTM(3, 5, learn_initial_state=True, solver=solver),
    "lstm with everything": lambda solver: LSTM(3, 5, peephole=True, coupled=True, layer_norm=True, solver=solver),
    "zoneout": lambda solver: Zoneout(LSTM(3, 5, solver=solver), 0.2),
    "both ways": lambda solver: Bidirectional(GRU(3, 5, solver=solver), LSTM(3, 5, solver=solver)),
    "masks": lambda solver: DropConnect(VariationalDropout(GRU(3, 5, solver=solver), recurrent=0.4), 0.2),
    "stack": lambda solver: Stack([GRU(3, 5, solver=solver), RNN(5, 4, solver=solver)]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", WRAPPED)
def test_the_laws_hold(name: str, form: str) -> None:
    check_recurrent(lambda: WRAPPED[name](Newton(form=form)), graphs=False)


def test_the_laws_hold_for_a_projection_and_the_full_form() -> None:
    check_recurrent(lambda: LSTM(3, 5, projection_size=4, solver=Newton(form="full")), graphs=False)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [lambda **o: Zoneout(LSTM(3, 5, **o), 0.3),
                                  lambda **o: VariationalDropout(GRU(3, 5, **o), recurrent=0.4),
                                  lambda **o: Zoneout(RNN(3, 5, **o), 0.3)])  # fmt: skip
def test_masks_drawn_in_training_count(make: Callable[..., Recurrent[Any]], form: str) -> None:
    results = []
    for solver in ("sequential", Newton(form=form)):
        torch.manual_seed(0)
        layer = moved(make(solver=solver)).train()
        torch.manual_seed(1)
        results.append(call(layer, 40, plain=True))
    same(*reversed(results))


def test_the_step_is_not_walked() -> None:
    layer = GRU(3, 5, solver="newton")
    layer.recur = None  # type: ignore[assignment, method-assign]
    layer(torch.randn(2, 50, 3))
    assert layer.certificate is not None


@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_single_steps_are_unaffected(kind: Any) -> None:
    torch.manual_seed(0)
    layer = kind(3, 5).eval()
    other = copy.deepcopy(layer)
    other.solver = "newton"
    x, state = torch.randn(2, 3), layer.initial_state(2)
    for one, two in zip(leaves(layer.step(x, state)), leaves(other.step(x, state)), strict=True):
        assert torch.equal(one, two)
    assert other.certificate is None
    assert torch.equal(
        torch.as_tensor(Stepper(other).step(torch.randn(1, 3) * 0)), torch.as_tensor(Stepper(layer).step(x[:1] * 0))
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", [RNN, GRU, LSTM])
def test_saturated_gates_and_empty_rows_give_no_nan(kind: Any, form: str) -> None:
    torch.manual_seed(0)
    layer = kind(1, 6, solver=Newton(form=form)).double()
    with torch.no_grad():
        layer.weight_x.copy_(torch.linspace(-50, 50, layer.weight_x.shape[0])[:, None])
    x = torch.linspace(-1, 1, 40, dtype=torch.float64).expand(3, 40)[..., None].clone().requires_grad_()
    reset = torch.zeros(3, 40, dtype=torch.bool)
    reset[0, 17] = True
    y, final = layer(x, lengths=[40, 0, 11], reset=reset)
    (y.sum() + leaves(final)[0].sum()).backward()
    for tensor in (y, x.grad, *(parameter.grad for parameter in layer.parameters())):
        assert torch.isfinite(tensor).all()
    assert layer.certificate.converged


def chaotic(solver: Any, kernel: str = "auto") -> RNN:
    """Recurrent weights fifteen times too large: states part by a factor at every step, and no guess holds on."""
    torch.manual_seed(0)
    layer = RNN(3, 16, solver=solver, kernel=kernel).double()
    with torch.no_grad():
        layer.weight_h.mul_(15)
    return layer


def test_a_chaotic_network_is_refused_in_one_sentence() -> None:
    layer = chaotic(Newton(iterations=20))
    with pytest.raises(ConvergenceError, match=r"^RNN: the forward pass .* at most 1.42e-14 within 20 iterations, got"):
        layer(torch.randn(2, 400, 3, dtype=torch.float64))
    assert issubclass(ConvergenceError, UnrolledError)
    assert layer.certificate is not None
    assert not layer.certificate.converged
    assert layer.certificate.solver == "none"


def test_auto_goes_on_one_step_after_another_and_says_so() -> None:
    # The reference projects x outside in both, so that no rounding of gates is blown up.
    layer = chaotic("sequential", "reference")
    expected = call(layer, 400)
    layer.solver = Newton(iterations=20, otherwise="sequential")
    got = call(layer, 400)
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    certificate = layer.certificate
    assert certificate is not None
    assert (certificate.solver, certificate.converged) == ("sequential", False)
    assert certificate.residual > certificate.tolerance
    assert certificate.reason.startswith("the forward pass of Newton's method left a residual of")


def test_auto_is_newton_where_that_converges() -> None:
    layer = GRU(3, 5, solver="auto")
    layer(torch.randn(2, 100, 3))
    assert layer.certificate is not None
    assert layer.certificate.solver == "newton"


def slow_backwards(otherwise: str) -> RNN:
    """h' = relu(W h) with a dead input: one iteration finds all the zeros forward; backward none helps the other way.

    W is a cycle without a diagonal, so that each iteration carries the gradient one step further only.
    """
    layer = RNN(1, 4, nonlinearity="relu", bias=False, solver=Newton(iterations=5, otherwise=otherwise)).double()
    with torch.no_grad():
        layer.weight_h.copy_(torch.eye(4).roll(1, 0))
        layer.weight_x.fill_(1.0)
    return layer


def test_a_backward_pass_that_does_not_converge_is_refused_or_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 30, 1, dtype=torch.float64)
    exact = slow_backwards("raise")
    exact.solver = "sequential"
    expected = torch.autograd.grad(exact(x)[0].square().sum(), list(exact.parameters()))
    # Forward, 31 iterations are granted; the backward pass has five.
    run = Solver._iterate

    def patient(self: Solver, problem: Any) -> Any:
        return run(Solver(self.owner, Newton(iterations=31), self.record), problem)

    monkeypatch.setattr(Solver, "_iterate", patient)
    refused = slow_backwards("raise")
    with pytest.raises(ConvergenceError, match=r"^RNN: the backward pass .* within 5 iterations, got"):
        refused(x)[0].square().sum().backward()
    walked = slow_backwards("sequential")
    found = torch.autograd.grad(walked(x)[0].square().sum(), list(walked.parameters()))
    for got, want in zip(found, expected, strict=True):
        assert float((got - want).abs().max()) <= LIMIT * float(want.abs().max())
    assert walked.certificate is not None
    assert walked.certificate.solver == "newton"
    assert walked.gradient_certificate is not None
    assert walked.gradient_certificate.solver == "sequential"
    assert walked.gradient_certificate.reason.startswith("the backward pass")


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_iterations() -> None:
    kept, iterations = [], []
    for tolerance in (1e-2, None):
        torch.manual_seed(0)
        layer = LSTM(3, 5, solver=Newton(tolerance=tolerance)).double()
        sizes: list[int] = []

        def note(tensor: Tensor, sizes: list[int] = sizes) -> Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            layer(torch.randn(2, 80, 3, dtype=torch.float64))
        kept.append(sum(sizes))
        assert layer.certificate is not None
        iterations.append(layer.certificate.iterations)
    assert iterations[0] < iterations[1]
    assert kept[0] == kept[1]


def test_certificates_are_plain_data_beside_the_weights() -> None:
    layer = LSTM(3, 5, solver="newton")
    names = list(layer.state_dict())
    assert layer.certificate is None
    y, _ = layer(torch.randn(2, 20, 3))
    assert layer.gradient_certificate is None
    y.sum().backward()
    assert isinstance(layer.gradient_certificate, Certificate)
    assert list(layer.state_dict()) == names
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert twin.certificate == layer.certificate
        assert twin.solver == layer.solver


def test_solvers_are_named_set_or_spelled_out() -> None:
    assert RNN(3, 5).newton_settings() is None
    assert RNN(3, 5, solver="newton").newton_settings() == Newton()
    assert RNN(3, 5, solver="auto").newton_settings() == Newton(otherwise="sequential")
    assert RNN(3, 5, solver={"form": "full", "iterations": 7}).newton_settings() == Newton(form="full", iterations=7)
    encoder = make_encoder(3, EncoderOptions(cell="gru", hidden_size=5, cell_options={"solver": {"form": "full"}}))
    encoder(torch.randn(2, 20, 3))
    assert isinstance(encoder, GRU)
    assert encoder.certificate is not None
    assert encoder.certificate.form == "full"
    assert "solver='auto'" in repr(GRU(3, 5, solver="auto"))
    assert "solver" not in repr(GRU(3, 5))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RNN(3, 5, solver="newtn"), r"RNN: solver must be one of sequential, newton, auto, got 'newtn'"),
        (lambda: GRU(3, 5, solver={"form": "block"}), r"form"),
        (lambda: GRU(3, 5, solver={"iterations": 0}), r"iterations"),
        (lambda: GRU(3, 5, solver={"tolerance": 0.0}), r"tolerance"),
        (lambda: GRU(3, 5, solver={"tolerence": 1.0}), r"Did you mean 'tolerance'"),
        (lambda: LSTM(3, 5, projection_size=4, solver="newton"), r"LSTM: form='diagonal' .* projection_size=4"),
        (lambda: LSTM(3, 5, projection_size=4, solver="auto"), r"use solver=Newton\(form='full'\)"),
    ],
)
def test_what_does_not_fit_is_refused_when_the_cell_is_made(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()


def test_gradients_cannot_be_differentiated_again() -> None:
    layer = GRU(3, 5, solver="newton").double()
    x = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)
    with pytest.raises(KernelError, match="cannot be differentiated again; use solver='sequential'"):
        slope.square().sum().backward()


def test_a_graph_is_walked_twice_where_it_is_retained() -> None:
    layer = GRU(3, 5, solver="newton").double()
    y, _ = layer(torch.randn(2, 9, 3, dtype=torch.float64))
    first = torch.autograd.grad(y.sum(), layer.weight_h, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(y.sum(), layer.weight_h)[0], first)


def test_half_precision_is_refused_and_auto_is_sequential() -> None:
    x = torch.randn(2, 9, 3, dtype=torch.bfloat16)
    with pytest.raises(OptionError, match=r"GRU: solver='newton' refuses: the state is torch.bfloat16"):
        GRU(3, 5, solver="newton").bfloat16()(x)
    layer = GRU(3, 5, solver="auto").bfloat16()
    assert layer(x)[0].dtype == torch.bfloat16
    assert layer.certificate is not None
    assert layer.certificate.solver == "sequential"
    assert layer.certificate.reason.startswith("the state is torch.bfloat16")


def test_mixed_precision_iterates_in_the_dtype_of_the_state() -> None:
    torch.manual_seed(0)
    layer, x = GRU(3, 5, solver="newton"), torch.randn(2, 30, 3)
    expected = copy.deepcopy(layer)
    expected.solver = "sequential"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, final = layer(x)
        want, _ = expected(x)
    assert y.dtype == final.h.dtype == torch.float32
    assert layer.certificate is not None
    assert layer.certificate.converged
    assert float((y - want).detach().abs().max()) <= LIMIT * 2**29


def test_a_traced_graph_refuses_newton_and_holds_the_sequential_op_for_auto() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 7, 3)
    refusing = GRU(3, 5, solver="newton")
    with pytest.raises(OptionError, match="a graph is being traced, and how often it iterates depends on the data"):
        torch.export.export(refusing, (x,))
    with pytest.raises(torch._dynamo.exc.Unsupported, match="solver='newton' refuses: a graph is being traced"):
        torch.compile(refusing, fullgraph=True, backend="eager")(x)
    torch._dynamo.reset()
    taking = GRU(3, 5, solver="auto")
    want = taking(x)[0]
    limit = LIMIT * 2**29
    assert float((torch.compile(taking, fullgraph=True, backend="eager")(x)[0] - want).detach().abs().max()) <= limit
    program = torch.export.export(taking, (x,))
    assert float((program.module()(x)[0] - want).detach().abs().max()) <= limit
    assert any("unrolled.gru" in str(node.target) for node in program.graph.nodes)
    torch._dynamo.reset()


def test_function_transforms_refuse_newton_and_are_sequential_for_auto() -> None:
    def slope(layer: GRU) -> Tensor:
        state = layer.initial_state(2)
        return torch.func.grad(lambda x: layer.sequence(x, state, None, None)[0].sum())(torch.ones(2, 7, 3))

    with pytest.raises(OptionError, match=r"torch\.func or forward-mode AD is at work"):
        slope(GRU(3, 5, solver="newton"))
    assert torch.isfinite(slope(GRU(3, 5, solver="auto"))).all()
