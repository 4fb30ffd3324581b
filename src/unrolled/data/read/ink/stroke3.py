"""Arrays of (dx, dy, pen lifted) a row, with the number of rows of each drawing beside them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from unrolled.data.read.arrays import read_arrays
from unrolled.data.read.door import require_file
from unrolled.data.read.files import file_name
from unrolled.data.read.ink.clock import settled
from unrolled.errors import DataError, OptionError, listed, suggest
from unrolled.fields.ink import Drawing

__all__ = ["stroke3_parts", "read_stroke3"]

LENGTHS = "_lengths"


def stroke3_parts(source: str | Path) -> list[str]:
    """The parts of an .npz file, by the names of its arrays; nothing else of it is read."""
    with zipfile.ZipFile(require_file(source)) as archive:
        names = [member.removesuffix(".npy") for member in archive.namelist() if member.endswith(".npy")]
    return [name for name in names if name + LENGTHS in names]


def read_stroke3(source: str | Path, part: str | None) -> list[Drawing]:
    """The drawings of one part of an .npz file: the array `part` of its rows, and `part_lengths`.

    Raises:
        OptionError: the file has several parts and none is named, or not that one.
        DataError: rows or lengths that do not fit; a row is named.
    """
    name = file_name(source)
    arrays = read_arrays(require_file(source), name)
    parts = [key for key in arrays if not key.endswith(LENGTHS)]
    if not parts:
        raise DataError(f"{name} holds {listed(arrays)}, but no rows of drawings: save them beside the lengths.")
    if part is None and len(parts) != 1:
        raise OptionError(f"read_drawings: {name} has the parts {listed(parts)}, but none is chosen: give part=.")
    part = parts[0] if part is None else part
    if part not in parts:
        raise OptionError(f"read_drawings: {name} has no part {part!r}.{suggest(part, parts)} It has: {listed(parts)}.")
    if part + LENGTHS not in arrays:
        raise DataError(f"{name} has rows {part!r}, but no {part + LENGTHS!r}: save the rows of each drawing there.")
    rows, lengths = arrays[part], arrays[part + LENGTHS]
    _check(rows, lengths, part, name)
    ends = np.cumsum(lengths.astype(np.int64))
    spans = enumerate(zip(ends.tolist(), lengths.tolist(), strict=True))
    return [_drawing(rows[end - length : end], f"drawing {number} of {name}") for number, (end, length) in spans]


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
