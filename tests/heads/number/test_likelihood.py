from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.nn.functional import huber_loss

from unrolled.errors import DataError, OptionError
from unrolled.heads.number.likelihood import LIKELIHOODS, Likelihood, make_likelihood

LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


def made(name: str) -> Likelihood:
    return make_likelihood(name, (0.5,) if name == "point" else LEVELS)


def raw_and_target(kind: Likelihood, *shape: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    raw = torch.randn(*shape, kind.width, dtype=torch.float64)
    target = torch.randn(*shape, dtype=torch.float64)
    return raw, (4 * target.abs()).round() if kind.counts else target


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_what_stands_under_mask_zero_reaches_no_loss_and_no_gradient(name: str) -> None:
    kind = made(name)
    raw, target = raw_and_target(kind, 4, 6)
    mask = (torch.arange(24).view(4, 6) % 3 > 0).double()
    results = []
    for hidden in (0.0, float("nan"), float("inf"), -7.5):
        leaf = raw.clone().requires_grad_()
        total, count = kind.loss(kind.parameters(leaf), torch.where(mask > 0, target, hidden), mask)
        total.backward()
        assert total.isfinite()
        assert count == 16 * (len(LEVELS) if name == "quantile" else 1)
        assert bool((leaf.grad[mask == 0] == 0).all())
        results.append((total.item(), leaf.grad))
    for total_value, gradient in results[1:]:
        assert total_value == results[0][0]
        torch.testing.assert_close(gradient, results[0][1], rtol=0, atol=0)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_gradients_of_the_loss_are_those_of_finite_differences(name: str) -> None:
    kind = made(name)
    raw, target = raw_and_target(kind, 3, 2)
    mask = torch.ones_like(target)
    assert torch.autograd.gradcheck(lambda r: kind.loss(kind.parameters(r), target, mask)[0], raw.requires_grad_())


def test_point_losses_are_the_known_ones() -> None:
    target = torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64)
    raw = torch.tensor([[0.5], [1.0], [2.0]], dtype=torch.float64)
    mask = torch.ones(3, dtype=torch.float64)
    assert make_likelihood("point").loss(raw, target, mask)[0] == 3.5
    assert make_likelihood("point", loss="mse").loss(raw, target, mask)[0] == 9.25
    huber = make_likelihood("point", loss="huber", delta=2.0).loss(raw, target, mask)[0]
    assert huber == huber_loss(raw[:, 0], target, reduction="sum", delta=2.0)


