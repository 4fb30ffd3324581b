"""Inputs that are files: those of a folder, or those that a list names, with what belongs to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from unrolled.data.read.files import Places
from unrolled.data.read.records import Records
from unrolled.errors import DataError, listed
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Input, ReadSource

__all__ = ["ListWords", "files_alone", "with_what_belongs"]

V = TypeVar("V")


class ListWords(NamedTuple):
    """What is said of files of one kind. inputs: all of them, "sounds". counted: what is counted of them, "recordings".
    told: the text of each, as it is asked for; texts: of all of them; beside: the file that a text stands in."""

    inputs: str
    counted: str
    told: str
    texts: str
    beside: str = "a .txt file"


def files_alone(path: Path, files: Sequence[Path], make: Callable[[Path, str], V]) -> tuple[list[V], Places]:
    """What `make` makes of each file and its place in messages, and where each came from: of a folder `path` its files,
    whatever they are of, or `path` itself."""
    within = path.is_dir() and list(files) != [path]
    names = tuple(file.relative_to(path).as_posix() if within else file.name for file in files)
    made = [make(file, name if within else "") for file, name in zip(files, names, strict=True)]
    return made, Places(path.name, "file", np.arange(len(files)), names)


def with_what_belongs(
    found: Records, inputs: Input[Any], columns: LabelColumns, words: ListWords, *, labelled: bool, by_folder: bool,
    more: tuple[str, ...] = (),
) -> ReadSource:  # fmt: skip
    """Inputs with their texts or labels, as a list of files or a folder of them holds these.

    labelled: they are looked for. by_folder: they are the names of folders. more: what else is to be said.
    """
    if not labelled:
        return ReadSource(inputs, found.places, columns, filed=True)
    said = f"{words.inputs}: {len(inputs):,}" + (f" {words.counted}" if words.counted != words.inputs else "")
    if columns.said:
        if "text" not in found.columns:
            raise DataError(
                f"{found.source}: expected {words.told}, in a column {' or '.join(columns.usual)} or in {words.beside} "
                f"beside each; name the column with text=. It has: {listed(found.columns)}."
            )
        where = f"column {columns.label!r}" if columns.label else "as they stand there"
        remarks = (f"{said} of {found.source}; {words.texts}: {where}", *more)
        return ReadSource(inputs, found.places, columns, found.columns["text"], filed=True, remarks=remarks)
    column = columns.label or next((name for name in columns.usual if name in found.columns), None)
    if column not in found.columns:
        missing = "none has a usual name" if column is None else f"there is no {column!r}"
        raise DataError(
            f"{found.source}: expected a column of labels beside the {words.inputs}, but {missing}; say which with "
            f"label=. It has: {listed(found.columns)}."
        )
    columns = replace(columns, label=column)
    where = "the names of their folders" if by_folder else columns.said_labels
    labels = columns.labels(found.columns, found.source)
    remarks = (f"{said}; labels: {where}", *more)
    return ReadSource(inputs, found.places, columns, labels, filed=True, remarks=remarks)
