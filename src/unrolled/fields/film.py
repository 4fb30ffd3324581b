"""Frames and when they are shown: films in memory, and what is seen of a film at another rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np

from unrolled.errors import DataError

__all__ = ["ROUNDED", "Film", "Frames", "film_frames", "film_seconds", "sampled", "sampled_count"]

T = TypeVar("T")

Frames: TypeAlias = Sequence[np.ndarray] | np.ndarray
"""The frames of a video: an array (time, height, width, channels), or a list of pictures."""

ROUNDED = Fraction(1, 2000)
"""Seconds that a frame may be told too late or too early: some files round times to milliseconds."""


class Film(NamedTuple):
    """A video in memory: its frames, and how many of them are shown a second."""

    frames: Frames
    rate: float


def sampled_count(seconds: Fraction, rate: Fraction) -> int:
    """The instants k / rate that lie in so many seconds; the first always does."""
    return max(1, math.ceil((seconds - ROUNDED) * rate))


def sampled(shown: Iterable[tuple[Fraction, T]], wanted: Iterable[Fraction]) -> Iterator[T]:
    """At each of the instants wanted, which rise, the last that is shown by then; before all of them the first."""
    every = iter(shown)
    now, after = next(every), next(every, None)
    for instant in wanted:
        while after is not None and after[0] <= instant + ROUNDED:
            now, after = after, next(every, None)
        yield now[1]


def film_seconds(film: Film, owner: str) -> Fraction:
    """How long a film is. Raises `DataError` where its rate is no positive number."""
    if isinstance(film.rate, bool) or not isinstance(film.rate, int | float) or not 0 < film.rate < math.inf:
        raise DataError(f"{owner}: expected a film of a positive rate, got {film.rate!r}: give frames a second.")
    return len(film.frames) / Fraction(film.rate)


def film_frames(film: Film, rate: float | None, owner: str) -> Frames:
    """The frames that are seen of a film at so many a second, one that stands the same again; None: each once.

    Raises `DataError` where its rate is no positive number.
    """
    seconds = film_seconds(film, owner)
    if rate is None or not len(film.frames):
        return film.frames
    own, wanted = Fraction(film.rate), Fraction(rate)
    shown = ((k / own, k) for k in range(len(film.frames)))
    frames = list(film.frames)
    return [frames[place] for place in sampled(shown, (k / wanted for k in range(sampled_count(seconds, wanted))))]
