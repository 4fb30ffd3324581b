"""What a source is: the name of a file or folder, a table in memory, values one after another."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sized
from pathlib import Path
from typing import TypeGuard

import numpy as np

from unrolled.data.read.files import suffix
from unrolled.data.read.lines import visible_files
from unrolled.data.read.records import Records
from unrolled.data.read.table import DELIMITERS
from unrolled.errors import DataError
from unrolled.types import TABLES

__all__ = ["holds_columns", "holds_numbers", "holds_texts", "is_delimited", "is_path", "is_several", "require_text"]

# Longer names are texts that somebody meant to put in a list.
LONGEST_NAME = 200


def is_path(source: object) -> TypeGuard[str | Path]:
    """Whether a source is the name of a file or folder. Raises DataError for a text in its place."""
    if isinstance(source, str):
        text = not source or len(source) > LONGEST_NAME or any(character.isspace() for character in source)
        if text and not os.path.exists(source):
            raise DataError(f"There is no file {source[:60]!r}: check the path, or put a text itself in a list.")
    return isinstance(source, str | Path)


def require_text(owner: str, source: object) -> None:
    """Raises `DataError` for a file of rows, alone or in a folder: its commas and braces are not what is to be read."""
    if not is_path(source) or str(source) == "-":
        return
    path = Path(source)
    table = next((file for file in (visible_files(path) if path.is_dir() else [path]) if suffix(file) in TABLES), None)
    if table is not None:
        raise DataError(
            f"{owner}: expected lines of text, got the table {table.name}; write its column of texts to a text file, "
            "a text a line, or give the texts as a list in Python."
        )


def is_delimited(source: object) -> bool:
    """Whether a source is a file of delimited text: no other kind of table can lack the names of its columns."""
    return isinstance(source, str | Path) and suffix(source) in DELIMITERS


def is_several(values: object) -> TypeGuard[Iterable[object]]:
    """Whether it holds values one after another: anything that can be gone through, but a text."""
    alone = isinstance(values, np.ndarray) and values.ndim == 0
    return isinstance(values, Iterable) and not isinstance(values, str | bytes) and not alone


def holds_columns(source: object) -> bool:
    """Whether a source is a table in memory: a dataframe, a dict of columns, a list of dicts, or Records."""
    from narwhals.dependencies import is_into_dataframe

    if isinstance(source, Mapping | Records) or is_into_dataframe(source):
        return True
    return isinstance(source, list) and len(source) > 0 and isinstance(source[0], Mapping)


def holds_texts(values: Iterable[object]) -> bool:
    """Whether one of the values is a text."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return bool(values.dtype.kind == "U")
    return any(isinstance(value, str) for value in values)


def holds_numbers(values: Iterable[object]) -> bool:
    """Whether the values are series of numbers, as the first that holds anything shows."""
    if isinstance(values, np.ndarray) and values.dtype != object:
        return values.ndim > 1 and values.dtype.kind in "biuf"
    first: object = next((each for each in values if isinstance(each, Sized) and len(each)), "")
    while isinstance(first, list | tuple) and first:
        first = first[0]
    return not isinstance(first, str) and np.asarray(first).dtype.kind in "biuf"
