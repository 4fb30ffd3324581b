"""The chunks that tags of a scheme describe, which scheme it is, and tags written as a scheme asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

__all__ = [
    "OUTSIDE", "SCHEMES", "learned_scheme", "odd_tags", "parts_of", "scheme_of", "spans", "to_bio", "to_iobes",
    "write_chunks",
]  # fmt: skip

OUTSIDE = "O"

# The marks of each scheme: of a chunk's first tag, those inside, its last, and of one alone.
_MARKS = {
    "BIO": "BIIB", "IOBES": "BIES", "BILOU": "BILU", "BMES": "BMES", "BMEWO": "BMEW", "BIEWO": "BIEW",
    "IOB1": "IIII", "IOE1": "IIII", "IOE2": "IIEE",
}  # fmt: skip
SCHEMES = ("none", *_MARKS)
_BEGUN = tuple(scheme for scheme, marks in _MARKS.items() if marks[0] == "B")
# Letters that other schemes than IOBES use, as IOBES has them.
_SAME = {"L": "E", "U": "S", "W": "S", "M": "I"}
_LETTERS = frozenset("BIESLUWM")
# One tag in so many may be outside of the scheme that all others have.
_ODD = 100


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
    """The chunks that `spans` finds, written in a scheme, see `scheme_of`; what stands in none is kept."""
    written = list(tags)
    before, inner, last_mark, alone = tuple(_MARKS[scheme])
    kind_before, end_before = "", -1
    for kind, first, last in spans(tags):
        length = last - first
        marks = alone if length == 1 else before + inner * (length - 2) + last_mark
        written[first:last] = [f"{mark}-{kind}" if kind else mark for mark in marks]
        if (kind, first) == (kind_before, end_before) and scheme in ("IOB1", "IOE1"):
            place, mark = (first, "B") if scheme == "IOB1" else (first - 1, "E")
            written[place] = f"{mark}-{kind}" if kind else mark
        kind_before, end_before = kind, last
    return written


def scheme_of(sequences: Iterable[Sequence[str]]) -> str:
    """The scheme of tags: "none" where they form no chunks, else one of those below.

        BIO                   B-X first, I-X inside
        IOB1, IOE1            I-X; B-X (E-X) only where a chunk follows (comes before) another of its type
        IOE2                  I-X, and E-X last
        IOBES, BIEWO          as BIO, E-X last, S-X (W-X) alone
        BILOU                 as BIO, L-X last, U-X alone
        BMES, BMEWO           as IOBES, M-X inside; W-X alone

    A few odd tags change nothing: one in a hundred of those with a type, see `odd_tags`.
    """
    every = list(sequences)
    counts = Counter(tag for tags in every for tag in tags)
    marks = Counter[str]()
    for tag, count in counts.items():
        marks[_letter(tag)] += count
    typed = sum(count for tag, count in counts.items() if _letter(tag) and tag[1:])
    spared = max(1, typed // _ODD) if typed >= 10 else 0
    marks.pop(OUTSIDE, None)
    plain = marks.pop("", 0)
    if not marks or plain > spared:
        return "none"
    strange = {scheme: _others(marks, scheme) for scheme in _BEGUN}
    exact = [scheme for scheme, others in strange.items() if not others]
    near = [
        scheme for scheme, others in strange.items() if others + plain <= spared and not _others(marks, scheme, "ES")
    ]
    if not exact and not near:
        return "none"
    return _inside_first(every, marks.keys(), "BIO" if "BIO" in near else (exact or near)[0])


def _others(marks: Mapping[str, int], scheme: str, letters: str = "BIESLUWM") -> int:
    """How many of the marks, of these letters, a scheme lacks."""
    return sum(count for mark, count in marks.items() if mark not in _MARKS[scheme] and mark in letters)


def learned_scheme(scheme: str) -> str:
    """The one of "none", "BIO" and "IOBES" that says as much as a scheme."""
    if scheme in ("none", "BIO", "IOBES"):
        return scheme
    return "BIO" if scheme.startswith("IO") else "IOBES"


def odd_tags(sequences: Iterable[Sequence[str]], scheme: str) -> list[tuple[str, int, int, int]]:
    """The tags that a scheme does not know: (tag, how many, sequence and place of the first)."""
    if scheme == "none":
        return []
    marks = {OUTSIDE, "B", "E"} if scheme in ("IOB1", "IOE1") else {OUTSIDE}
    marks |= set(_MARKS[scheme])
    known: dict[str, bool] = {}
    found: dict[str, tuple[str, int, int, int]] = {}
    for row, tags in enumerate(sequences):
        for place, tag in enumerate(tags):
            if not known.setdefault(tag, _letter(tag) in marks):
                _, count, *first = found.get(tag, (tag, 0, row, place))
                found[tag] = (tag, count + 1, first[0], first[1])
    return list(found.values())


def _inside_first(sequences: Sequence[Sequence[str]], marks: Iterable[str], scheme: str) -> str:
    """IOB1, IOE1 or IOE2 in place of BIO or IOBES, where chunks begin with I, as those ask, and in no other way."""
    letters = set(marks)
    if "I" not in letters or (not letters <= {"B", "I"} and not letters <= {"I", "E"}):
        return scheme
    others = ("IOB1",) if scheme == "BIO" else ("IOE2", "IOE1")
    for other in others:
        if all(write_chunks(tags, other) == list(tags) for tags in sequences):
            return other
    return scheme


def _letter(tag: str) -> str:
    """The letter that marks a tag's place in a chunk, O outside; nothing where it has none."""
    if tag == OUTSIDE:
        return tag
    return tag[:1] if tag[:1] in _LETTERS and tag[1:2] in ("", "-") else ""


@lru_cache(maxsize=1 << 12)
def parts_of(tag: str) -> tuple[str, str]:
    """The mark (O, B, I, E or S, whatever letters a scheme has) and the type of a tag."""
    mark = _letter(tag)
    return (_SAME.get(mark, mark), tag[2:]) if mark and mark != OUTSIDE else (OUTSIDE, "")
