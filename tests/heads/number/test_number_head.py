"""Numbers at a place: the loss is the likelihood's, what is not known reaches nothing, draws follow log p."""

from __future__ import annotations

import pytest
import torch

from unrolled.errors import OptionError, ShapeError
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import LIKELIHOODS, make_likelihood

NAMES = sorted(LIKELIHOODS)


def head(name: str, values: int = 3) -> NumberHead:
    torch.manual_seed(1)
    return NumberHead(5, values, make_likelihood(name)).double()


def targets(*shape: int) -> torch.Tensor:
    # Counts are numbers that every likelihood takes.
    return torch.randint(0, 9, shape).double()


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_reaches_no_loss_and_no_gradient(name: str) -> None:
    net, y, target = head(name), torch.randn(4, 6, 5).double(), targets(4, 6, 3)
    lengths = torch.tensor([6, 3, 0, 1])
    y[1, 3:], target[1, 3:], target[0, 2, 1] = torch.nan, 7.0, torch.nan
    total, count = net.loss(y.requires_grad_(), target, lengths)
    total.backward()
    per_value = count / (6 * 3 - 1 + 3 * 3 + 3)
    assert per_value == (net.likelihood.width if name == "quantile" else 1)
    assert all(part.grad.isfinite().all() for part in (net.weight, net.bias))
    assert y.grad[1, 3:].abs().sum() == 0
    assert y.grad[2].abs().sum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_is_the_sum_over_places_alone(name: str) -> None:
    net, y, target = head(name), torch.randn(2, 4, 5).double(), targets(2, 4, 3)
    total, count = net.loss(y, target, torch.tensor([4, 2]))
    parts = [net.loss(y[i, t], target[i, t]) for i, t in [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]]
    torch.testing.assert_close(total, sum(part[0] for part in parts))
    assert count == sum(part[1] for part in parts)


@pytest.mark.parametrize("name", [name for name in NAMES if LIKELIHOODS[name].noise])
def test_minus_log_prob_is_the_loss_where_there_is_a_density(name: str) -> None:
    net, y, target = head(name), torch.randn(2, 4, 5).double(), targets(2, 4, 3)
    lengths = torch.tensor([4, 2])
    target[0, 1] = torch.nan
    found = net.log_prob(y, target, lengths)
    torch.testing.assert_close(-found.sum(), net.loss(y, target, lengths)[0])
    assert found[0, 1] == 0
    assert (found[1, 2:] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_best_and_the_drawn_are_nan_in_the_padding_alone(name: str) -> None:
    net, y, lengths = head(name), torch.randn(2, 4, 5).double(), torch.tensor([4, 2])
    valid = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()[..., None].expand(2, 4, 3)
    assert torch.equal(net.best(y, lengths).isfinite(), valid)
    if net.likelihood.noise:
        assert torch.equal(net.draw(y, torch.Generator().manual_seed(0), lengths).isfinite(), valid)


def test_draws_have_the_mean_that_is_named() -> None:
    net, y = head("gaussian"), torch.randn(5).double()
    drawn = net.draw(y.expand(20_000, 5), torch.Generator().manual_seed(3))
    spread = net.distribution(y)[..., 1]
    # Five deviations of a mean of 20,000 draws.
    assert ((drawn.mean(0) - net.best(y)).abs() < 5 * spread / 20_000**0.5).all()


def test_without_a_density_there_is_no_log_prob_and_no_draw() -> None:
    with pytest.raises(OptionError, match=r"'point' has no density; those that have: gaussian"):
        head("point").log_prob(torch.zeros(2, 5).double(), targets(2, 3))
    with pytest.raises(OptionError, match="no samples"):
        head("quantile").draw(torch.zeros(2, 5).double())


def test_targets_of_another_shape_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"expected targets \(2, 3\), 3 a place, got \(2,\)"):
        head("gaussian").loss(torch.zeros(2, 5).double(), targets(2))


def test_weights_stand_under_the_names_of_a_linear_layer() -> None:
    assert set(head("gaussian").state_dict()) == {"weight", "bias"}
