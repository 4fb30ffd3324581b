"""The weights of a `Stepper`: never stale, and in bf16 or int8 those of a rounded layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from steppers import INPUT, LAYERS, PROGRAMS, ROUNDING, assert_near, expected, make, samples, steps
from torch import Tensor

from unrolled.errors import DtypeError, KernelError, OptionError, ShapeError
from unrolled.live.record.recorder import record
from unrolled.nn import GRU, LSTM, RNN, HState, Stack, Stepper, Zoneout
from unrolled.ops import native

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")


def optimiser_step(layer: Any) -> None:
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD(layer.parameters(), 0.1).step()


def inference_step(layer: Any) -> None:
    with torch.inference_mode():
        layer.weight_x.mul_(2)


def new_parameter(layer: Any) -> None:
    layer.weight_h = torch.nn.Parameter(layer.weight_h.detach() * 2)


def new_memory(layer: Any) -> None:
    layer.bias.data = layer.bias.data + 1


def other_weights(layer: Any) -> None:
    layer.load_state_dict({name: value * 0.5 for name, value in layer.state_dict().items()})


@pytest.mark.parametrize("change", [optimiser_step, inference_step, new_parameter, new_memory, other_weights])
@pytest.mark.parametrize("kind", ["step", "numpy", "advance", "run"])
def test_changed_weights_are_seen_and_the_state_stays(change: Callable[[Any], None], kind: str) -> None:
    layer, xs = make("lstm everything"), samples(2)
    stepper = Stepper(layer, 2)
    walk = walks(stepper)[kind]
    walk(xs)
    state = stepper.state()
    change(layer)
    want, _ = expected(layer, xs, state)
    assert_near(walk(xs), want)
    state = stepper.state()
    # The call that saw the change stays bound to the weights in use.
    assert_near(walk(xs), expected(layer, xs, state)[0])


def walks(stepper: Stepper[Any]) -> dict[str, Callable[[Tensor], Any]]:
    """Each way to step, with its calls taken from the stepper once."""
    step, advance = stepper.step, stepper.advance

    def advanced(xs: Tensor) -> Tensor:
        ys = []
        for x in xs:
            stepper.x.copy_(x)
            advance()
            ys.append(stepper.y.clone())
        return torch.stack(ys)

    return {
        "step": lambda xs: torch.stack([step(x) for x in xs]),
        "numpy": lambda xs: torch.stack([torch.from_numpy(step(x.numpy())) for x in xs]),
        "advance": advanced,
        "run": stepper.run,
    }


def test_weights_that_nobody_watches_need_a_refresh() -> None:
    layer, xs = make("gru after"), samples(2)
    stepper, before = Stepper(layer, 2, watch=False), expected(layer, xs)[0]
    optimiser_step(layer)
    assert_near(steps(stepper, xs), before)
    stepper.reset()
    stepper.refresh()
    assert_near(steps(stepper, xs), expected(layer, xs)[0])


def test_refresh_sees_what_torch_does_not_count() -> None:
    layer, xs = make("gru after"), samples(2)
    stepper = Stepper(layer, 2)
    layer.weight_x.data.mul_(2)  # type: ignore[union-attr]
    stepper.refresh()
    assert_near(steps(stepper, xs), expected(layer, xs)[0])


def test_a_layer_of_another_dtype_is_refused_at_the_next_step() -> None:
    layer = make("gru after")
    stepper = Stepper(layer, 2)
    layer.float()
    with pytest.raises(DtypeError, match=r"stay so, but weight_x is torch\.float32 beside torch\.float64"):
        stepper.step(samples(2)[0])


@pytest.mark.parametrize("level", native.levels())
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "stack" and name not in PROGRAMS])
@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_coarse_weights_are_those_of_a_rounded_layer(name: str, weights: str, level: str) -> None:
    layer, xs = make(name, dtype=torch.float32), samples(3, dtype=torch.float32)
    with native.use_level(level):
        stepper = Stepper(layer, 3, weights)
    ys = steps(stepper, xs)
    with torch.no_grad():
        for key, weight in layer.named_parameters():
            if key.split(".")[-1] in ("weight_x", "weight_h", "weight_p"):
                weight.copy_(rounded(weight, weights))
    assert_near(ys, expected(layer, xs)[0], 4 * ROUNDING)


NORMS_AND_MEMORIES = [
    name for name in LAYERS if "layer norm" in name or "delta" in name or name in ("lstm everything", "time mix")
]


@pytest.mark.parametrize("shape", [(3, 1), (1, 2), (17, 5), (8, 33), (20, 16), (2, 64)])
@pytest.mark.parametrize("name", NORMS_AND_MEMORIES)
@pytest.mark.parametrize("weights", ["bf16", "int8"])
def test_norms_and_memories_of_any_shape_lose_what_rounding_the_weights_loses(
    name: str, weights: str, shape: tuple[int, int]
) -> None:
    batch, size = shape
    # What four heads divide, in one of them after 1 has been added; a projection is smaller than its layer.
    special = {"gated deltanet": 4 * size - 1, "lstm everything": size + 4}
    hidden = special.get(name, size if "norm" in name else 4 * size)
    layer, xs = make(name, hidden, torch.float32), samples(batch, dtype=torch.float32)
    ys = steps(Stepper(layer, batch, weights), xs)
    program = record(layer, batch, torch.float32)
    matrices = [program.constants[one.weight] for one in program.instructions if one.op == "linear"]
    parts = ("weight_x", "weight_h", "weight_p")
    matrices += [
        program.constants[one.weights[part]] for one in program.layers for part in parts if part in one.weights
    ]
    with torch.no_grad():
        for matrix in matrices:
            assert any(matrix.data_ptr() == parameter.data_ptr() for parameter in layer.parameters())
            matrix.copy_(rounded(matrix, weights))
    assert_near(ys, expected(layer, xs)[0], 4 * ROUNDING)


def rounded(weight: Tensor, weights: str) -> Tensor:
    if weights == "bf16":
        return weight.bfloat16().float()
    scale = weight.abs().amax(-1, keepdim=True) / 127
    return (weight / scale).round() * scale


def test_rounding_to_bf16_keeps_nan_and_infinity() -> None:
    layer = RNN(INPUT, 4, nonlinearity="relu", bias=False)
    with torch.no_grad():
        layer.weight_x.fill_(1.0)
        layer.weight_x[0, 0], layer.weight_x[1, 0] = float("nan"), float("inf")
    y = Stepper(layer, weights="bf16").step(torch.ones(1, INPUT))
    assert y[0, 0].isnan()
    assert y[0, 1].isinf()
    assert y[0, 2] == INPUT


def relu(layer: Any) -> None:
    layer.nonlinearity = "relu"


def another_cell(layer: Any) -> None:
    layer.cell = GRU(INPUT, 5).double()


def other_rates(layer: Any) -> None:
    layer.rates = HState(0.7)


def another_layer(layer: Any) -> None:
    layer.layers[1] = GRU(5, 5).double()


def another_inner_layer(layer: Any) -> None:
    layer.layers[1].layers[0] = GRU(5, 5).double()


def one_layer_more(layer: Any) -> None:
    layer.layers.append(RNN(5, 5).double())


REPLACED: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "an option of a cell": (lambda: RNN(INPUT, 5), relu),
    "the cell of a wrapper": (lambda: Zoneout(GRU(INPUT, 5), 0.1), another_cell),
    "the rates of a wrapper": (lambda: Zoneout(GRU(INPUT, 5), 0.1), other_rates),
    "a layer of a stack": (lambda: Stack([GRU(INPUT, 5), GRU(5, 5)]), another_layer),
    "a layer of a stack in a stack": (lambda: Stack([GRU(INPUT, 5), Stack([GRU(5, 5)])]), another_inner_layer),
    "one more layer": (lambda: Stack([GRU(INPUT, 5), GRU(5, 5)]), one_layer_more),
}


@pytest.mark.parametrize("name", REPLACED)
def test_what_a_layer_is_made_of_is_never_stale(name: str) -> None:
    made, change = REPLACED[name]
    torch.manual_seed(0)
    layer, xs = made().double().eval(), samples(2)
    stepper = Stepper(layer, 2)
    stepper.step(xs[0])
    with torch.inference_mode():
        layer.step(xs[0], layer.initial_state(2, dtype=torch.float64))
    change(layer)
    start = layer.initial_state(2, dtype=torch.float64)
    if name == "one more layer":
        with pytest.raises(ShapeError, match="make a new Stepper"):
            stepper.step(xs[1])
    else:
        stepper.step(xs[1])
        stepper.reset()
        assert_near(stepper.step(xs[1]), layer.advance(xs[1], start)[0])
    with torch.inference_mode():
        y, _ = layer.step(xs[1], layer.initial_state(2, dtype=torch.float64))
    assert_near(y, layer.advance(xs[1], start)[0])


MISSHAPEN = [(cell, name) for cell in (RNN, GRU, LSTM) for name in ("weight_x", "weight_h", "bias")]


@pytest.mark.parametrize(("cell", "name"), MISSHAPEN)
def test_weights_of_another_shape_are_refused_and_never_read(cell: Any, name: str) -> None:
    x = torch.zeros(2, 3)

    def small(layer: Any) -> Any:
        setattr(layer, name, torch.nn.Parameter(torch.zeros(3, 1) if name != "bias" else torch.zeros(3)))
        return layer

    with pytest.raises(OptionError, match="Stepper: the step of"):
        Stepper(small(cell(3, 50)), 2)
    layer = cell(3, 50)
    refreshed, watching = Stepper(layer, 2), Stepper(layer, 2)
    with torch.inference_mode():
        layer.step(x, layer.initial_state(2))
    small(layer)
    with pytest.raises(OptionError, match="Stepper: the step of"):
        refreshed.refresh()
    with pytest.raises(OptionError, match="Stepper: the step of"):
        watching.step(x)
    # In torch's words: no fast way hides what torch says.
    with pytest.raises(RuntimeError, match=r"shapes|size"), torch.inference_mode():
        layer.step(x, layer.initial_state(2))


def test_a_promise_to_negate_is_kept() -> None:
    layer, xs = GRU(INPUT, 5).double(), samples(2)
    turned = GRU(INPUT, 5).double()
    with torch.no_grad():
        for name, weight in layer.named_parameters():
            setattr(turned, name, torch.nn.Parameter(torch._neg_view(-weight)))
    want, state = layer.advance(xs[0], layer.initial_state(2, dtype=torch.float64))
    stepper = Stepper(turned, 2)
    assert_near(stepper.step(xs[0]), want)
    stepper.load_state(type(state)(torch._neg_view(-state.h.detach())))
    assert_near(stepper.step(xs[1]), layer.advance(xs[1], state)[0])


def test_weights_whose_memory_is_gone_are_refused() -> None:
    layer = GRU(INPUT, 5)
    stepper = Stepper(layer, 2)
    layer.weight_h.untyped_storage().resize_(0)
    with pytest.raises(KernelError, match="has lost its memory"):
        stepper.step(torch.zeros(2, INPUT))


def test_more_streams_than_memory_are_refused_with_their_size() -> None:
    with pytest.raises(OptionError, match=r"streams need at least [\d,.]+ GB"):
        Stepper(GRU(INPUT, 5), 10**13)
