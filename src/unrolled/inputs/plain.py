"""Sentences of plain text, parted into words as training data part theirs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from unrolled.fields.tokens import split_spaces

__all__ = ["parted", "parts_marks"]

# What ends a sentence or a part of one.
_ENDING = frozenset(".,!?;:")
_ENDS = re.compile(r"""([("'\[{«„“‘]*)(.*?)([.,!?;:)"'\]}»”’…]*)""", re.S)
_RUNS = re.compile(r"((.)\2*)")
# Abbreviations end in a mark, too: so many such words are none.
_ABBREVIATED = 0.5


def parts_marks(sentences: Iterable[Sequence[str]]) -> bool:
    """Do punctuation marks stand alone in these sentences, and hardly ever at the end of a word?"""
    alone = clinging = 0
    for words in sentences:
        for word in words:
            if word[-1:] in _ENDING:
                alone += _ENDING.issuperset(word)
                clinging += not _ENDING.issuperset(word)
    return alone > 0 and clinging <= _ABBREVIATED * alone


def parted(text: str, known: Callable[[str], bool]) -> list[str]:
    """The words of a text; marks at their ends stand alone, but where the word is known with them ("Mr.").

    >>> parted('He said: "no, Mr. X..."', {"Mr."}.__contains__)
    ['He', 'said', ':', '"', 'no', ',', 'Mr.', 'X', '...', '"']
    """
    return [word for chunk in split_spaces(text) for word in _words(chunk, known)]


def _words(chunk: str, known: Callable[[str], bool]) -> list[str]:
    found = _ENDS.fullmatch(chunk)
    if known(chunk) or found is None or not found[2]:
        return [chunk]
    front, word, back = found.groups()
    while back and known(word + back[0]):
        word, back = word + back[0], back[1:]
    return [*front, word, *(run for run, _ in _RUNS.findall(back))]
