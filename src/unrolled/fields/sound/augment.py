"""Changes of sounds and features for training: masks, noise, speed and gain, each drawn from a generator given.

All are pure functions: the array given stays as it is, and the same state of the generator gives the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unrolled.errors import DataError, OptionError
from unrolled.fields.sound.samples import checked_samples, resample

__all__ = ["add_noise", "change_gain", "change_speed", "mask_frequency", "mask_time"]


def mask_time(
    features: np.ndarray, random: np.random.Generator, *, masks: int = 2, longest: int = 40, share: float = 0.2
) -> np.ndarray:
    """The features with stretches of frames set to 0, the mean of what is normalised.

        t ~ U{0 .. min(longest, share * frames)},     t_0 ~ U{0 .. frames - t},     frames t_0 .. t_0 + t - 1 become 0

    Args:
        features: (frames, width).
        random: the generator.
        masks: how many stretches, which may overlap.
        longest: of a stretch, in frames (T of the paper).
        share: of all frames that one stretch may cover, 0 to 1 (p of the paper).

    Source: Park et al. 2019, arXiv:1904.08779, section 2; 0 frames up to the limit itself can be drawn.
    """
    _require_masks("mask_time", features, masks, longest)
    if not 0 <= share <= 1:
        raise OptionError(f"mask_time: share must lie between 0 and 1, got {share!r}: give the part of all frames.")
    frames, masked = len(features), features.copy()
    for _ in range(masks):
        start, length = _stretch(random, frames, min(longest, int(share * frames)))
        masked[start : start + length] = 0
    return masked


def mask_frequency(
    features: np.ndarray, random: np.random.Generator, *, masks: int = 2, widest: int = 8, groups: int = 1
) -> np.ndarray:
    """The features with bands of neighbouring columns set to 0, the mean of what is normalised.

        f ~ U{0 .. widest},     f_0 ~ U{0 .. bands - f},     bands f_0 .. f_0 + f - 1 become 0 in all frames

    Args:
        features: (frames, groups * bands).
        random: the generator.
        masks: how many bands, which may overlap.
        widest: of a band, in columns (F of the paper).
        groups: how often the columns stand side by side: 1 + deltas. Each group is masked in the same place.

    Source: Park et al. 2019, arXiv:1904.08779, section 2.
    """
    _require_masks("mask_frequency", features, masks, widest)
    if groups < 1 or features.shape[1] % groups:
        raise OptionError(
            f"mask_frequency: groups={groups!r} does not divide {features.shape[1]} columns: give 1 + deltas."
        )
    masked = features.copy()
    grouped = masked.reshape(len(masked), groups, features.shape[1] // groups)
    bands = grouped.shape[2]
    for _ in range(masks):
        start, length = _stretch(random, bands, min(widest, bands))
        grouped[:, :, start : start + length] = 0
    return masked


def add_noise(
    samples: np.ndarray,
    random: np.random.Generator,
    *,
    decibels: tuple[float, float] = (10.0, 30.0),
    noise: np.ndarray | None = None,
) -> np.ndarray:
    """The sound with noise in a ratio drawn evenly between two: 10 log10(power of the sound / power of the noise).

    Silence has no power, and stays as it is; so does a sound to which silence is added.

    Args:
        samples: (N,) floats.
        random: the generator.
        decibels: the lowest and the highest ratio.
        noise: (M,) floats at the same rate, of which a stretch is added from a place drawn on, over and over where it
            is shorter; None: white noise of a normal distribution.
    """
    values = checked_samples(samples, "add_noise")
    ratio = _between("add_noise", random, decibels)
    if noise is None:
        added = random.normal(size=len(values))
    else:
        sound = checked_samples(noise, "add_noise")
        if not len(sound):
            raise DataError("add_noise: the noise has no samples: give a sound, or none at all for white noise.")
        added = sound[(int(random.integers(len(sound))) + np.arange(len(values))) % len(sound)].astype(np.float64)
    power, own = (float(np.mean(x * x)) if len(x) else 0.0 for x in (values.astype(np.float64), added))
    gain = math.sqrt(power / own) * 10 ** (-ratio / 20) if own > 0 else 0.0
    noisy: np.ndarray = (values + gain * added).astype(np.float32)
    return noisy


def change_speed(
    samples: np.ndarray, random: np.random.Generator, *, factors: Sequence[float] = (0.9, 1.0, 1.1)
) -> np.ndarray:
    """The sound as many times faster as one of the factors says: (N / factor,), its pitch that many times higher.

    Args:
        samples: (N,) floats.
        random: the generator, which chooses a factor.
        factors: positive; 1.1 is a tenth faster.

    Source: Ko et al. 2015, Audio augmentation for speech recognition.
    """
    if not len(factors) or not all(0 < factor < math.inf for factor in factors):
        raise OptionError(f"change_speed: factors must be positive numbers, got {factors!r}: 1.1 is a tenth faster.")
    return resample(samples, float(factors[int(random.integers(len(factors)))]), 1.0)


def change_gain(
    samples: np.ndarray, random: np.random.Generator, *, decibels: tuple[float, float] = (-6.0, 6.0)
) -> np.ndarray:
    """The sound louder or softer by a gain drawn evenly between two, in decibels; nothing is clipped."""
    gain = 10 ** (_between("change_gain", random, decibels) / 20)
    changed: np.ndarray = (checked_samples(samples, "change_gain") * gain).astype(np.float32)
    return changed


def _stretch(random: np.random.Generator, size: int, most: int) -> tuple[int, int]:
    """Begin and length of a stretch inside of `size`, both drawn evenly."""
    length = int(random.integers(most + 1))
    return int(random.integers(size - length + 1)), length


def _require_masks(owner: str, features: np.ndarray, masks: int, most: int) -> None:
    if features.ndim != 2:
        raise DataError(f"{owner}: expected features (frames, width), got {features.shape}: mask after encoding.")
    if masks < 0 or most < 0:
        raise OptionError(f"{owner}: masks and their size must be 0 or more, got {masks!r} and {most!r}.")


def _between(owner: str, random: np.random.Generator, limits: tuple[float, float]) -> float:
    low, high = limits
    if not -math.inf < low <= high < math.inf:
        raise OptionError(f"{owner}: decibels must be a lowest and a highest number, got {limits!r}: give them so.")
    return float(random.uniform(low, high))
