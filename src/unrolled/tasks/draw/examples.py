"""Drawings as examples for training and for scores: what is read, what comes, and what each is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from unrolled.data.batch.examples import CodeColumn, Examples, PaddedColumn, TagColumn
from unrolled.data.batch.ragged import Ragged
from unrolled.tasks.batches import per_row
from unrolled.tasks.draw.medium import Medium
from unrolled.tasks.draw.net import DrawingNet, Drawn

__all__ = ["DrawingScores", "examples_of", "silent", "steps_of"]


def steps_of(medium: Medium[Any], values: Sequence[Any]) -> tuple[Ragged, Ragged]:
    """What is read before each step of drawings, and the steps."""
    read, steps = (Ragged.from_list(part) for part in zip(*map(medium.steps, values), strict=True))
    return read, steps


def examples_of(read: Ragged, steps: Ragged, words: Ragged | None) -> Examples[Drawn]:
    """Drawings by their steps; words: the codes of what each is called, None where that is not learned."""
    columns = (TagColumn(read), TagColumn(steps), CodeColumn(steps.lengths))
    return Examples(Drawn, (*columns, None if words is None else PaddedColumn(words)), steps.lengths)


def silent(count: int) -> Ragged:
    """So many captions without a word."""
    return Ragged(np.zeros(0, np.int64), np.zeros(count + 1, np.int64))


class DrawingScores:
    """How likely drawings are, each called as any of them is.

    read, steps, words: as in `examples_of`, of all drawings.
    """

    def __init__(self, net: DrawingNet, read: Ragged, steps: Ragged, words: Ragged | None) -> None:
        self._net, self._read, self.steps, self._words = net, read, steps, words

    def __call__(self, rows: np.ndarray, called: np.ndarray | None) -> np.ndarray:
        """log p of drawings by their rows, each called as the drawing of another row is; None: called nothing."""
        words = None if self._words is None else silent(len(rows)) if called is None else self._words.select(called)
        data = examples_of(self._read.select(rows), self.steps.select(rows), words)
        return np.array(per_row(data, self._net, lambda batch: self._net.score(batch).sum(1)), np.float64)
