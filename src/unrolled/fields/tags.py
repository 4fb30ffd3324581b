"""A field for tags, one a word: codes and back, and which tags may follow which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np

from unrolled.errors import DataError
from unrolled.fields.field import Field, register_field, shortened
from unrolled.fields.tokens.chunks import learned_scheme, parts_of, scheme_of, spans, write_chunks
from unrolled.fields.tokens.marks import UNKNOWN_TOKEN
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["Tags"]


@register_field
@dataclass(frozen=True)
class Tags(Field[Sequence[str]]):
    """A set of tags: tag number i has the code i; a tag never seen has the code -1.

    In a scheme a tag is O (outside) or a mark and a type, as in B-PER. A chunk is

        BIO      B-X, then any number of I-X
        IOBES    S-X alone, or B-X, any number of I-X, E-X

    Args:
        values: the tags, distinct.
        scheme: "none", "BIO" or "IOBES".
    """

    kind: ClassVar[str] = "Tags"
    values: tuple[str, ...]
    scheme: str = "none"

    @classmethod
    def fit(cls, sequences: Iterable[Sequence[str]], scheme: str | None = None) -> Tags:
        """The tags of the sequences given, sorted, and their scheme; hand in the training part only.

        The scheme is BIO or IOBES, whichever says as much as the one that the tags have (`scheme_of`: BILOU, BMES, IOB1
        and others are read, too). The values are then those of the repaired sequences, so that IOB1 data, which write B
        only between neighbours of one type, gain the B they lack.

        scheme: that of sequences that are written in it; None: seen from them.
        """
        tagged = list(sequences)
        for tags in tagged:
            if isinstance(tags, str):
                raise DataError(f"Tags: expected a list of lists of tags, got the text {tags!r} in it: nest the lists.")
        learned = learned_scheme(scheme_of(tagged)) if scheme is None else scheme
        if learned == "none":
            return cls(tuple(sorted({tag for tags in tagged for tag in tags})), learned)
        return cls(tuple(sorted({tag for tags in tagged for tag in write_chunks(tags, learned)})), learned)

    @property
    def size(self) -> int:
        """The number of tags."""
        return len(self.values)

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {tag: code for code, tag in enumerate(self.values)}

    def encode(self, value: Sequence[str]) -> np.ndarray:
        """The codes of the tags, int64 (len(tags),), -1 where not known. Repair them first if they may be broken."""
        known = self._codes.get
        return np.array([known(tag, -1) for tag in value], np.int64)

    def decode(self, array: Sequence[int] | np.ndarray) -> list[str]:
        """The tags of the codes; "<unk>" for -1.

        Raises:
            DataError: a number is no code of this field.
        """
        numbers = np.asarray(array).ravel().tolist()
        for number in numbers:
            if not -1 <= number < self.size:
                raise DataError(
                    f"Tags: expected codes from -1 to {self.size - 1}, got {number}: "
                    "decode with the field that encoded them."
                )
        # The last place is that of code -1.
        table = (*self.values, UNKNOWN_TOKEN)
        return [table[number] for number in numbers]

    def draw(self, random: np.random.Generator) -> list[str]:
        """Up to eight tags, each one that may follow the one before; the last may end a sequence."""
        begin, follow, end = self.legal()
        codes: list[int] = []
        for _ in range(int(random.integers(9))):
            allowed = np.flatnonzero(follow[codes[-1]] if codes else begin)
            if not len(allowed):
                break
            codes.append(int(random.choice(allowed)))
        while codes and not end[codes[-1]]:
            codes.pop()
        return self.decode(codes)

    def say(self, value: Sequence[str]) -> str:
        """The tags in quotes, spaces between them."""
        return shortened(" ".join(value))

    def repair(self, tags: Sequence[str]) -> list[str]:
        """The tags of the same chunks, written as the scheme asks.

        The rule: the chunks are those that `spans` finds, so an I-X or E-X without an X before it that goes on begins a
        chunk, and its tag becomes B-X (in IOBES S-X if it stands alone); in IOBES a chunk without an end gets its E-X.
        What stands in no chunk, and all tags without a scheme, stay as they are.
        """
        return list(tags) if self.scheme == "none" else write_chunks(tags, self.scheme)

    def legal(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which tags may begin a sequence, which may follow which, and which may end it.

        Returns:
            begin: (size,) bool. follow: (size, size) bool, [i, j] is whether j may come right after i.
            end: (size,) bool. All are True without a scheme.
        """
        if self.scheme == "none":
            return np.ones(self.size, bool), np.ones((self.size, self.size), bool), np.ones(self.size, bool)
        parts = [parts_of(tag) for tag in self.values]
        mark = np.array([part[0] for part in parts], dtype="U1")
        kind = np.array([part[1] for part in parts], dtype=object)
        inner = np.isin(mark, ["I", "E"])
        goes_on = np.isin(mark, ["B", "I"])
        same = kind[:, None] == kind
        begin, end = ~inner, np.ones(self.size, bool) if self.scheme == "BIO" else ~goes_on
        # What goes on inside a chunk needs an open chunk of its type; anything else needs the one before to be whole.
        follow = np.where(inner, goes_on[:, None] & same, end[:, None])
        return begin, follow, end

    def spans(self, tags: Sequence[str]) -> list[tuple[str, int, int]]:
        """The chunks of the tags as (type, first, last + 1), as the function `spans`; none without a scheme."""
        return [] if self.scheme == "none" else spans(tags)

    def to_json(self) -> Json:
        """Plain JSON; `Tags.from_json` gives the field back."""
        return {"values": list(self.values), "scheme": self.scheme}

    @classmethod
    def from_json(cls, data: Json) -> Tags:
        """The field that `to_json` wrote."""
        scheme = typed(Literal["none", "BIO", "IOBES"], data["scheme"], "scheme")
        return cls(tuple(typed(list[str], data["values"], "values")), scheme)
