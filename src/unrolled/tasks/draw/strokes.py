"""Strokes as drawings: where the pen goes next, and what it does there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import DataError
from unrolled.fields.ink import Drawing, Ink
from unrolled.heads.pen import PenHead
from unrolled.nn.reading.pen import Hands, MoveReader
from unrolled.tasks.draw.medium import Medium
from unrolled.tasks.draw.options import DrawerOptions

__all__ = ["Strokes"]

UP, END = 1, 2
QUARTERS = 4.0
# What is read before the first point: as if a drawing had just ended.
BEGIN = np.array([[0.0, 0.0, END]], np.float32)


class Strokes(Medium[Drawing]):
    """Drawings of a pen: each point is a step of dx, dy and what the pen does after it: it stays, leaves, or is done.

    Where a drawing begins is free, so its first point has no move: what the pen does after it is all that is learned.
    """

    name, said, unit = "ink", "drawings", "point"
    encoder: ClassVar[Mapping[str, object]] = {"cell": "lstm", "hidden_size": 256}
    training: ClassVar[Mapping[str, object]] = {"learning_rate": 2e-3, "epochs": 30, "batch_size": 64}
    dropout = 0.1
    field: Ink

    @classmethod
    def fit(cls, values: Sequence[Drawing], options: DrawerOptions) -> Ink:
        return Ink.fit(values, "training", distance=options.pen.distance)

    def steps(self, value: Drawing) -> tuple[np.ndarray, np.ndarray]:
        moves = self._moves(value)
        come = moves.copy()
        come[0, :2] = np.nan
        read = np.concatenate([BEGIN, moves[:-1]])
        # Sums in float64 of what is told in float32: the same as they come one by one.
        places = np.cumsum(read[:, :2], axis=0, dtype=np.float64) * self._near
        return np.concatenate([read, places], axis=1, dtype=np.float32), come

    def reader(self, options: DrawerOptions) -> MoveReader:
        return MoveReader(places=options.pen.places)

    def head(self, features: int, options: DrawerOptions) -> PenHead:
        return PenHead(features, options.pen.mixtures, floor=options.pen.floor)

    def hands(self, options: DrawerOptions) -> Hands | None:
        pen = options.pen
        if not (pen.pen_degrees or pen.pen_slant or pen.pen_stretch):
            return None
        return Hands(degrees=pen.pen_degrees, slant=pen.pen_slant, stretch=pen.pen_stretch)

    def draw(self, head: PenHead, y: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        return head.choose(y, generator, temperature=temperature)

    def course(self, begun: Drawing | None, limit: int | None) -> Sketch:
        if begun is None:
            return Sketch(self.field, np.zeros((0, 3), np.float32), np.zeros(2), self._near, limit)
        moves = self._moves(begun)
        # Whoever goes on from a drawing has lifted the pen.
        moves[-1, 2] = UP
        return Sketch(self.field, moves, np.asarray(begun[0], np.float64)[0, :2], self._near, limit)

    def given(self, begun: Drawing) -> int:
        return len(begun)

    def counted(self, steps: np.ndarray) -> int:
        """The moves: where drawings begin there is none."""
        return int(np.isfinite(steps[:, 0]).sum())

    def scored(self, nats: float, count: int, deviation: float) -> float:
        # A density of moves in deviations is higher by the square of what one deviation is.
        return nats / count - 2 * math.log(deviation)

    def spread(self, steps: np.ndarray) -> float:
        moves = steps[np.isfinite(steps[:, 0]), :2].astype(np.float64)
        return float(moves.std()) if moves.size and moves.any() else 1.0

    def in_units(self, deviation: float) -> float | None:
        return deviation * self.field.spread * self.field.size

    @property
    def _near(self) -> float:
        """What makes places of sums of moves: in quarters of the size of a drawing, so that they are about 1."""
        return QUARTERS * self.field.spread

    def _moves(self, value: Drawing) -> np.ndarray:
        """(points, 3) float32: the move to each point, and what the pen does after it."""
        moves = self.field.encode(value)
        if not len(moves):
            raise DataError("Drawer: expected a drawing of one point at least, got none; leave it out.")
        moves[-1, 2] = END
        return moves


class Sketch:
    """One drawing on its way, from its first points or from nothing."""

    def __init__(self, field: Ink, moves: np.ndarray, origin: np.ndarray, near: float, limit: int | None) -> None:
        self._field, self._origin, self._near, self._place = field, origin, near, np.zeros(2)
        self._moves = [torch.from_numpy(BEGIN)]
        self.given = list(torch.from_numpy(moves[:, None]))
        self._end = math.inf if limit is None else 1 + len(moves) + limit

    @property
    def over(self) -> bool:
        ended = len(self._moves) > 1 and int(self._moves[-1][0, 2]) == END
        return ended or len(self._moves) >= self._end

    def read(self) -> Tensor:
        place = torch.tensor(self._place * self._near, dtype=torch.float32)
        return torch.cat([self._moves[-1], place[None]], 1)

    def add(self, step: Tensor) -> None:
        step = step.cpu()
        # The first point stands where the drawing begins, whatever move is drawn for it.
        self._moves.append(step if len(self._moves) > 1 else torch.cat([torch.zeros(1, 2), step[:, 2:]], 1))
        self._place = self._place + self._moves[-1][0, :2].numpy().astype(np.float64)

    def drawing(self) -> Drawing:
        """Strokes from where they were begun, or from (0, 0), of the size of the training part."""
        strokes = self._field.decode(torch.cat(self._moves[1:]).numpy())
        return [stroke + self._origin for stroke in strokes]
