"""Where in a bar a step is, as far as nobody says where bars begin."""

from __future__ import annotations

import numpy as np

__all__ = ["Metre"]


class Metre:
    """The beat of each step, counted round and round from the beginning of a piece, and its place in the beat.

        [one of `beats`: floor(t step) mod beats, one of the parts of a beat: (t step mod 1) / step]

    With 12 beats, bars of 2, 3, 4 and 6 are told. A beat has parts where several steps make one.
    """

    def __init__(self, step: float, beats: int) -> None:
        self.step, self.beats = step, beats
        parts = round(1 / step)
        self.parts = parts if parts > 1 and abs(parts * step - 1) < 1e-6 else 0

    @property
    def width(self) -> int:
        """How many numbers tell it."""
        return self.beats + self.parts if self.beats else 0

    def __call__(self, at: np.ndarray) -> np.ndarray:
        """Steps (T,), from 0 at the beginning -> (T, width) float32 of 0 and 1."""
        found = np.zeros((len(at), self.width), np.float32)
        if not self.beats:
            return found
        # A step that begins with a beat is not to be counted to the beat before by rounding.
        beat = at // self.parts if self.parts else np.floor(at * self.step + 1e-6).astype(np.int64)
        found[np.arange(len(at)), beat % self.beats] = 1
        if self.parts:
            found[np.arange(len(at)), self.beats + at % self.parts] = 1
        return found
