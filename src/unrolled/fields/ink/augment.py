"""Drawings varied as another hand would vary them: each function gives a new drawing, the old one stays as it is."""

from __future__ import annotations

import math

import numpy as np

from unrolled.errors import OptionError
from unrolled.fields.ink.drawing import Drawing, measured

__all__ = ["jittered", "restroked", "rotated", "sheared", "stretched", "thinned", "varied"]


def varied(
    drawing: Drawing,
    random: np.random.Generator,
    *,
    degrees: float = 8.0,
    shear: float = 0.15,
    stretch: float = 0.15,
    jitter: float = 0.005,
    thin: float = 0.1,
) -> Drawing:
    """The drawing thinned, jittered, stretched, sheared and rotated, each by a random amount up to the one given."""
    thinner = thinned(drawing, random, thin)
    plain = jittered(thinner, random, jitter)
    return rotated(sheared(stretched(plain, random, stretch), random, shear), random, degrees)


def rotated(drawing: Drawing, random: np.random.Generator, degrees: float = 8.0) -> Drawing:
    """Turned about the middle of its box by an angle drawn evenly from -degrees to degrees."""
    angle = math.radians(random.uniform(-1, 1) * _amount("degrees", degrees, 180.0))
    return _mapped(drawing, np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]))


def sheared(drawing: Drawing, random: np.random.Generator, most: float = 0.15) -> Drawing:
    """Slanted: x moved by up to `most` of the height above the middle of its box, to the left or to the right."""
    slant = random.uniform(-1, 1) * _amount("most", most, 10.0)
    return _mapped(drawing, np.array([[1.0, slant], [0.0, 1.0]]))


def stretched(drawing: Drawing, random: np.random.Generator, most: float = 0.15) -> Drawing:
    """Width and height each multiplied by a factor of their own, as likely f as 1 / f, up to 1 + most."""
    factors = (1 + _amount("most", most, 10.0)) ** random.uniform(-1, 1, 2)
    return _mapped(drawing, np.diag(factors))


def jittered(drawing: Drawing, random: np.random.Generator, deviation: float = 0.005) -> Drawing:
    """Each point moved by normal noise, whose deviation is this part of the drawing's size."""
    amount = _amount("deviation", deviation, 1.0)
    size = measured(drawing)[1] if drawing else 0.0
    found = [stroke.copy() for stroke in drawing]
    for stroke in found:
        stroke[:, :2] += random.normal(size=(len(stroke), 2)) * amount * size
    return found


def restroked(drawing: Drawing, random: np.random.Generator, reverse: float = 0.1, reorder: float = 0.15) -> Drawing:
    """The same lines in another order: each stroke drawn from its end with one probability, all strokes drawn in any
    order with the other. Times are those at which points were drawn, so they stay in their order.
    """
    _amount("reverse", reverse, 1.0)
    _amount("reorder", reorder, 1.0)
    if not drawing:
        return []
    strokes = [stroke[::-1] if random.random() < reverse else stroke for stroke in drawing]
    if random.random() < reorder:
        strokes = [strokes[i] for i in random.permutation(len(strokes)).tolist()]
    points = np.concatenate(strokes)
    points[:, 2:] = np.concatenate(drawing)[:, 2:]
    return np.split(points, np.cumsum([len(stroke) for stroke in strokes])[:-1])


def thinned(drawing: Drawing, random: np.random.Generator, rate: float = 0.1) -> Drawing:
    """Each point left out with this probability; the first and last of a stroke stay."""
    rate = _amount("rate", rate, 1.0)
    found = []
    for stroke in drawing:
        kept = random.random(len(stroke)) >= rate
        kept[[0, -1]] = True
        found.append(stroke[kept])
    return found


def _mapped(drawing: Drawing, matrix: np.ndarray) -> Drawing:
    """x and y multiplied by a matrix about the middle of the drawing's box; times stay."""
    if not drawing:
        return []
    points = np.concatenate([stroke[:, :2] for stroke in drawing])
    middle = (points.min(0) + points.max(0)) / 2
    found = [stroke.copy() for stroke in drawing]
    for stroke in found:
        stroke[:, :2] = (stroke[:, :2] - middle) @ matrix.T + middle
    return found


def _amount(name: str, value: float, most: float) -> float:
    if not 0 <= value <= most:
        raise OptionError(f"ink: {name} must lie in 0..{most:g}, got {value!r}.")
    return value
