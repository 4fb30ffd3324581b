"""Word vectors trained elsewhere: read from GloVe and word2vec text files, and lined up with a vocabulary."""

from __future__ import annotations

import gzip
import io
import zlib
from array import array
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from unrolled.data.read.door import Unpacked, reader, require_file
from unrolled.errors import DataError, said_by
from unrolled.fields.text import PAD, Text
from unrolled.fields.tokens import bare

__all__ = ["Vectors", "read_vectors", "vectors_for", "words_wanted"]

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


class Vectors(NamedTuple):
    """Words and their vectors. words: distinct; matrix: (number of words, width) float32, one row a word."""

    words: tuple[str, ...]
    matrix: np.ndarray


@reader
def read_vectors(path: str | Path, keep: Container[str] | None = None) -> Vectors:
    """The vectors of a GloVe file (a word and its numbers on each line) or a word2vec text file (under a line "N D").

    The file is streamed; gzip is seen from its first bytes. The width is that of the header, else of the first line. A
    word may hold spaces: the last `width` columns are its numbers. A word that comes again keeps its first vector.

    Args:
        path: the file.
        keep: the words to read; None: all. The numbers of the other lines are counted but not read.

    Returns:
        Vectors in the order of the file.

    Raises:
        DataError: no such file or a damaged one, no vectors in it, bytes that are no UTF-8, a line of another width, a
            value that is no finite number, or fewer or more lines than the header says.
    """
    path = require_file(path)
    try:
        return _read(_Lines(path), keep)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path.name} cannot be read ({said_by(error)}): check that it is a whole, readable file."
        ) from error


def vectors_for(text: Text, vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
    """The vector of each token of a field, by code.

    A token is looked up without the joiners of its marks, first as it is, then in lower case. The names of the specials
    are looked up too (GloVe files may hold "<unk>", word2vec files "</s>"), but padding has no vector.

    Returns:
        matrix: (text.size, width) float32, zeros where nothing was found. found: (text.size,) bool.
    """
    row_of = {word: row for row, word in enumerate(vectors.words)}
    rows = np.full(text.size, -1)
    for code, token in enumerate(text.tokens):
        if code != PAD:
            word = bare(token)
            rows[code] = row_of.get(word, row_of.get(word.lower(), -1))
    found = rows >= 0
    matrix = np.zeros((text.size, vectors.matrix.shape[1]), np.float32)
    matrix[found] = vectors.matrix[rows[found]]
    return matrix, found


def words_wanted(text: Text) -> set[str]:
    """The words that `vectors_for` may look up: the `keep` of `read_vectors` that a field needs."""
    words = {bare(token) for token in text.tokens}
    return words | {word.lower() for word in words}


class _Lines:
    """The lines of a file as bytes without their ends; knows the file's name, and the number and place of the line."""

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.number, self.offset = path, path.name, 0, 0

    def __iter__(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            packed = file.read(2) == _GZIP
        after = 0
        size = self.path.stat().st_size
        with gzip.open(self.path) if packed else self.path.open("rb") as stream:
            lines = io.BufferedReader(Unpacked(stream, size, self.name), 1 << 17) if packed else stream
            for line in lines:
                self.number, self.offset = self.number + 1, after
                after += len(line)
                if self.number == 1 and line.startswith(_BYTE_ORDER_MARK):
                    self.offset, line = len(_BYTE_ORDER_MARK), line[len(_BYTE_ORDER_MARK) :]
                stripped = line.strip()
                if stripped:
                    self.offset += line.index(stripped[:1])
                    yield stripped


def _read(lines: _Lines, keep: Container[str] | None) -> Vectors:
    words: dict[str, int] = {}
    numbers, width, promised, count = array("f"), 0, -1, 0
    for line in lines:
        if width == 0:
            width, promised = _first_line(line, lines)
            if promised >= 0:
                continue
        count += 1
        word, values = _row(line, width, lines)
        if word in words or (keep is not None and word not in keep):
            continue
        words[word] = lines.number
        numbers.extend(_numbers(values, lines))
    if promised >= 0 and count != promised:
        raise DataError(
            f"{lines.name}: line 1 says {promised} vectors follow, but there are {count}: "
            "get the whole file or correct that line."
        )
    if count == 0:
        raise DataError(f"{lines.name} holds no vectors: expected lines of a word and its numbers, give such a file.")
    matrix = np.asarray(numbers, np.float32).reshape(len(words), width)
    bad = np.flatnonzero(~np.isfinite(matrix).all(1))
    if len(bad):
        raise DataError(
            f"{lines.name}: line {list(words.values())[bad[0]]} holds a value that is no finite 32-bit number: "
            "mend or remove that line."
        )
    return Vectors(tuple(words), matrix)


def _first_line(line: bytes, lines: _Lines) -> tuple[int, int]:
    """The width of the vectors, and how many the header says there are; -1 without a header."""
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields) and int(fields[1]) > 0:
        return int(fields[1]), int(fields[0])
    width = 0
    while width < len(fields) - 1 and _is_number(fields[-1 - width]):
        width += 1
    if width == 0:
        raise DataError(
            f"{lines.name}: expected a word and its numbers, but line {lines.number} is {_shown(line)}: "
            "give a GloVe or word2vec text file."
        )
    return width, -1


def _row(line: bytes, width: int, lines: _Lines) -> tuple[str, list[bytes]]:
    fields = line.rsplit(None, width)
    # What stands before the numbers is the word, unless it ends in one more number.
    word = fields[0].split()
    if len(fields) <= width or (len(word) > 1 and _is_number(word[-1])):
        columns = len(line.split()) - 1
        raise DataError(
            f"{lines.name}: expected a word and {width} numbers, but line {lines.number} holds {columns} columns after "
            f"its first, {_shown(line)}: mend or remove that line."
        )
    try:
        return fields[0].decode(), fields[1:]
    except UnicodeDecodeError as error:
        raise DataError(
            f"{lines.name} is not UTF-8 text ({error.reason} at byte {lines.offset + error.start}, line "
            f"{lines.number}): save it as UTF-8."
        ) from error


def _numbers(values: list[bytes], lines: _Lines) -> list[float]:
    try:
        return [float(value) for value in values]
    except ValueError as error:
        wrong = next(value for value in values if not _is_number(value))
        raise DataError(
            f"{lines.name}: expected a number, but line {lines.number} holds {_shown(wrong)}: mend or remove that line."
        ) from error


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _shown(line: bytes) -> str:
    return repr(line[:60].decode(errors="replace"))
