"""Inputs of any kind with what is said or written in each: what a recogniser reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np

from unrolled.data.read.door import require_file
from unrolled.data.read.files import iterate_text, suffix
from unrolled.data.read.manifests import read_recordings
from unrolled.data.read.records import read_records
from unrolled.data.read.sources import holds_columns, is_path, is_several
from unrolled.errors import DataError, OptionError, listed
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import ReadSource
from unrolled.tasks.reading.corpus import InputCorpus
from unrolled.tasks.reading.labelled import recognised
from unrolled.tasks.reading.options import SignalOptions
from unrolled.types import TABLES

__all__ = ["Utterances", "check_listed", "read_utterances"]

# Files that hold the transcripts of another file of the same name: tables, or a text a line.
BESIDE = (".tsv", ".csv", ".jsonl", ".parquet", ".txt")


@dataclass(frozen=True, eq=False)
class Utterances(InputCorpus):
    """n inputs of one kind. texts: what is said or written in each, None where nobody told."""

    texts: list[str] | None = None

    def with_answers_of(self, rows: np.ndarray) -> Self:
        return replace(self, texts=None if self.texts is None else [self.texts[row] for row in rows.tolist()])

    @property
    def said(self) -> list[str]:
        """The texts. Raises DataError where there are none."""
        if self.texts is None:
            raise DataError(f"Expected a transcript for each input of {self.places.source}, got none: give them as y.")
        return self.texts


def read_utterances(
    source: object, texts: object, columns: LabelColumns, options: SignalOptions, *, labelled: bool
) -> Utterances:
    """What a recogniser takes: a source of any kind, with transcripts in it, beside it, or given.

    labelled: every input must have a transcript; else they are not looked for. texts: one for each input, or None. What
    was read already is taken as it is.
    """
    if isinstance(source, ReadSource) and not labelled:
        return Utterances(source.inputs, source.places, source.columns, source.remarks)
    kind, source = recognised(source, columns, labelled)
    if kind.lines:
        if is_path(source) and source != "-":
            _check_list(require_file(source), columns)
        raise DataError(
            f"Expected recordings, series of numbers, drawings or pictures of lines with their transcripts, got "
            f"{kind.kind}: name the column of the paths with audio= or image=, or give arrays."
        )
    read = kind.read(source, columns, options, labelled=labelled and texts is None)
    if not labelled:
        return Utterances(read.inputs, read.places, read.columns, read.remarks)
    if texts is not None:
        if read.labels is not None:
            raise DataError(f"{read.places.source!r} has transcripts of its own: leave y out.")
        return Utterances(read.inputs, read.places, read.columns, read.remarks, _given(texts, read))
    labels, remarks = read.labels, read.remarks
    if labels is None:
        labels, remark = _beside(source, columns, read)
        remarks = (*remarks, remark)
    said, silent = _filled(labels, read)
    return Utterances(read.inputs, read.places, read.columns, (*remarks, *silent), said)


def check_listed(source: object, *, audio: str | None, image: str | None) -> str | None:
    """The column of the paths, if one is named. Raises `OptionError` where two are, or the source has no columns."""
    if audio is not None and image is not None:
        raise OptionError(
            f"Expected a column of recordings or one of pictures, got audio={audio!r} and image={image!r}: name one."
        )
    column, option, what = (audio, "audio", "recordings") if image is None else (image, "image", "pictures")
    if column is not None and not (holds_columns(source) or (is_path(source) and suffix(source) in TABLES)):
        name = Path(source).name if is_path(source) else f"a {type(source).__name__}"
        raise OptionError(
            f"Expected a table, whose column {column!r} names the {what}, got {name}, which has no columns: leave "
            f"{option}= out."
        )
    return column


def _check_list(path: Path, columns: LabelColumns) -> None:
    """Raises DataError for a list of recordings that is broken, or whose first one is none, or a folder of none."""
    if suffix(path) in TABLES or path.is_dir():
        read_recordings(path, audio=columns.files, text=columns.label)


def _given(texts: object, read: ReadSource) -> list[str]:
    """The texts handed in, one for each input."""
    if not is_several(texts):
        raise DataError(f"Expected a list of transcripts, one for each input, but got {texts!r}: give such a list.")
    return _one_each(list(texts), read, "y")


def _one_each(texts: Sequence[object], read: ReadSource, source: str) -> list[str]:
    if len(texts) != len(read.inputs):
        raise DataError(
            f"Expected one transcript for each of the {len(read.inputs)} inputs of {read.places.source}, got "
            f"{len(texts)} in {source}: pair them up."
        )
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(
                f"Expected a text as the transcript of {read.places.of(row)}, got {text!r}: write what is said, or '' "
                "where nothing is."
            )
    return [str(text) for text in texts]


def _filled(labels: Sequence[object], read: ReadSource) -> tuple[list[str], tuple[str, ...]]:
    """The transcripts of a source, empty where a field of it is, and what is to be said of that."""
    texts = _one_each(["" if label is None else str(label) for label in labels], read, read.places.source)
    silent = sum(not text.strip() for text in texts)
    if silent == len(texts) and texts:
        raise DataError(f"All {len(texts)} transcripts of {read.places.source} are empty: write what is said.")
    said = f"transcripts: {silent:,} of {len(texts):,} are empty, so nothing is said there"
    return texts, (said,) if silent else ()


def _beside(source: object, columns: LabelColumns, read: ReadSource) -> tuple[Sequence[object], str]:
    """The transcripts in a file of the same name, and what is to be said of that."""
    if not is_path(source):
        raise DataError("Expected a transcript for each input, but got none: give them after the inputs, as y.")
    path = Path(source)
    others = (path.with_suffix(ending) for ending in BESIDE)
    file = next((other for other in others if other != path and other.is_file()), None)
    if file is None:
        raise DataError(
            f"{path.name} has no transcripts of a usual name: say with text= what they are called there, or write them "
            f"into a table {path.with_suffix('.tsv').name} beside it (also {listed(BESIDE[1:])}), or give them as y."
        )
    if file.suffix == ".txt":
        return _one_each(list(iterate_text(file)), read, file.name), f"transcripts: the lines of {file.name}"
    records = read_records(file)
    column = columns.label or next((name for name in columns.usual if name in records.columns), None)
    if column is None:
        raise DataError(
            f"{file.name}: expected the transcripts of {path.name} in a column {' or '.join(columns.usual)}; name it "
            f"with text=. It has: {listed(records.columns)}."
        )
    texts: Iterable[str | None] = records.texts(column)
    filled = ["" if text is None else text for text in texts]
    return _one_each(filled, read, file.name), f"transcripts: column {column!r} of {file.name}, in the order of rows"
