"""Mel filters and the cosine transform against those of librosa and scipy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy.fft import dct

from unrolled.fields import AudioOptions
from unrolled.fields.sound.mel import Bands, cosines, mel_filters


@pytest.mark.parametrize("scale", ["slaney", "htk"])
@pytest.mark.parametrize(
    ("rate", "points", "mels", "fmin", "fmax"),
    [(8000, 256, 40, 20, 4000), (16000, 512, 80, 0, 7600), (44100, 2048, 128, 300, 900)],
)
def test_filters_are_those_of_librosa(scale: str, rate: int, points: int, mels: int, fmin: float, fmax: float) -> None:
    librosa = pytest.importorskip("librosa")
    # librosa warns of bands without a point, and the options refuse them; here their zeros are compared, too.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = librosa.filters.mel(
            sr=rate, n_fft=points, n_mels=mels, fmin=fmin, fmax=fmax, htk=scale == "htk", dtype=np.float64
        )
    # Two frequencies up to the rate, each rounded, are taken from each other, and divided by a Hz or more.
    tolerance = 4 * np.finfo(np.float64).eps * rate * expected.max()
    np.testing.assert_allclose(mel_filters(rate, points, mels, fmin, fmax, scale), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("coefficients", "size"), [(13, 40), (1, 1), (8, 8)])
def test_the_cosine_transform_is_that_of_scipy(coefficients: int, size: int) -> None:
    values = np.random.default_rng(0).normal(size=(5, size))
    expected = dct(values, type=2, norm="ortho", axis=1)[:, :coefficients]
    np.testing.assert_allclose(values @ cosines(coefficients, size).T, expected, atol=8 * size * np.finfo(float).eps)


@pytest.mark.parametrize("features", ["logmel", "mfcc"])
def test_a_frame_gives_the_same_bits_whatever_stands_beside_it(features: str) -> None:
    bands = Bands(AudioOptions(features=features, mels=61))
    frames = np.random.default_rng(0).normal(size=(200, 400))
    whole = bands.of(frames)
    for start, stop in ((0, 1), (7, 9), (63, 66), (100, 200), (199, 200)):
        assert np.array_equal(bands.of(frames[start:stop]), whole[start:stop])
    assert bands.of(frames[:0]).shape == (0, bands.width)
