"""Prefix beam search: the likeliest codes under connectionist temporal classification, all at once or as they come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from unrolled.check import check_size
from unrolled.errors import OptionError, ShapeError
from unrolled.fields.text import BLANK
from unrolled.search.fusion import Scorer
from unrolled.search.paths import Spelled, as_frames, as_rows
from unrolled.search.traces import Trace, first_trace
from unrolled.search.tree import Tree

__all__ = ["Labelling", "PrefixSearch", "SoFar", "prefix_search"]

# Frames after which a search looks for what it need not keep.
TIDY = 32
# The node of a prefix that is not in the beam.
NOWHERE = -1


class Labelling(NamedTuple):
    """Codes that a search found.

    log_prob: log p of the codes, summed over the paths that the beam kept, in nats. score: what they were ranked by:
    log_prob, and what the scorers add. spelled: each code with its frames and how sure it is, on the best of them.
    """

    codes: tuple[int, ...]
    log_prob: float
    score: float
    spelled: list[Spelled]


class SoFar(NamedTuple):
    """What is said so far. stable: what no later frame can change; rest: what now seems to follow it."""

    stable: tuple[int, ...]
    rest: tuple[int, ...]


class _Prefix:
    """Codes, what the scorers have added for them, their states, and what they say of the codes asked of so far.

    node: of the codes, in the tree of those of the beam; of a prefix that is not in the beam it says nothing.
    """

    __slots__ = ("added", "ahead", "last", "node", "scorers", "states")

    def __init__(
        self, node: int, last: int, added: float, scorers: Sequence[Scorer[Any]], states: tuple[Any, ...]
    ) -> None:
        self.node, self.last, self.added, self.scorers, self.states = node, last, added, scorers, states
        self.ahead: dict[int, _Prefix] = {}

    def at(self, node: int) -> _Prefix:
        """The prefix, now in the beam."""
        self.node = node
        return self

    def then(self, code: int) -> _Prefix:
        """The prefix with one more code. It is kept, for the same will be asked at the next frame."""
        found = self.ahead.get(code)
        if found is None:
            added, states = self.added, []
            for scorer, state in zip(self.scorers, self.states, strict=True):
                value, after = scorer.score(state, code)
                added += value
                states.append(after)
            found = self.ahead[code] = _Prefix(NOWHERE, code, added, self.scorers, tuple(states))
        return found

    def finished(self) -> float:
        """What the scorers add when nothing more comes."""
        return sum((scorer.end(one) for scorer, one in zip(self.scorers, self.states, strict=True)), self.added)


class PrefixSearch:
    """The likeliest codes, found frame by frame; whatever pieces the frames come in, the result is the same.

        p(codes) = p_blank + p_code             paths that end in a blank, and in the last code: summed apart, since
                                                the same code again is another one behind a blank alone
        score    = log p(codes) + the sum of what the scorers say

    After every frame the `width` prefixes with the highest scores survive. With a beam as wide as there are prefixes,
    log p and ranking are exact; with a narrower one log p is at most the true one.

    Args:
        width: prefixes in the beam, at least 1.
        threshold: above 0: prefixes whose score is this far below the best are dropped, and no scorer is asked about a
            code that falls so far behind by log p alone.
        scorers: see `Scorer`; none: log p alone.

    Each prefix carries the best of the paths that the beam kept for it, which say where its codes stand: with a beam as
    wide as there are prefixes that is the path of `path_of`. So no frame is kept, and what prefixes begin with is kept
    once: a search may go on for ever, takes memory for what is said alone, and no more time for a frame as it lasts.

    Source: Graves et al. 2006, section 3.2; in this form Hannun et al. 2014, arXiv:1408.2873, algorithm 1. Difference:
    all scores are logarithms, and the language model is asked for each code, or what a `Scorer` makes of it.

    >>> search = PrefixSearch(width=8)
    >>> search.push(np.log([[0.6, 0.4], [0.6, 0.4]]))
    SoFar(stable=(), rest=(1,))
    >>> [(found.codes, round(math.exp(found.log_prob), 2)) for found in search.finish(2)]
    [((1,), 0.64), ((), 0.36)]
    """

    def __init__(self, width: int = 16, *, threshold: float = math.inf, scorers: Sequence[Scorer[Any]] = ()) -> None:
        self.width = check_size("PrefixSearch", "width", width)
        if not threshold > 0:
            raise OptionError(f"PrefixSearch: threshold must be a number above 0, got {threshold!r}; inf drops none.")
        self.threshold = threshold
        states = tuple(scorer.begin() for scorer in scorers)
        # Trees of the codes of the beam and of their places, and what was all of theirs, which is in no tree any more.
        self._codes, self._places = Tree[int](), Tree[Spelled]()
        self._stable, self._dated = tuple[int, ...](), list[Spelled]()
        self._beam = [_Prefix(self._codes.root, BLANK, 0.0, tuple(scorers), states)]
        self._traces = [first_trace(self._places)]
        self._blank, self._code = np.zeros(1), np.full(1, -np.inf)
        self._time, self._size = 0, 0
        self._hold(self._beam, self._traces)

    def push(self, log_probs: np.ndarray | Tensor) -> SoFar:
        """The next frames (frames, size), none of them too; what is said so far."""
        frames = as_frames("PrefixSearch", log_probs)
        if self._size and frames.shape[1] != self._size:
            raise ShapeError(
                f"PrefixSearch: frames must have {self._size} codes like those before, got {frames.shape[1]}; begin a "
                "new search for another model."
            )
        self._size = frames.shape[1]
        for frame in frames:
            self._advance(frame)
        self._settle()
        return SoFar(self._stable, tuple(self._codes.path(self._beam[0].node))) if self._beam else SoFar((), ())

    def finish(self, nbest: int = 1) -> list[Labelling]:
        """The best codes if nothing more comes, best first; fewer, or none, where the scorers allow no more.

        nbest: at most the width. The search is left as it is, and may go on.
        """
        if check_size("PrefixSearch", "nbest", nbest) > self.width:
            raise OptionError(f"PrefixSearch: nbest must be at most width={self.width}, got {nbest}; widen the beam.")
        log_probs = np.logaddexp(self._blank, self._code).tolist()
        ends = [one.finished() for one in self._beam]
        places = [place for place, end in enumerate(ends) if end > -np.inf]
        # The sort is stable: of equal scores the one that led during the search goes first.
        places.sort(key=lambda place: -(log_probs[place] + ends[place]))
        return [
            Labelling(
                (*self._stable, *self._codes.path(one.node)),
                log_probs[place],
                log_probs[place] + ends[place],
                [*self._dated, *self._traces[place].ended(self._places, one.last, self._time)],
            )
            for place in places[:nbest]
            for one in [self._beam[place]]
        ]

    def _advance(self, frame: np.ndarray) -> None:
        """One frame (size,): every prefix stays as it is or grows by a code; the best of all are the next beam."""
        if not self._beam:
            return
        count, last = len(self._beam), [one.last for one in self._beam]
        total = np.logaddexp(self._blank, self._code)
        blank, code = total + frame[BLANK], self._code + frame[last]
        grown = total[:, None] + frame
        grown[np.arange(count), last] = self._blank + frame[last]
        grown[:, BLANK] = -np.inf
        shorter = self._merge(code, grown)
        added = np.array([one.added for one in self._beam])
        scores = np.concatenate([(np.logaddexp(blank, code) + added), (grown + added[:, None]).ravel()])
        if self._beam[0].scorers:
            self._ask(scores, grown)
        self._keep(_best(scores, self.width, self.threshold), frame.tolist(), shorter, blank, code, grown)
        self._time += 1
        if self._time % TIDY == 0:
            self._settle()
            self._forget()

    def _merge(self, code: np.ndarray, grown: np.ndarray) -> list[int | None]:
        """A prefix that grows into another one of the beam adds to that one's mass; the place of it for each."""
        places = {one.node: place for place, one in enumerate(self._beam)}
        found = [places.get(self._codes.above(one.node)) for one in self._beam]
        for place, (shorter, one) in enumerate(zip(found, self._beam, strict=True)):
            if shorter is not None:
                code[place] = np.logaddexp(code[place], grown[shorter, one.last])
                grown[shorter, one.last] = -np.inf
        return found

    def _ask(self, scores: np.ndarray, grown: np.ndarray) -> None:
        """Add what the scorers say of each code by which a prefix may grow."""
        count, size = grown.shape
        worth = (scores > -np.inf) & (scores >= scores.max() - self.threshold)
        scores[count:][~worth[count:]] = -np.inf
        for place in np.flatnonzero(worth[count:]).tolist():
            parent, code = divmod(place, size)
            scores[count + place] = grown[parent, code] + self._beam[parent].then(code).added

    def _keep(
        self, chosen: list[int], frame: list[float], shorter: list[int | None],
        blank: np.ndarray, code: np.ndarray, grown: np.ndarray,
    ) -> None:  # fmt: skip
        """The prefixes chosen, by their place among those that stay and then those that grow."""
        count, size = grown.shape
        beam, traces, blanks, codes = list[_Prefix](), list[Trace](), list[float](), list[float]()
        for place in chosen:
            if place < count:
                one, before = self._beam[place], shorter[place]
                way = None if before is None else (self._traces[before], self._beam[before].last)
                beam.append(one)
                traces.append(self._traces[place].stay(self._places, frame, one.last, self._time, way))
                blanks.append(blank[place])
                codes.append(code[place])
            else:
                parent, new = divmod(place - count, size)
                one = self._beam[parent]
                beam.append(one.then(new).at(self._codes.grow(one.node, new)))
                traces.append(self._traces[parent].grow(self._places, frame, one.last, new, self._time))
                blanks.append(-np.inf)
                codes.append(grown[parent, new])
        self._hold(beam, traces)
        for one, trace in zip(self._beam, self._traces, strict=True):
            self._codes.release(one.node)
            trace.release(self._places)
        self._beam, self._traces, self._blank, self._code = beam, traces, np.array(blanks), np.array(codes)

    def _hold(self, beam: list[_Prefix], traces: list[Trace]) -> None:
        for one, trace in zip(beam, traces, strict=True):
            self._codes.hold(one.node)
            trace.hold(self._places)

    def _settle(self) -> None:
        """Keep once what all prefixes share: codes, and where they stand."""
        codes = self._codes.settle()
        if codes:
            self._stable += tuple(codes)
        self._dated += self._places.settle()

    def _forget(self) -> None:
        """Leave out what was asked of prefixes that have left the beam."""
        kept = set(map(id, self._beam))
        for one in self._beam:
            for other in one.ahead.values():
                if id(other) not in kept:
                    other.ahead.clear()


def _best(scores: np.ndarray, width: int, threshold: float) -> list[int]:
    """The places of the `width` highest scores, highest first, of equal ones the earlier; the impossible left out."""
    worth = (scores > -np.inf) & (scores >= scores.max() - threshold)
    places = np.flatnonzero(worth)
    if len(places) > width:
        least = np.partition(scores[places], -width)[-width]
        places = places[scores[places] >= least]
    best: list[int] = places[np.argsort(-scores[places], kind="stable")][:width].tolist()
    return best


def prefix_search(
    log_probs: np.ndarray | Tensor,
    lengths: Sequence[int] | np.ndarray | Tensor | None = None,
    *,
    width: int = 16,
    nbest: int = 1,
    threshold: float = math.inf,
    scorers: Sequence[Scorer[Any]] = (),
) -> list[list[Labelling]]:
    """`PrefixSearch` on each row of log_probs (batch, frames, size), lengths (batch,): its best codes, best first."""
    found = []
    for frames in as_rows("prefix_search", log_probs, lengths):
        search = PrefixSearch(width, threshold=threshold, scorers=scorers)
        search.push(frames)
        found.append(search.finish(nbest))
    return found
