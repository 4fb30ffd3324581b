"""A field for numbers: scaled per group and column with statistics of the training part, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unrolled.errors import OptionError, suggest

KINDS = ("standard", "robust", "log", "scale", "none")


@dataclass(frozen=True, eq=False)
class Number:
    """(v - centre) / scale per group (a series) and column; for kind "log" with v replaced by sign(v) log(1 + |v|).

    Args:
        kind: "standard" (mean, standard deviation), "robust" (median, interquartile range / 1.349), "log" (standard
            after the signed logarithm), "scale" (centre 0, scale the mean of |v|: keeps counts at or above 0), "none".
        center: (G, D) float64.
        scale: (G, D) float64, positive; 1 for a constant column, so that it encodes to 0.
    """

    kind: str
    center: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(
        cls,
        values: np.ndarray,
        offsets: np.ndarray | None = None,
        ends: np.ndarray | None = None,
        kind: str = "standard",
    ) -> Number:
        """The field whose statistics come from the first `ends[g]` rows of each group; NaN is left out.

        A group with no value there takes the statistics of all the other groups' training rows.

        Args:
            values: (N, D) float64, the rows of each group one after the other.
            offsets: (G+1,) int64, where each group begins, and N; None: one group.
            ends: (G,) number of training rows of each group; None: all.
            kind: one of `KINDS`.
        """
        if kind not in KINDS:
            raise OptionError(
                f"Number: there is no scaling {kind!r}.{suggest(kind, KINDS)} Choose from {', '.join(KINDS)}."
            )
        values = np.asarray(values, np.float64)
        offsets = np.array([0, len(values)]) if offsets is None else np.asarray(offsets)
        lengths = np.diff(offsets)
        ends = lengths if ends is None else np.minimum(ends, lengths)
        shape = (len(lengths), values.shape[1])
        if kind == "none":
            return cls(kind, np.zeros(shape), np.ones(shape))
        position = np.arange(len(values)) - np.repeat(offsets[:-1], lengths)
        training = position < np.repeat(ends, lengths)
        values, group = _unfold(values[training], kind), np.repeat(np.arange(len(lengths)), ends)
        center, scale = _statistics(values, group, len(lengths), kind)
        return cls(kind, center, scale)

    def encode(self, values: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
        """Scaled values, float64, NaN kept.

        Args:
            values: (M, ..., D).
            group: (M,) int64, the group of each row; None: group 0 for all.
        """
        center, scale = self._statistics_of(group, np.ndim(values))
        scaled: np.ndarray = (_unfold(np.asarray(values, np.float64), self.kind) - center) / scale
        return scaled

    def decode(self, values: np.ndarray, group: np.ndarray | None = None) -> np.ndarray:
        """The inverse of `encode`, float64; same shapes."""
        center, scale = self._statistics_of(group, np.ndim(values))
        raw: np.ndarray = np.asarray(values, np.float64) * scale + center
        return np.sign(raw) * np.expm1(np.abs(raw)) if self.kind == "log" else raw

    def select(self, groups: Sequence[int] | np.ndarray) -> Number:
        """The field for the groups given, in that order."""
        return Number(self.kind, self.center[groups], self.scale[groups])

    def _statistics_of(self, group: np.ndarray | None, dimensions: int) -> tuple[np.ndarray, np.ndarray]:
        if group is None:
            return self.center[0], self.scale[0]
        shape = (len(group), *[1] * (dimensions - 2), self.center.shape[1])
        return self.center[group].reshape(shape), self.scale[group].reshape(shape)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `Number.from_json` gives the field back, bit for bit."""
        return {
            "kind": self.kind,
            "columns": self.center.shape[1],
            "center": self.center.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Number:
        """The field that `to_json` wrote."""
        shape = (-1, data["columns"]) if data["columns"] else (len(data["center"]), 0)
        center, scale = (np.array(data[name], np.float64).reshape(shape) for name in ("center", "scale"))
        return cls(data["kind"], center, scale)


def _unfold(values: np.ndarray, kind: str) -> np.ndarray:
    return np.sign(values) * np.log1p(np.abs(values)) if kind == "log" else values


def _statistics(values: np.ndarray, group: np.ndarray, groups: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Centre and scale (G, D) of the rows of each group, which stand one after the other."""
    center, scale = np.zeros((groups, values.shape[1])), np.ones((groups, values.shape[1]))
    for column in range(values.shape[1]):
        present = ~np.isnan(values[:, column])
        numbers, of = values[present, column], group[present]
        if len(numbers) == 0:
            continue
        counts = np.bincount(of, minlength=groups)
        seen = counts > 0
        fit = _quartiles if kind == "robust" else _moments
        center[seen, column], scale[seen, column] = fit(numbers, of, counts, kind)
        if not seen.all():
            whole = fit(numbers, np.zeros(len(numbers), np.int64), np.array([len(numbers)]), kind)
            center[~seen, column], scale[~seen, column] = whole
    return center, scale


def _moments(numbers: np.ndarray, of: np.ndarray, counts: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    seen, groups = counts > 0, len(counts)
    if kind == "scale":
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


def _quartiles(numbers: np.ndarray, of: np.ndarray, counts: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    pieces = np.split(numbers, np.cumsum(counts[:-1]))
    low, middle, high = np.array([np.quantile(piece, [0.25, 0.5, 0.75]) for piece in pieces if len(piece)]).T
    # A series that rests on one value most of the time has no interquartile range; its deviation serves then.
    _, deviation = _moments(numbers, of, counts, "standard")
    spread = np.where(high > low, (high - low) / 1.349, deviation)
    return middle, _usable(spread, middle)


def _usable(scale: np.ndarray, center: np.ndarray) -> np.ndarray:
    """The scale, or 1 where it is no more than rounding error."""
    return np.where(scale > 1e-12 * np.abs(center), scale, 1.0)
