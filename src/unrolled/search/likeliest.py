"""The likeliest path as frames come, and what it spells."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from unrolled.fields.text import BLANK
from unrolled.search.paths import Spelled, as_frames
from unrolled.search.prefix import Labelling, SoFar

__all__ = ["LikeliestPath"]


class LikeliestPath:
    """`best_path` of one row, in any pieces: what is kept is what it spells, and nothing of a frame that is over.

    >>> path = LikeliestPath()
    >>> path.push(np.log([[0.1, 0.9], [0.2, 0.8]])), path.push(np.log([[0.7, 0.3]]))
    (SoFar(stable=(1,), rest=()), SoFar(stable=(1,), rest=()))
    >>> path.finish()[0].spelled
    [Spelled(codes=(1,), begin=0, end=2, confidence=0.8500000000000001)]
    """

    def __init__(self) -> None:
        self._codes, self._dated = tuple[int, ...](), list[Spelled]()
        self._time, self._log_prob = 0, 0.0
        # The code of the last frame, where it began, and the sum of its probabilities since.
        self._last, self._begin, self._total = BLANK, 0, 0.0

    def push(self, log_probs: np.ndarray | Tensor) -> SoFar:
        """The next frames (frames, size), none of them too; what is said so far, which no later frame changes."""
        frames = as_frames("LikeliestPath", log_probs)
        begun = []
        for code, log_prob in zip(frames.argmax(1).tolist(), frames.max(1, initial=-np.inf).tolist(), strict=True):
            if code != self._last:
                self._dated += self._under_way()
                self._last, self._begin, self._total = code, self._time, 0.0
                begun += [code] if code != BLANK else []
            self._total += math.exp(log_prob)
            # One after the other, so that the sum is the same in any pieces.
            self._log_prob += log_prob
            self._time += 1
        if begun:
            self._codes += tuple(begun)
        return SoFar(self._codes, ())

    def finish(self, nbest: int = 1) -> list[Labelling]:
        """What the path spells, with log p of the path alone; nothing, where no frame came. It may go on.

        nbest: a path has no second one.
        """
        if not self._time:
            return []
        return [Labelling(self._codes, self._log_prob, self._log_prob, [*self._dated, *self._under_way()])]

    def _under_way(self) -> list[Spelled]:
        """The code of the last frame, if it ends there."""
        if self._last == BLANK:
            return []
        return [Spelled((self._last,), self._begin, self._time, self._total / (self._time - self._begin))]
