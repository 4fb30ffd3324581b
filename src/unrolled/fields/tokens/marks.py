"""Words and punctuation marks of a text, and the text back from them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import chain

__all__ = ["JOINER", "UNKNOWN_TOKEN", "bare", "join_marks", "split_marks", "split_spaces"]

UNKNOWN_TOKEN = "<unk>"

# Stands on the side of a mark that touches its neighbour.
JOINER = "￭"
# Takes the joiner's place where the text itself holds one; a digit after it says which of the two characters it was.
ESCAPE = "￬"

_SPACES = re.compile(r"[ \t\r\n]+")
_JOINERS_IN_WORDS = "\u200c\u200d"
# Whole sentences, as languages without spaces write them, do not come again.
_MEMORABLE = 64


def split_marks(text: str) -> list[str]:
    """Words and single punctuation marks, in order; `join_marks` gives the text back up to its runs of white space.

    A word is a run of letters, digits, underscores and combining marks; any other character is a mark, together with
    the combining marks after it. Of two tokens that touch, one carries the joiner on that side: the mark beside a
    word, the second of two marks. A lone "<unk>" stays one token.
    """
    chunks = text.split()
    cut = _cut if max(map(len, chunks), default=0) > _MEMORABLE else _remembered
    return list(chain.from_iterable(map(cut, chunks)))


def split_spaces(text: str) -> list[str]:
    """What stands between spaces, tabs and line ends; a no-break or an ideographic space belongs to its word."""
    return [word for word in _SPACES.split(text) if word]


def join_marks(tokens: Sequence[str]) -> str:
    """The text of the tokens: one space between two of them, none where either carries a joiner on that side."""
    text = " ".join(tokens).replace(" " + JOINER, "").replace(JOINER + " ", "").replace(JOINER, "")
    return _unescape(text)


def bare(token: str) -> str:
    """The word or mark itself, without joiners and escapes."""
    return _unescape(token.replace(JOINER, ""))


def _unescape(text: str) -> str:
    return text.replace(ESCAPE + "1", JOINER).replace(ESCAPE + "0", ESCAPE) if ESCAPE in text else text


def _cut(chunk: str) -> tuple[str, ...]:
    """The tokens of a text without white space."""
    escaped = chunk.replace(ESCAPE, ESCAPE + "0").replace(JOINER, ESCAPE + "1")
    after_something, before_word = _patterns()
    spread = before_word.sub(rf"\1{JOINER} ", after_something.sub(f" {JOINER}\\1", escaped))
    return tuple(_UNKNOWN_IN_PIECES.sub(UNKNOWN_TOKEN, spread).split())


# Texts repeat their words: a bounded memory saves most of the matching.
_remembered = lru_cache(maxsize=1 << 16)(_cut)

_UNKNOWN_IN_PIECES = re.compile(rf"(?<!\S)<{JOINER} unk {JOINER}>(?!\S)")


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A mark that touches what stands before it, and one that touches a word after it."""
    clinging = _clinging()
    mark = rf"[^\w\s{JOINER}{ESCAPE}{clinging}]"
    return re.compile(rf"(?<=\S)({mark})"), re.compile(rf"({mark}[{clinging}]*)(?=[\w{ESCAPE}])")


def _clinging() -> str:
    """The characters that belong to the one before them (combining marks, word-internal joiners), as regex ranges."""
    # The planes between hold ideographs and private characters, none of which combine.
    points = [*range(0x20000), *range(0xE0000, 0xE0200)]
    clinging = [p for p in points if unicodedata.category(chr(p))[0] == "M" or chr(p) in _JOINERS_IN_WORDS]
    ranges: list[list[int]] = []
    for point in clinging:
        if ranges and point == ranges[-1][1] + 1:
            ranges[-1][1] = point
        else:
            ranges.append([point, point])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)
