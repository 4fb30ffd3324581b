"""Changes for training: what is masked, how loud the noise is, how fast the sound; the same from the same generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.sound import add_noise, change_gain, change_speed, mask_frequency, mask_time

FEATURES = np.random.default_rng(0).normal(size=(50, 24)).astype(np.float32) + 10
SOUND = (0.3 * np.sin(2 * np.pi * 0.05 * np.arange(8000))).astype(np.float32)
CHANGES: dict[str, tuple[Callable[..., np.ndarray], np.ndarray]] = {
    "time": (mask_time, FEATURES),
    "frequency": (mask_frequency, FEATURES),
    "noise": (add_noise, SOUND),
    "speed": (change_speed, SOUND),
    "gain": (change_gain, SOUND),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_same_generator_gives_the_same_and_the_array_stays(name: str) -> None:
    change, array = CHANGES[name]
    before, results = array.copy(), []
    for seed in range(8):
        first, second = (change(array, np.random.default_rng(seed)) for _ in range(2))
        assert first.dtype == np.float32
        assert np.array_equal(first, second)
        results.append(first)
    assert np.array_equal(array, before)
    assert any(not np.array_equal(results[0], other) for other in results[1:])


def test_time_masks_are_whole_frames_in_stretches_up_to_the_limit() -> None:
    lengths, begins, ends = set(), set(), set()
    for seed in range(400):
        masked = mask_time(FEATURES, np.random.default_rng(seed), masks=1, longest=7, share=0.5)
        gone = np.flatnonzero((masked == 0).all(axis=1))
        assert np.array_equal(np.delete(masked, gone, axis=0), np.delete(FEATURES, gone, axis=0))
        lengths.add(len(gone))
        if len(gone):
            assert gone[-1] - gone[0] + 1 == len(gone)
            begins.add(int(gone[0]))
            ends.add(int(gone[-1]))
    assert lengths == set(range(8))
    assert (min(begins), max(ends)) == (0, 49)


def test_a_time_mask_covers_no_more_than_its_share() -> None:
    for seed in range(50):
        masked = mask_time(FEATURES[:9], np.random.default_rng(seed), masks=1, longest=40, share=0.25)
        assert (masked == 0).all(axis=1).sum() <= 2


def test_frequency_masks_are_the_same_columns_in_all_frames_and_groups() -> None:
    widths = set()
    for seed in range(200):
        masked = mask_frequency(FEATURES, np.random.default_rng(seed), masks=1, widest=5, groups=3)
        gone = (masked == 0).all(axis=0).reshape(3, 8)
        assert (gone == gone[0]).all()
        assert np.array_equal(masked[:, ~gone.reshape(-1)], FEATURES[:, ~gone.reshape(-1)])
        widths.add(int(gone[0].sum()))
    assert widths == set(range(6))


def test_masks_of_nothing_and_of_short_features_are_features() -> None:
    random = np.random.default_rng(0)
    assert mask_time(np.zeros((0, 3)), random).shape == (0, 3)
    assert mask_frequency(np.ones((2, 3)), random, widest=100).shape == (2, 3)
    assert np.array_equal(mask_time(FEATURES, random, masks=0), FEATURES)


@pytest.mark.parametrize("decibels", [-5.0, 0.0, 20.0])
@pytest.mark.parametrize("noise", [None, np.random.default_rng(1).uniform(-1, 1, 333), np.ones(20000)])
def test_noise_has_the_ratio_asked_for(decibels: float, noise: np.ndarray | None) -> None:
    noisy = add_noise(SOUND, np.random.default_rng(0), decibels=(decibels, decibels), noise=noise)
    added = noisy.astype(np.float64) - SOUND
    ratio = 10 * np.log10(np.mean(SOUND.astype(np.float64) ** 2) / np.mean(added**2))
    # Each sum is rounded to float32: an error of 2**-24 beside noise of 0.02, in decibels.
    assert abs(ratio - decibels) < 1e-4


def test_silence_stays_silent() -> None:
    random = np.random.default_rng(0)
    assert np.array_equal(add_noise(np.zeros(50), random), np.zeros(50))
    assert np.array_equal(add_noise(SOUND, random, noise=np.zeros(9)), SOUND)
    assert add_noise(np.zeros(0), random).shape == (0,)


@pytest.mark.parametrize("factor", [0.9, 1.1, 2.0])
def test_faster_is_shorter_and_higher(factor: float) -> None:
    changed = change_speed(SOUND, np.random.default_rng(0), factors=(factor,))
    assert len(changed) == round(len(SOUND) / factor)
    spectrum = np.abs(np.fft.rfft(changed * np.hanning(len(changed))))
    # To the nearest point of the spectrum.
    assert abs(np.argmax(spectrum) / len(changed) - 0.05 * factor) <= 0.5 / len(changed)


def test_a_gain_multiplies() -> None:
    changed = change_gain(SOUND, np.random.default_rng(0), decibels=(20.0, 20.0))
    np.testing.assert_allclose(changed, 10 * SOUND, rtol=4 * np.finfo(np.float32).eps)


def test_mistakes_are_named() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"mask_time: expected features \(frames, width\), got \(8000,\)"):
        mask_time(SOUND, random)
    with pytest.raises(OptionError, match="mask_frequency: masks and their size must be 0 or more, got -1 and 8"):
        mask_frequency(FEATURES, random, masks=-1)
    with pytest.raises(OptionError, match="groups=5 does not divide 24 columns"):
        mask_frequency(FEATURES, random, groups=5)
    with pytest.raises(OptionError, match="share must lie between 0 and 1, got 2"):
        mask_time(FEATURES, random, share=2)
    with pytest.raises(OptionError, match="add_noise: decibels must be a lowest and a highest number"):
        add_noise(SOUND, random, decibels=(3, 1))
    with pytest.raises(DataError, match="the noise has no samples"):
        add_noise(SOUND, random, noise=np.zeros(0))
    with pytest.raises(OptionError, match=r"factors must be positive numbers, got \(0,\)"):
        change_speed(SOUND, random, factors=(0,))
