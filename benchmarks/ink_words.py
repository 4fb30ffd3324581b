"""Omniglot's characters by their drawers, and words of letters of one hand, laid out on one base line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from common import data_folder

from unrolled.data.read.ink import omniglot_drawer, omniglot_label, read_drawings
from unrolled.errors import DataError, suggest
from unrolled.fields.ink import Drawing, measured, restroked, varied

__all__ = ["Hands", "lay_out", "omniglot_parts", "written_words"]

Hands: TypeAlias = tuple[list[Drawing], list[str], list[str]]
"""Drawings, the character of each, and who drew it."""

# How much a letter is changed at most, as in the trials of docs/tasks.md.
OTHER = {"degrees": 8.0, "shear": 0.2, "stretch": 0.25, "jitter": 0.0, "thin": 0.0}


def omniglot_parts(*alphabets: str) -> dict[str, Hands]:
    """Drawings, characters and drawers of Omniglot's first small set by part: 1-14 train, 15-16 valid, 17-20 test."""
    whole = read_drawings(
        data_folder("omniglot_strokes") / "strokes_background_small1.zip", label=omniglot_label, times="none"
    )
    parts: dict[str, Hands] = {part: ([], [], []) for part in ("train", "valid", "test")}
    for drawing, label, name in zip(whole.values, whole.labels or [], whole.places.files or (), strict=True):
        if not alphabets or label.partition("/")[0] in alphabets:
            drawer = omniglot_drawer(name)
            drawings, labels, drawers = parts["train" if int(drawer) < 15 else "valid" if int(drawer) < 17 else "test"]
            drawings.append(drawing)
            labels.append(label)
            drawers.append(drawer)
    return parts


def written_words(part: Hands, count: int, seed: int, *, vary: bool = False) -> tuple[list[Drawing], list[str]]:
    """Words of three to eight Latin letters, each in one hand; vary: each letter a little other than it was drawn."""
    random, hands = np.random.default_rng(seed), dict[str, dict[str, list[Drawing]]]()
    for drawing, label, drawer in zip(*part, strict=True):
        letter = chr(ord("a") + int(label.partition("character")[2]) - 1)
        hands.setdefault(drawer, {}).setdefault(letter, []).append(drawing)
    drawings, words = list[Drawing](), list[str]()
    for _ in range(count):
        glyphs = hands[sorted(hands)[int(random.integers(len(hands)))]]
        word = "".join(random.choice(sorted(glyphs), int(random.integers(3, 9))).tolist())
        drawings.append(lay_out(word, glyphs, random, vary=vary)[0])
        words.append(word)
    return drawings, words


def lay_out(
    word: str,
    glyphs: Mapping[str, Sequence[Drawing]],
    random: np.random.Generator,
    *,
    gap: tuple[float, float] = (0.1, 0.3),
    wait: float = 0.3,
    vary: bool = False,
) -> tuple[Drawing, str]:
    """A word as one drawing, and the word: of each letter one of its drawings, drawn evenly.

    Letters keep their sizes. The lowest points of all stand on the line y = 0, the first begins at x = 0, and between
    the boxes of two letters is a gap, drawn evenly from `gap`, in the median size of all the drawings. A space is a
    gap of one size. Where letters have times, each begins `wait` seconds after the one before. vary: each letter is
    turned, slanted and stretched a little, and some of its strokes are drawn in another order or from their ends.

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
        if vary:
            drawing = restroked(varied(drawing, random, **OTHER), random)
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
