"""Output layers: the loss in parts against torch's, the sampled softmax against what it estimates, tied rows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear, log_softmax

from unrolled.errors import OptionError
from unrolled.heads import softmax as room
from unrolled.heads.softmax import OutputLayer, SampledSoftmax, linear_cross_entropy, target_log_probs
from unrolled.nn import Embedding

# Sums of about fifty terms of size ten in float64.
EXACT = {"rtol": 0.0, "atol": 2**10 * 2.0**-52}


def inputs(rows: int = 23, codes: int = 11, features: int = 5) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(rows)
    shapes = ((rows, features), (codes, features), (codes,))
    tensors = [torch.randn(*s, dtype=torch.float64, generator=generator).requires_grad_() for s in shapes]
    target = torch.randint(-1, codes, (rows,), generator=generator)
    return tensors[0], tensors[1], tensors[2], target


def small_parts(monkeypatch: pytest.MonkeyPatch, rows: int = 4) -> None:
    monkeypatch.setattr(room, "LOGITS", 1)
    monkeypatch.setattr(room, "ROWS", rows)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("factor", [1.0, -0.7])
def test_loss_and_gradients_are_those_of_torch(
    smoothing: float, biased: bool, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    hidden, weight, bias, target = inputs()
    given = bias if biased else None
    wanted = cross_entropy(
        linear(hidden, weight, given), target, ignore_index=-1, reduction="sum", label_smoothing=smoothing
    )
    found = linear_cross_entropy(hidden, weight, given, target, smoothing)
    torch.testing.assert_close(found, wanted, **EXACT)
    leaves = [hidden, weight, bias] if biased else [hidden, weight]
    torch.testing.assert_close(
        torch.autograd.grad(factor * found, leaves), torch.autograd.grad(factor * wanted, leaves), **EXACT
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_gradient_is_that_of_finite_differences(smoothing: float, monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)
    hidden, weight, bias, target = inputs(rows=7)
    assert torch.autograd.gradcheck(lambda *a: linear_cross_entropy(*a, target, smoothing), (hidden, weight, bias))


def test_any_size_of_parts_gives_the_same_and_no_parts_give_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, bias, target = inputs()
    whole = linear_cross_entropy(hidden, weight, bias, target)
    for rows in (1, 5, 22):
        small_parts(monkeypatch, rows)
        torch.testing.assert_close(linear_cross_entropy(hidden, weight, bias, target), whole, **EXACT)
    nothing = linear_cross_entropy(hidden, weight, bias, torch.full_like(target, -1))
    assert nothing == 0
    for grad in torch.autograd.grad(nothing, [hidden, weight, bias]):
        assert bool((grad == 0).all())


def test_without_gradients_the_loss_is_the_same_and_frozen_parts_have_none() -> None:
    hidden, weight, bias, target = inputs()
    wanted = linear_cross_entropy(hidden, weight, bias, target)
    with torch.no_grad():
        assert torch.equal(linear_cross_entropy(hidden, weight, bias, target), wanted.detach())
    frozen = weight.detach()
    linear_cross_entropy(hidden, frozen, bias, target).backward()
    assert frozen.grad is None
    torch.testing.assert_close(bias.grad, torch.autograd.grad(wanted, bias)[0], **EXACT)


def test_targets_that_are_all_but_impossible_keep_a_finite_loss_and_gradient() -> None:
    hidden, weight = torch.tensor([[500.0]], requires_grad=True), torch.tensor([[1.0], [-1.0], [0.5]])
    loss = linear_cross_entropy(hidden, weight, None, torch.tensor([1]))
    loss.backward()
    assert loss == 1000
    assert hidden.grad is not None
    assert hidden.grad.item() == 2


def test_automatic_mixed_precision_takes_its_own_way() -> None:
    hidden, weight, bias, target = (x.detach().float() if x.is_floating_point() else x for x in inputs())
    exact = linear_cross_entropy(hidden, weight, bias, target)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = linear_cross_entropy(hidden, weight, bias, target)
    assert mixed.dtype == torch.float32
    # Each of 23 losses is a difference of scores that bfloat16 rounds by 2^-8 of their size, at most about 8.
    assert 0 < abs(mixed - exact) < 23 * 2 * 8 * 2**-8


def test_log_probs_of_targets_are_those_of_all_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)
    hidden, weight, bias, target = inputs()
    target = target.clamp(min=0)
    wanted = log_softmax(linear(hidden, weight, bias), 1).gather(1, target[:, None])[:, 0]
    torch.testing.assert_close(target_log_probs(hidden, weight, bias, target), wanted, **EXACT)


@pytest.mark.parametrize("biased", [True, False])
def test_with_all_codes_drawn_the_sampled_softmax_is_the_full_one(biased: bool) -> None:
    hidden, weight, bias, target = inputs()
    given = bias if biased else None
    wanted = linear_cross_entropy(hidden, weight, given, target)
    found = SampledSoftmax(11, 11)(hidden, weight, given, target)
    torch.testing.assert_close(found, wanted, **EXACT)
    leaves = [hidden, weight, bias] if biased else [hidden, weight]
    torch.testing.assert_close(torch.autograd.grad(found, leaves), torch.autograd.grad(wanted, leaves), **EXACT)


@pytest.mark.parametrize(("size", "samples"), [(50, 1), (50, 7), (50, 40), (50, 50)])
def test_codes_are_drawn_once_each_as_often_as_said(size: int, samples: int) -> None:
    torch.manual_seed(0)
    sampled, counts, draws = SampledSoftmax(size, samples), torch.zeros(size), 4000
    share = torch.log1p(1 / torch.arange(1, size + 1))
    for _ in range(draws):
        drawn = sampled.draw()
        assert len(set(drawn.tolist())) == samples
        counts[drawn] += 1
    chance = sampled.drawing
    assert chance.sum().item() == pytest.approx(samples, rel=1e-12)
    below = chance < 1
    if bool(below.any()):
        ratio = (chance / share.double())[below]
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio), rtol=1e-6, atol=0)
    # Five standard deviations of a binomial share.
    assert bool(((counts / draws - chance).abs() <= 5 * (chance * (1 - chance) / draws).sqrt() + 1e-12).all())


def test_the_estimated_denominator_is_right_in_expectation() -> None:
    torch.manual_seed(0)
    hidden, weight, bias, _ = inputs(rows=1, codes=40)
    hidden, weight, bias = (x.detach() * 0.5 for x in (hidden, weight, bias))
    sampled, target = SampledSoftmax(40, 6), torch.tensor([25])
    right = (hidden @ weight[25] + bias[25]).item()
    draws = [math.exp(sampled(hidden, weight, bias, target).item() + right) for _ in range(4000)]
    whole = linear(hidden, weight, bias).exp().sum().item()
    found = torch.tensor(draws, dtype=torch.float64)
    assert found.std() > 0
    assert abs(found.mean() - whole) < 5 * found.std() / math.sqrt(len(draws))


def test_a_target_that_is_drawn_counts_once() -> None:
    hidden, weight, bias, _ = inputs(rows=1)
    sampled = SampledSoftmax(11, 10)
    sampled.draw = lambda: torch.arange(10)  # type: ignore[method-assign]
    scores = linear(hidden, weight, bias)[0]
    target = 3
    others = [scores[k].exp() / sampled.drawing[k] for k in range(10) if k != target]
    wanted = torch.log(scores[target].exp() + sum(others)) - scores[target]
    torch.testing.assert_close(sampled(hidden, weight, bias, torch.tensor([target])), wanted, **EXACT)


def test_draws_come_from_torchs_generator_alone() -> None:
    hidden, weight, bias, target = inputs(codes=11)
    sampled = SampledSoftmax(11, 3)
    torch.manual_seed(5)
    first = sampled(hidden, weight, bias, target)
    second = sampled(hidden, weight, bias, target)
    torch.manual_seed(5)
    assert torch.equal(sampled(hidden, weight, bias, target), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("width", [5, 4])
def test_tied_rows_are_those_of_the_embedding_under_one_name(width: int) -> None:
    embedding = Embedding(11, width)
    layer = OutputLayer(5, 11, embedding)
    assert layer.weight is embedding.weight
    projected = ["projection.weight"] if width != 5 else []
    assert sorted(layer.state_dict()) == sorted(["bias", *projected])
    hidden = torch.randn(3, 5)
    f = hidden if width == 5 else hidden @ layer.projection.weight.T  # type: ignore[union-attr]
    torch.testing.assert_close(layer(hidden), log_softmax(f @ embedding.weight.T + layer.bias, 1))
    layer.loss(hidden, torch.tensor([4, 5, 6]))[0].backward()
    assert embedding.weight.grad is not None


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(OptionError, match="samples must be at most size=5, got 6"):
        SampledSoftmax(5, 6)
    with pytest.raises(OptionError, match="each of the 12 codes, got 11"):
        OutputLayer(5, 12, Embedding(11, 5))
