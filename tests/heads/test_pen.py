"""Moves of a pen: against torch's own distributions, against an integral, and by the laws of heads."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from unrolled.errors import DataError, OptionError, ShapeError
from unrolled.heads.pen import TILT, PenHead
from unrolled.testing import check_head

WIDTH = 4


def made(mixtures: int = 3, floor: float = 0.1) -> PenHead:
    torch.manual_seed(0)
    head = PenHead(WIDTH, mixtures, floor=floor).double().eval()
    for parameter in head.parameters():
        parameter.data.normal_(std=0.4)
    return head


def values(shape: tuple[int, ...], random: torch.Generator) -> Tensor:
    moves = torch.randn(*shape, 2, generator=random, dtype=torch.float64)
    return torch.cat([moves, torch.randint(3, (*shape, 1), generator=random).double()], -1)


def trial(*shape: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return torch.randn(*shape, WIDTH, generator=random, dtype=torch.float64), values(shape, random)


def oracle(head: PenHead, y: Tensor) -> MixtureSameFamily:
    """The distribution of moves by its parameters, made of what the head says before the exponentials."""
    raw = head(y)
    weights, dx, dy, sx, sy, r = raw[..., : 6 * head.mixtures].split(head.mixtures, -1)
    deviations = torch.stack([sx, sy], -1).exp()
    r = TILT * r.tanh()
    one = torch.ones_like(r)
    shape = torch.stack([torch.stack([one, r], -1), torch.stack([r, one], -1)], -2)
    covariance = shape * deviations[..., None] * deviations[..., None, :] + head.floor**2 * torch.eye(2, dtype=y.dtype)
    return MixtureSameFamily(Categorical(logits=weights), MultivariateNormal(torch.stack([dx, dy], -1), covariance))


@pytest.mark.parametrize("mixtures", [1, 5])
def test_the_density_is_that_of_torch(mixtures: int) -> None:
    head, (y, value) = made(mixtures), trial(2, 7)
    states = head(y)[..., 6 * mixtures :].log_softmax(-1).gather(-1, value[..., 2:].long())[..., 0]
    expected = oracle(head, y).log_prob(value[..., :2]) + states
    # A factorisation of the covariance loses its condition, (1 + TILT) / (1 - TILT) times a ratio of deviations.
    torch.testing.assert_close(head.log_prob(y, value), expected, rtol=1e-10, atol=1e-10)
    total, count = head.loss(y, value)
    torch.testing.assert_close(total, -expected.sum(), rtol=1e-10, atol=1e-10)
    assert int(count) == 14


@torch.no_grad()
def test_the_density_sums_to_one() -> None:
    head, (y, _) = made(2, floor=0.3), trial(3)
    # Smooth beyond the floor and all but 0 at the edges: a sum over a grid of half the floor is the integral.
    line = torch.arange(-40, 40, 0.15, dtype=torch.float64)
    moves = torch.cartesian_prod(line, line)
    for place in y:
        for state in range(3):
            every = torch.cat([moves, torch.full((len(moves), 1), float(state), dtype=torch.float64)], -1)
            mass = head.log_prob(place.expand(len(every), -1), every).exp().sum() * 0.15**2
            alone = torch.tensor([torch.nan, torch.nan, state], dtype=torch.float64)
            torch.testing.assert_close(mass, head.log_prob(place, alone).exp(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tilt", [-9.0, 0.0, 9.0])
@torch.no_grad()
def test_no_component_is_narrower_than_the_floor_in_any_direction(tilt: float) -> None:
    head = PenHead(WIDTH, 1, floor=0.5).double().eval()
    head.weight.zero_()
    # Deviations before the floor: all but 0, small, and large.
    for size in (1e-6, 0.5, 20.0):
        head.bias.copy_(torch.tensor([0, 0.3, -0.2, math.log(size), math.log(size), tilt, 0, 0, 0]))
        line = torch.arange(-120, 121, dtype=torch.float64)
        moves = torch.cartesian_prod(line, line)
        values = torch.cat([moves, torch.full((len(moves), 1), torch.nan, dtype=torch.float64)], -1)
        mass = head.log_prob(torch.zeros(len(moves), WIDTH, dtype=torch.float64), values).exp().sum()
        # A sum over whole numbers is one of exp(-2 pi^2 k C k) over all k (Poisson), and k C k is at least floor^2 k k.
        q = math.exp(-2 * math.pi**2 * 0.5**2)
        assert float(mass) <= (1 + 2 * q + 4 * q**4) ** 2


@torch.no_grad()
def test_what_is_not_known_is_summed_out() -> None:
    head, (y, value) = made(floor=0.3), trial(5)
    line = torch.arange(-60, 60, 0.02, dtype=torch.float64)
    for missing in (0, 1):
        part = value.clone()
        part[:, missing] = torch.nan
        for place, one, whole in zip(y, part, value, strict=True):
            every = whole.repeat(len(line), 1)
            every[:, missing] = line
            mass = head.log_prob(place.expand(len(line), -1), every).exp().sum() * 0.02
            torch.testing.assert_close(head.log_prob(place, one).exp(), mass, rtol=1e-6, atol=1e-9)


@torch.no_grad()
def test_without_ends_a_pen_that_leaves_and_one_that_is_done_are_one() -> None:
    head, (y, value) = made(), trial(2, 7)
    lengths = torch.tensor([7, 4])
    each = [torch.cat([value[..., :2], torch.full((2, 7, 1), float(state)).double()], -1) for state in range(3)]
    down, left, done = (head.log_prob(y, one, lengths) for one in each)
    expected = torch.where(value[..., 2] == 0, down, left.logaddexp(done))
    expected[1, 4:] = 0
    # A sum of two exponentials and its logarithm.
    torch.testing.assert_close(head.log_prob(y, value, lengths, ends=False), expected, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(head.log_prob(y, each[1], ends=False), head.log_prob(y, each[2], ends=False))
    unknown = value.clone()
    unknown[..., 2] = torch.nan
    assert torch.equal(head.log_prob(y, unknown, ends=False), head.log_prob(y, unknown))


@torch.no_grad()
def test_draws_have_the_moments_of_torchs_mixture() -> None:
    head, (y, _) = made(), trial(1)
    drawn = head.draw(y.expand(40_000, -1), torch.Generator().manual_seed(0))
    expected, error = oracle(head, y[0]), drawn[:, :2].std(0) / math.sqrt(40_000)
    assert bool(((drawn[:, :2].mean(0) - expected.mean).abs() < 6 * error).all())
    torch.testing.assert_close(drawn[:, :2].var(0), expected.variance, rtol=0.1, atol=0)
    shares = torch.bincount(drawn[:, 2].long(), minlength=3) / 40_000
    torch.testing.assert_close(shares.double(), head(y[0])[-3:].softmax(-1), rtol=0, atol=6 * 0.5 / 200)


@torch.no_grad()
def test_a_low_temperature_draws_near_the_best_and_none_is_the_best() -> None:
    head, (y, _) = made(), trial(1)
    many, best = y.expand(2000, -1), head.best(y)[0]
    assert torch.equal(head.choose(y, temperature=0.0)[0], best)
    cold, warm = (head.choose(many, torch.Generator().manual_seed(0), temperature=t) for t in (0.01, 1.0))
    assert float((cold[:, :2] - cold[:, :2].median(0).values).abs().mean()) < 0.2 * float(
        (warm[:, :2] - warm[:, :2].median(0).values).abs().mean()
    )
    assert bool((cold[:, 2] == best[2]).all())


@pytest.mark.parametrize("temperature", [-1.0, float("nan"), float("inf"), True])
def test_a_temperature_that_is_none_is_refused(temperature: float) -> None:
    with pytest.raises(OptionError, match="temperature must be a number of at least 0"):
        made().choose(trial(1)[0], temperature=temperature)


def test_the_laws_of_heads_hold() -> None:
    check_head(lambda: PenHead(WIDTH, 3, floor=0.1), values)


def test_no_move_and_no_network_breaks_the_loss_or_its_gradient() -> None:
    head = made()
    for size in (1e-3, 1.0, 1e3, 1e6):
        y = (size * torch.randn(6, WIDTH, dtype=torch.float64)).requires_grad_()
        _, value = trial(6)
        value[:, :2] *= size
        total, _ = head.loss(y, value)
        total.backward()
        assert bool(total.isfinite())
        assert y.grad is not None
        assert bool(y.grad.isfinite().all())


def test_half_precision_sums_in_single() -> None:
    head, (y, value) = made().float(), trial(4)
    exact, half = head.log_prob(y.float(), value.float()), head.bfloat16().log_prob(y.bfloat16(), value.float())
    assert half.dtype == torch.float32
    assert bool(half.isfinite().all())
    assert exact.shape == half.shape


@pytest.mark.parametrize("floor", [0.0, -1.0, float("inf"), float("nan"), True])
def test_a_floor_is_positive(floor: float) -> None:
    with pytest.raises(OptionError, match="floor must be a positive number"):
        PenHead(WIDTH, floor=floor)


def test_mistakes_are_told_in_one_sentence() -> None:
    head, (y, value) = made(), trial(2)
    with pytest.raises(ShapeError, match=r"expected values \(2, 3\), dx, dy and the state of each point, got \(2, 2\)"):
        head.loss(y, value[:, :2])
    value[1, 2] = 3
    with pytest.raises(DataError, match=r"a state is 0 .*, got 3\.0"):
        head.loss(y, value)
