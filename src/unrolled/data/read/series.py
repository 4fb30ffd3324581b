"""Sets of series with labels, of each or of each of its steps: .ts files, numpy files, and arrays in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from unrolled.data.read.arff import read_arff
from unrolled.data.read.arrays import read_arrays
from unrolled.data.read.door import reader, require_file
from unrolled.data.read.files import Places, file_name, suffix
from unrolled.data.read.labelled import LabelledValues
from unrolled.data.read.ts import read_stepped_ts, read_ts
from unrolled.errors import DataError, listed, said_by

__all__ = ["STEPPED", "Series", "SteppedSeries", "read_series", "read_several", "read_stepped"]

# What the array of series is called in a file of several.
_NAMES = ("x", "features")
# What the array of the labels of steps may be called, and the files that have such labels.
_STEP_NAMES = ("y", "tags", "labels", "label")
STEPPED = (".ts", ".npz")


class Series(LabelledValues[np.ndarray]):
    """n series of D channels each, of any lengths: (T_i, D) float64, NaN where missing."""


@reader
def read_several(source: str | Path, names: Sequence[str]) -> list[list[object]] | None:
    """The numbers of each series of an .npz file that has several for each: an array (N, V), which is the one that is
    named, or `y` where none of several is there; or several names of arrays (N,). None: there is one for each, or none.

    Raises:
        DataError: an array of several is not there, or not as long as the others.
    """
    name = file_name(source)
    arrays = read_arrays(require_file(source), name, (*names, "y"))
    whole = arrays.get(names[0] if len(names) == 1 else "y")
    if len(names) == 1 or (whole is not None and arrays.keys().isdisjoint(names)):
        return whole.tolist() if whole is not None and whole.ndim == 2 and whole.shape[1] != 1 else None
    arrays = {one: array for one, array in arrays.items() if one in names}
    missing = next((one for one in names if one not in arrays), None)
    shapes = {array.shape for array in arrays.values()}
    if missing is not None or len(shapes) > 1 or any(len(shape) != 1 for shape in shapes):
        wrong = f"there is no {missing!r}" if missing is not None else f"got arrays of shape {listed(map(str, shapes))}"
        raise DataError(
            f"Expected {listed(map(repr, names))} of {name} as a number each for every series, but {wrong}: save them "
            "so, or as one array (N, V)."
        )
    return [list(row) for row in zip(*(arrays[one].tolist() for one in names), strict=True)]


@dataclass(frozen=True, eq=False)
class SteppedSeries:
    """n series of D channels each, (T_i, D) float64, NaN where missing.

    labels: of the steps of each, T_i texts or numbers; None where they are not known, or not looked for.
    """

    values: list[np.ndarray]
    labels: list[list[object]] | None
    places: Places


@reader
def read_series(source: object, labels: Iterable[object] | None = None, *, names: Sequence[str] = ("y",)) -> Series:
    """The series that `source` holds.

    Args:
        source: a path to .ts (the format of sktime and aeon, plain or .gz), .arff, .npy or .npz; an array (N, T, D), or
            (N, T) for one channel; or a list of arrays (T_i, D) or (T_i,). An .npz file holds one array, or `x` (also
            called `features`) with labels and, where series end early, `lengths` (N,). Series may also stand one after
            another, (sum of lengths, D).
        labels: one for each series, where the source has none; whole numbers become their digits.
        names: of the array of labels in an .npz file, the first that is there.

    Raises:
        DataError: no such file, an unknown kind, a line that does not fit (it is named), other numbers of labels than
            of series, different channels, a series without steps, an infinite value.
    """
    if isinstance(source, str | Path):
        name, kind = file_name(source), "row"
        values, own, numbers = _from_path(source, name, names)
        if own is not None and labels is not None:
            raise DataError(f"{name} has labels of its own: leave labels= out.")
        labels = own if labels is None else labels
        kind = "line" if suffix(source) in (".ts", ".arff") else "row"
    else:
        name, kind = "the arrays", "row"
        values = _from_memory(source, name)
        numbers = list(range(len(values)))
    series = Series(values, None, name, Places(name, kind, np.array(numbers, np.int64)))
    _check(series)
    return series if labels is None else Series(values, _texts(labels, len(values), name), name, series.places)


@reader
def read_stepped(source: str | Path, names: Sequence[str] = _STEP_NAMES, *, labelled: bool = True) -> SteppedSeries:
    """The series of a file, each with a label for each of its steps.

    Args:
        source: a path to .ts, whose lines end in as many labels as there are steps, between ","; or to .npz as
            `read_series` takes it, with the labels as an array of one more name: (N, T) for series (N, T, D) or (N, T),
            where what stands behind `lengths` is left out, or one after another, (sum of lengths,), as the series.
        names: of the array of labels, the first that is there.
        labelled: look for labels; else they may be there or not.

    Raises:
        DataError: as `read_series`, no labels, or another number of them than of steps.
    """
    name, labels = file_name(source), list[list[object]]()
    if suffix(source) == ".ts":
        values, told, numbers = read_stepped_ts(source, labelled=labelled)
        places = Places(name, "line", np.array(numbers, np.int64))
        labels, missing = [list(each) for each in told or ()], told is None
    elif suffix(source) == ".npz":
        arrays = read_arrays(require_file(source), name)
        values, parted = _in_arrays({key: value for key, value in arrays.items() if key not in names}, name)
        places = Places(name, "row", np.arange(len(values)))
        label = next((one for one in names if one in arrays), None)
        missing = label is None
        if labelled and label is not None:
            labels = _of_steps(arrays[label], label, [len(one) for one in values], parted, name)
    else:
        raise DataError(f"{name}: expected a .ts or .npz file with a label for each step: convert it.")
    _check(Series(values, None, name, places))
    if labelled and missing:
        wanted = (
            "an array of them, such as 'y'" if suffix(source) == ".npz" else "@classLabel true, and them behind ':'"
        )
        raise DataError(f"{name} has no labels: expected one for each step, {wanted}.")
    return SteppedSeries(values, labels if labelled else None, places)


def _of_steps(labels: np.ndarray, called: str, lengths: list[int], parted: bool, name: str) -> list[list[object]]:
    """The labels of the steps of each series; parted: they stand one after another, as the series do."""
    if parted and labels.shape == (sum(lengths),):
        return [part.tolist() for part in np.split(labels, np.cumsum(lengths)[:-1])]
    if not parted and labels.ndim == 2 and len(labels) == len(lengths) and labels.shape[1] >= max(lengths, default=0):
        return [row[:length].tolist() for row, length in zip(labels, lengths, strict=True)]
    wanted = f"({sum(lengths)},)" if parted else f"({len(lengths)}, {max(lengths, default=0)})"
    advice = "a Classifier learns one label for each series" if labels.shape == (len(lengths),) else "give one a step"
    raise DataError(
        f"Expected labels of steps, {wanted}, as {called!r} of {name}, but got an array of shape {labels.shape}: "
        f"{advice}."
    )


def _from_path(
    source: str | Path, name: str, labels: Sequence[str]
) -> tuple[list[np.ndarray], Iterable[object] | None, list[int]]:
    ending = suffix(source)
    if ending == ".ts":
        return read_ts(source)
    if ending == ".arff":
        return read_arff(source)
    if ending not in (".npy", ".npz") or Path(source).suffix.lower() == ".gz":
        raise DataError(
            f"{name}: expected a .ts, .arff, .npy or .npz file, but it ends in {Path(source).suffix!r}: "
            "convert or rename it."
        )
    arrays = read_arrays(require_file(source), name)
    values, _ = _in_arrays(arrays, name)
    own = next((arrays[one] for one in labels if one in arrays), None)
    if own is not None and own.ndim == 2 and own.shape[1] == 1:
        own = own[:, 0]
    return values, own, list(range(len(values)))


def _in_arrays(arrays: dict[str, np.ndarray], name: str) -> tuple[list[np.ndarray], bool]:
    """The series of the arrays of a file, and whether they stood one after another."""
    called = next((one for one in _NAMES if one in arrays), next(iter(arrays), ""))
    if not arrays or (len(arrays) > 1 and called not in _NAMES):
        raise DataError(f"{name} holds the arrays {listed(arrays)}, but expected 'x' among them: name the series 'x'.")
    x, lengths = arrays[called], arrays.get("lengths")
    if lengths is not None and _in_a_row(x, lengths):
        return _from_memory(np.split(x, np.cumsum(lengths)[:-1]), name), True
    values = _from_memory(x, name)
    return (values if lengths is None else _shortened(values, lengths, name, flat=x.ndim == 2)), False


def _in_a_row(x: np.ndarray, lengths: np.ndarray) -> bool:
    """Do series of these lengths stand one after another? Where each has a row of its own, they do not."""
    whole = lengths.ndim == 1 and lengths.dtype.kind in "iu" and x.ndim == 2 and len(lengths) != len(x)
    return whole and len(lengths) > 0 and int(lengths.min()) >= 1 and sum(lengths.tolist()) == len(x)


def _shortened(values: list[np.ndarray], lengths: np.ndarray, name: str, *, flat: bool) -> list[np.ndarray]:
    """So many steps of each series. flat: each is a row of numbers, which could as well be a step of a longer one."""
    whole = lengths.ndim == 1 and lengths.dtype.kind in "iu" and len(lengths) > 0
    if flat and whole and len(lengths) != len(values) and int(lengths.min()) >= 1:
        raise DataError(
            f"Expected 'lengths' of {name} for each of its {len(values):,} rows, or of series one after another, which "
            f"add up to so many, but got {len(lengths):,} that add up to {sum(lengths.tolist()):,}: get the whole file."
        )
    longest = len(values[0]) if values else 0
    if lengths.shape != (len(values),) or lengths.dtype.kind not in "iu" or ((lengths < 1) | (lengths > longest)).any():
        raise DataError(
            f"Expected 'lengths' of {name} as {len(values)} integers from 1 to {longest}, but got {lengths.dtype} of "
            f"shape {lengths.shape}: give the valid steps of each series."
        )
    return [value[:length] for value, length in zip(values, lengths.tolist(), strict=True)]


def _from_memory(source: object, name: str) -> list[np.ndarray]:
    if isinstance(source, str | bytes) or not isinstance(source, Iterable):
        raise DataError(
            f"Expected a path, an array (N, T, D) or a list of arrays, but got {type(source).__name__}: "
            "pass one of these."
        )
    if isinstance(source, np.ndarray) and source.ndim not in (2, 3):
        raise DataError(
            f"Expected {name} as (N, T, D) or (N, T), but got {source.shape}: add the axis that is missing."
        )
    return [_one(item, f"row {i} of {name}") for i, item in enumerate(source)]


def _one(item: ArrayLike, place: str) -> np.ndarray:
    try:
        # Of the NaN that some devices write, bits that mean "signal this", a cast would be warned of.
        with np.errstate(invalid="ignore"):
            array = np.asarray(item, np.float64)
    except (ValueError, TypeError) as error:
        raise DataError(
            f"Expected numbers in {place}, but got something else ({said_by(error)}): convert it."
        ) from error
    if array.ndim not in (1, 2):
        raise DataError(f"Expected (T, D) or (T,) in {place}, but got {array.shape}: give time, then channels.")
    return array if array.ndim == 2 else array[:, None]


def _check(series: Series) -> None:
    if not series.values:
        raise DataError(f"{series.source} holds no series: give at least one.")
    width = series.values[0].shape[1]
    for i, value in enumerate(series.values):
        if value.shape[1] != width:
            raise DataError(
                f"Expected {width} channels as in {series.place(0)}, but got {value.shape[1]} in {series.place(i)}: "
                "give every series the same channels."
            )
        if not len(value) or not width:
            raise DataError(f"Expected at least one step and channel in {series.place(i)}, but got none: remove it.")
        if np.isinf(value).any():
            raise DataError(
                f"Expected finite numbers in {series.place(i)}, but got an infinite one: mark it as missing."
            )


def _texts(labels: Iterable[object], count: int, name: str) -> list[str]:
    # Whole numbers as numpy or Python has them, so that 3, 3.0 and "3" are one label.
    plain = labels.tolist() if isinstance(labels, np.ndarray) else list(labels)
    if len(plain) != count:
        raise DataError(
            f"Expected a label for each of the {count} series of {name}, but got {len(plain)}: pair them up."
        )
    if any(label is None or label != label for label in plain):
        raise DataError("Expected a label for each series, but one is missing: leave the series out.")
    return [str(int(label)) if isinstance(label, float) and label.is_integer() else str(label) for label in plain]
