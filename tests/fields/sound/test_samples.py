"""Resampling: length, pitch, and what it refuses."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.sound import resample, resampled_size


def tone(hertz: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate).astype(np.float32)


def loudest(samples: np.ndarray, rate: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate / len(samples))


@pytest.mark.parametrize(("rate", "to"), [(8000, 16000), (44100, 16000), (16000, 8000), (8000, 11025)])
def test_length_and_pitch_are_kept(rate: int, to: int) -> None:
    samples = tone(440, rate)
    changed = resample(samples, rate, to)
    assert changed.dtype == np.float32
    assert len(changed) == to
    assert loudest(changed, to) == 440
    # Away from the ends the tone is the one that the other rate would have recorded; HQ keeps about 20 bits.
    inner = slice(to // 10, -to // 10)
    np.testing.assert_allclose(changed[inner], tone(440, to)[inner], atol=2**-16)


def test_what_the_lower_rate_cannot_hold_is_gone() -> None:
    assert np.abs(resample(tone(6000, 16000), 16000, 8000)[400:-400]).max() < 2**-16


def test_equal_rates_and_no_samples_change_nothing() -> None:
    samples = tone(440, 8000)
    assert np.array_equal(resample(samples, 8000, 8000), samples)
    assert resample(np.zeros(0), 8000, 16000).shape == (0,)


@pytest.mark.parametrize("seed", range(60))
def test_the_size_at_another_rate_is_known_without_resampling(seed: int) -> None:
    random = np.random.default_rng(seed)
    rates = [8000, 11_025, 12_345, 16_000, 22_050, 44_100, 48_000]
    for count in (*range(6), *random.integers(6, 4000, 20).tolist()):
        pairs = [tuple(map(int, random.choice(rates, 2))), (float(random.choice([0.25, 0.5, 2, 4])), 1.0)]
        for rate, to in [
            *pairs,
            (float(random.uniform(0.25, 4)), 1.0),
            (round(float(random.uniform(0.8, 1.2)), 2), 1.0),
        ]:
            found = resampled_size(count, rate, to)
            assert found == len(resample(np.zeros(count, np.float32), rate, to)), (count, rate, to)


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for rate in (0, -1.0, float("nan"), float("inf"), True, "8000"):
        with pytest.raises(OptionError, match="resample: rate must be a positive number"):
            resample(np.zeros(3), rate, 8000)  # type: ignore[arg-type]
        with pytest.raises(OptionError, match="resample: rate must be a positive number"):
            resampled_size(3, rate, 8000)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"resample: expected samples of one channel, \(samples,\), got \(3, 2\)"):
        resample(np.zeros((3, 2)), 8000, 16000)
    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(OptionError, match=r"needs the package soxr, which is not installed; install unrolled\[audio\]"):
        resample(np.zeros(3), 8000, 16000)
