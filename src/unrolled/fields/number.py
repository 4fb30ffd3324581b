"""A field for numbers: scaled per group and column with statistics of the training part, and back."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np

from unrolled.errors import ModelFileError, OptionError, suggest
from unrolled.fields.field import Field, register_field
from unrolled.options import typed
from unrolled.types import Json

Statistics: TypeAlias = Callable[..., tuple[np.ndarray, np.ndarray]]
"""Centre and scale of the numbers of each group that has any."""

SCALINGS = ("standard", "robust", "log", "scale", "none")


@register_field
@dataclass(frozen=True, eq=False)
class Number(Field[np.ndarray]):
    """(v - centre) / scale per group (a series) and column; for "log" with v replaced by sign(v) log(1 + |v|).

    Args:
        scaling: "standard" (mean, standard deviation), "robust" (median, interquartile range / 1.349), "log" (standard
            after the signed logarithm), "scale" (centre 0, scale the mean of |v|: keeps counts at or above 0), "none".
        center: (G, D) float64.
        scale: (G, D) float64, positive; 1 for a constant column, so that it encodes to 0.
    """

    kind: ClassVar[str] = "Number"
    scaling: str
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        offsets: np.ndarray | None = None,
        ends: np.ndarray | None = None,
        scaling: str = "standard",
    ) -> Number:
        """The field whose statistics come from the first `ends[g]` rows of each group; NaN is left out.

        A group with no value there takes the statistics of all the other groups' training rows.

        Args:
            values: (N, D) float64, the rows of each group one after the other.
            offsets: (G+1,) int64, where each group begins, and N; None: one group.
            ends: (G,) number of training rows of each group; None: all.
            scaling: one of `SCALINGS`.
        """
        if scaling not in SCALINGS:
            raise OptionError(
                f"Number: there is no scaling {scaling!r}.{suggest(scaling, SCALINGS)} "
                f"Choose from {', '.join(SCALINGS)}."
            )
        values = np.asarray(values, np.float64)
        offsets = np.array([0, len(values)]) if offsets is None else np.asarray(offsets)
        lengths = np.diff(offsets)
        ends = lengths if ends is None else np.minimum(ends, lengths)
        shape = (len(lengths), values.shape[1])
        if scaling == "none":
            return cls(scaling, np.zeros(shape), np.ones(shape))
        position = np.arange(len(values)) - np.repeat(offsets[:-1], lengths)
        training = position < np.repeat(ends, lengths)
        values, group = _unfold(values[training], scaling), np.repeat(np.arange(len(lengths)), ends)
        center, scale = _statistics(values, group, len(lengths), scaling)
        return cls(scaling, center, scale)

    @property
    def width(self) -> int:
        """The number of columns D."""
        return int(self.center.shape[1])

    def encode(self, value: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
        """Scaled values, float64, NaN kept.

        Args:
            value: (M, ..., D).
            group: (M,) int64, the group of each row; None: group 0 for all.
        """
        center, scale = self._statistics_of(group, np.ndim(value))
        scaled: np.ndarray = (_unfold(np.asarray(value, np.float64), self.scaling) - center) / scale
        return scaled

    def decode(self, array: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
        """The inverse of `encode`, float64; same shapes."""
        center, scale = self._statistics_of(group, np.ndim(array))
        raw: np.ndarray = np.asarray(array, np.float64) * scale + center
        return np.sign(raw) * np.expm1(np.abs(raw)) if self.scaling == "log" else raw

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """One to eight rows of group 0 around its centre, now and then a missing value: (rows, D)."""
        rows = self.decode(random.normal(size=(int(random.integers(1, 9)), self.width)))
        return np.where(random.random(rows.shape) < 0.1, np.nan, rows)

    def say(self, value: np.ndarray) -> str:
        """The rows and columns of the values, as in "5 rows of 2 columns"."""
        return counted(np.shape(value), "row", "column")

    def select(self, groups: Sequence[int] | np.ndarray) -> Number:
        """The field for the groups given, in that order."""
        return Number(self.scaling, self.center[groups], self.scale[groups])

    def _statistics_of(self, group: np.ndarray | None, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
        if group is None:
            return self.center[0], self.scale[0]
        shape = (len(group), *[1] * (dimensions - 2), self.center.shape[1])
        return self.center[group].reshape(shape), self.scale[group].reshape(shape)

    def to_json(self) -> Json:
        """Plain JSON; `Number.from_json` gives the field back, bit for bit."""
        return {
            "kind": self.scaling,
            "columns": self.center.shape[1],
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_json(cls, data: Json) -> Number:
        """The field that `to_json` wrote. Raises `ModelFileError` for statistics that no data have."""
        columns = typed(int, data["columns"], "columns")
        tables = [typed(list[list[float]], data[name], name) for name in ("center", "scale")]
        shape = (-1, columns) if columns else (len(tables[0]), 0)
        center, scale = (np.array(table, np.float64).reshape(shape) for table in tables)
        usable = np.isfinite(center).all() and np.isfinite(scale).all() and bool((scale > 0).all())
        if center.shape != scale.shape or not len(center) or not usable:
            raise ModelFileError(
                f"load: expected a finite centre and a positive scale for each column of a Number, got {center.shape} "
                f"and {scale.shape}."
            )
        return cls(typed(Literal["standard", "robust", "log", "scale", "none"], data["kind"], "kind"), center, scale)


def counted(shape: tuple[int, ...], outer: str, inner: str) -> str:
    """The sizes of a table in words, as in "5 rows of 1 column"."""
    return " of ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in zip(shape, (outer, inner), strict=True))


def _unfold(values: np.ndarray, scaling: str) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values)) if scaling == "log" else values


def _statistics(values: np.ndarray, group: np.ndarray, groups: int, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale (G, D) of the rows of each group, which stand one after the other."""
    center, scale = np.zeros((groups, values.shape[1])), np.ones((groups, values.shape[1]))
    for column in range(values.shape[1]):
        present = ~np.isnan(values[:, column])
        numbers, of = values[present, column], group[present]
        if len(numbers) == 0:
            continue
        counts = np.bincount(of, minlength=groups)
        seen = counts > 0
        fit = partial(_in_reach, _quartiles if scaling == "robust" else _moments)
        center[seen, column], scale[seen, column] = fit(numbers, of, counts, scaling)
        if not seen.all():
            whole = fit(numbers, np.zeros(len(numbers), np.int64), np.array([len(numbers)]), scaling)
            center[~seen, column], scale[~seen, column] = whole
    return center, scale


