"""What texts have in common with their references, which the scores of texts count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from unrolled.errors import DataError

__all__ = ["References", "common_length", "ngrams", "overlap_f1", "with_references"]

References: TypeAlias = Sequence[str] | Sequence[Sequence[str]]
"""One text for each hypothesis, or a list of texts for each."""


def with_references(name: str, hypotheses: Sequence[str], references: References) -> list[tuple[str, Sequence[str]]]:
    """Each hypothesis with its list of references."""
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise DataError(f"{name}: expected a list of texts and a list of references, got one text; put it in a list.")
    if not hypotheses or len(hypotheses) != len(references):
        raise DataError(
            f"{name}: expected at least one text and references for each, got {len(hypotheses)} texts and "
            f"{len(references)} references."
        )
    nested = [[given] if isinstance(given, str) else list(given) for given in references]
    if not all(nested):
        raise DataError(f"{name}: expected at least one reference for each text, got none for text {nested.index([])}.")
    return list(zip(hypotheses, nested, strict=True))


def ngrams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """All runs of n words, those that come again again."""
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def overlap_f1(common: int, one: int, two: int) -> float:
    """F1 of two collections of so many things, so many of them in common; 0 where nothing is."""
    return 2 * common / (one + two) if common else 0.0


def common_length(one: Sequence[str], two: Sequence[str]) -> int:
    """The length of the longest common subsequence; the rows of the usual table are the bits of one integer."""
    places: dict[str, int] = {}
    for i, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << i
    full = (1 << len(one)) - 1
    row = full
    for word in two:
        hits = row & places.get(word, 0)
        row = ((row + hits) | (row - hits)) & full
    return (full ^ row).bit_count()
