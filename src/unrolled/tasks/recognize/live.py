"""Recognition while it is said: pieces come in, what is sure and what is likely comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from unrolled.align.ctc import CTC
from unrolled.align.mode import evaluating
from unrolled.errors import NotStreamable, OptionError
from unrolled.inputs.input import LiveFront
from unrolled.padding import Padded
from unrolled.search.paths import EndPoint
from unrolled.search.prefix import SoFar
from unrolled.tasks.recognize.coding import Coding, Writing
from unrolled.tasks.recognize.scorers import AnyScorer
from unrolled.tasks.recognize.transcription import Clock, Transcription, make_search

__all__ = ["LiveRecognition", "LiveText"]


class LiveText(NamedTuple):
    """What is said so far. stable: what nothing that comes can change; rest: what now seems to follow it. over: whether
    something was said and then nothing for the pause that was asked for."""

    stable: str
    rest: str
    over: bool


class LiveRecognition:
    """One input after another, each in pieces of any size: whatever the pieces are, the text is that of the whole.

    `Recognizer.stream` makes it. What is kept is the encoder's state, the beam, what has been said and the few steps
    that the reader must see again; nothing else is, so that a stream may last.

    stride: steps that are read at once. after: steps that follow the last one. pause: frames of nothing, after
    something was said, that end an utterance; None: nothing ends it.
    """

    def __init__(
        self,
        net: CTC[Any],
        front: LiveFront,
        coding: Coding,
        clock: Clock,
        width: int,
        nbest: int,
        scorers: Sequence[AnyScorer],
        *,
        stride: int,
        after: int,
        pause: int | None,
    ) -> None:
        if not net.streamable:
            raise NotStreamable(
                "stream: this model reads both ways, so it needs the whole recording before it says a word; fit it "
                "with streaming=True, which makes more errors, or call transcribe() on whole ones."
            )
        if pause is not None and pause < 1:
            raise OptionError("stream: pause must be above 0, or None where nothing ends an utterance.")
        self._net, self._front, self._coding, self._clock = net, front, coding, clock
        self._width, self._nbest, self._scorers = width, nbest, tuple(scorers)
        self._stride, self._after, self._pause = stride, after, pause
        # Steps that the reader must see again, as whole frames.
        self._context = -(-(net.reader.context or 0) // stride) * stride
        self._begin()

    def _begin(self) -> None:
        self._state = self._net.begin(1)
        self._search = make_search(self._width, self._scorers)
        self._end = None if self._pause is None else EndPoint(self._pause)
        self._left, self._before, self._begun = np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32), False
        self._writing, self._said, self._over = Writing(self._coding), SoFar((), ()), False

    def push(self, piece: np.ndarray) -> LiveText:
        """The next piece: samples (n,) of sound at the model's rate, rows (n, channels) of a series; n may be 0."""
        steps = self._joined(self._front.push(piece))
        whole = len(steps) // self._stride * self._stride
        self._left = steps[whole:]
        self._take(steps[:whole])
        return self._text()

    def finish(self) -> Transcription:
        """All that was said, as `transcribe` says it of the whole; what is pushed then begins another utterance."""
        last = self._joined(self._front.flush())
        # What never began has no time after its end.
        self._take(np.pad(last, ((0, self._after if self._begun else 0), (0, 0))))
        with evaluating(self._net):
            found = self._clock.transcribed(self._coding, self._search.finish(self._nbest))
        self._begin()
        return found

    def _joined(self, steps: np.ndarray) -> np.ndarray:
        """The steps that were left before, and these."""
        self._begun = self._begun or len(steps) > 0
        return np.concatenate([self._left, steps]) if len(self._left) else steps

    def _take(self, steps: np.ndarray) -> None:
        if not len(steps):
            return
        weight, seen = self._net.head.weight, len(self._before) // self._stride
        steps = np.concatenate([self._before, steps]) if seen else steps
        self._before = steps[len(steps) - min(len(steps), self._context) :]
        values = torch.from_numpy(np.ascontiguousarray(steps)).to(weight)[None]
        with evaluating(self._net):
            frames, self._state = self._net.step(Padded(values, torch.tensor([len(steps)])), self._state, seen=seen)
            log_probs = frames.values[0].cpu().numpy()
            self._said = self._search.push(log_probs)
        if self._end is not None:
            self._over = self._end.push(log_probs) is not None

    def _text(self) -> LiveText:
        stable, rest = self._said
        return LiveText(*self._writing.follow(stable, rest), self._over)
