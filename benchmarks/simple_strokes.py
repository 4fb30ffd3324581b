"""A simple baseline of drawings: the next move from the two before it and from what the pen did last."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["move_nats"]


def move_nats(train: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> float:
    """Nats a point of the test drawings, by what the pen did last: linear regression on the two last moves and on what
    it did before that, with one Gaussian, and how often it is lifted then.

    Each drawing is rows of dx, dy and 1 where the pen is lifted after it; before the first stand zeros, the pen lifted.
    Moves are divided by the deviation of all of the training part.
    """
    deviation = np.concatenate(train)[:, :2].astype(float).std()
    learned, asked = (_parts(part, deviation) for part in (train, test))
    total = 0.0
    for was in {*asked[3].tolist()}:
        (known, moves, pens), (given, truth, lifted) = (
            [part[each[3] == was] for part in each[:3]] for each in (learned, asked)
        )
        weights = np.linalg.lstsq(known, moves, rcond=None)[0]
        rest = moves - known @ weights
        spread = rest.T @ rest / len(rest)
        off = truth - given @ weights
        squares = np.einsum("ni,ij,nj->n", off, np.linalg.inv(spread), off)
        # One more of each kind, so that nothing is impossible.
        lift = (pens.sum() + 1) / (len(pens) + 2)
        total -= (squares / 2).sum() + len(off) * (math.log(np.linalg.det(spread)) / 2 + math.log(2 * math.pi))
        total += lifted.sum() * math.log(lift) + (len(lifted) - lifted.sum()) * math.log(1 - lift)
    return float(-total / len(asked[3]))


def _parts(drawings: Sequence[np.ndarray], deviation: float) -> tuple[np.ndarray, ...]:
    """The two last moves, the pen before the last and a one for each point; its move, the pen after it, and before."""
    known, moves, pens, before = [], [], [], []
    for rows in drawings:
        scaled = np.concatenate([np.zeros((2, 2)), rows[:, :2] / deviation])
        lifted = np.concatenate([[1, 1], rows[:, 2]])
        known.append(np.column_stack([scaled[1:-1], scaled[:-2], lifted[:-2], np.ones(len(rows))]))
        moves.append(scaled[2:])
        pens.append(lifted[2:])
        before.append(lifted[1:-1])
    return np.concatenate(known), np.concatenate(moves), np.concatenate(pens), np.concatenate(before)
