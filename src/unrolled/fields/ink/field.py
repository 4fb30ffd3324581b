"""A field for drawings: the moves of a pen, of the size that the drawing or the training part has, and back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from unrolled.errors import DataError, ModelFileError, NotStreamable, OptionError, suggest
from unrolled.fields.field import Field, register_field
from unrolled.fields.ink.drawing import Drawing, checked, measured
from unrolled.fields.ink.front import InkFront
from unrolled.fields.ink.steps import QUARTERS, SLOWEST, Form, Pen, placed
from unrolled.fields.number import counted
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["Ink"]

PER = ("drawing", "training")
CLOSEST = 1e-3
# Moves are multiples of 2^-24 up to 2^21: no spread beyond its powers divides them to more than float32 holds.
WIDEST = 2.0**24


@register_field
@dataclass(frozen=True)
class Ink(Field[Drawing]):
    """Each point of a drawing as the move that leads to it, with a mark where the pen leaves the paper after it.

        p_i  = (x_i, y_i) / size                        on a grid of 2^-24: the longer side of a drawing is about 1
        step = (p_i - p_(i-1)) / spread, pen up         and, if asked for, the features below; the first move is 0
        speed     = s / (s + pace), s in sizes a second    0 where the pen rests, 0.5 at the pace of the training part
        curvature = the angle from the move before         in half turns, -1 to 1; y grows downwards: > 0 is clockwise
        position  = 4 (p_i - o)                            o: the middle of the drawing's box, or, where that is not
                                                           known while it is drawn, its first point

    The moves are the same wherever a drawing stands. A move in the air between two strokes is a step like others: the
    one that leads to a stroke's first point.

    With a `distance`, points stand just as far from each other, as the crow flies, along each stroke; its ends stay,
    and, where the drawing's own size is taken, the two points that set it. (Distances along the line would shrink
    every time that a drawing is written and read: these do not.)

    Args:
        per: whose size is taken. "drawing": its own, so all come alike large, but the whole drawing must be there.
            "training": the median of the training part, so a drawing can be read while it is drawn.
        size: the median size of the training part, the longer side of the box around a drawing; what is decoded has it.
        spread: the power of two next to the root of the mean square of the training part's moves, in sizes: dividing
            by it loses no bit.
        distance: the distance of points in sizes, 0.001 to 1; None: points as they come.
        pace: the training part's length over its time, in sizes a second; None: no feature of speed.
        curvature, position: whether the feature is there.
    """

    kind: ClassVar[str] = "Ink"
    lossy: ClassVar[str] = (
        "where a drawing stands, its size where its own is taken, times but for the speed of moves, "
        "and with a distance what lies between the points"
    )
    per: str
    size: float
    spread: float
    distance: float | None = None
    pace: float | None = None
    curvature: bool = False
    position: bool = False

    @classmethod
    def fit(
        cls,
        drawings: Iterable[Drawing],
        per: str = "drawing",
        *,
        distance: float | None = None,
        speed: bool = False,
        curvature: bool = False,
        position: bool = False,
    ) -> Ink:
        """The field of the drawings given; hand in the training part only.

        Raises:
            OptionError: `per` is neither "drawing" nor "training", or the distance is out of range.
            DataError: there is no drawing, one is none, or speed is asked for and one has no times.
        """
        if per not in PER:
            raise OptionError(f"Ink: per must be one of {', '.join(PER)}, got {per!r}.{suggest(per, PER)}")
        if distance is not None and not CLOSEST <= distance <= 1:
            raise OptionError(f"Ink: distance must lie in {CLOSEST}..1 sizes of a drawing, got {distance!r}.")
        known = [found for found in (checked(drawing, "Ink") for drawing in drawings) if found]
        if not known:
            raise DataError("Ink: expected at least one drawing to fit, got none: give the training drawings.")
        sizes = [_measured(drawing)[1] for drawing in known]
        size = float(np.median([size for size in sizes if size > 0] or [1.0]))
        plain = cls(per, size, 1.0, distance)
        # The first move is 0 for every drawing: it would only blur what the others are.
        moves = [plain.encode(drawing)[1:, :2].astype(np.float64) for drawing in known]
        spread = _power_of_two(np.concatenate(moves))
        if not speed:
            return cls(per, size, spread, distance, None, curvature, position)
        seconds = sum(_seconds(drawing) for drawing in known)
        length = float(sum(np.hypot(*move.T).sum() for move in moves))
        pace = length / seconds if seconds > 0 and length > 0 else 1.0
        return cls(per, size, spread, distance, pace if 0 < pace < math.inf else 1.0, curvature, position)

    @property
    def streamable(self) -> bool:
        """Can a drawing be read while it is drawn? Not where its own size is taken: that is known at its end."""
        return self.per == "training"

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features of a step."""
        more = {"speed": self.pace is not None, "curvature": self.curvature}
        places = ("x", "y") if self.position else ()
        return ("dx", "dy", "pen up", *(name for name, there in more.items() if there), *places)

    @property
    def scales(self) -> tuple[float, float]:
        """What the size of a drawing is in the features of moves, and in those of places."""
        return 1 / self.spread, QUARTERS

    @property
    def width(self) -> int:
        """The number of features of an encoded step: 3, one each for speed and curvature, two for the position."""
        return self._form.width

    def encode(self, value: Sequence[np.ndarray]) -> np.ndarray:
        """A drawing as (steps, width) float32, finite everywhere; as many steps as points where there is no distance.

        Raises:
            DataError: it is no drawing, has no times where speed is a feature, or lies far beyond those of the
                training part.
        """
        drawing = checked(value, "Ink")
        if not drawing:
            return np.zeros((0, self.width), np.float32)
        if self.pace is not None and drawing[0].shape[1] != 3:
            raise DataError("Ink: expected times for the feature of speed, got x and y alone: fit it without speed.")
        origin, size = (drawing[0][0, :2], self.size) if self.streamable else _measured(drawing)
        points = np.concatenate(drawing)
        at = np.zeros((len(points), 3))
        at[:, :2] = placed(points[:, :2], origin, size or 1.0)
        if points.shape[1] == 3:
            at[:, 2] = points[:, 2]
        ends = np.zeros(len(points), bool)
        ends[np.cumsum([len(stroke) for stroke in drawing]) - 1] = True
        stays = frozenset[int]() if self.streamable else _setting(at[:, :2])
        steps = Pen(self._form).take(at, ends, stays)
        if self.position and not self.streamable:
            places = steps[:, -2:]
            places -= (places.min(0) + places.max(0)) / 2
        return steps

    def decode(self, array: np.ndarray) -> Drawing:
        """The strokes of steps (steps, width), beginning at (0, 0) and of the training part's size.

        A stroke ends where pen up is above one half, and at the end. With speed, strokes have times, from 0.

        Raises:
            DataError: another width, or a value that is not finite.
        """
        steps = np.asarray(array, np.float64)
        if steps.ndim != 2 or steps.shape[1] != self.width:
            raise DataError(f"Ink: expected the steps as (steps, {self.width}), got {steps.shape}: give whole steps.")
        with np.errstate(over="ignore", invalid="ignore"):
            moves = steps[:, :2] * self.spread
            columns = [np.cumsum(moves, axis=0) * self.size]
            if self.pace is not None:
                speeds = np.clip(steps[:, 3], SLOWEST, 1.0)
                columns.append(np.cumsum(np.hypot(*moves.T) * (1 - speeds) / speeds / self.pace)[:, None])
        points = np.concatenate(columns, axis=1)
        if not np.isfinite(points).all() or not np.isfinite(steps).all():
            raise DataError("Ink: expected finite steps, got a value that is not, or that leads beyond all numbers.")
        ends = np.flatnonzero(steps[:, 2] > 0.5) + 1
        return [stroke for stroke in np.split(points, ends) if len(stroke)]

    def front(self) -> InkFront:
        """What makes steps of the points of one drawing after another while they are drawn.

        Raises:
            NotStreamable: the drawing's own size is taken.
        """
        if not self.streamable:
            raise NotStreamable(
                "Ink: cannot make steps of points as they come, it takes each drawing's own size, known at its end; "
                "fit it with per='training'."
            )
        return InkFront(self._form, self.size)

    def draw(self, random: np.random.Generator) -> Drawing:
        """One to four strokes of one to twelve points, with times where there is speed."""
        counts = random.integers(1, 13, int(random.integers(1, 5)))
        columns = [np.cumsum(random.normal(size=(int(counts.sum()), 2)) * self.size * 0.2, axis=0)]
        columns[0] *= 1.0 if self.streamable else 10.0 ** random.uniform(-2, 2)
        if self.pace is not None:
            waits = random.exponential(0.2 / self.pace, int(counts.sum()))
            columns.append(np.cumsum(np.where(random.random(len(waits)) < 0.1, 0.0, waits))[:, None])
        return np.split(np.concatenate(columns, axis=1), np.cumsum(counts)[:-1])

    def say(self, value: Sequence[np.ndarray]) -> str:
        """The strokes and points of the drawing, as in "3 strokes of 110 points"."""
        return counted((len(value), sum(map(len, value))), "stroke", "point")

    def to_json(self) -> Json:
        """Plain JSON; `Ink.from_json` gives the field back, bit for bit."""
        names = ("per", "size", "spread", "distance", "pace", "curvature", "position")
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_json(cls, data: Json) -> Ink:
        """The field that `to_json` wrote. Raises `ModelFileError` for numbers that no data have."""
        per = typed(Literal["drawing", "training"], data["per"], "per")
        size, spread = (typed(float, data[name], name) for name in ("size", "spread"))
        distance, pace = (typed(float | None, data[name], name) for name in ("distance", "pace"))
        positive = all(0 < value < math.inf for value in (size, spread, 1.0 if pace is None else pace))
        power = math.frexp(spread)[0] == 0.5 and WIDEST**-1 <= spread <= WIDEST
        if not positive or not power or (distance is not None and not CLOSEST <= distance <= 1):
            raise ModelFileError(
                "load: expected an Ink of positive size and pace, of a spread that is a power of two and a distance of "
                f"{CLOSEST} to 1, got {size}, {pace}, {spread} and {distance}."
            )
        curvature, position = (typed(bool, data[name], name) for name in ("curvature", "position"))
        return cls(per, size, spread, distance, pace, curvature, position)

    @property
    def _form(self) -> Form:
        return Form(self.spread, self.distance, self.pace, self.curvature, self.position)


def _measured(drawing: Drawing) -> tuple[np.ndarray, float]:
    corner, size = measured(drawing)
    if not math.isfinite(size):
        raise DataError("Ink: expected a drawing whose sides are numbers, got one of 1e308 or more: scale it down.")
    return corner, size


def _setting(at: np.ndarray) -> frozenset[int]:
    """The places of the first points at both ends of the longer side, whose distance is the size."""
    side = int(np.argmax(at.max(0) - at.min(0)))
    return frozenset((int(at[:, side].argmin()), int(at[:, side].argmax())))


def _power_of_two(moves: np.ndarray) -> float:
    """The power of two next to the root of the mean square; 1 where nothing moves."""
    mean = float(np.mean(moves**2)) if moves.size else 0.0
    return min(max(2.0 ** round(math.log2(mean) / 2), 1 / WIDEST), WIDEST) if mean > 0 else 1.0


def _seconds(drawing: Drawing) -> float:
    """How long it took to draw."""
    if drawing[0].shape[1] != 3:
        raise DataError("Ink: expected times in every training drawing for speed, got x and y alone: leave speed out.")
    return float(drawing[-1][-1, 2] - drawing[0][0, 2])
