"""Attention against its definition place by place, its gradient, and its laws."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unrolled.errors import OptionError, ShapeError
from unrolled.nn.reading import attention as room
from unrolled.nn.reading.attention import Attention, Memory
from unrolled.state import select_rows

LENGTHS = torch.tensor([5, 2, 1, 0])
# Sums of a few dozen float64 products of moderate size.
EXACT = {"rtol": 0.0, "atol": 2**8 * 2.0**-52}
KINDS = ["additive", "dot"]


def make(kind: str) -> Attention:
    torch.manual_seed(0)
    layer = Attention(3, 4, 6, kind).double()
    if kind == "additive":
        torch.nn.init.normal_(layer.key.bias)
    return layer


def values() -> Tensor:
    return torch.randn(4, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def queries() -> Tensor:
    return torch.randn(4, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def defined(layer: Attention, query: Tensor, remembered: Tensor) -> tuple[Tensor, Tensor]:
    """Context and weights of one query over the places of one row, one place at a time."""
    energies = []
    for value in remembered:
        q, k = layer.query.weight @ query, layer.key.weight @ value
        if layer.score is not None:
            energies.append(layer.score @ (q + k + layer.key.bias).tanh())
        else:
            energies.append(q @ k / math.sqrt(6))
    weights = torch.stack(energies).exp() / torch.stack(energies).exp().sum()
    return sum(w * v for w, v in zip(weights, remembered, strict=True)), weights


@pytest.mark.parametrize("kind", KINDS)
def test_contexts_and_weights_are_those_of_the_definition(kind: str) -> None:
    layer, x, q = make(kind), values(), queries()
    context, weights = layer(q, layer.remember(x, LENGTHS))
    for row in range(3):
        for step in range(7):
            length = int(LENGTHS[row])
            mean, shares = defined(layer, q[row, step], x[row, :length])
            torch.testing.assert_close(context[row, step], mean, **EXACT)
            torch.testing.assert_close(weights[row, step, :length], shares, **EXACT)
            assert bool((weights[row, step, length:] == 0).all())


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_length_zero_has_a_context_of_zero_and_no_nan(kind: str) -> None:
    layer, x = make(kind), values().requires_grad_()
    context, weights = layer(queries(), layer.remember(x, LENGTHS))
    assert bool((context[3] == 0).all())
    assert bool((weights[3] == 0).all())
    context.sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in layer.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_padding_never_reaches_a_value_or_a_gradient(kind: str) -> None:
    layer, results = make(kind), []
    for garbage in (0.0, math.nan, 1e9):
        x = values()
        x[torch.arange(5) >= LENGTHS[:, None]] = garbage
        layer.zero_grad()
        context, weights = layer(queries(), layer.remember(x, LENGTHS))
        (context.sum() + weights.square().sum()).backward()
        results.append((context, weights, [p.grad.clone() for p in layer.parameters()]))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_one_query_is_one_step_and_rows_of_a_memory_can_be_selected(kind: str) -> None:
    layer, q = make(kind), queries()
    memory = layer.remember(values(), LENGTHS)
    context, weights = layer(q, memory)
    assert isinstance(memory, Memory)
    order = [2, 0, 0]
    alone, shares = layer(q[order, 3], select_rows(memory, order))
    torch.testing.assert_close(alone, context[order, 3], **EXACT)
    torch.testing.assert_close(shares, weights[order, 3], **EXACT)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_finite_differences(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Parts of one step, so that sums over parts are seen.
    monkeypatch.setattr(room, "ENTRIES", 1)
    layer = make(kind)
    q, x = queries()[:2, :3].requires_grad_(), values()[:2].requires_grad_()
    weights = [p.requires_grad_() for p in layer.parameters()]

    def run(q: Tensor, x: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        found: tuple[Tensor, Tensor] = layer(q, layer.remember(x, LENGTHS[:2]))
        return found

    assert torch.autograd.gradcheck(run, (q, x, *weights))


def test_any_size_of_parts_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, found = make("additive"), []
    for entries in (1, 300, 1 << 18):
        monkeypatch.setattr(room, "ENTRIES", entries)
        layer.zero_grad()
        context, _ = layer(queries(), layer.remember(values(), LENGTHS))
        context.square().sum().backward()
        found.append([context, *(p.grad for p in layer.parameters())])
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], **EXACT)


def test_what_does_not_fit_is_refused() -> None:
    layer = make("dot")
    with pytest.raises(OptionError, match=r"one of additive, dot, got 'dott'. Did you mean 'dot'"):
        Attention(3, 4, 6, "dott")
    with pytest.raises(ShapeError, match=r"values must be \(batch, places, 4\), got \(4, 5, 3\)"):
        layer.remember(values()[..., :3], LENGTHS)
    with pytest.raises(ShapeError, match=r"query must be .* got \(4, 2\)"):
        layer(queries()[:, 0, :2], layer.remember(values(), LENGTHS))
