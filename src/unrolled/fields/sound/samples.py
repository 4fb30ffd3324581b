"""Sound in memory: samples at a rate, checked, and resampled to another."""

from __future__ import annotations

import math
from types import ModuleType
from typing import NamedTuple

import numpy as np

from unrolled.errors import DataError, OptionError

__all__ = ["Sound", "checked_samples", "resample", "resampled_size"]


class Sound(NamedTuple):
    """A sound of one channel. samples: (N,) float32, full scale from -1 to 1; rate: samples a second."""

    samples: np.ndarray
    rate: int


def resample(samples: np.ndarray, rate: float, to: float) -> np.ndarray:
    """The sound at another rate, (N to / rate, rounded) float32, by soxr in its quality "HQ".

    What lies above half the lower rate is filtered out first, so that nothing is mirrored. Equal rates change nothing.

    Args:
        samples: (N,) floats.
        rate: of the samples; only its quotient with `to` matters.
        to: the rate wanted.

    Raises:
        DataError: samples of another shape or kind, or not finite.
        OptionError: a rate that is not positive, or soxr is not installed.
    """
    _require_rates(rate, to)
    values = checked_samples(samples, "resample")
    if rate == to or not len(values):
        return values
    resampled: np.ndarray = _package().resample(values, rate, to, "HQ")
    return resampled


def resampled_size(size: int, rate: float, to: float) -> int:
    """How many samples `resample` makes of so many: size to / rate, a half rounded up, as soxr counts them."""
    _require_rates(rate, to)
    return size if rate == to else int(size / (rate / to) + 0.5)


def checked_samples(samples: object, owner: str) -> np.ndarray:
    """The samples as (N,) float32, if they are finite floats of one channel; else DataError in the owner's name."""
    values = np.asarray(samples)
    if values.ndim != 1:
        raise DataError(
            f"{owner}: expected samples of one channel, (samples,), got {values.shape}: take the mean of the channels."
        )
    if values.dtype.kind != "f":
        raise DataError(
            f"{owner}: expected samples as floats from -1 to 1, got {values.dtype}: divide 16-bit samples by 32768."
        )
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, np.float32)
    if not np.isfinite(values).all():
        at = int(np.argmax(~np.isfinite(values)))
        raise DataError(
            f"{owner}: sample {at} is {values[at]}, expected a finite number: mend or leave out that sound."
        )
    return values


def _require_rates(rate: float, to: float) -> None:
    for name, value in (("rate", rate), ("to", to)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise OptionError(f"resample: {name} must be a positive number, got {value!r}: give samples a second.")


def _package() -> ModuleType:
    try:
        import soxr
    except ModuleNotFoundError as error:
        raise OptionError(
            "Resampling sound needs the package soxr, which is not installed; install unrolled[audio], or give sounds "
            "that have the rate wanted."
        ) from error
    package: ModuleType = soxr
    return package
