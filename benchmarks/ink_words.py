"""Words written with the letters of one hand: drawings of letters laid out from left to right on one base line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unrolled.errors import DataError, suggest
from unrolled.fields.ink import Drawing, measured

__all__ = ["lay_out"]


def lay_out(
    word: str,
    glyphs: Mapping[str, Sequence[Drawing]],
    random: np.random.Generator,
    *,
    gap: tuple[float, float] = (0.1, 0.3),
    wait: float = 0.3,
) -> tuple[Drawing, str]:
    """A word as one drawing, and the word: of each letter one of its drawings, drawn evenly.

    Letters keep their sizes. The lowest points of all stand on the line y = 0, the first begins at x = 0, and between
    the boxes of two letters is a gap, drawn evenly from `gap`, in the median size of all the drawings. A space is a
    gap of one size. Where letters have times, each begins `wait` seconds after the one before.

    Raises:
        DataError: a letter has no drawing, the word has no letters, or some letters alone have times.
    """
    if not word.strip():
        raise DataError(f"lay_out: expected a word of at least one letter, got {word!r}.")
    size = float(np.median([measured(drawing)[1] for several in glyphs.values() for drawing in several])) or 1.0
    strokes, right, clock = Drawing(), 0.0, 0.0
    for letter in word.strip():
        if letter == " ":
            right += size
            continue
        if not glyphs.get(letter):
            raise DataError(f"lay_out: there is no drawing of {letter!r}.{suggest(letter, glyphs)} Leave it out.")
        drawing = glyphs[letter][int(random.integers(len(glyphs[letter])))]
        left = right + (random.uniform(*gap) * size if strokes else 0.0)
        strokes += (moved := _moved(drawing, left, clock))
        right = max(float(stroke[:, 0].max()) for stroke in moved)
        clock = float(moved[-1][-1, -1]) + wait
    if len({stroke.shape[1] for stroke in strokes}) > 1:
        raise DataError("lay_out: expected times in the drawings of all letters or of none: leave them out.")
    return strokes, word


def _moved(drawing: Drawing, left: float, clock: float) -> Drawing:
    """The letter with the left side of its box at `left`, its lowest point at 0, and beginning at the time given."""
    points = np.concatenate([stroke[:, :2] for stroke in drawing])
    shift = np.array([left - points[:, 0].min(), -points[:, 1].max()])
    if drawing[0].shape[1] == 3:
        shift = np.append(shift, clock - drawing[0][0, 2])
    return [stroke + shift for stroke in drawing]
