"""A pen's way as steps: points at equal distances where asked for, then the features of each; in pieces as in one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from unrolled.errors import DataError

__all__ = ["FARTHEST", "GRID", "SLOWEST", "Form", "Pen", "placed"]

GRID = 2.0**-24
"""Points lie on a grid of this mesh, in sizes of a drawing: float32 holds any move of up to one size exactly."""

FARTHEST = 2.0**20
"""No point may lie farther from where a drawing began, in sizes: beyond it float64 would not keep the grid."""

SLOWEST = 2.0**-126
"""The least speed of a move: the smallest number that float32 holds with all its bits."""

# Two roundings to the grid change the distance of two points by less than this.
NEAR = 4 * GRID
# Points at equal distances between two that were given.
MOST = 100_000
# Places are told in quarters of a size: over a drawing their deviation is then about 1.
QUARTERS = 4.0


class Form(NamedTuple):
    """What a step is made of.

    spread: the length of a move that becomes 1, in sizes. reach: the distance of points, in sizes; None: as they came.
    pace: the speed that becomes 0.5, in sizes a second; None: no speed. curvature, position: whether they are there.
    """

    spread: float
    reach: float | None
    pace: float | None
    curvature: bool
    position: bool = False

    @property
    def width(self) -> int:
        """The number of features of a step."""
        return 3 + (self.pace is not None) + self.curvature + 2 * self.position


class Pen:
    """Points in, steps out; the steps of points that come in pieces are those of the whole, in every bit."""

    def __init__(self, form: Form) -> None:
        self._form = form
        self._held = np.zeros((0, 3))
        self._walk = None if form.reach is None else _Walk(form.reach)
        self._at: np.ndarray | None = None
        self._move = np.zeros((1, 2))
        self._place = np.zeros((1, 2))

    def take(self, at: np.ndarray, ends: np.ndarray, stays: frozenset[int] = frozenset()) -> np.ndarray:
        """The steps (M, width) float32 that the next points lead to.

        The last point is held back until the next one comes, unless it ends its stroke: it may be the end yet.

        Args:
            at: (N, 3) float64, x and y in sizes, on the grid, and seconds.
            ends: (N,) bool, which points end a stroke.
            stays: places of points that no equal distance may leave out, counted in `at`; for a drawing that comes
                whole.
        """
        points = np.concatenate([self._held, at])
        marks = np.concatenate([np.zeros(len(self._held), bool), ends])
        if self._walk is not None:
            self._walk.check(points, marks)
        ready = len(points) - (len(points) > 0 and not marks[-1])
        self._held = points[ready:]
        return self._steps(points[:ready], marks[:ready], stays)

    def finish(self) -> np.ndarray:
        """The step of the point that was held back, which ends its stroke."""
        held, self._held = self._held, np.zeros((0, 3))
        return self._steps(held, np.ones(len(held), bool), frozenset())

    def _steps(self, at: np.ndarray, ends: np.ndarray, stays: frozenset[int]) -> np.ndarray:
        if self._walk is not None:
            at, ends = self._walk.through(at, ends, stays)
        if not len(at):
            return np.zeros((0, self._form.width), np.float32)
        whole = np.concatenate([at[:1] if self._at is None else self._at, at])
        self._at = at[-1:]
        moves = (np.diff(whole[:, :2], axis=0) / self._form.spread).astype(np.float32)
        # What follows is made of the moves as they are told, so that it is the same when they are read back.
        told = moves.astype(np.float64) * self._form.spread
        columns = [moves, ends[:, None]]
        if self._form.pace is not None:
            columns.append(_speeds(told, whole[:, 2], self._form.pace)[:, None])
        if self._form.curvature:
            columns.append(_turns(np.concatenate([self._move, told]))[:, None])
        if self._form.position:
            # Sums of multiples of the grid: exact, so the same in pieces as in one.
            places = np.cumsum(np.concatenate([self._place, told]), axis=0)[1:]
            columns.append(QUARTERS * places)
            self._place = places[-1:]
        self._move = told[-1:]
        return np.concatenate(columns, axis=1, dtype=np.float32)


class _Walk:
    """Walks along strokes and stops where it is as far from its last stop as it may be, and at the ends."""

    def __init__(self, reach: float) -> None:
        self._reach = reach
        self._stop: tuple[float, ...] | None = None
        self._before: tuple[float, ...] = ()

    def check(self, at: np.ndarray, ends: np.ndarray) -> None:
        """Raises DataError where two points of a stroke are so far from each other that too many would be between."""
        if len(at) < 2:
            return
        lengths = np.where(ends[:-1], 0.0, np.hypot(*np.diff(at[:, :2], axis=0).T))
        if lengths.max() > MOST * self._reach:
            raise DataError(
                f"Ink: expected points of a stroke at most {MOST:,} times the distance of {self._reach} apart, got "
                f"{lengths.max() / self._reach:,.0f} times: leave the stray point out."
            )

    def through(self, at: np.ndarray, ends: np.ndarray, stays: frozenset[int]) -> tuple[np.ndarray, np.ndarray]:
        """The stops (M, 3) on the way through these points, and which of them end a stroke."""
        stops, marks = list[tuple[float, ...]](), list[bool]()
        for number, (point, end) in enumerate(zip(map(tuple, at.tolist()), ends.tolist(), strict=True)):
            self._towards(point, end or number in stays or self._stop is None, stops)
            marks += [False] * (len(stops) - len(marks))
            if end:
                marks[-1] = True
                self._stop = None
        return np.array(stops, np.float64).reshape(-1, 3), np.array(marks, bool)

    def _towards(self, point: tuple[float, ...], stay: bool, stops: list[tuple[float, ...]]) -> None:
        """Adds the stops up to the point: at it where it stays, or where it is as far as may be."""
        if self._stop is not None:
            while math.dist(self._stop[:2], point[:2]) > self._reach + NEAR:
                self._stop = self._before = _crossing(self._stop, self._before, point, self._reach)
                stops.append(self._stop)
            stay = stay or math.dist(self._stop[:2], point[:2]) >= self._reach - NEAR
        if stay:
            stops.append(point)
            self._stop = point
        self._before = point


def placed(points: np.ndarray, origin: np.ndarray, size: float) -> np.ndarray:
    """Points (N, 2) in sizes from an origin, on the grid; raises DataError for one that lies too far from it."""
    with np.errstate(over="ignore"):
        at = (points - origin) / size
    far = np.argwhere(~(np.abs(at) <= FARTHEST))
    if len(far):
        raise DataError(
            f"Ink: expected points within {FARTHEST:,.0f} times {size:.6g}, the size of drawings, from the first, got "
            f"{points[far[0, 0]].tolist()}: correct it, or fit the field on drawings as large."
        )
    rounded: np.ndarray = np.rint(at / GRID) * GRID
    return rounded


def _crossing(
    stop: tuple[float, ...], before: tuple[float, ...], point: tuple[float, ...], reach: float
) -> tuple[float, ...]:
    """Where the line from `before`, which is near the stop, to the point, which is far, is just as far as may be."""
    dx, dy = point[0] - before[0], point[1] - before[1]
    fx, fy = before[0] - stop[0], before[1] - stop[1]
    square, along = dx * dx + dy * dy, fx * dx + fy * dy
    root = math.sqrt(max(along * along - square * (fx * fx + fy * fy - reach * reach), 0.0))
    part = min(max((root - along) / square, 0.0), 1.0)
    x, y, seconds = (a + part * (b - a) for a, b in zip(before, point, strict=True))
    return round(x / GRID) * GRID, round(y / GRID) * GRID, seconds


def _speeds(moves: np.ndarray, clock: np.ndarray, pace: float) -> np.ndarray:
    """s / (s + pace) for the speed s of each move, 0 where there is none."""
    lengths = np.hypot(*moves.T)
    with np.errstate(over="ignore"):
        whole = lengths + np.diff(clock) * pace
    speeds = np.divide(lengths, whole, out=np.zeros(len(moves)), where=lengths > 0)
    return np.where(lengths > 0, np.maximum(speeds, SLOWEST), 0.0)


def _turns(moves: np.ndarray) -> np.ndarray:
    """The angle from each move to the next, in half turns, 0 where either has no length."""
    (x, y), (u, v) = moves[:-1].T, moves[1:].T
    # Zero is added so that a turn straight back is +1 whatever the sign of a zero.
    angles = np.arctan2(x * v - y * u + 0.0, x * u + y * v + 0.0) / np.pi
    still = (np.hypot(x, y) == 0) | (np.hypot(u, v) == 0)
    return np.where(still, 0.0, angles)
