"""InkML: the plain numbers of its traces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

import numpy as np

from unrolled.data.read.ink.clock import Times, settled
from unrolled.errors import DataError, listed
from unrolled.fields.ink import Drawing

__all__ = ["parse_inkml"]

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# How many of each unit of time make a second; without a unit, times are milliseconds.
_SECOND = {"ms": 1000.0, "s": 1.0}


def parse_inkml(
    pieces: Iterable[bytes], name: str, times: Times, names: Sequence[str] = ("truth",)
) -> tuple[Drawing, str | None]:
    """The drawing of a file, and the text of its annotation of one of these types, None where there is none.

    Channels stand as its `traceFormat` says, else as X Y or X Y T; those but X, Y and T are left out. Traces of a pen
    in the air are no strokes.

    Raises:
        DataError: what is no InkML, declares a document type or entities, or holds a trace that does not fit; the
            line is named.
    """
    found = _Found(name, tuple(names))
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = lambda tag, attributes: found.start(tag, attributes, parser.CurrentLineNumber)
    parser.EndElementHandler = found.end
    parser.CharacterDataHandler = found.text
    # Entities are declared nowhere but in a document type, and what none declares, none can blow up or fetch.
    parser.StartDoctypeDeclHandler = found.refuse_doctype
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        said = expat.ErrorString(error.code)
        raise DataError(f"{name} is no whole XML ({said} in line {error.lineno}): give a whole InkML file.") from error
    if not found.traces:
        raise DataError(f"{name} holds no trace of a pen on paper: give an InkML file with <trace> elements.")
    channels = _channels(found, name)
    strokes = [_points(text, channels, f"trace {i} (line {line}) of {name}") for i, line, text in found.traces]
    if len({stroke.shape[1] for stroke in strokes}) > 1:
        raise DataError(f"{name} has times in some of its traces alone, expected in all or in none: leave them out.")

    def place(stroke: int, point: int | None) -> str:
        number, line, _ = found.traces[stroke]
        return f"{'' if point is None else f'point {point} of '}trace {number} (line {line}) of {name}"

    notes = (found.notes.get(kind, "").strip() for kind in names)
    return settled(strokes, times, place), next(filter(None, notes), None)


@dataclass
class _Found:
    """What the parser has met. wanted: types of annotations. traces: their number, from 0, line and text. notes: the
    text of an annotation by its type."""

    name: str
    wanted: tuple[str, ...]
    traces: list[tuple[int, int, str]] = field(default_factory=list)
    formats: list[list[tuple[str, str]]] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    noted: str = ""
    count: int = 0
    depth: int = 0
    optional: int = 0
    kept: list[str] | None = None
    line: int = 0

    def refuse_doctype(self, *_: object) -> None:
        raise DataError(
            f"{self.name} declares a document type, which may hold entities that blow up or fetch other files: remove "
            "the <!DOCTYPE ...> from it."
        )

    def start(self, tag: str, attributes: dict[str, str], line: int) -> None:
        local = tag.split(" ")[-1]
        if self.depth == 0 and local != "ink":
            raise DataError(f"{self.name} is no InkML: expected <ink> as its root, but got <{local[:40]}>: give one.")
        if local == "trace":
            if attributes.get("continuation"):
                raise DataError(
                    f"{self.name} has a trace in several parts (continuation= in line {line}), expected whole ones: "
                    "join its parts."
                )
            self.kept, self.line = [], line
            if attributes.get("type", "penDown") == "penUp":
                self.line = 0
        elif local == "traceFormat":
            self.formats.append([])
        elif local == "intermittentChannels":
            self.optional += 1
        elif local == "channel" and self.formats and not self.optional:
            self.formats[-1].append((attributes.get("name", ""), attributes.get("units", "")))
        elif local == "annotation" and self.depth == 1 and attributes.get("type") in self.wanted:
            self.kept, self.noted = [], attributes["type"]
        self.depth += 1

    def text(self, text: str) -> None:
        if self.kept is not None:
            self.kept.append(text)

    def end(self, tag: str) -> None:
        local = tag.split(" ")[-1]
        self.depth -= 1
        if local == "trace" and self.kept is not None:
            if self.line:
                self.traces.append((self.count, self.line, "".join(self.kept)))
            self.count += 1
            self.kept = None
        elif local == "annotation" and self.kept is not None and self.depth == 1:
            self.notes[self.noted] = "".join(self.kept)
            self.kept = None
        elif local == "intermittentChannels":
            self.optional -= 1


@dataclass(frozen=True)
class _Channels:
    """Where X, Y and T stand among the numbers of a point, how many there are, and what a second is in T."""

    columns: tuple[int, ...]
    counts: tuple[int, ...]
    second: float = 1000.0


def _channels(found: _Found, name: str) -> _Channels:
    formats = [known for known in found.formats if known]
    if not formats:
        return _Channels((0, 1, 2), (2, 3))
    names = [channel for channel, _ in formats[0]]
    if any(other != formats[0] for other in formats):
        raise DataError(f"{name} has traces of several formats, expected one: save them in files of their own.")
    if names.count("X") != 1 or names.count("Y") != 1 or names.count("T") > 1:
        raise DataError(f"{name} has the channels {listed(names)}, expected X and Y, and T at most once: mend them.")
    units = dict(formats[0]).get("T", "") or "ms"
    if "T" in names and units not in _SECOND:
        raise DataError(f"{name} has times in {units[:40]!r}, expected 'ms' or 's': convert them.")
    columns = tuple(names.index(channel) for channel in "XYT" if channel in names)
    return _Channels(columns, (len(names),), _SECOND.get(units, 1.0))


def _points(text: str, channels: _Channels, place: str) -> np.ndarray:
    rows = [point.split() for point in text.split(",")] if text.strip() else []
    count = len(rows[0]) if rows and len(rows[0]) in channels.counts else channels.counts[0]
    columns = channels.columns[:count] if len(channels.counts) > 1 else channels.columns
    values = []
    for number, row in enumerate(rows):
        if len(row) != count or not all(_NUMBER.fullmatch(row[column]) for column in columns):
            wanted = " or ".join(map(str, channels.counts))
            raise DataError(
                f"Expected {wanted} plain numbers in point {number} of {place}, as in every point of it, but got "
                f"{' '.join(row)[:40]!r}: mend it, differences and wildcards written out."
            )
        values.append([float(row[column]) for column in columns])
    points = np.array(values, np.float64).reshape(-1, len(columns))
    if len(columns) == 3:
        points[:, 2] /= channels.second
    return points
