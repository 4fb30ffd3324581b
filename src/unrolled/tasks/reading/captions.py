"""Inputs of any kind with captions, one or several each: what a captioner reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from unrolled.data.read.captions import CaptionColumns, read_captions
from unrolled.data.read.records import Records
from unrolled.data.read.sources import holds_columns, is_path, is_several
from unrolled.errors import DataError
from unrolled.fields.text import Text
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import ReadSource
from unrolled.inputs.text import TextInput
from unrolled.inputs.texts import Texts
from unrolled.tasks.reading.corpus import InputCorpus
from unrolled.tasks.reading.labelled import recognised
from unrolled.tasks.reading.options import SignalOptions

__all__ = ["Captions", "read_captioned"]

# The column of paths where a list of files is handed on.
_PATHS = "path"


@dataclass(frozen=True, eq=False)
class Captions(InputCorpus):
    """n inputs of one kind, with captions.

    shape: how captions are split. texts: the captions of each input, () where there is none; None where nobody told.
    files: what a list calls the files of its inputs; () where there is no list.
    """

    shape: Text | None = None
    texts: list[tuple[str, ...]] | None = None
    files: tuple[str, ...] = ()

    def with_answers_of(self, rows: np.ndarray) -> Self:
        return replace(self, texts=None if self.texts is None else [self.texts[row] for row in rows.tolist()])

    @property
    def told(self) -> list[tuple[str, ...]]:
        """The captions. Raises DataError where there are none."""
        if self.texts is None:
            raise DataError(f"Expected a caption for each input of {self.places.source}, got none: give them as well.")
        return self.texts

    @cached_property
    def captions(self) -> TextInput:
        """All captions, one after another."""
        assert self.shape is not None
        return TextInput(Texts((text for several in self.told for text in several), self.shape))

    def pairs(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inputs, and the captions among all of them, that these rows make examples of: (m,) each."""
        counts = np.array([len(several) for several in self.told], np.int64)
        ends = np.cumsum(counts)
        which = np.repeat(rows, counts[rows])
        texts = [np.arange(ends[row] - counts[row], ends[row]) for row in rows.tolist()]
        return which, np.concatenate([np.zeros(0, np.int64), *texts])


def read_captioned(
    source: object, captions: object, columns: CaptionColumns, options: SignalOptions, shape: Text, *, captioned: bool
) -> Captions:
    """What a captioner takes: a list of files with captions, or a source of any kind, with texts in it or given.

    captioned: there must be captions; else they are not looked for. captions: one or several for each input, or None.
    What was read already is taken as it is.
    """
    if isinstance(source, ReadSource) and not captioned:
        return Captions(source.inputs, source.places, source.columns, source.remarks, shape)
    if is_path(source) or holds_columns(source):
        found = read_captions(source, columns, captioned=captioned and captions is None)
        if found is not None:
            listed = Records({_PATHS: list(found.paths)}, found.places.source, found.places)
            wanted = LabelColumns(files=_PATHS)
            kind, _ = recognised(listed, wanted, False)
            read = kind.read(listed, wanted, options, labelled=False)
            texts = found.captions if captions is None else _given(captions, read)
            told = texts if captioned else None
            return Captions(read.inputs, read.places, wanted, found.remarks, shape, told, found.files)
    columns.check_unused(str(source)[:60] if is_path(source) else f"a {type(source).__name__}")
    return _of_kind(source, captions, columns, options, shape, captioned)


def _of_kind(
    source: object, captions: object, columns: CaptionColumns, options: SignalOptions, shape: Text, captioned: bool
) -> Captions:
    """A source that one kind reads, with the texts in it or beside it."""
    wanted = LabelColumns(label=columns.caption, said=True)
    kind, source = recognised(source, wanted, captioned)
    if kind.lines:
        raise DataError(
            f"Expected pictures, videos or other inputs with their captions, got {kind.kind}: name the column of the "
            "paths with image=, or give arrays."
        )
    read = kind.read(source, wanted, options, labelled=captioned and captions is None)
    if not captioned:
        return Captions(read.inputs, read.places, wanted, read.remarks, shape)
    if captions is None:
        if read.labels is None:
            raise DataError(
                f"Expected a caption for each input of {read.places.source}, but got none: give them after the inputs."
            )
        captions = ["" if label is None else label for label in read.labels]
    elif read.labels is not None:
        raise DataError(f"{read.places.source!r} has captions of its own: leave the others out.")
    return Captions(read.inputs, read.places, wanted, read.remarks, shape, _given(captions, read))


def _given(captions: object, read: ReadSource) -> list[tuple[str, ...]]:
    """The captions handed in, one or several for each input; empty ones are none."""
    if not is_several(captions):
        raise DataError(f"Expected a list of captions, one for each input, but got {captions!r}: give such a list.")
    every: Sequence[object] = list(captions)
    if len(every) != len(read.inputs):
        raise DataError(
            f"Expected a caption for each of the {len(read.inputs)} inputs of {read.places.source}, got {len(every)}: "
            "pair them up."
        )
    texts = []
    for row, one in enumerate(every):
        several = list(one) if is_several(one) else [one]
        wrong = next((text for text in several if not isinstance(text, str)), None)
        if wrong is not None:
            raise DataError(
                f"Expected a text, or a list of texts, as the caption of {read.places.of(row)}, got {wrong!r}: write "
                "what is to be said."
            )
        texts.append(tuple(str(text) for text in several if str(text).strip()))
    if not any(texts):
        raise DataError(f"All captions of {read.places.source} are empty: write what is to be seen.")
    return texts
