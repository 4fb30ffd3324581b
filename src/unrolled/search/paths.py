"""Paths over frames: the best of all, the best that spells given codes, and when nothing more is said.

A path has one code or blank (code 0) a frame; joined repeats without blanks are what it spells.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from torch import Tensor

from unrolled.check import check_size
from unrolled.errors import DataError, LengthsError, NonFiniteError, ShapeError, listed
from unrolled.fields.text import BLANK
from unrolled.search.step import SLACK

__all__ = ["EndPoint", "Spelled", "as_frames", "as_rows", "best_path", "path_of", "split_words"]


class Spelled(NamedTuple):
    """A code or a word, and where it is said.

    codes: one, or those of a word. begin, end: its frames are begin .. end - 1. confidence: of a code, the mean of its
    probability over its frames; of a word, that of its least sure code.
    """

    codes: tuple[int, ...]
    begin: int
    end: int
    confidence: float


def as_frames(owner: str, log_probs: np.ndarray | Tensor, ndim: int = 2) -> np.ndarray:
    """Log-probabilities (frames, size), or (batch, frames, size), in float64 on the CPU, checked."""
    given = log_probs.detach().cpu().double().numpy() if isinstance(log_probs, Tensor) else np.asarray(log_probs)
    if given.ndim != ndim or given.shape[-1] < 1:
        raise ShapeError(
            f"{owner}: log-probabilities must be ({'batch, ' * (ndim - 2)}frames, size), got {given.shape}; "
            "give one row of them for each frame."
        )
    if given.size and not given.max() <= SLACK:
        place = tuple(np.argwhere(~(given <= SLACK))[0].tolist())
        raise NonFiniteError(
            f"{owner}: log-probabilities must be numbers of at most 0, got {given[place]} for code {place[-1]} in "
            f"frame {place[-2]}; apply log_softmax to finite scores."
        )
    return np.minimum(given.astype(np.float64), 0)


def as_rows(
    owner: str, log_probs: np.ndarray | Tensor, lengths: Sequence[int] | np.ndarray | Tensor | None
) -> list[np.ndarray]:
    """Log-probabilities (batch, frames, size) row by row, each with its own frames: (batch,), None: all are full."""
    rows = as_frames(owner, log_probs, 3)
    counts = [rows.shape[1]] * len(rows) if lengths is None else [int(n) for n in lengths]
    if len(counts) != len(rows) or not all(0 <= n <= rows.shape[1] for n in counts):
        raise LengthsError(
            f"{owner}: lengths must be {len(rows)} integers in 0..{rows.shape[1]}, one a row, got {listed(counts)}."
        )
    return [row[:n] for row, n in zip(rows, counts, strict=True)]


def best_path(
    log_probs: np.ndarray | Tensor, lengths: Sequence[int] | np.ndarray | Tensor | None = None
) -> list[list[Spelled]]:
    """The codes of the most likely path of each row, one `Spelled` a code; of equal codes in a frame the lowest.

    It is the path that is the most likely, not the codes: other codes may have more paths, which `PrefixSearch` sums.

    log_probs: (batch, frames, size). lengths: (batch,) frames a row; None: all are full.

    Source: Graves et al. 2006, "Connectionist temporal classification", section 3.2.

    >>> [codes] = best_path(np.log([[[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]]))
    >>> [(one.codes, one.begin, one.end, round(one.confidence, 2)) for one in codes]
    [((1,), 0, 2, 0.85), ((1,), 3, 4, 0.7)]
    """
    return [_spelled(row, row.argmax(1)) for row in as_rows("best_path", log_probs, lengths)]


def path_of(log_probs: np.ndarray | Tensor, codes: Sequence[int]) -> list[Spelled]:
    """The codes given, one `Spelled` each, where the most likely path that spells them says them.

    log_probs: (frames, size). Raises DataError for codes that no path of so many frames spells.

    >>> frames = np.log([[0.1, 0.9], [0.6, 0.4], [0.2, 0.8]])
    >>> [[(one.begin, one.end) for one in path_of(frames, codes)] for codes in ([1], [1, 1])]
    [[(0, 3)], [(0, 1), (2, 3)]]
    """
    frames = as_frames("path_of", log_probs)
    size = frames.shape[1]
    wrong = [code for code in codes if not 1 <= code < size]
    if wrong:
        raise DataError(f"path_of: every code must lie in 1..{size - 1}, got {wrong[0]}; leave blanks out.")
    needed = len(codes) + sum(one == other for one, other in pairwise(codes))
    if needed > len(frames):
        raise DataError(f"path_of: there are {len(frames)} frames, but {len(codes)} codes need {needed}; give fewer.")
    # A place is one of the codes or of the blanks around them; a path stays, goes on, or leaps over a blank.
    places = np.zeros(2 * len(codes) + 1, np.int64)
    places[1::2] = codes
    emitted = frames[:, places]
    path = _best_places(emitted, places)
    if emitted[np.arange(len(path)), path].sum() == -np.inf:
        raise DataError(
            f"path_of: no path that spells the {len(codes)} codes is possible; give codes that a search found."
        )
    return _spelled(frames, places[path], path)


def _best_places(emitted: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The best path (frames,) through places, each frame of which emits (frames, places)."""
    if not len(emitted):
        return np.zeros(0, np.int64)
    leaps = np.zeros(len(places), bool)
    leaps[2:] = (places[2:] != BLANK) & (places[2:] != places[:-2])
    best = np.full(len(places), -np.inf)
    best[:2] = emitted[0, :2]
    moves = np.zeros(emitted.shape, np.int64)
    for t in range(1, len(emitted)):
        ways = np.full((3, len(places)), -np.inf)
        ways[0], ways[1, 1:] = best, best[:-1]
        ways[2, 2:] = np.where(leaps[2:], best[:-2], -np.inf)
        moves[t] = ways.argmax(0)
        best = ways.max(0) + emitted[t]
    place = len(places) - 1
    if place and best[place - 1] >= best[place]:
        place -= 1
    path = [place]
    for t in range(len(emitted) - 1, 0, -1):
        path.append(path[-1] - int(moves[t, path[-1]]))
    return np.array(path[::-1], np.int64)


def _spelled(frames: np.ndarray, path: np.ndarray, places: np.ndarray | None = None) -> list[Spelled]:
    """What a path (frames,) of codes spells; places: frames of one code that are of different places are two codes."""
    runs = path if places is None else places
    edges = np.flatnonzero(np.diff(runs)) + 1
    spans = zip([0, *edges.tolist()], [*edges.tolist(), len(path)], strict=True) if len(path) else ()
    return [
        Spelled((int(path[begin]),), begin, end, float(np.exp(frames[begin:end, path[begin]]).mean()))
        for begin, end in spans
        if path[begin] != BLANK
    ]


def split_words(codes: Sequence[Spelled], separators: Collection[int]) -> list[Spelled]:
    """Codes joined to words, which separators part; a word lasts from its first code's begin to its last one's end.

    >>> split_words([Spelled((2,), 0, 1, 0.9), Spelled((3,), 4, 5, 0.8), Spelled((1,), 6, 7, 1.0)], {1})
    [Spelled(codes=(2, 3), begin=0, end=5, confidence=0.8)]
    """
    words: list[list[Spelled]] = [[]]
    for code in codes:
        if code.codes[0] in separators:
            words.append([])
        else:
            words[-1].append(code)
    return [
        Spelled(
            tuple(code for one in word for code in one.codes),
            word[0].begin,
            word[-1].end,
            min((one.confidence for one in word), default=math.nan),
        )
        for word in words
        if word
    ]


class EndPoint:
    """Says when an utterance is over: something was said, and then blanks were the most likely `least` frames in a row.

    >>> end, said, silent = EndPoint(2), np.log([[0.1, 0.9]]), np.log([[0.9, 0.1]])
    >>> [end.push(frames) for frames in (silent, silent, said, silent, said, silent, silent, said)]
    [None, None, None, None, None, None, 7, 7]
    """

    def __init__(self, least: int) -> None:
        self.least = check_size("EndPoint", "least", least)
        self.frames = self.blanks = 0
        self.spoken = False
        self.over: int | None = None

    def push(self, log_probs: np.ndarray | Tensor) -> int | None:
        """The next frames (frames, size); how many, counted from the first of all, are the utterance; None: all yet."""
        for code in as_frames("EndPoint", log_probs).argmax(1).tolist():
            if self.over is not None:
                break
            self.frames += 1
            self.spoken = self.spoken or code != BLANK
            self.blanks = self.blanks + 1 if code == BLANK else 0
            if self.spoken and self.blanks >= self.least:
                self.over = self.frames
        return self.over
