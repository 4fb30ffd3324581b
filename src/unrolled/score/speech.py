"""Scores of recognised speech: word and character error rate, an alignment to look at, equal error rate of speakers."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.check import check_choice
from unrolled.errors import DataError
from unrolled.score.areas import check_labelled, ranked
from unrolled.types import Json

__all__ = [
    "NORMALISERS",
    "Edit",
    "EqualErrorRate",
    "ErrorRate",
    "character_error_rate",
    "edits",
    "equal_error_rate",
    "normalise_text",
    "show_edits",
    "word_error_rate",
]

NORMALISERS = ("none", "lower", "words")
UNITS = ("word", "character")
# A table of costs for an alignment: 400 MB. The rates need two rows of it and know no limit.
MOST_CELLS = 50_000_000

Row = NDArray[np.int64]


class Edit(NamedTuple):
    """One step of an alignment: a hit, a substitution, a deletion (not heard) or an insertion (not said)."""

    kind: str
    reference: str | None
    hypothesis: str | None


class EqualErrorRate(NamedTuple):
    """The rate at which both errors of a verification are equally frequent, in [0, 1], and the score where they are."""

    rate: float
    threshold: float


@dataclass(frozen=True)
class ErrorRate:
    """Edits between what was heard and what was said, summed over all texts, over the length of the references.

    unit: "word" or "character". normaliser: what both sides went through first. hits: units that are right. texts: how
    many were compared; wrong: how many of them need an edit. `print(report)` shows a line.
    """

    unit: str
    normaliser: str
    hits: int
    substitutions: int
    deletions: int
    insertions: int
    texts: int
    wrong: int

    @property
    def edits(self) -> int:
        """Substitutions, deletions and insertions together: no fewer turn the references into what was heard."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def length(self) -> int:
        """Units of the references: each one is a hit, a substitution or a deletion."""
        return self.hits + self.substitutions + self.deletions

    @property
    def rate(self) -> float:
        """edits / length: 0 is perfect, an empty answer has 1, insertions can make it more."""
        return self.edits / self.length

    def __str__(self) -> str:
        return (
            f"{100 * self.rate:.2f} % {self.unit} error rate ({self.substitutions} substituted, {self.deletions} "
            f"deleted, {self.insertions} inserted; {self.length} {self.unit}s in {self.texts} texts, {self.wrong} of "
            f"them wrong; normaliser {self.normaliser!r})"
        )

    def to_json(self) -> Json:
        """The report as plain JSON."""
        counts = {"hits": self.hits, "substitutions": self.substitutions, "deletions": self.deletions}
        rest = {"insertions": self.insertions, "length": self.length, "texts": self.texts, "wrong": self.wrong}
        return {"rate": self.rate, "unit": self.unit, "normaliser": self.normaliser, **counts, **rest}


def word_error_rate(hypotheses: Sequence[str], references: Sequence[str], *, normaliser: str = "none") -> ErrorRate:
    """Word error rate of a corpus: the edits of all texts over the words of all references; not a mean of rates.

    hypotheses: the texts heard; references: what was said, one for each. Words stand between white space. Of all
    shortest ways to edit, that with the most hits is counted, so that the counts do not depend on an algorithm's ties.
    An empty reference is allowed: what was heard there is inserted. normaliser: see `normalise_text`.

    Raises:
        DataError: nothing to score, not a reference for each text, or no word in any reference.
        OptionError: no such normaliser.

    Source: Levenshtein 1966; the rate as NIST's sclite and jiwer have it.

    >>> word_error_rate(["the hat sat down"], ["the cat sat"]).rate == 2 / 3
    True
    """
    return _error_rate("word_error_rate", "word", hypotheses, references, normaliser)


def character_error_rate(
    hypotheses: Sequence[str], references: Sequence[str], *, normaliser: str = "none"
) -> ErrorRate:
    """Character error rate of a corpus. Arguments and errors as `word_error_rate`.

    White space inside a text counts, at its ends it does not. A character is a code point.

    >>> character_error_rate(["cut"], ["cat"]).rate == 1 / 3
    True
    """
    return _error_rate("character_error_rate", "character", hypotheses, references, normaliser)


