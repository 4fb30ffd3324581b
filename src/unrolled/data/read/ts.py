"""The .ts files of sktime and aeon: a header of @ lines, then a series a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unrolled.data.read.door import reader
from unrolled.data.read.files import file_name, iterate_text
from unrolled.errors import DataError, how_many, listed, suggest

__all__ = ["known_label", "read_stepped_ts", "read_ts", "series_of", "stack_channels"]


@reader
def read_ts(source: str | Path) -> tuple[list[np.ndarray], list[str] | None, list[int]]:
    """(values (T_i, D) float64 with NaN where "?" or "NaN" stands, labels or None, line numbers).

    Channels stand between ":", values between ","; the label, if the header announces one, is the last part.

    Raises:
        DataError: a header or line that does not fit; file and line are named.
    """
    name = file_name(source)
    lines = iter(enumerate(iterate_text(source), start=1))
    header = _read_header(lines, name)

    def series(line: str, number: int) -> tuple[np.ndarray, str | None]:
        parts = line.split(":")
        label = None
        if header.labelled:
            label = known_label(parts.pop().strip(), header.labels, "@classLabel lists", number, name)
        return _channels(parts, header, number, name), label

    return series_of(lines, "#", series, labelled=header.labelled)


@reader
def read_stepped_ts(
    source: str | Path, *, labelled: bool = True
) -> tuple[list[np.ndarray], list[list[str]] | None, list[int]]:
    """As `read_ts`, but the last part of a line holds as many labels as the series has steps, between ",".

    labelled: look at them; else they are passed over, whatever they are.

    Raises:
        DataError: as `read_ts`, and for a line with another number of labels than of steps.
    """
    name = file_name(source)
    lines = iter(enumerate(iterate_text(source), start=1))
    header, found = _read_header(lines, name), list[list[str]]()

    def series(line: str, number: int) -> tuple[np.ndarray, None]:
        parts = line.split(":")
        told = parts.pop().split(",") if header.labelled else []
        values = _channels(parts, header, number, name)
        if not (header.labelled and labelled):
            return values, None
        if len(told) != len(values):
            advice = "a Classifier learns one label for each series" if len(told) == 1 else "give one a step"
            raise DataError(
                f"Line {number} of {name} has {len(values)} steps, but {how_many(len(told), 'label')} in its last "
                f"part: {advice}."
            )
        found.append([known_label(one.strip(), header.labels, "@classLabel lists", number, name) for one in told])
        return values, None

    values, _, numbers = series_of(lines, "#", series, labelled=False)
    return values, found if header.labelled and labelled else None, numbers


def series_of(
    lines: Iterator[tuple[int, str]], comment: str, series: Callable[[str, int], tuple[np.ndarray, str | None]],
    *, labelled: bool,
) -> tuple[list[np.ndarray], list[str] | None, list[int]]:  # fmt: skip
    """(values, labels or None, line numbers) of the lines that hold a series, which `series` reads with its label."""
    values, labels, numbers = list[np.ndarray](), list[str](), list[int]()
    for number, text in lines:
        line = text.strip()
        if line and not line.startswith(comment):
            own, label = series(line, number)
            values.append(own)
            labels += [] if label is None else [label]
            numbers.append(number)
    return values, labels if labelled else None, numbers


@dataclass
class _Header:
    """What the @ lines say; None and empty where they say nothing."""

    dimensions: int | None = None
    labelled: bool = False
    labels: tuple[str, ...] = ()
    equal: bool = False
    length: int | None = None
    seen: set[str] = field(default_factory=set)


def _read_header(lines: Iterator[tuple[int, str]], name: str) -> _Header:
    header = _Header()
    for number, text in lines:
        line = text.strip()
        if not line or line.startswith("#"):
            continue
        key, *words = line.split()
        if not key.startswith("@"):
            raise DataError(
                f"Expected '@data' before the series in {name}, but line {number} has {line[:40]!r}: add it."
            )
        if key.lower() == "@data":
            return header
        _take(header, key.lower(), words, number, name)
    raise DataError(f"{name} has no '@data' line, so no series: give a whole .ts file.")


def _take(header: _Header, key: str, words: list[str], number: int, name: str) -> None:
    if key in header.seen:
        raise DataError(f"{name} says {key} twice, again in line {number}: keep one.")
    header.seen.add(key)
    if key == "@timestamps" and _truth(words, key, number, name):
        raise DataError(f"{name} has timestamps in its series, expected values alone: save it with @timeStamps false.")
    if key == "@univariate" and _truth(words, key, number, name):
        header.dimensions = 1
    elif key in ("@dimensions", "@dimension"):
        header.dimensions = _count(words, key, number, name)
    elif key == "@equallength":
        header.equal = _truth(words, key, number, name)
    elif key == "@serieslength":
        header.length = _count(words, key, number, name)
    elif key in ("@classlabel", "@targetlabel"):
        header.labelled, header.labels = _truth(words[:1], key, number, name), tuple(words[1:])


def _truth(words: list[str], key: str, number: int, name: str) -> bool:
    if len(words) != 1 or words[0].lower() not in ("true", "false"):
        raise DataError(
            f"Expected true or false after {key} in line {number} of {name}, but got {' '.join(words)!r}: "
            "mend that line."
        )
    return words[0].lower() == "true"


def _count(words: list[str], key: str, number: int, name: str) -> int:
    if len(words) != 1 or not words[0].isdecimal() or int(words[0]) < 1:
        raise DataError(
            f"Expected an integer of at least 1 after {key} in line {number} of {name}, but got {' '.join(words)!r}: "
            "mend that line."
        )
    return int(words[0])


def known_label(label: str, labels: Sequence[str], listing: str, number: int, name: str) -> str:
    """The label of a line. Raises DataError where it is missing, or none of those that the header lists."""
    if labels and label not in labels:
        raise DataError(
            f"Line {number} of {name} ends in the label {label[:40]!r}, but {listing} "
            f"{listed(labels)}.{suggest(label[:40], labels)} Mend one of them."
        )
    if not label or label == "?":
        raise DataError(f"Line {number} of {name} has no label: leave the series out.")
    return label


def stack_channels(parts: Sequence[str], number: int, name: str) -> np.ndarray:
    """(T, D) of texts of numbers between commas, one a channel. Raises DataError where one is longer than another."""
    channels = [_numbers(part, i, number, name) for i, part in enumerate(parts, start=1)]
    lengths = [len(channel) for channel in channels]
    for i, length in enumerate(lengths, start=1):
        if length != lengths[0]:
            raise DataError(
                f"Line {number} of {name} has {lengths[0]} values in channel 1 but {length} in channel {i}: "
                "give every channel of a series the same steps."
            )
    return np.stack(channels, axis=1)


def _channels(parts: list[str], header: _Header, number: int, name: str) -> np.ndarray:
    if not parts or (header.dimensions is not None and len(parts) != header.dimensions):
        expected = "at least 1" if header.dimensions is None else header.dimensions
        raise DataError(
            f"Line {number} of {name} has {len(parts)} channels where {expected} are expected: mend that line."
        )
    values = stack_channels(parts, number, name)
    # The first series sets the length where the header says equal but not how long.
    if header.equal:
        header.length = len(values) if header.length is None else header.length
        if len(values) != header.length:
            raise DataError(
                f"Line {number} of {name} has {len(values)} steps where @equalLength promises {header.length}: "
                "write @equalLength false, or mend that line."
            )
    return values


def _numbers(part: str, channel: int, number: int, name: str) -> np.ndarray:
    fields = part.replace("?", "nan").split(",")
    try:
        return np.array(list(map(float, fields)), np.float64)
    except ValueError as error:
        raise DataError(
            f"Line {number} of {name}, channel {channel}: {error}; write numbers, and '?' where one is missing."
        ) from error
