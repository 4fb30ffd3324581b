"""What is written, as the codes of a CTC: those of a text field without its specials, and 0 for nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from unrolled.fields.text import SPECIALS, UNKNOWN, Text
from unrolled.search.paths import Spelled

__all__ = ["Coding", "WordSpan", "Writing", "frames_needed"]

# Code 1 is the first token after the specials.
SHIFT = len(SPECIALS) - 1
# A character may take several pieces: until it is whole it is not shown.
HALF = "\ufffd"


class WordSpan(NamedTuple):
    """A word, its frames begin .. end - 1, and the confidence of its least sure code."""

    text: str
    begin: int
    end: int
    confidence: float


class Coding:
    """Texts as codes 1 .. size - 1, and back. What is not known has no code and is left out."""

    def __init__(self, field: Text) -> None:
        self.field = field
        self.size = field.size - SHIFT

    def encode(self, text: str) -> np.ndarray:
        """(n,) int64."""
        codes = self.field.encode(text)
        known: np.ndarray = codes[codes != UNKNOWN] - SHIFT
        return known

    def decode(self, codes: Iterable[int]) -> str:
        """The text of codes."""
        return self.field.decode(np.fromiter((code + SHIFT for code in codes), np.int64))

    def unknown(self, text: str) -> list[str]:
        """The tokens of a text that have no code."""
        tokens = self.field.split_text(text)
        return [token for token, code in zip(tokens, self.field.codes_of(tokens), strict=True) if code == UNKNOWN]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The token of each code, the first of which is nothing."""
        return ("", *self.field.tokens[len(SPECIALS) :])

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The text of each code by itself."""
        return ("", *(self.field.join([token]) for token in self.tokens[1:]))

    @cached_property
    def separators(self) -> frozenset[int]:
        """The codes that stand between words, such as spaces; none where a code is a word, or a piece of one."""
        if self.field.level != "char":
            return frozenset()
        return frozenset(code for code, piece in enumerate(self.pieces) if code and piece.isspace())

    def words(self, spelled: Sequence[Spelled]) -> list[WordSpan]:
        """The words that codes make up, each with its frames."""
        groups: list[list[Spelled]] = [[]]
        for one in spelled:
            piece = self.pieces[one.codes[0]]
            if self.field.level == "word" or piece[:1].isspace():
                groups.append([])
            if not piece.isspace():
                groups[-1].append(one)
        return [
            WordSpan(
                self.decode(one.codes[0] for one in group).strip(),
                group[0].begin,
                group[-1].end,
                min(one.confidence for one in group),
            )
            for group in groups
            if group
        ]


class Writing:
    """Codes as text while more of them become sure, each decoded once."""

    def __init__(self, coding: Coding) -> None:
        self._coding, self._text, self._count = coding, "", 0
        self._between = " " if coding.field.level == "word" else ""

    def follow(self, stable: tuple[int, ...], rest: tuple[int, ...]) -> tuple[str, str]:
        """The text of codes that are sure, which begin with those of the call before, and of those that may follow."""
        if len(stable) < self._count:
            # No text is possible any more, such as where a lexicon has none.
            return "", ""
        sure = self._decoded(stable[self._count :])
        if not sure.endswith(HALF):
            self._text, self._count, more = self._text + sure, len(stable), ""
        else:
            more = sure.rstrip(HALF)
        both = self._decoded((*stable[self._count :], *rest)).rstrip(HALF)
        return self._text + more, both[len(more) :]

    def _decoded(self, codes: tuple[int, ...]) -> str:
        """The text of the codes after those that are written."""
        if not codes:
            return ""
        return (self._between if self._count else "") + self._coding.decode(codes)


def frames_needed(codes: np.ndarray) -> int:
    """The frames without which codes have no path: a blank must part equal ones."""
    return len(codes) + sum(int(one == other) for one, other in pairwise(codes.tolist()))
