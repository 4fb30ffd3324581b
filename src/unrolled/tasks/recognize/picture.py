"""The picture of one input and of what was recognised in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unrolled.inputs.input import Inked
from unrolled.inspect.ink import draw_ink
from unrolled.inspect.line import draw_line
from unrolled.inspect.recognition import TimedWord, draw_recognition
from unrolled.tasks.recognize.transcription import HeardWord, Transcription

__all__ = ["draw_found", "letters_of"]


def draw_found(
    features: np.ndarray,
    inked: Inked | None,
    line: np.ndarray | None,
    found: Transcription,
    path: str | Path,
    *,
    step: float | None,
) -> Path:
    """A drawing in the colours of its letters, a line of print under its letters; anything else over time, with its
    words.

    features: (steps, width). line: pixels (height, steps), None where there are none. step: how far apart the steps are
    in seconds, None where nobody knows.
    """
    if line is not None:
        return draw_line(line, [TimedWord(*letter) for letter in found.tokens], path, title=found.text)
    if inked is None:
        return draw_recognition(features, [TimedWord(*word) for word in found.words], path, step=step)
    colours = letters_of(inked.owners, len(inked.drawing), found.tokens, step or 1.0)
    return draw_ink(inked.drawing, path, colours, title=found.text or "nothing is written")


def letters_of(owners: np.ndarray, strokes: int, tokens: Sequence[HeardWord], step: float = 1.0) -> list[str]:
    """The letter of each stroke, with its number: that whose middle is next to the middle of the stroke's steps.

    owners: (steps,), the stroke of each step. tokens: spaces are no letters. step: how long one lasts in their times.
    """
    letters = [one for one in tokens if one.text.strip()]
    if not letters:
        return ["nothing"] * strokes
    middles = np.array([(one.begin + one.end) / 2 for one in letters]) / step
    found = []
    for stroke in range(strokes):
        own = np.flatnonzero(owners == stroke)
        place = int(np.abs(middles - (own.mean() + 0.5 if len(own) else 0.0)).argmin())
        found.append(f"{place + 1} {letters[place].text}")
    return found
