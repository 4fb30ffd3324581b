"""The chunks that BIO and IOBES tags describe, and tags written as either scheme asks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

__all__ = ["OUTSIDE", "parts_of", "spans", "to_bio", "to_iobes", "write_chunks"]

OUTSIDE = "O"


def spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """The chunks of the tags as (type, first, last + 1), in order, also where the tags break their scheme.

    A chunk begins at B or S, at I or E after O, E, S or the sequence's start, and at I or E of another type than the
    tag before. It ends before the next beginning or O. Over B, I and O these are the rules of the CoNLL-2000 script
    conlleval; E and S, of which that script knows no S and no B after E, are read as seqeval reads them by default. A
    bare mark such as B has the type "" (seqeval calls it "_"); any other tag is outside.

    >>> spans(["B-PER", "I-PER", "O", "I-LOC"])
    [('PER', 0, 2), ('LOC', 3, 4)]
    """
    found = []
    first, mark_before, kind_before = 0, OUTSIDE, ""
    for place, tag in enumerate(tags):
        mark, kind = parts_of(tag)
        begins = mark != OUTSIDE and (mark in "BS" or mark_before in "OES" or kind != kind_before)
        if mark_before != OUTSIDE and (begins or mark == OUTSIDE):
            found.append((kind_before, first, place))
        if begins:
            first = place
        mark_before, kind_before = mark, kind
    if mark_before != OUTSIDE:
        found.append((kind_before, first, len(tags)))
    return found


def to_bio(tags: Sequence[str]) -> list[str]:
    """The chunks that `spans` finds, written in BIO; what stands in none is kept.

    >>> to_bio(["S-LOC", "O", "B-PER", "E-PER"])
    ['B-LOC', 'O', 'B-PER', 'I-PER']
    """
    return write_chunks(tags, "BIO")


def to_iobes(tags: Sequence[str]) -> list[str]:
    """The chunks that `spans` finds, written in IOBES; what stands in none is kept.

    >>> to_iobes(["B-LOC", "O", "B-PER", "I-PER"])
    ['S-LOC', 'O', 'B-PER', 'E-PER']
    """
    return write_chunks(tags, "IOBES")


def write_chunks(tags: Sequence[str], scheme: str) -> list[str]:
    """The chunks that `spans` finds, written in BIO or IOBES; what stands in none is kept."""
    written = list(tags)
    for kind, first, last in spans(tags):
        marks = "B" + "I" * (last - first - 1)
        if scheme == "IOBES":
            marks = "S" if last - first == 1 else marks[:-1] + "E"
        written[first:last] = [f"{mark}-{kind}" if kind else mark for mark in marks]
    return written


@lru_cache(maxsize=1 << 12)
def parts_of(tag: str) -> tuple[str, str]:
    """The mark (O, B, I, E or S) and the type of a tag."""
    mark, dash, kind = tag[:1], tag[1:2], tag[2:]
    return (mark, kind) if mark and mark in "BIES" and dash in ("", "-") else (OUTSIDE, "")