def test_the_pinball_loss_is_the_hand_calculated_one() -> None:
    kind = make_likelihood("quantile", (0.1, 0.5, 0.9))
    quantiles = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64)
    total, count = kind.loss(quantiles, torch.tensor([3.0], dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    # e = 2, 1, -1: twice (0.1 * 2 + 0.5 * 1 + 0.1 * 1).
    assert math.isclose(total.item(), 1.6)
    assert count == 3


def test_the_loss_at_the_median_alone_is_the_absolute_error() -> None:
    kind, point = make_likelihood("quantile", (0.5,)), make_likelihood("point")
    raw, target = raw_and_target(kind, 5)
    mask = torch.ones_like(target)
    assert kind.loss(kind.parameters(raw), target, mask) == point.loss(point.parameters(raw), target, mask)


def test_quantiles_never_cross_and_levels_between_are_interpolated() -> None:
    kind = made("quantile")
    parameters = kind.parameters(10 * raw_and_target(kind, 100)[0])
    assert bool((parameters.diff(dim=-1) >= 0).all())
    torch.testing.assert_close(kind.quantiles(parameters, LEVELS), parameters)
    assert torch.equal(kind.mean(parameters), parameters[..., 2])
    between = kind.quantiles(parameters, (0.2, 0.7))
    torch.testing.assert_close(between[..., 0], 0.75 * parameters[..., 1] + 0.25 * parameters[..., 2])
    torch.testing.assert_close(between[..., 1], 0.5 * parameters[..., 2] + 0.5 * parameters[..., 3])


def test_a_level_beyond_the_trained_ones_is_refused() -> None:
    kind = made("quantile")
    with pytest.raises(OptionError, match=r"trained for levels 0.05 to 0.95, got 0.99"):
        kind.quantiles(torch.zeros(1, 5), (0.5, 0.99))


def oracle(name: str, parameters: Tensor) -> object:
    parts = [part.numpy() for part in parameters.unbind(-1)]
    if name == "gaussian":
        return stats.norm(parts[0], parts[1])
    if name == "student-t":
        return stats.t(parts[2], parts[0], parts[1])
    return stats.nbinom(1 / parts[1], 1 / (1 + parts[0] * parts[1]))


DISTRIBUTIONS = [name for name, kind in LIKELIHOODS.items() if kind.noise]


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_densities_and_quantiles_agree_with_scipy(name: str) -> None:
    kind = made(name)
    raw, target = raw_and_target(kind, 200)
    level, scale = (None, torch.tensor(3.0)) if kind.counts else (torch.tensor(1.5), torch.tensor(2.0))
    parameters = kind.parameters(3 * raw, level, scale)
    law = oracle(name, parameters)
    log_density = law.logpmf(target.numpy()) if kind.counts else law.logpdf(target.numpy())
    # The gamma functions of a dispersion of 1e-4 lose some five digits in scipy and here alike.
    np.testing.assert_allclose(kind.terms(parameters, target).numpy(), -log_density, rtol=1e-8, atol=1e-8)
    found = kind.quantiles(parameters, (0.025, 0.1, 0.5, 0.9, 0.999))
    for i, wanted in enumerate((0.025, 0.1, 0.5, 0.9, 0.999)):
        np.testing.assert_allclose(found[..., i].numpy(), law.ppf(wanted), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(kind.mean(parameters).numpy(), law.mean(), rtol=1e-9)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_samples_follow_the_distribution(name: str) -> None:
    kind = made(name)
    parameters = kind.parameters(raw_and_target(kind, 3)[0], None, torch.tensor(2.0))
    generator = torch.Generator().manual_seed(0)
    draws = kind.sample(parameters.expand(20_000, 3, kind.width), generator)
    for i in range(3):
        law, column = oracle(name, parameters[i]), draws[:, i].numpy()
        if kind.counts:
            share = np.array([(column == k).mean() for k in range(6)])
            assert np.abs(share - law.pmf(np.arange(6))).max() < 5 * 0.5 / math.sqrt(20_000)
        else:
            assert stats.kstest(column, law.cdf).pvalue > 1e-3


def test_the_degrees_of_freedom_of_student_t_stay_above_two() -> None:
    kind = made("student-t")
    parameters = kind.parameters(torch.tensor([0.0, -300.0, -300.0]))
    assert parameters[2] > 2
    assert parameters[1] > 0
    assert kind.loss(parameters, torch.tensor(0.0), torch.tensor(1.0))[0].isfinite()


def test_level_and_scale_move_every_parameter() -> None:
    for name in ("point", "quantile", "gaussian", "student-t"):
        kind = made(name)
        raw, _ = raw_and_target(kind, 4, 2)
        level, scale = torch.tensor([[1.0], [2.0], [-1.0], [0.0]]), torch.tensor([[2.0], [1.0], [3.0], [0.5]])
        still, moved = (kind.quantiles(kind.parameters(raw, *place), (0.5,)) for place in ((), (level, scale)))
        torch.testing.assert_close(moved[..., 0], level + scale * still[..., 0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["point", "quantile"])
def test_likelihoods_without_samples_say_which_have_them(name: str) -> None:
    kind = made(name)
    with pytest.raises(OptionError, match="has no samples; those that have: gaussian, student-t, negative-binomial"):
        kind.sample(torch.zeros(2, kind.width))


@pytest.mark.parametrize(
    ("name", "quantiles", "options", "words"),
    [
        ("gausian", (0.5,), {}, "Did you mean 'gaussian'"),
        ("point", (0.1, 0.5), {}, "knows no quantile but 0.5"),
        ("point", (0.5,), {"los": "l1"}, "Did you mean 'loss'"),
        ("point", (0.5,), {"loss": "l2"}, "l1, mse, huber"),
        ("point", (0.5,), {"loss": "huber", "delta": 0}, "positive"),
        ("quantile", (0.6, 0.9), {}, "both sides of 0.5"),
        ("quantile", (0.5, 0.5), {}, "rise"),
        ("quantile", (), {}, "rise"),
        ("gaussian", (0.5, 1.0), {}, "between 0 and 1, got 1.0"),
        ("gaussian", (0.5,), {"loss": "l1"}, "it has none"),
    ],
)
def test_a_wrong_likelihood_is_refused_in_one_sentence(
    name: str, quantiles: tuple[float, ...], options: dict[str, object], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        make_likelihood(name, quantiles, **options)


@pytest.mark.parametrize("value", [1.5, -1.0])
def test_the_negative_binomial_refuses_what_is_no_count(value: float) -> None:
    kind = made("negative-binomial")
    with pytest.raises(DataError, match="counts"):
        kind.loss(torch.ones(1, 2), torch.tensor([value]), torch.ones(1))


def test_float32_losses_of_large_counts_stay_exact() -> None:
    kind = made("negative-binomial")
    parameters = torch.tensor([[9000.0, 2e-4]])
    loss, _ = kind.loss(parameters, torch.tensor([9100.0]), torch.ones(1))
    expected = -stats.nbinom.logpmf(9100, 5000, 1 / (1 + 9000 * 2e-4))
    assert abs(loss.item() - expected) < 1e-3
    assert loss.dtype == torch.float32