def _in_reach(fit: Statistics, numbers: np.ndarray, *rest: Any) -> tuple[np.ndarray, np.ndarray]:
    """What `fit` gives, also where the sum of the numbers, or what is between two, is beyond what a float holds."""
    largest, most = float(np.abs(numbers).max()), float(np.finfo(np.float64).max)
    room = most / (8 * len(numbers))
    if largest < room:
        return fit(numbers, *rest)
    # A power of two changes no digit.
    part = 2.0 ** math.ceil(math.log2(largest / room))
    center, scale = fit(numbers / part, *rest)
    return part * center, part * np.minimum(scale, most / part)


def _moments(numbers: np.ndarray, of: np.ndarray, counts: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    seen, groups = counts > 0, len(counts)
    if scaling == "scale":
        size = np.bincount(of, np.abs(numbers), groups)[seen] / counts[seen]
        return np.zeros(len(size)), np.where(size > 0, size, 1.0)
    # The mean is taken around the first value of each group, which keeps a constant group's deviation exactly zero.
    first = np.zeros(groups)
    first[seen] = numbers[(np.cumsum(counts) - counts)[seen]]
    mean = first + np.bincount(of, numbers - first[of], groups) / np.maximum(counts, 1)
    apart = numbers - mean[of]
    # Squares of values beyond 1e154 would overflow: take the largest out first.
    largest = np.abs(apart).max() or 1.0
    deviation = largest * np.sqrt(np.bincount(of, (apart / largest) ** 2, groups) / np.maximum(counts, 1))
    return mean[seen], _usable(deviation, mean)[seen]


def _quartiles(numbers: np.ndarray, of: np.ndarray, counts: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    pieces = np.split(numbers, np.cumsum(counts[:-1]))
    low, middle, high = np.array([np.quantile(piece, [0.25, 0.5, 0.75]) for piece in pieces if len(piece)]).T
    # A series that rests on one value most of the time has no interquartile range; its deviation serves then.
    _, deviation = _moments(numbers, of, counts, "standard")
    spread = np.where(high > low, (high - low) / 1.349, deviation)
    return middle, _usable(spread, middle)


def _usable(scale: np.ndarray, center: np.ndarray) -> np.ndarray:
    """The scale, or 1 where it is no more than rounding error."""
    return np.where(scale > 1e-12 * np.abs(center), scale, 1.0)
