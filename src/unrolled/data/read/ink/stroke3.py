"""Arrays of (dx, dy, pen lifted) a row, with the number of rows of each drawing beside them, and with labels or not."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from unrolled.data.read.arrays import read_arrays
from unrolled.data.read.door import require_file
from unrolled.data.read.files import file_name
from unrolled.data.read.ink.clock import settled
from unrolled.errors import DataError, OptionError, listed, suggest
from unrolled.fields.ink import Drawing

__all__ = ["are_classes", "read_stroke3", "stroke3_parts"]

LENGTHS = "_lengths"
# What parts of a set are called; others are the names of classes.
SPLITS = ("train", "training", "valid", "validation", "val", "dev", "test", "testing")


def stroke3_parts(source: str | Path) -> list[str]:
    """The parts of an .npz file, by the names of its arrays; nothing else of it is read."""
    with zipfile.ZipFile(require_file(source)) as archive:
        names = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
    return [name for name in names if name + LENGTHS in names]


def are_classes(parts: Sequence[str]) -> bool:
    """Whether each of several parts holds the drawings of a class: none is called as a part of a set is."""
    return len(parts) > 1 and not any(part.lower() in SPLITS for part in parts)


def read_stroke3(
    source: str | Path, part: str | None, names: Sequence[str] = ()
) -> tuple[list[Drawing], list[str] | None, list[str]]:
    """The drawings of one part of an .npz file, the array `part` of its rows with `part_lengths`, or of all parts where
    these are classes; the label of each, or None; and its place.

    names: what the array of labels may be called, beside `part_labels`; none: labels are not looked for.

    Raises:
        OptionError: the file has several parts and none is named, or not that one.
        DataError: rows, lengths or labels that do not fit; a row is named.
    """
    name = file_name(source)
    arrays = read_arrays(require_file(source), name)
    parts = [key for key in arrays if key + LENGTHS in arrays] or [key for key in arrays if not key.endswith(LENGTHS)]
    if not parts:
        raise DataError(f"{name} holds {listed(arrays)}, but no rows of drawings: save them beside the lengths.")
    if part is None and are_classes(parts):
        every = {one: _drawings(arrays, one, name) for one in parts}
        labels = [one for one, drawings in every.items() for _ in drawings] if names else None
        places = [f"drawing {i} of {one!r} in {name}" for one, drawings in every.items() for i in range(len(drawings))]
        return [drawing for drawings in every.values() for drawing in drawings], labels, places
    if part is None and len(parts) != 1:
        raise OptionError(f"read_drawings: {name} has the parts {listed(parts)}, but none is chosen: give part=.")
    part = parts[0] if part is None else part
    if part not in parts:
        raise OptionError(f"read_drawings: {name} has no part {part!r}.{suggest(part, parts)} It has: {listed(parts)}.")
    drawings = _drawings(arrays, part, name)
    # Labels that are not of a part by their name are those of the only one.
    called = (f"{part}_labels", *(names if len(parts) == 1 else ())) if names else ()
    label = next((one for one in called if one in arrays and one != part), None)
    labels = None if label is None else _labels(arrays[label], label, len(drawings), name)
    return drawings, labels, [f"drawing {i} of {name}" for i in range(len(drawings))]


def _drawings(arrays: dict[str, np.ndarray], part: str, name: str) -> list[Drawing]:
    if part + LENGTHS not in arrays:
        raise DataError(f"{name} has rows {part!r}, but no {part + LENGTHS!r}: save the rows of each drawing there.")
    rows, lengths = arrays[part], arrays[part + LENGTHS]
    _check(rows, lengths, part, name)
    ends = np.cumsum(lengths.astype(np.int64))
    spans = enumerate(zip(ends.tolist(), lengths.tolist(), strict=True))
    return [_drawing(rows[end - length : end], f"drawing {number} of {name}") for number, (end, length) in spans]


def _labels(labels: np.ndarray, called: str, count: int, name: str) -> list[str]:
    if labels.shape != (count,):
        found = f"{len(labels)}" if labels.ndim == 1 else f"an array of shape {labels.shape}"
        raise DataError(
            f"Expected {called!r} of {name} as a label for each of its {count} drawings, but got {found}: give one for "
            "each, in their order."
        )
    plain = labels.tolist()
    if any(label != label for label in plain):
        raise DataError(f"Expected a label for each drawing of {name}, but one is missing: leave the drawing out.")
    return [str(int(label)) if isinstance(label, float) and label.is_integer() else str(label) for label in plain]


def _check(rows: np.ndarray, lengths: np.ndarray, part: str, name: str) -> None:
    if rows.ndim != 2 or rows.shape[1] != 3 or rows.dtype.kind not in "biuf":
        raise DataError(
            f"Expected {part!r} of {name} as rows of dx, dy, pen lifted, but got {rows.dtype} of shape {rows.shape}: "
            "convert them."
        )
    fits = lengths.ndim == 1 and lengths.dtype.kind in "iu" and len(lengths) > 0
    if not fits or bool((lengths < 1).any()) or sum(lengths.tolist()) != len(rows):
        total = f" that add up to {sum(lengths.tolist()):,}" if fits else ""
        raise DataError(
            f"Expected {part + LENGTHS!r} of {name} as whole numbers of at least 1 that add up to its {len(rows):,} "
            f"rows, but got {lengths.dtype} of shape {lengths.shape}{total}: get the whole file."
        )
    wrong = np.flatnonzero(~(np.isfinite(rows).all(1) & np.isin(rows[:, 2], (0, 1))))
    if len(wrong):
        raise DataError(
            f"Expected finite dx and dy, and 0 or 1, in row {wrong[0]} of {part!r} in {name}, but got "
            f"{rows[wrong[0]].tolist()}: mend that row."
        )


def _drawing(rows: np.ndarray, name: str) -> Drawing:
    with np.errstate(over="ignore"):
        points = np.cumsum(rows[:, :2], axis=0, dtype=np.float64)
    ends = np.flatnonzero(rows[:, 2]) + 1
    strokes = [stroke for stroke in np.split(points, ends) if len(stroke)]
    return settled(strokes, "strict", lambda stroke, point: f"point {point} of stroke {stroke} of {name}")
