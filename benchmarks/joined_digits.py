"""Spoken digits joined to numbers of several: recordings of one speaker one after another, with short gaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["DIGITS", "join_digits"]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def join_digits(
    recordings: Mapping[str, Sequence[tuple[int, np.ndarray]]],
    random: np.random.Generator,
    *,
    rate: int,
    count: tuple[int, int] = (3, 7),
    gap: tuple[float, float] = (0.05, 0.2),
) -> tuple[np.ndarray, str]:
    """Samples, and what is said in them: `count` recordings of one speaker, all drawn evenly.

    recordings: of each speaker the digit and the samples of each. gap: seconds of silence between two, drawn evenly.
    """
    speakers = sorted(recordings)
    own = recordings[speakers[int(random.integers(len(speakers)))]]
    chosen = [own[int(place)] for place in random.integers(len(own), size=int(random.integers(count[0], count[1] + 1)))]
    pieces = [chosen[0][1]]
    for _, samples in chosen[1:]:
        pieces += [np.zeros(round(rate * random.uniform(*gap)), samples.dtype), samples]
    return np.concatenate(pieces), " ".join(DIGITS[digit] for digit, _ in chosen)
