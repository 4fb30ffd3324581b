"""What a new piece may hold: a key, a range."""

from __future__ import annotations

import re

import numpy as np

from unrolled.errors import OptionError
from unrolled.fields.notes.laid import Measure

__all__ = ["allowed_pitches", "key_classes"]

NATURAL = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SIGNS = {"": 0, "#": 1, "b": -1}
# Semitones above the first note; of minor keys with both sevenths, as a cadence needs the higher one.
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10, 11)}


def key_classes(key: str) -> frozenset[int]:
    """The pitch classes of a key, 0 for C: "C", "F# minor", "Bb major", or "Am" for a minor key.

    >>> sorted(key_classes("G")), sorted(key_classes("Am"))
    ([0, 2, 4, 6, 7, 9, 11], [0, 2, 4, 5, 7, 8, 9, 11])

    Raises OptionError for anything else.
    """
    found = re.fullmatch(r"\s*([A-Ga-g])([#b]?)\s*(m|maj|min|major|minor)?\s*", key)
    if found is None:
        raise OptionError(f"generate: key must be a note and major or minor, such as 'D minor' or 'Bb', got {key!r}.")
    first = NATURAL[found[1].upper()] + SIGNS[found[2]]
    scale = SCALES["minor" if found[3] in ("m", "min", "minor") else "major"]
    return frozenset((first + step) % 12 for step in scale)


def allowed_pitches(measure: Measure, key: str | None, lowest: int | None, highest: int | None) -> np.ndarray | None:
    """(pitches,) bool: which pitches of a field may sound; None: all of them.

    Raises OptionError for a key that is none, and where no pitch is left.
    """
    if key is None and lowest is None and highest is None:
        return None
    pitches = np.arange(measure.lowest, measure.highest + 1)
    low, high = measure.lowest if lowest is None else lowest, measure.highest if highest is None else highest
    allowed: np.ndarray = (pitches >= low) & (pitches <= high)
    if key is not None:
        allowed &= np.isin(pitches % 12, sorted(key_classes(key)))
    if not allowed.any():
        raise OptionError(
            f"generate: no note is left from lowest={low} to highest={high}{f' in {key}' if key else ''}: give a "
            f"range within {measure.lowest}..{measure.highest}, {measure.describe()}."
        )
    return allowed
