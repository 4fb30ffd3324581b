"""Other speakers and rooms in training: what is drawn keeps its bounds and undoes itself, and nothing when judged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from unrolled.errors import OptionError
from unrolled.nn.reading.perturb import NATS, PerturbedReader, _stretch
from unrolled.nn.reading.reader import SeriesReader
from unrolled.padding import Padded

LENGTHS = torch.tensor([9, 1, 0, 4])
CENTRES = [100.0, 250.0, 400.0, 700.0, 1200.0, 2000.0]
ALL: dict[str, Any] = {"warp": 0.3, "channel": 3.0, "gain": 6.0, "noise": 5.0}


def features(seed: int = 0, rows: Tensor = LENGTHS) -> Padded:
    x = torch.randn(len(rows), 9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return Padded(x, rows)


def make(**options: Any) -> PerturbedReader:
    return PerturbedReader(SeriesReader(6), CENTRES, **options)


def valid(x: Padded) -> Tensor:
    return (torch.arange(9) < x.lengths[:, None])[..., None]


def test_a_model_that_is_judged_hears_what_was_recorded() -> None:
    x = features()
    torch.testing.assert_close(make(**ALL).eval()(x), SeriesReader(6)(x), rtol=0, atol=0)


def test_where_nothing_is_asked_for_nothing_changes_and_nothing_is_drawn() -> None:
    torch.manual_seed(4)
    before = torch.get_rng_state()
    x = features()
    # Scaled and scaled back: four roundings of numbers below 16.
    found = make(center=np.arange(6.0).tolist(), scale=[0.5] * 6)(x)
    torch.testing.assert_close(found, SeriesReader(6)(x), rtol=0, atol=2**4 * 4 * 2.0**-52)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", range(10))
def test_warping_reads_each_band_at_a_multiple_of_its_frequency(seed: int) -> None:
    torch.manual_seed(seed)
    x = features(seed, torch.full((4,), 9))
    found = make(warp=0.4)(x)
    torch.manual_seed(seed)
    factors = torch.exp(0.4 * (2 * torch.rand(4, 1, dtype=torch.float64) - 1))
    assert bool((factors.log().abs() <= 0.4).all())
    for row in range(4):
        for step in range(9):
            wanted = np.interp(factors[row].item() * np.array(CENTRES), CENTRES, x.values[row, step].numpy())
            np.testing.assert_allclose(found[row, step].numpy(), wanted, rtol=0, atol=2**-46)


def test_gain_and_channel_are_the_same_for_every_step_of_a_row() -> None:
    torch.manual_seed(0)
    x = features(rows=torch.full((4,), 9))
    for options, bands in (({"gain": 6.0}, 1), ({"channel": 3.0}, 6)):
        added = make(**options)(x) - x.values
        torch.testing.assert_close(added, added[:, :1].expand_as(added), rtol=0, atol=2**-48)
        assert len({round(float(value), 6) for value in added[0, 0]}) == bands
        assert len({round(float(value), 6) for value in added[:, 0, 0]}) == 4
    # A slope and its two overtones, held in float32, leave the mean over the bands.
    torch.testing.assert_close(added.mean(2), torch.zeros(4, 9, dtype=torch.float64), rtol=0, atol=2**-20)


def test_gains_have_the_deviation_that_was_asked_for() -> None:
    torch.manual_seed(0)
    added = make(gain=6.0)(Padded(torch.zeros(4000, 1, 6, dtype=torch.float64), torch.ones(4000).long()))[:, 0, 0]
    # Four standard errors of a deviation of 4,000 draws.
    assert abs(float(added.std()) / (6 * NATS) - 1) < 4 / math.sqrt(2 * 4000)


def test_noise_is_as_soft_as_was_asked_for() -> None:
    torch.manual_seed(0)
    loud = Padded(torch.zeros(500, 9, 6, dtype=torch.float64), torch.full((500,), 9))
    energy = make(noise=10.0)(loud).exp() - 1
    ratios = -10 * (energy.mean((1, 2)) / math.exp(0.6**2 / 2)).log10()
    # 54 log-normal draws of deviation 0.6: their mean is off by a tenth, half a decibel; four times that.
    assert 10 - 2 < float(ratios.min()) < 12
    assert 28 < float(ratios.max()) < 30 + 2


def recorded(*frames: int, seed: int = 0) -> list[np.ndarray]:
    """Log energies of recordings of so many frames."""
    random = np.random.default_rng(seed)
    return [random.normal(size=(count, 6)) for count in frames]


@pytest.mark.parametrize("seed", range(10))
def test_noise_of_recordings_is_a_stretch_of_one_of_them_as_loud_as_was_drawn(seed: int) -> None:
    torch.manual_seed(seed)
    noise, x = recorded(40, 5, 1, seed=seed), features(seed)
    energies = make(noise=5.0, recorded=noise)(x).exp() - x.values.exp()
    for row, length in enumerate(LENGTHS.tolist()):
        if not length:
            continue
        heard, own = energies[row, :length].numpy(), x.values[row, :length].exp().numpy()
        ratio = 10 * math.log10(own.mean() / heard.mean())
        assert 5 <= ratio <= 25
        stretches = [np.exp(one[(begin + np.arange(length)) % len(one)]) for one in noise for begin in range(len(one))]
        # Differences of energies up to e^4, of which the softest are e^-10: 2^-52 of one in the other, and as many
        # again for each of four sums.
        apart = [np.abs(heard / heard.mean() / (one / one.mean()) - 1).max() for one in stretches]
        assert min(apart) < 8 * 2.0**-52 * math.exp(14)


def test_every_recording_and_every_frame_of_it_is_drawn() -> None:
    torch.manual_seed(0)
    noise = [np.full((3, 6), 10.0 * which) + np.arange(3)[:, None] for which in range(4)]
    begun = {tuple(_stretch(noise, 2)[:, 0].tolist()) for _ in range(400)}
    assert begun == {(10.0 * which + at, 10.0 * which + (at + 1) % 3) for which in range(4) for at in range(3)}


def test_what_is_silent_in_a_recording_adds_nothing() -> None:
    torch.manual_seed(0)
    x = features(rows=torch.full((4,), 9))
    silent = np.full((20, 6), math.log(1e-10))
    torch.testing.assert_close(make(noise=-60.0, recorded=[silent])(x), x.values, rtol=0, atol=0)
    # One that begins in the padding is not heard either.
    later = np.concatenate([silent, np.zeros((1, 6))])
    short = x._replace(lengths=torch.full((4,), 2))
    for _ in range(20):
        found = make(noise=-60.0, recorded=[later])(short)[:, :2]
        assert all(bool((found[row] == x.values[row, :2]).all()) or bool(found[row].max() > 9) for row in range(4))


@pytest.mark.parametrize("name", [*sorted(ALL), "recorded"])
def test_the_padding_reaches_nothing_and_takes_no_gradient(name: str) -> None:
    x = features()
    asked = {"noise": 5.0, "recorded": recorded(20)} if name == "recorded" else {name: ALL[name]}
    reader = make(**asked, center=[1.0] * 6, scale=[2.0] * 6)
    torch.manual_seed(1)
    whole = torch.where(valid(x), reader(x), 0)
    poisoned = torch.where(valid(x), x.values, math.nan).requires_grad_()
    torch.manual_seed(1)
    found = torch.where(valid(x), reader(Padded(poisoned, LENGTHS)), 0)
    torch.testing.assert_close(found, whole, rtol=0, atol=0)
    found.sum().backward()
    assert poisoned.grad is not None
    assert bool(poisoned.grad.isfinite().all())
    assert not torch.where(valid(x), 0, poisoned.grad).any()
    assert bool(whole.isfinite().all())


def test_the_state_of_torch_says_what_is_drawn() -> None:
    reader = make(**ALL, recorded=recorded(20, 30))
    first, second = ((torch.manual_seed(3), reader(features()))[1] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert not torch.equal(second, reader(features()))
    assert not reader.state_dict()


@pytest.mark.parametrize(
    ("name", "value"), [("warp", -0.1), ("channel", math.nan), ("gain", math.inf), ("noise", math.nan)]
)
def test_a_wrong_option_is_refused(name: str, value: float) -> None:
    with pytest.raises(OptionError, match=name):
        make(**{name: value})
    with pytest.raises(OptionError, match="expected centres for the 7 features that the reader gives"):
        PerturbedReader(SeriesReader(7), CENTRES)