def normalise_text(text: str, normaliser: str) -> str:
    """A text made comparable in one of three ways.

    "none": as it is. "lower": lower case, letters composed with their accents (NFC). "words": that, and punctuation
    (Unicode's categories P) becomes white space, of which one space stays between words; an apostrophe between two
    letters or digits is part of its word, straight or curved.

    >>> normalise_text("“Don’t!” -- said the X-ray", "words")
    "don't said the x ray"
    """
    check_choice("normalise_text", "normaliser", normaliser, NORMALISERS)
    if normaliser == "none":
        return text
    lower = unicodedata.normalize("NFC", text.lower())
    return lower if normaliser == "lower" else _without_punctuation(lower.replace("\u2019", "'"))


def edits(hypothesis: str, reference: str, *, unit: str = "word", normaliser: str = "none") -> list[Edit]:
    """The alignment of one text with its reference, from left to right, as it is counted by the rates.

    Raises:
        DataError: the texts are too long for a table of all pairs of their units (50 million).
        OptionError: no such unit ("word", "character") or normaliser.

    >>> [edit.kind for edit in edits("the hat sat down", "the cat sat")]
    ['hit', 'substitution', 'hit', 'insertion']
    """
    check_choice("edits", "unit", unit, UNITS)
    heard, said = (_units(normalise_text(text, normaliser), unit) for text in (hypothesis, reference))
    if len(heard) * len(said) > MOST_CELLS:
        raise DataError(
            f"edits: expected texts of at most {MOST_CELLS:,} pairs of {unit}s, got {len(heard):,} for {len(said):,}; "
            "align them in pieces."
        )
    steps = []
    for i, j in _path(heard, said):
        word, right = (None if j is None else heard[j]), (None if i is None else said[i])
        steps.append(Edit(_kind(word, right), right, word))
    return steps


def show_edits(steps: Sequence[Edit]) -> str:
    """An alignment as three lines for a report: what was said, what was heard, and S, D or I below what is wrong.

    >>> print(show_edits(edits("the hat sat down", "the cat sat")))
    said   the cat sat ****
    heard  the hat sat down
               S       I
    """
    marks = {"hit": "", "substitution": "S", "deletion": "D", "insertion": "I"}
    lines = ["said ", "heard", "     "]
    for kind, right, word in steps:
        width = max(len(right or ""), len(word or ""))
        cells = (right or "*" * width, word or "*" * width, marks[kind])
        lines = [f"{line} {cell:{width}}" for line, cell in zip(lines, cells, strict=True)]
    return "\n".join(f"{line[:5]} {line[5:]}".rstrip() for line in lines)


def equal_error_rate(scores: ArrayLike, same: ArrayLike) -> EqualErrorRate:
    """Equal error rate of a verification: a pair is taken for the same speaker where its score reaches a threshold.

    scores: (N,), higher means more alike; same: (N,) bool or 0 and 1, whether it is one speaker. Between two thresholds
    the curve of false and true accepts is a line, and the threshold moves along it; above the highest score it is that
    score.

        false accepts / different pairs = false rejects / same pairs = rate

    Raises:
        DataError: different lengths, a score that is not finite, or no pair of one of the two kinds.

    >>> equal_error_rate([0.9, 0.6, 0.7, 0.2], [True, True, False, False]).rate
    0.5
    """
    values, truth = check_labelled("equal_error_rate", scores, same, of="pair")
    order, last = ranked(values)
    scored, accepted = values[order], np.cumsum(truth[order])
    right = np.append(0, accepted[last]) / accepted[-1]
    wrong = np.append(0, last + 1 - accepted[last]) / (len(values) - accepted[-1])
    # Both rates grow with each pair that is accepted; they are equal errors where they add up to 1.
    total = right + wrong
    after = int(np.argmax(total >= 1))
    part = (1 - total[after - 1]) / (total[after] - total[after - 1])
    high, low = scored[last[max(after - 2, 0)]], scored[last[after - 1]]
    rate = wrong[after - 1] + part * (wrong[after] - wrong[after - 1])
    return EqualErrorRate(float(rate), float(high + part * (low - high)))


