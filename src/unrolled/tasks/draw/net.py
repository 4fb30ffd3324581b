"""The network of a drawer: what comes next, started from what a caption says."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from unrolled.align.next import Next, Started
from unrolled.data.batch.stream import Stretch
from unrolled.nn.reading.bag import BagOfWords
from unrolled.nn.reading.pen import Hands
from unrolled.padding import Padded

__all__ = ["Drawn", "DrawingNet"]


class Drawn(NamedTuple):
    """Drawings step by step, and what each is called.

    x (batch, time, ...): what is read before each step; target (batch, time) codes or (batch, time, numbers): the step.
    words: codes of the words of each caption; None where drawings have none.
    """

    x: Tensor
    target: Tensor
    lengths: Tensor
    words: Padded | None = None


class DrawingNet(nn.Module):
    """`Next` over the steps of drawings, started from the vector of their captions.

    bag: makes the vector of a caption, as wide as `Next` takes; None: drawings start from nothing. hands: how the moves
    of training are varied; None: not at all.
    """

    def __init__(self, next: Next[Any], bag: BagOfWords | None = None, hands: Hands | None = None) -> None:
        super().__init__()
        self.next, self.bag, self.hands = next, bag, hands

    def loss(self, batch: Drawn, state: Any = None) -> tuple[Tensor, Tensor, Any]:
        """As `Next.loss`."""
        return self.next.loss(self._started(batch), state)

    def score(self, batch: Drawn) -> Tensor:
        """log p of each step, (batch, time)."""
        return self.next.score(self._started(batch))

    def begin(self, words: Tensor | None) -> Any:
        """The state before the first step of one drawing; words (n,): the codes of its caption, None without one."""
        if self.bag is None:
            return self.next.begin(1)
        if words is None:
            words = torch.zeros(0, dtype=torch.long)
        words = words.to(next(self.parameters()).device)
        padded = torch.cat([words, words.new_zeros(1)])[None]
        return self.next.begin(1, self.bag(Padded(padded, torch.tensor([len(words)], device=words.device))))

    def advance(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """What the head reads of one more step x (batch, ...), and the state after it."""
        y, state = self.next.encoder.step(self.next.reader(x), state)
        return y, state

    def _started(self, batch: Drawn) -> Started | Stretch:
        x, target = batch.x, batch.target
        if self.training and self.hands is not None:
            x, target = self.hands(x, target)
        if self.bag is None or batch.words is None:
            return Stretch(x, target, batch.lengths)
        return Started(x, target, batch.lengths, self.bag(batch.words))
