"""Automatic mixed precision: projections in half precision, states in the dtype they came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from unrolled import adopt
from unrolled.errors import DtypeError
from unrolled.nn import GRU, LSTM, RNN, Bidirectional, Recurrent, Stack, VariationalDropout, Zoneout
from unrolled.state import leaves, map_state

LAYERS: dict[str, Callable[[], Recurrent[Any]]] = {
    "rnn": lambda: RNN(3, 5),
    "lstm": lambda: LSTM(3, 5, projection_size=4, layer_norm=True),
    "gru": lambda: GRU(3, 5, reset="before"),
    "zoneout": lambda: Zoneout(LSTM(3, 5), 0.1),
    "variational": lambda: VariationalDropout(GRU(3, 5), recurrent=0.2),
    "stack": lambda: Stack([RNN(3, 5), LSTM(5, 4)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_state_keeps_its_dtype_from_chunk_to_chunk(name: str) -> None:
    torch.manual_seed(0)
    layer, x = LAYERS[name]().eval(), torch.randn(2, 6, 3)
    with torch.autocast("cpu", torch.bfloat16):
        whole, final = layer(x)
        first, state = layer(x[:, :4], lengths=[4, 4])
        second, state = layer(x[:, 4:5], state)
        third, state = layer.step(x[:, 5], state)
    assert {leaf.dtype for leaf in leaves(state)} == {torch.float32}
    torch.testing.assert_close(torch.cat([first, second, third[:, None]], 1), whole)
    for got, expected in zip(leaves(state), leaves(final), strict=True):
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_a_compiled_graph_agrees_with_the_layer_under_autocast(name: str) -> None:
    torch.manual_seed(0)
    layer, x = Bidirectional(LAYERS[name](), LAYERS[name]()), torch.randn(2, 6, 3)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(compiled(x)[0], layer(x)[0])
    torch.compiler.reset()


def test_a_gradient_flows_through_the_cast() -> None:
    layer = GRU(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(2, 6, 3))[0].sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in layer.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", LAYERS)
def test_an_x_in_half_precision_keeps_the_state_in_that_of_the_weights(name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    layer, x = LAYERS[name]().eval(), torch.randn(2, 6, 3)
    whole, _ = layer(x)
    with torch.autocast("cpu", dtype):
        first, state = layer(x[:, :4].to(dtype), lengths=[4, 4])
        assert {leaf.dtype for leaf in leaves(state)} == {torch.float32}
        second, state = layer(x[:, 4:5].to(dtype), map_state(lambda leaf: leaf.to(dtype), state))
        third, state = layer.step(x[:, 5].to(dtype), map_state(lambda leaf: leaf.to(dtype), state))
    assert {leaf.dtype for leaf in leaves(state)} == {torch.float32}
    joined = torch.cat([first, second, third[:, None]], 1)
    torch.testing.assert_close(joined, whole, atol=0.1, rtol=0)


def test_float64_stays_out_of_mixed_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16), pytest.raises(DtypeError, match=r"GRU: x must be torch\.float32"):
        GRU(3, 5)(torch.zeros(2, 6, 3, dtype=torch.float64))


@pytest.mark.parametrize("kind", [torch.nn.GRU, torch.nn.LSTM])
def test_an_adopted_module_keeps_its_hx_in_the_dtype_of_the_weights(kind: Any) -> None:
    torch.manual_seed(0)
    module, x = adopt(kind(3, 5, batch_first=True)), torch.randn(2, 6, 3)
    whole, _ = module(x)
    with torch.autocast("cpu", torch.bfloat16):
        _, hx = module(x[:, :4].bfloat16())
        assert {leaf.dtype for leaf in leaves(hx)} == {torch.float32}
        half = hx.bfloat16() if isinstance(hx, torch.Tensor) else tuple(leaf.bfloat16() for leaf in hx)
        y, hx = module(x[:, 4:].bfloat16(), half)
    assert {leaf.dtype for leaf in leaves(hx)} == {torch.float32}
    torch.testing.assert_close(y, whole[:, 4:], atol=0.1, rtol=0)
