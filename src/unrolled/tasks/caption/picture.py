"""The picture of one input and of where the decoder looked at each word of its caption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unrolled.inspect.attention import draw_attention
from unrolled.inspect.caption import draw_places, draw_times

__all__ = ["draw_looked"]


def draw_looked(
    seen: np.ndarray | None, weights: np.ndarray, words: Sequence[str], grid: tuple[int, int] | None, path: str | Path
) -> Path:
    """A picture with where each word looked, a video's frames under their words, or the steps of anything else.

    seen: (n, height, width, 1 or 3) in [0, 1], or None. weights: (words, steps).
    """
    if seen is not None and grid is not None and len(seen) == 1:
        return draw_places(seen[0], weights, grid, words, path)
    if seen is not None and len(seen) == weights.shape[1]:
        return draw_times(seen, weights, words, path)
    return draw_attention(weights, [str(step) for step in range(1, weights.shape[1] + 1)], words, path)
