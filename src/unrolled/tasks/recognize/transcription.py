"""What a recogniser says of one input: its text, other texts it may be, and its words with their times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unrolled.align.ctc import CTC, Transcribed
from unrolled.align.mode import evaluating
from unrolled.data.batch.examples import Examples
from unrolled.search.likeliest import LikeliestPath
from unrolled.search.prefix import Labelling, PrefixSearch
from unrolled.tasks.batches import batches
from unrolled.tasks.recognize.coding import Coding
from unrolled.tasks.recognize.scorers import AnyScorer
from unrolled.types import Json

__all__ = ["FAR", "Clock", "HeardWord", "Hypothesis", "Transcription", "hear", "make_search"]

FAR = 12.0
"""Nats below the best at which a hypothesis is given up where scorers have to be asked about each."""


class HeardWord(NamedTuple):
    """A word, from where to where it lasts, and how sure its least sure token is, in [0, 1]."""

    text: str
    begin: float
    end: float
    confidence: float


class Hypothesis(NamedTuple):
    """A text. log_prob: log p of it in nats, as far as the beam kept its paths; of a single path, of that one alone.
    score: by which it was ranked."""

    text: str
    log_prob: float
    score: float


class Transcription(NamedTuple):
    """text: the best one. hypotheses: it and the next best ones. words: of the best one; in seconds where `seconds`
    says so, else in steps of the input. tokens: what was written one by one, such as characters, as words are."""

    text: str
    hypotheses: list[Hypothesis]
    words: list[HeardWord]
    seconds: bool
    tokens: list[HeardWord]

    def to_json(self) -> Json:
        """Plain JSON."""
        hypotheses = [one._asdict() for one in self.hypotheses]
        words = [one._asdict() for one in self.words]
        return {"text": self.text, "hypotheses": hypotheses, "words": words, "seconds": self.seconds}


class Clock(NamedTuple):
    """How long a frame lasts: in seconds, or in steps where nobody knows."""

    frame: float
    seconds: bool

    def timed(self, text: str, begin: int, end: int, confidence: float) -> HeardWord:
        """What stands in the frames begin .. end - 1."""
        return HeardWord(text, round(begin * self.frame, 6), round(end * self.frame, 6), confidence)

    def transcribed(self, coding: Coding, found: Sequence[Labelling]) -> Transcription:
        """What a search found; nothing, where nothing may be said."""
        if not found:
            return Transcription("", [], [], self.seconds, [])
        hypotheses = [Hypothesis(coding.decode(one.codes), one.log_prob, one.score) for one in found]
        words = [self.timed(*word) for word in coding.words(found[0].spelled)]
        tokens = [self.timed(coding.pieces[one.codes[0]], *one[1:]) for one in found[0].spelled]
        return Transcription(hypotheses[0].text, hypotheses, words, self.seconds, tokens)


def hear(
    net: CTC[Any],
    data: Examples[Transcribed],
    coding: Coding,
    clock: Clock,
    width: int,
    nbest: int,
    scorers: Sequence[AnyScorer],
) -> list[Transcription]:
    """What is said in each row of the data."""
    found = [clock.transcribed(coding, [])] * len(data)
    if not found:
        return found
    device = next(net.parameters()).device
    with evaluating(net):
        for rows, batch in batches(data, device):
            values, lengths, *_ = net.log_probs(batch.x)
            best = _search(values.cpu().numpy(), lengths.cpu().numpy(), width, nbest, scorers)
            for row, each in zip(rows.tolist(), best, strict=True):
                found[row] = clock.transcribed(coding, each)
    return found


def _search(
    log_probs: np.ndarray, lengths: np.ndarray, width: int, nbest: int, scorers: Sequence[AnyScorer]
) -> list[list[Labelling]]:
    """The best codes of each row of (batch, frames, size)."""
    found = []
    for row, count in zip(log_probs, lengths.tolist(), strict=True):
        search = make_search(width, scorers)
        search.push(row[:count])
        found.append(search.finish(nbest))
    return found


def make_search(width: int, scorers: Sequence[AnyScorer]) -> LikeliestPath | PrefixSearch:
    """What finds codes, all at once or as they come: the best path, or a beam."""
    if width == 1 and not scorers:
        return LikeliestPath()
    return PrefixSearch(width, threshold=FAR if scorers else np.inf, scorers=scorers)