def _error_rate(
    name: str, unit: str, hypotheses: Sequence[str], references: Sequence[str], normaliser: str
) -> ErrorRate:
    check_choice(name, "normaliser", normaliser, NORMALISERS)
    if isinstance(hypotheses, str) or isinstance(references, str):
        raise DataError(f"{name}: expected a list of texts and a list of references, got one text; put it in a list.")
    if not len(hypotheses) or len(hypotheses) != len(references):
        raise DataError(
            f"{name}: expected at least one text and a reference for each, got {len(hypotheses)} texts and "
            f"{len(references)} references."
        )
    total, wrong = np.zeros(4, np.int64), 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        heard, said = (_units(normalise_text(text, normaliser), unit) for text in (hypothesis, reference))
        counts = _counts(heard, said)
        total += counts
        wrong += any(counts[1:])
    if not total[:3].sum():
        raise DataError(
            f"{name}: expected at least one {unit} in the references, got none in {len(references)} (normaliser "
            f"{normaliser!r}); there is nothing to measure by."
        )
    hits, substitutions, deletions, insertions = map(int, total)
    return ErrorRate(unit, normaliser, hits, substitutions, deletions, insertions, len(hypotheses), wrong)


def _units(text: str, unit: str) -> list[str]:
    return text.split() if unit == "word" else list(text.strip())


def _without_punctuation(text: str) -> str:
    def inside(i: int) -> bool:
        return 0 < i < len(text) - 1 and text[i - 1].isalnum() and text[i + 1].isalnum()

    kept = [
        " " if unicodedata.category(sign).startswith("P") and not (sign == "'" and inside(i)) else sign
        for i, sign in enumerate(text)
    ]
    return " ".join("".join(kept).split())


def _kind(word: str | None, right: str | None) -> str:
    if word is None:
        return "deletion"
    if right is None:
        return "insertion"
    return "hit" if word == right else "substitution"


def _counts(heard: Sequence[str], said: Sequence[str]) -> tuple[int, int, int, int]:
    """Hits, substitutions, deletions and insertions."""
    begin, end = _common_ends(heard, said)
    inner, outer = heard[begin : len(heard) - end], said[begin : len(said) - end]
    last = deque(_rows(inner, outer), maxlen=1).pop()
    fewest, substitutions = divmod(int(last[-1]), _unit_cost(inner, outer))
    longer = len(said) - len(heard)
    # Those that are no substitutions, and deletions less insertions, are known from the lengths.
    deletions = (fewest - substitutions + longer) // 2
    return len(said) - substitutions - deletions, substitutions, deletions, deletions - longer


def _common_ends(heard: Sequence[str], said: Sequence[str]) -> tuple[int, int]:
    """How many units are equal from the left, and of the rest from the right: some best alignment hits them."""
    most = min(len(heard), len(said))
    begin = next((i for i in range(most) if heard[i] != said[i]), most)
    rest = most - begin
    return begin, next((i for i in range(rest) if heard[-1 - i] != said[-1 - i]), rest)


def _unit_cost(heard: Sequence[str], said: Sequence[str]) -> int:
    """What one edit costs; a substitution costs 1 more. No number of substitutions makes up for one edit."""
    return len(heard) + len(said) + 1


def _rows(heard: Sequence[str], said: Sequence[str]) -> Iterator[Row]:
    """Rows of the table of least costs: row i holds the cost of each beginning of `heard` against said[:i]."""
    codes: dict[str, int] = {}
    these, those = (np.array([codes.setdefault(each, len(codes)) for each in units], int) for units in (heard, said))
    unit = _unit_cost(heard, said)
    inserted = unit * np.arange(len(heard) + 1, dtype=np.int64)
    row = inserted
    yield row
    for code in those:
        best = row + unit
        np.minimum(best[1:], row[:-1] + np.where(these == code, 0, unit + 1), out=best[1:])
        # Any number of insertions may follow, each for one unit cost.
        row = np.minimum.accumulate(best - inserted) + inserted
        yield row


def _path(heard: Sequence[str], said: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """A best alignment: pairs of a place in `said` and a place in `heard`, None where the other side has no unit."""
    table = list(_rows(heard, said))
    unit = _unit_cost(heard, said)
    i, j = len(said), len(heard)
    path: list[tuple[int | None, int | None]] = []
    while i or j:
        here = table[i][j]
        step = 0 if i and j and said[i - 1] == heard[j - 1] else unit + 1
        if i and j and here == table[i - 1][j - 1] + step:
            i, j = i - 1, j - 1
            path.append((i, j))
        elif i and here == table[i - 1][j] + unit:
            i -= 1
            path.append((i, None))
        else:
            j -= 1
            path.append((None, j))
    return path[::-1]
