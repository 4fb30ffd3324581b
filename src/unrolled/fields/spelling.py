"""A field for the spelling of words: each word becomes the codes of its characters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field as At

from unrolled.errors import DataError, OptionError
from unrolled.fields.field import Field, register_field, shortened
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["Spelling"]

_PADDING, _UNKNOWN, _BEGIN, _END = range(4)
# Stands for a character whose code is that of all unknown ones.
_STRANGE = "\ufffd"


# More letters than any word has.
Letters = Annotated[int, At(ge=1, le=1 << 20)]


@register_field
@dataclass(frozen=True)
class Spelling(Field[str]):
    """An alphabet: code 0 is padding, 1 an unknown character, 2 the word's begin, 3 its end, then the characters.

    Args:
        characters: character number i has the code i + 4; by falling count, equal counts in code point order.
        longest: how many characters of a word are written; of a longer one its first and last halves of that many,
            so that one line of junk in a file does not widen the table of all words.
    """

    kind: ClassVar[str] = "Spelling"
    characters: str
    longest: int = 64

    @classmethod
    def fit(cls, words: Iterable[str], min_count: int = 1, longest: int = 64) -> Spelling:
        """The characters that stand at least `min_count` times in the words; hand in the training part only."""
        for name, value in (("min_count", min_count), ("longest", longest)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"Spelling: {name} must be an integer of at least 1, got {value!r}.")
        if isinstance(words, str):
            raise DataError(f"Spelling: expected a list of words, got the text {words[:40]!r}: split it first.")
        counts: Counter[str] = Counter()
        for word in words:
            counts.update(word)
        kept = (character for character, count in counts.items() if count >= min_count)
        return cls("".join(sorted(kept, key=lambda character: (-counts[character], character))), longest)

    @property
    def size(self) -> int:
        """The number of codes, the four specials included."""
        return len(self.characters) + 4

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        """The code points, sorted, and the code of each."""
        points = _code_points(self.characters)
        order = np.argsort(points)
        return points[order], order + 4

    def encode(self, value: str) -> np.ndarray:
        """The codes of one word between begin and end, int64 (characters + 2,); `encode_all` encodes many.

        What a word longer than `longest` holds in its middle is lost, and which character an unknown one was.
        """
        if not isinstance(value, str):
            raise DataError(f"Spelling: expected one word, got {value!r}: encode many with encode_all.")
        codes: np.ndarray = self.encode_all([value])[0]
        return codes

    def decode(self, array: np.ndarray) -> str:
        """The word of the codes up to its end; an unknown character is "\ufffd".

        Raises:
            DataError: a number is no code of this field.
        """
        numbers = np.asarray(array).ravel().tolist()
        for number in numbers:
            if not 0 <= number < self.size:
                raise DataError(
                    f"Spelling: expected codes from 0 to {self.size - 1}, got {number}: "
                    "decode with the field that encoded them."
                )
        shown = numbers[: numbers.index(_END)] if _END in numbers else numbers
        table = ("", _STRANGE, "", "", *self.characters)
        return "".join(table[number] for number in shown)

    def draw(self, random: np.random.Generator) -> str:
        """A word of up to eight known characters."""
        size = min(int(random.integers(9)), self.longest) if self.characters else 0
        return "".join(self.characters[int(i)] for i in random.integers(max(1, len(self.characters)), size=size))

    def say(self, value: str) -> str:
        """The word in quotes."""
        return shortened(value)

    def describe(self) -> str:
        """How many characters words are read by, as in "57 characters that spell"."""
        return f"{self.size} characters that spell"

    def encode_all(self, words: Sequence[str]) -> np.ndarray:
        """The codes of each word between begin and end, int64 (len(words), longest of them + 2), 0 after the end."""
        shown = [self._shown(word) for word in words]
        lengths = np.fromiter(map(len, shown), np.int64, len(shown))
        points, codes = self._table
        found = _code_points("".join(shown))
        written = np.full(len(found), _UNKNOWN, np.int64)
        if len(points):
            place = np.minimum(np.searchsorted(points, found), len(points) - 1)
            written = np.where(points[place] == found, codes[place], _UNKNOWN)
        spelled = np.full((len(shown), int(lengths.max(initial=0)) + 2), _PADDING, np.int64)
        column = np.arange(spelled.shape[1])
        spelled[:, 0] = _BEGIN
        spelled[(column > 0) & (column <= lengths[:, None])] = written
        spelled[np.arange(len(shown)), lengths + 1] = _END
        return spelled

    def _shown(self, word: str) -> str:
        if len(word) <= self.longest:
            return word
        tail = self.longest // 2
        return word[: self.longest - tail] + word[len(word) - tail :]

    def to_json(self) -> Json:
        """Plain JSON; `Spelling.from_json` gives the field back."""
        return {"characters": self.characters, "longest": self.longest}

    @classmethod
    def from_json(cls, data: Json) -> Spelling:
        """The field that `to_json` wrote."""
        return cls(typed(str, data["characters"], "characters"), typed(Letters, data["longest"], "longest"))


def _code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
