"""minGRU, minLSTM and the RG-LRU against published packages, and the LRU against torch's complex numbers."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from unrolled.nn import LRU, RGLRU, MinGRU, MinLSTM, RGLRUState
from unrolled.state import HState

EXACT = {"rtol": 1e-11, "atol": 1e-12}


@pytest.fixture
def double() -> Any:
    """float64 by default until the test ends: some packages make tensors without asking."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def theirs(name: str) -> Any:
    """A layer of the package minGRU_pytorch over 6 features, with weights that open and shut its gates."""
    reason = "the package minGRU_pytorch is not installed"
    package = pytest.importorskip(f"minGRU_pytorch.{name}", reason=reason)
    torch.manual_seed(0)
    layer = getattr(package, name)(6)
    for parameter in layer.parameters():
        parameter.data.normal_(std=0.7)
    return layer


def with_their_weights(cell: Any, weight: Tensor) -> Any:
    """Their rows begin with the candidate, ours end with it."""
    with torch.no_grad():
        cell.weight_x.copy_(weight.roll(-cell.output_size, 0))
    return cell


CELLS = {"minGRU": MinGRU, "minLSTM": MinLSTM}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("time", [2, 63, 100])
def test_the_log_form_from_zero_is_their_parallel_mode(name: str, time: int) -> None:
    layer = theirs(name)
    weight = next(layer.parameters())
    cell = with_their_weights(CELLS[name](6, 6, form="log", bias=False), weight)
    x = torch.randn(3, time, 6, requires_grad=True)
    gradient = torch.randn(3, time, 6)
    want, got = layer(x), cell(x)[0]
    torch.testing.assert_close(got, want, **EXACT)
    (dx, dw), (ours_dx, ours_dw) = (
        torch.autograd.grad(y, [x, w], gradient) for y, w in ((want, weight), (got, cell.weight_x))
    )
    # Their logarithms of what is almost zero cost digits.
    torch.testing.assert_close(ours_dx, dx, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(ours_dw, dw.roll(-6, 0), rtol=1e-9, atol=1e-10)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("name", CELLS)
def test_the_log_form_is_their_sequential_mode_and_carries_its_state(name: str) -> None:
    layer = theirs(name)
    cell = with_their_weights(CELLS[name](6, 6, form="log", bias=False), next(layer.parameters()))
    x = torch.randn(3, 9, 6)
    carried, state = None, None
    for t in range(9):
        want, carried = layer(x[:, t : t + 1], carried, return_next_prev_hidden=True)
        y, state = cell.step(x[:, t], state)
        torch.testing.assert_close(y, want[:, 0], **EXACT)


@pytest.mark.usefixtures("double")
def test_a_carried_state_goes_on_as_in_their_parallel_min_gru() -> None:
    layer = theirs("minGRU")
    cell = with_their_weights(MinGRU(6, 6, form="log", bias=False), next(layer.parameters()))
    x = torch.randn(3, 20, 6)
    _, carried = layer(x[:, :7], return_next_prev_hidden=True)
    _, state = cell(x[:, :7])
    torch.testing.assert_close(state.h, carried[:, 0], **EXACT)
    torch.testing.assert_close(cell(x[:, 7:], state)[0], layer(x[:, 7:], carried), **EXACT)


@pytest.mark.usefixtures("double")
def test_their_parallel_min_lstm_maps_the_carried_state_again_and_ours_does_not() -> None:
    layer = theirs("minLSTM")
    cell = with_their_weights(MinLSTM(6, 6, form="log", bias=False), next(layer.parameters()))
    x = torch.randn(3, 20, 6)
    whole = layer(x)
    _, carried = layer(x[:, :7], return_next_prev_hidden=True)
    _, state = cell(x[:, :7])
    torch.testing.assert_close(cell(x[:, 7:], state)[0], whole[:, 7:], **EXACT)
    assert (layer(x[:, 7:], carried) - whole[:, 7:]).abs().max() > 1e-3, "they have mended it: use it in this test"


# The RG-LRU


class Untyped(ModuleType):
    """Stands for recurrentgemma's array_typing, which needs jaxtyping: every type is Any, and nothing is checked."""

    @staticmethod
    def typed(function: Any) -> Any:
        """The function as it is."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Any


def recurrentgemma_layers() -> Any:
    """The file torch/layers.py of recurrentgemma, which needs torch and einops; the package itself imports jax."""
    found = importlib.util.find_spec("recurrentgemma")
    if found is None or not found.submodule_search_locations:
        pytest.skip("the package recurrentgemma is not installed")
    package: Any = ModuleType("recurrentgemma")
    package.torch = ModuleType("recurrentgemma.torch")
    package.torch.array_typing = Untyped("recurrentgemma.torch.array_typing")
    sys.modules |= {module.__name__: module for module in (package, package.torch, package.torch.array_typing)}
    path = f"{found.submodule_search_locations[0]}/torch/layers.py"
    spec = importlib.util.spec_from_file_location("recurrentgemma.torch.layers", path)
    assert spec is not None
    assert spec.loader is not None
    layers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(layers)
    return layers


@pytest.fixture
def their_rglru() -> Any:
    """The class RGLRU of recurrentgemma; what was put into the table of modules goes again."""
    before = {name: module for name, module in sys.modules.items() if name.startswith("recurrentgemma")}
    try:
        yield recurrentgemma_layers().RGLRU
    except ImportError as reason:
        pytest.skip(f"recurrentgemma's torch layers cannot be imported: {reason}")
    finally:
        for name in [name for name in sys.modules if name.startswith("recurrentgemma")]:
            del sys.modules[name]
        sys.modules |= before


def twins(kind: Any, heads: int) -> tuple[Any, RGLRU]:
    """Their layer and our cell without a projection, of width 12, with the same weights."""
    torch.manual_seed(0)
    layer, cell = kind(12, heads), RGLRU(12, 12, heads=heads, projection=False)
    for parameter in layer.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    with torch.no_grad():
        cell.decay.copy_(layer.a_param)
        for gate, weight, bias in (
            (layer.a_gate, cell.weight_a, cell.bias_a),
            (layer.input_gate, cell.weight_i, cell.bias_i),
        ):
            weight.copy_(gate.w.transpose(1, 2))
            bias.copy_(gate.b.flatten())
    return layer, cell


# einops brings in torch's compiler, whose import warns of itself.
compiler = pytest.mark.filterwarnings("ignore:Warning only once for all operators")


@compiler
@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("heads", [1, 3])
def test_rglru_is_recurrentgemma_with_documents_that_begin_inside_a_row(their_rglru: Any, heads: int) -> None:
    layer, cell = twins(their_rglru, heads)
    x = torch.randn(3, 21, 12)
    reset = torch.zeros(3, 21, dtype=torch.bool)
    reset[0, 5] = reset[0, 13] = reset[2, 20] = reset[1, 0] = True
    position = torch.arange(21).expand(3, -1).clone()
    for row, begin in reset.nonzero().tolist():
        position[row, begin:] = torch.arange(21 - begin)
    want, last = layer(x, position)
    y, state = cell(x, reset=reset)
    # They add up in float32 whatever the dtype.
    torch.testing.assert_close(y, want, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state.h, last.double(), rtol=1e-5, atol=1e-5)


@compiler
@pytest.mark.parametrize("heads", [1, 3])
def test_rglru_goes_on_from_the_cache_of_recurrentgemma(their_rglru: Any, heads: int) -> None:
    layer, cell = twins(their_rglru, heads)
    x = torch.randn(3, 21, 12)
    position = torch.arange(21).expand(3, -1)
    _, cache = layer(x[:, :8], position[:, :8])
    want, last = layer(x[:, 8:], position[:, 8:], cache)
    y, state = cell(x[:, 8:], RGLRUState(cache, torch.ones(3, 1)))
    torch.testing.assert_close(y, want)
    torch.testing.assert_close(state.h, last)
    step, _ = layer(x[:, 8:9], position[:, 8:9], cache)
    torch.testing.assert_close(cell.step(x[:, 8], RGLRUState(cache, torch.ones(3, 1)))[0], step[:, 0])


# The LRU


@pytest.mark.parametrize("time", [1, 2, 63, 100])
def test_lru_is_its_formula_in_complex_numbers(time: int) -> None:
    torch.manual_seed(0)
    cell = LRU(3, 5, state_size=4, radii=(0.5, 0.99)).double()
    x, first = torch.randn(2, time, 3).double(), torch.randn(2, 8).double()
    decay = torch.exp(torch.complex(-cell.nu.exp(), cell.theta.exp()))
    b, c = (torch.complex(*weight.chunk(2, side)) for weight, side in ((cell.weight_x, 0), (cell.weight_y, 1)))
    driven = (cell.gamma.exp() * (x.cdouble() @ b.T)).cdouble()
    # Unrolled: h_t = a^(t+1) h_0 + the sum over s of a^(t-s) times the input at s.
    steps = torch.arange(time)
    distance = steps[:, None] - steps[None, :]
    powers = torch.where(distance[..., None] >= 0, decay ** distance.clamp_min(0)[..., None], 0)
    h = torch.einsum("tsn,bsn->btn", powers, driven)
    h = h + decay ** (steps[:, None] + 1) * torch.complex(*first.chunk(2, 1))[:, None]
    want = (h @ c.T).real + x @ cell.weight_d.T
    y, state = cell(x, HState(first))
    torch.testing.assert_close(y, want, **EXACT)
    torch.testing.assert_close(state.h, torch.cat([h[:, -1].real, h[:, -1].imag], 1), **EXACT)
    found = torch.autograd.grad(y.square().sum(), list(cell.parameters()))
    wanted = torch.autograd.grad(want.square().sum(), list(cell.parameters()))
    for got, should in zip(found, wanted, strict=True):
        torch.testing.assert_close(got, should, rtol=1e-10, atol=1e-9)
