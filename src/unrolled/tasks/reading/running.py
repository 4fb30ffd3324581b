"""Running text: documents of lines on their way into a language model, read once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from unrolled.data.batch.ragged import Ragged
from unrolled.data.batch.runs import offsets_of
from unrolled.data.read.lines import lines_of, read_lines
from unrolled.data.read.sources import holds_columns, is_path, is_several, require_text
from unrolled.errors import DataError
from unrolled.fields.text import END, Text
from unrolled.inputs.text import TextInput
from unrolled.inputs.texts import Texts
from unrolled.options import Options

__all__ = ["Running", "StreamOptions", "read_running", "running_codes"]


class StreamOptions(Options):
    """How running text is cut. streams: texts read side by side. steps: of a window, where gradients end."""

    streams: int | None = Field(default=None, ge=1, description="Texts read side by side.")
    steps: int | None = Field(default=None, ge=1, description="Steps of a window, where gradients end.")


@dataclass(frozen=True, eq=False)
class Running:
    """Lines of text. starts: the numbers of the lines that begin a document. characters: (lines,) of each, its end
    included."""

    lines: TextInput
    starts: np.ndarray
    characters: np.ndarray
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.lines)


def read_running(source: object, shape: Text) -> Running:
    """A text file (also .gz), "-", a folder of text files, which are one text; or a list of texts, each a document."""
    starts, sizes = [0], list[int]()
    documents: Iterable[Iterable[str]]
    if is_path(source):
        require_text("LanguageModel", source)
        documents = [read_lines(source)]
    elif holds_columns(source) or not is_several(source):
        raise _no_text(source)
    else:
        documents = map(_lines_of, source)

    def everything() -> Iterator[str]:
        for document in documents:
            if sizes:
                starts.append(len(sizes))
            for line in document:
                sizes.append(len(line) + 1)
                # At word level a line ends with END; elsewhere its end is a character like any other.
                yield line if shape.level == "word" else line + "\n"

    lines = TextInput(Texts(everything(), shape))
    if not len(lines):
        raise DataError("LanguageModel: expected text, got none: give a file with at least one line.")
    begun = np.unique([start for start in starts if start < len(sizes)])
    said = "one text" if len(begun) == 1 else f"{len(begun):,} texts, of which each begins afresh"
    return Running(lines, begun, np.array(sizes, np.int64), (f"text: {len(lines):,} lines, {said}",))


def running_codes(running: Running, rows: np.ndarray, text: Text) -> tuple[np.ndarray, np.ndarray | None]:
    """The codes of a run of lines one after another, and where documents begin; None where it is all one text."""
    codes = running.lines.texts.codes(text)
    if len(rows) and len(rows) == int(rows[-1]) - int(rows[0]) + 1:
        first, last = codes.offsets[rows[0]], codes.offsets[rows[-1] + 1]
        part = Ragged(codes.values[first:last], codes.offsets[rows[0] : rows[-1] + 2] - first)
    else:
        part = codes.select(rows)
    if text.level == "word":
        part = _ended(part)
    inside = part.offsets[:-1][np.isin(rows, running.starts)]
    several = len(running.starts) > 1
    return part.values, inside[inside < len(part.values)] if several else None


def _ended(lines: Ragged) -> Ragged:
    """Every line with END after it."""
    offsets = offsets_of(lines.lengths + 1)
    values = np.full(offsets[-1], END, lines.values.dtype)
    keep = np.ones(len(values), bool)
    keep[offsets[1:] - 1] = False
    values[keep] = lines.values
    return Ragged(values, offsets)


def _lines_of(document: object) -> Sequence[str]:
    if not isinstance(document, str):
        raise _no_text(document)
    return lines_of(document)


def _no_text(found: object) -> DataError:
    return DataError(
        f"LanguageModel: expected a file or a list of texts, got {type(found).__name__} in its place: give one of them."
    )
