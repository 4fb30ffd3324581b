"""A folder for each class: the files in it are its examples, texts or series of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from unrolled.data.read.arrays import read_arrays
from unrolled.data.read.delimited import Row, choose_delimiter, iterate_rows
from unrolled.data.read.door import reader, require_file
from unrolled.data.read.files import Places, file_name, iterate_text, suffix
from unrolled.data.read.lines import visible_files
from unrolled.data.read.records import Records, Values
from unrolled.data.read.table import DELIMITERS
from unrolled.errors import DataError

__all__ = ["SERIES", "read_folders"]

_TEXTS = (".txt", ".text")
SERIES = (".csv", ".tsv", ".npy")
_MISSING = ("", "?", "nan", "na")


@reader
def read_folders(path: str | Path) -> Records:
    """The files of each class folder, in the order of folders and files, with the folder's name as the label.

    Args:
        path: a folder whose folders are named as the classes. A .txt file is one text; a .csv or .tsv file (a row a
            time step, a column a channel, with or without a header) or an .npy array (T,) or (T, D) is one series.
            Texts and tables may be .gz. Hidden files, and files beside the class folders, are left out.

    Returns:
        Records with the columns "text" (str) or "series" ((T, D) float64, NaN where missing), and "label" (str).

    Raises:
        DataError: no class folder, an empty one, an unknown ending, texts beside series, or a file that does not fit.
    """
    folder = require_file(path)
    files = [(name, file) for name in _class_folders(folder) for file in _examples(name)]
    kinds = {_kind(file): file for _, file in files}
    if len(kinds) > 1:
        raise DataError(
            f"The folder {folder.name!r} holds texts ({kinds['text'].name}) and series ({kinds['series'].name}): "
            "keep one kind."
        )
    (kind,) = kinds
    values: Values = [_text(file) if kind == "text" else _series(file) for _, file in files]
    places = tuple(f"{name.name}/{file.name}" for name, file in files)
    if kind == "series":
        _same_width(values, places)
    columns: dict[str, Values] = {kind: values, "label": [name.name for name, _ in files]}
    return Records(columns, folder.name, Places(folder.name, "file", np.arange(len(files)), places))


def _class_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(
            f"Expected a folder with one folder for each class, but {folder.name!r} is a file: pass a folder."
        )
    found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not found:
        raise DataError(
            f"The folder {folder.name!r} holds no folders: put the files of each class in a folder of its own."
        )
    return found


def _examples(folder: Path) -> list[Path]:
    files = visible_files(folder)
    if not files:
        raise DataError(f"The class folder {folder.name!r} is empty: put files in it, or remove it.")
    for file in files:
        if file.parent != folder:
            raise DataError(
                f"Expected files in the class folder {folder.name!r}, but it holds the folder {file.parent.name!r}: "
                "move its files up."
            )
    return files


def _kind(file: Path) -> str:
    ending = suffix(file)
    if ending in _TEXTS:
        return "text"
    if ending in SERIES and not (ending == ".npy" and file.suffix.lower() == ".gz"):
        return "series"
    raise DataError(
        f"{file.parent.name}/{file.name}: expected a .txt, .csv, .tsv or .npy file, but it ends in {file.suffix!r}: "
        "convert or remove it."
    )


def _text(file: Path) -> str:
    return "\n".join(iterate_text(file)).removesuffix("\n")


def _series(file: Path) -> np.ndarray:
    values = _array(file) if suffix(file) == ".npy" else _table(file)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not len(values) or bool(np.isinf(values).any()):
        raise DataError(
            f"{file.parent.name}/{file.name}: expected finite numbers of shape (time,) or (time, channels), at least "
            f"one step, but got shape {values.shape}{', some infinite' if values.size else ''}: mend or remove it."
        )
    return values


def _array(file: Path) -> np.ndarray:
    values = read_arrays(file, f"{file.parent.name}/{file.name}")["x"]
    if values.dtype.kind not in "biuf":
        raise DataError(f"{file.parent.name}/{file.name} holds text, but expected numbers: save it with numpy.save().")
    return values.astype(np.float64)


def _table(file: Path) -> np.ndarray:
    name = f"{file.parent.name}/{file.name}"
    rows: list[list[float]] = []
    for line, fields in _fields(file):
        try:
            numbers = [np.nan if field.strip().lower() in _MISSING else float(field) for field in fields]
        except ValueError as error:
            if line == 1:
                continue
            raise DataError(f"{name}: {error} in line {line}: write numbers, or leave a missing one empty.") from error
        if rows and len(numbers) != len(rows[0]):
            raise DataError(f"{name} has {len(numbers)} numbers in line {line} after {len(rows[0])} before: mend it.")
        rows.append(numbers)
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.zeros((0, 1))


def _fields(file: Path) -> Iterator[Row]:
    lines = list(iterate_text(file))
    delimiter = choose_delimiter(lines[0] if lines else "", DELIMITERS[suffix(file)])
    return iterate_rows(iter(lines), file_name(file), delimiter)


def _same_width(values: Values, places: tuple[str, ...]) -> None:
    width = values[0].shape[1]
    for value, place in zip(values, places, strict=True):
        if value.shape[1] != width:
            raise DataError(
                f"Expected {width} channels as in {places[0]}, but {place} has {value.shape[1]}: "
                "give every series the same channels."
            )
