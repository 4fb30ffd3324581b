"""Inputs of any kind with numbers each: what a regressor reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from unrolled.data.read.files import Places
from unrolled.data.read.sources import is_several
from unrolled.errors import DataError, how_many
from unrolled.inputs.columns import LabelColumns
from unrolled.tasks.reading.corpus import InputCorpus
from unrolled.tasks.reading.labelled import is_missing, read_source
from unrolled.tasks.reading.options import InputOptions

__all__ = ["MeasuredExamples", "read_measured"]


@dataclass(frozen=True, eq=False)
class MeasuredExamples(InputCorpus):
    """n inputs of one kind, with one number each, or several.

    targets: (n, values) float64, None where there are none. several: whether each came as a list of numbers, rather
    than as one.
    """

    targets: np.ndarray | None = None
    several: bool = False

    def with_answers_of(self, rows: np.ndarray) -> Self:
        return replace(self, targets=None if self.targets is None else self.targets[rows])

    def check_differ(self) -> None:
        """Raises `DataError` where all inputs have one and the same target, of which nothing can be learned."""
        if self.targets is None or len(self) < 2:
            return
        for value in np.flatnonzero((self.targets == self.targets[0]).all(0)).tolist():
            which = f"target {value + 1}" if self.several else "the target"
            raise DataError(
                f"fit: expected numbers that differ, but {which} is {self.targets[0, value]:g} in all {len(self):,} "
                "rows, so that there is nothing to learn: choose another column, or give other examples."
            )

    def check_held(self, held: Self | None) -> None:
        """Raises `DataError` where examples that are held out are of another kind, or have more or fewer targets."""
        super().check_held(held)
        if held is not None:
            held.check_values("valid", 0 if self.targets is None else self.targets.shape[1])

    def check_values(self, owner: str, wanted: int) -> None:
        """Raises `DataError` where inputs have targets, but not as many as `wanted` each; owner: who wants them."""
        if self.targets is not None and len(self) and self.targets.shape[1] != wanted:
            raise DataError(
                f"{owner}: expected {how_many(wanted, 'number')} as each target, as in training, got "
                f"{self.targets.shape[1]}; give {how_many(wanted, 'number')}."
            )


def read_measured(
    source: object, targets: Iterable[object] | None, columns: LabelColumns, options: InputOptions, *, labelled: bool
) -> MeasuredExamples:
    """What a regressor takes: a source of any kind, with a number, or several, to each input, in it or beside it.

    labelled: every example must have its numbers; else they are not looked for.
    """
    read, raw = read_source(source, targets, columns, options, labelled=labelled)
    several = raw is not None and any(map(is_several, raw[:1]))
    numbers = None if raw is None else _numbers(raw, read.places)
    return MeasuredExamples(read.inputs, read.places, read.columns, read.remarks, numbers, several)


def _numbers(targets: Sequence[object], places: Places) -> np.ndarray:
    """(n, values) float64."""
    rows: list[list[float]] = []
    for row, target in enumerate(targets):
        place = places.of(row)
        rows.append([_number(value, place) for value in (target if is_several(target) else [target])])
        if not rows[row] or len(rows[row]) != len(rows[0]):
            wanted = max(1, len(rows[0]))
            raise DataError(
                f"Expected {how_many(wanted, 'number')} as the target of {place}, got {len(rows[row])}: give every "
                "example as many."
            )
    return np.array(rows, np.float64).reshape(len(rows), -1 if rows else 1)


def _number(value: object, place: str) -> float:
    if is_missing(value):
        raise DataError(f"{place} has no target: fill it in or leave the example out.")
    number = _read(value)
    if number is None:
        raise DataError(
            f"Expected a number as the target of {place}, but got {str(value)[:40]!r}: write a number, or learn "
            "classes with a Classifier."
        )
    if not np.isfinite(number):
        raise DataError(f"Expected a finite target of {place}, but got {number}: mend it or leave the example out.")
    return number


def _read(value: object) -> float | None:
    """The number that a value is, written or as it is; True and False are classes."""
    if isinstance(value, bool | np.bool_) or (isinstance(value, str) and "_" in value):
        return None
    if not isinstance(value, str | int | float | np.integer | np.floating):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
