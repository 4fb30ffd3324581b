"""The gated C++ kernels beyond the samples: every level, block edges, shared columns, the law suite, odd values."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled import ops
from unrolled.nn import GRU, LSTM, RNN, Bidirectional, Cell, Recurrent, Stack, VariationalDropout, Zoneout
from unrolled.ops import Op, native
from unrolled.ops.core.samples import Sample, Shape
from unrolled.state import leaves
from unrolled.testing import check_kernel, check_recurrent
from unrolled.testing.kernels import samples_of

pytestmark = pytest.mark.skipif(not native.available(), reason=native.reason() or "")

LEVELS = [name for name in native.WORDS if name != "none"]
GATED = ("rnn", "gru", "lstm")
EVERYTHING = {"peephole": True, "coupled": True, "projection_size": 4, "layer_norm": True}


@pytest.fixture(params=LEVELS)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Each level in turn, where it can run."""
    if request.param not in native.levels():
        pytest.skip(f"level {request.param} was not compiled, or this processor lacks it")
    with native.use_level(request.param):
        yield request.param


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def samples_with(name: str, chosen: Sequence[tuple[Shape, set[str]]], monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """The op's own samples, at other shapes and with other options; options that it lacks are left out."""
    module = importlib.import_module(f"unrolled.ops.{name}.samples")
    kept = [(shape, frozenset(options & set(module.OPTIONS))) for shape, options in chosen]
    monkeypatch.setattr(module, "variants", lambda _: iter(dict.fromkeys(kept)))
    return list(module.samples())


def prove(name: str, samples: Sequence[Sample]) -> None:
    """check_kernel for the C++ kernel alone: the reference has been proved by the op's own samples."""
    op: Op = ops.find(name)
    fast, reference = (next(k for k in op.kernels if k.name == word) for word in ("cpp", "reference"))
    silent = replace(reference, refuses=lambda *_: "it is only what the others are compared with")
    ran = check_kernel(replace(op, kernels=(fast, silent)), samples=samples, opcheck=False)
    assert ran == {"cpp": 2 * len(samples), "reference": 0}


ALL_SMALL = {
    "peephole", "coupled", "weight_p", "norm_h", "norm_c", "bias_h", "mask_h", "zone_h", "zone_c", "lengths", "reset",
    "reset_after", "start", "start_h", "weight_x", "bias", "reverse",
}  # fmt: skip
PROJECTED = {"reset_after", "weight_x", "bias"}
UNSHARED = {"norm_h", "norm_c"}
"""Layer norm needs whole rows, so its columns are never shared between threads."""


def ragged(batch: int, time: int) -> tuple[int, ...]:
    return tuple((5 * row + 2) % (time + 1) for row in range(batch))


@pytest.mark.parametrize("name", GATED)
def test_each_level_agrees_with_the_reference_on_the_op_s_own_samples(name: str, level: str) -> None:
    prove(name, samples_of(name))


@pytest.mark.parametrize("name", GATED)
def test_batches_and_widths_around_the_blocks_agree(name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = [Shape(batch, 2, 7, ragged(batch, 2)) for batch in (5, 6, 7, 11, 12, 13, 25, 37)]
    shapes += [Shape(6, 3, width, ragged(6, 3)) for width in (8, 33, 64, 100)]
    chosen = [(shape, options) for shape in shapes for options in ({"reset_after"}, PROJECTED, ALL_SMALL)]
    prove(name, samples_with(name, chosen, monkeypatch))


@pytest.mark.parametrize("batch", [1, 3, 16])
@pytest.mark.parametrize("name", GATED)
def test_threads_that_share_columns_agree(name: str, batch: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Wide enough that one step of one row is worth sharing, whatever the number of gates; no multiple of a block.
    shape = Shape(batch, 3, 530 if name == "rnn" else 330, ragged(batch, 3) if batch > 1 else (3,))
    alone = [{option} for option in ("peephole", "weight_p", "zone_h", "reset", "mask_h", "reset_after")]
    options = [
        set(),
        *alone,
        PROJECTED,
        {"reset", "start", "start_h"},
        ALL_SMALL - UNSHARED,
        ALL_SMALL - UNSHARED - {"weight_p"},
    ]
    # Every option on one level and batch; the plainest and the fullest on the others.
    if (batch, level) != (3, native.levels()[0]):
        options = [options[0], options[-2]]
    with on_threads(2):
        prove(name, samples_with(name, [(shape, chosen) for chosen in options], monkeypatch))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", GATED)
def test_several_windows_agree(name: str, threads: int, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Many rows in windows of a few steps; one row, long enough that a second thread assists.
    many, lone = Shape(40, 20, 9, ragged(40, 20)), Shape(1, 170, 41, (168,))
    chosen = [(shape, options) for shape in (many, lone) for options in (PROJECTED, ALL_SMALL)]
    with on_threads(threads):
        prove(name, samples_with(name, chosen, monkeypatch))


@pytest.mark.parametrize("name", GATED)
def test_rows_dealt_to_threads_agree(name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [(Shape(batch, 40, 33, ragged(batch, 40)), ALL_SMALL) for batch in (2, 13)]
    with on_threads(3):
        prove(name, samples_with(name, chosen, monkeypatch))


CELLS: dict[str, Callable[[], Cell[Any]]] = {
    "rnn": lambda: RNN(3, 5),
    "relu": lambda: RNN(3, 5, nonlinearity="relu", learn_initial_state=True),
    "lstm": lambda: LSTM(3, 5),
    "lstm, everything": lambda: LSTM(3, 5, **EVERYTHING, learn_initial_state=True),
    "gru after": lambda: GRU(3, 5),
    "gru before, norm": lambda: GRU(3, 5, reset="before", layer_norm=True, learn_initial_state=True),
}


@pytest.mark.parametrize("name", CELLS)
def test_the_laws_hold_on_each_level(name: str, level: str) -> None:
    check_recurrent(lambda: CELLS[name](), graphs=False)


def wrapped(name: str) -> Recurrent[Any]:
    if name == "bidirectional":
        return Stack([Bidirectional(LSTM(3, 5), GRU(3, 5)), RNN(10, 5)])
    return Zoneout(LSTM(3, 5), 0.3) if name == "zoneout" else VariationalDropout(GRU(3, 5), recurrent=0.4)


@pytest.mark.parametrize("name", ["bidirectional", "zoneout", "variational"])
def test_the_laws_hold_for_what_wraps_a_cell(name: str, level: str) -> None:
    check_recurrent(lambda: wrapped(name), graphs=False)


def with_kernel(layer: Cell[Any], kernel: str) -> Cell[Any]:
    layer.kernel = kernel  # type: ignore[assignment]
    return layer


def everything_of(layer: Cell[Any], kernel: str, x: Tensor, state: Any, **given: Any) -> dict[str, Tensor]:
    """Outputs and gradients of a sum, past the layer's door, which would refuse what is not finite."""
    with_kernel(layer, kernel).zero_grad()
    inputs = {"x": x, **{f"state {i}": leaf for i, leaf in enumerate(state)}}
    fresh = {name: tensor.detach().clone().requires_grad_() for name, tensor in inputs.items()}
    start = type(state)(*list(fresh.values())[1:])
    y, final = layer.run(layer.project(fresh["x"]), start, given.get("lengths"), given.get("reset"))
    results = {"y": y, **{f"final {i}": leaf for i, leaf in enumerate(leaves(final))}}
    # A plain sum: its gradient reaches the kernel expanded, with strides of 0.
    sum(result.sum() for result in results.values()).backward()  # type: ignore[union-attr]
    gradients = {f"gradient of {name}": tensor.grad for name, tensor in fresh.items()}
    gradients |= {f"gradient of {name}": tensor.grad for name, tensor in layer.named_parameters()}
    return {name: tensor.detach() for name, tensor in (results | gradients).items() if tensor is not None}


def carried(layer: Cell[Any], batch: int, dtype: torch.dtype = torch.float64) -> Any:
    state = layer.initial_state(batch, dtype=dtype)
    return type(state)(*(torch.randn_like(leaf) for leaf in state))


@pytest.mark.parametrize("name", CELLS)
def test_gradients_that_are_expanded_agree(name: str, level: str) -> None:
    torch.manual_seed(0)
    layer, x = CELLS[name]().double(), torch.randn(4, 6, 3, dtype=torch.float64)
    state, lengths = carried(layer, 4), torch.tensor([6, 0, 3, 1])
    results = [everything_of(layer, kernel, x, state, lengths=lengths) for kernel in ("cpp", "reference")]
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-12)


ODD_VALUES = [float("nan"), float("inf"), float("-inf")]


@pytest.mark.parametrize("width", [5, 16])
@pytest.mark.parametrize("value", ODD_VALUES, ids=str)
@pytest.mark.parametrize("name", ["rnn tanh", "rnn relu", "lstm", "lstm coupled", "gru after", "gru before"])
def test_odd_values_go_where_the_reference_lets_them_go(name: str, value: float, width: int, level: str) -> None:
    def build() -> Cell[Any]:
        options: dict[str, Callable[[], Cell[Any]]] = {
            "rnn tanh": lambda: RNN(3, width),
            "rnn relu": lambda: RNN(3, width, nonlinearity="relu"),
            "lstm": lambda: LSTM(3, width, peephole=True, projection_size=width - 1),
            "lstm coupled": lambda: LSTM(3, width, coupled=True),
            "gru after": lambda: GRU(3, width),
            "gru before": lambda: GRU(3, width, reset="before"),
        }
        return options[name]()

    # In a GRU the reference has 0 * infinity, where a sigmoid is exactly 0, and the kernel 1e-38 * infinity.
    places = ("x",) if name.startswith("gru") and value in (float("inf"), float("-inf")) else ("x", "h")
    for place, dtype in itertools.product(places, (torch.float32, torch.float64)):
        torch.manual_seed(1)
        layer = build().to(dtype)
        x, state = torch.randn(3, 5, 3, dtype=dtype), carried(layer, 3, dtype)
        (x if place == "x" else state[0])[(1, 2, 0) if place == "x" else (1, 1)] = value
        got, want = (everything_of(layer, kernel, x, state) for kernel in ("cpp", "reference"))
        limit = 1e4 * torch.finfo(dtype).eps
        for part in want:
            # Where the reference has exactly 0 times infinity, another order of the same sum has an infinity.
            finite = want[part].isfinite()
            assert torch.equal(finite, got[part].isfinite()), f"{place}: {part} is finite elsewhere"
            torch.testing.assert_close(got[part][finite], want[part][finite], rtol=limit, atol=limit)
        others = [0, 2]
        assert torch.isfinite(got["y"][others]).all()
        assert torch.equal(got["y"].isnan(), want["y"].isnan())


@pytest.mark.parametrize("name", CELLS)
def test_a_batch_of_empty_rows_keeps_its_state(name: str, level: str) -> None:
    layer = CELLS[name]().double()
    x, state = torch.full((3, 2, 3), float("nan"), dtype=torch.float64), carried(layer, 3)
    got = everything_of(layer, "cpp", x, state, lengths=torch.zeros(3, dtype=torch.int64))
    assert torch.equal(got["y"], torch.zeros_like(got["y"]))
    for number, leaf in enumerate(state):
        assert torch.equal(got[f"final {number}"], leaf)
        assert torch.equal(got[f"gradient of state {number}"], torch.ones_like(leaf))
