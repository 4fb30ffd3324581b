"""Bands of the mel scale, the cosine transform, and the features of frames made with them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from unrolled.errors import OptionError
from unrolled.fields.sound.options import AudioOptions

__all__ = ["Bands", "band_centres", "bands_of", "cosines", "mel_filters"]

FLOOR = 1e-10
"""Energies below are taken for it, so that silence has a logarithm."""

# Frames that are worked on at a time: the memory taken does not grow with the sound.
_BLOCK = 64
# Slaney's scale: 3 mels each 200 Hz up to 1000 Hz, then 27 for each factor of 6.4.
_LINEAR, _KNEE, _STEP = 200 / 3, 1000.0, np.log(6.4) / 27


class Bands:
    """The features of frames by the options given, slopes left out.

        X = FFT(hann * frame)       E_m = sum_k filter_mk |X_k|^2       logmel_m = log(max(E_m, 1e-10))
        mfcc_k = s_k sum_m logmel_m cos(pi k (2m + 1) / (2 M)),         s_0 = sqrt(1 / M), s_k = sqrt(2 / M)

    Every frame gives the same numbers, bit for bit, whatever frames stand beside it.
    """

    def __init__(self, options: AudioOptions) -> None:
        size = options.window_size
        self._points = options.points
        self._hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        filters = mel_filters(options.rate, self._points, options.mels, options.fmin, options.top, options.scale)
        _require_filled(filters, options)
        self._filters = _Sums(filters)
        self._cosines = _Sums(cosines(options.coefficients, options.mels)) if options.features == "mfcc" else None
        self.width = options.mels if self._cosines is None else options.coefficients

    def of(self, frames: np.ndarray) -> np.ndarray:
        """The features of frames (n, window): (n, width) float64."""
        found = np.empty((len(frames), self.width))
        for start in range(0, len(frames), _BLOCK):
            found[start : start + _BLOCK] = self._block(frames[start : start + _BLOCK])
        return found

    def _block(self, frames: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(frames * self._hann, self._points)
        power = spectrum.real**2 + spectrum.imag**2
        logarithms: np.ndarray = np.log(np.maximum(self._filters.of(power), FLOOR))
        return logarithms if self._cosines is None else self._cosines.of(logarithms)


@lru_cache(maxsize=8)
def bands_of(options: AudioOptions) -> Bands:
    """The bands of these options; those of the last few are kept, for making them costs more than a frame."""
    return Bands(options)


class _Sums:
    """Weighted sums of each row: a product with a matrix, that gives a row the same bits whatever rows are beside it.

    A matrix product of BLAS does not: it adds in another order for another number of rows.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        rows, self._columns = np.nonzero(matrix)
        self._weights = matrix[rows, self._columns]
        self._starts = np.searchsorted(rows, np.arange(len(matrix)))

    def of(self, values: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.add.reduceat(values[:, self._columns] * self._weights, self._starts, axis=1)
        return sums


def mel_filters(rate: int, points: int, mels: int, fmin: float, fmax: float, scale: str) -> np.ndarray:
    """Triangles of area 1, their corners at equal distances on the mel scale: (mels, points // 2 + 1).

        slaney   f / (200 / 3) below 1000 Hz, 15 + 27 log(f / 1000) / log(6.4) above
        htk      2595 log10(1 + f / 700)

    Args:
        rate: samples a second. points: of the Fourier transform. fmin, fmax: the outer corners in Hz.
        scale: "slaney" or "htk".

    Source: Slaney, Auditory Toolbox, 1998; the HTK Book, 2006, section 5.4.
    """
    corners = _corners(mels, fmin, fmax, scale)
    low, middle, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    frequencies = np.arange(points // 2 + 1) * (rate / points)
    rising, falling = (frequencies - low) / (middle - low), (high - frequencies) / (high - middle)
    filters: np.ndarray = np.maximum(0.0, np.minimum(rising, falling)) * (2 / (high - low))
    return filters


def band_centres(options: AudioOptions) -> np.ndarray:
    """Where each band has its peak, in Hz: (mels,), rising."""
    return _corners(options.mels, options.fmin, options.top, options.scale)[1:-1]


def cosines(coefficients: int, size: int) -> np.ndarray:
    """The first rows of the orthonormal cosine transform of the second kind: (coefficients, size)."""
    angles = np.pi / (2 * size) * np.outer(np.arange(coefficients), 2 * np.arange(size) + 1)
    matrix: np.ndarray = np.sqrt(2 / size) * np.cos(angles)
    matrix[0] = np.sqrt(1 / size)
    return matrix


def _corners(mels: int, fmin: float, fmax: float, scale: str) -> np.ndarray:
    return _hertz(np.linspace(_mel(fmin, scale), _mel(fmax, scale), mels + 2), scale)


def _mel(frequency: float, scale: str) -> float:
    if scale == "htk":
        return float(2595 * np.log10(1 + frequency / 700))
    if frequency < _KNEE:
        return frequency / _LINEAR
    return float(_KNEE / _LINEAR + np.log(frequency / _KNEE) / _STEP)


def _hertz(mels: np.ndarray, scale: str) -> np.ndarray:
    if scale == "htk":
        return np.asarray(700 * (10 ** (mels / 2595) - 1))
    knee = _KNEE / _LINEAR
    return np.where(mels < knee, mels * _LINEAR, _KNEE * np.exp(_STEP * (np.maximum(mels, knee) - knee)))


def _require_filled(filters: np.ndarray, options: AudioOptions) -> None:
    empty = np.flatnonzero(~filters.any(axis=1))
    if len(empty):
        raise OptionError(
            f"Audio: band {empty[0]} of mels={options.mels} holds no point of the spectrum, which has one each "
            f"{options.rate / options.points:.1f} Hz: give fewer mels, or a longer window than {options.window} s."
        )
