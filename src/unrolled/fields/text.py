"""A field for text: words, characters or pieces of words become codes, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from unrolled.errors import DataError, OptionError, suggest
from unrolled.fields.field import Field, register_field, shortened
from unrolled.fields.tokens.marks import UNKNOWN_TOKEN, join_marks, split_marks
from unrolled.fields.tokens.subword import Merges, learn_merges, make_tokenizer
from unrolled.options import typed
from unrolled.types import Json

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

__all__ = ["BEGIN", "BLANK", "END", "PAD", "SPECIALS", "UNKNOWN", "Text"]

PAD, UNKNOWN, BEGIN, END = range(4)
BLANK = PAD
"""The code that says nothing, at a frame of connectionist temporal classification: no text holds it."""
SPECIALS = ("<pad>", UNKNOWN_TOKEN, "<s>", "</s>")
LEVELS = ("word", "char", "subword")
SPLITS = ("punctuation", "space")
# How many pieces the subword level learns where no other number is asked for.
PIECES = 8000
_SILENT = {PAD, BEGIN, END}


@register_field
@dataclass(frozen=True)
class Text(Field[str]):
    """A vocabulary of tokens; codes 0 to 3 are padding, unknown, begin and end, then the tokens by falling count.

        decode(encode(text)) = normalise(text)    where every token is known

    `normalise` lowers the case if `lower` is set and, at word level, makes one space of each run of white space. At the
    char and subword levels nothing else is changed.

    Args:
        level: "word", "char" (one token a code point), or "subword" (byte-level byte pair encoding: every token is
            known, whatever the text; needs the extra `text`).
        lower: whether upper and lower case are one.
        split: at word level, "punctuation" (words and single marks; a mark carries the joiner "￭" on the side where it
            touches its neighbour, so that the text comes back exactly) or "space" (what stands between white space).
        tokens: token number i has the code i; the four specials stand first.
        merges: at subword level, the pairs of pieces to join, in order.
    """

    kind: ClassVar[str] = "Text"
    level: str
    lower: bool
    split: str
    tokens: tuple[str, ...]
    merges: Merges = ()

    @classmethod
    def fit(
        cls,
        texts: Iterable[str],
        *,
        level: str = "word",
        lower: bool = False,
        split: str = "punctuation",
        min_count: int = 1,
        max_size: int | None = None,
    ) -> Text:
        """The field of the texts given; hand in the training part only. The order of the texts changes nothing.

        Args:
            texts: one string a text.
            level, lower, split: as in the class.
            min_count: how often a token (at subword level: a pair of pieces to merge) must stand in the texts.
            max_size: how many tokens are kept beside the specials, the most frequent first; None: all (at subword
                level 8000, and never fewer than the 256 bytes).
        """
        _check_options(level, split, min_count, max_size)
        if isinstance(texts, str):
            raise DataError(f"Text: expected a list of texts, got the single text {texts[:40]!r}: put it in a list.")
        field = cls(level, lower, split, SPECIALS)
        if level == "subword":
            whole = [field._surface(text) for text in texts]
            try:
                merges, pieces = learn_merges(whole, PIECES if max_size is None else max_size, min_count)
            except UnicodeEncodeError as error:
                raise _half_a_character(error.object) from error
            return cls(level, lower, split, (*SPECIALS, *_by_falling_count(pieces, pieces)), merges)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(field.split_text(text))
        numbers = np.fromiter(counts.values(), np.int64, len(counts))
        return cls.from_counts(
            list(counts), numbers, level=level, lower=lower, split=split, min_count=min_count, max_size=max_size
        )

    @classmethod
    def from_counts(
        cls,
        forms: Sequence[str],
        counts: np.ndarray,
        *,
        level: str,
        lower: bool,
        split: str,
        min_count: int = 1,
        max_size: int | None = None,
        extra: Iterable[str] = (),
    ) -> Text:
        """The field of tokens counted before; word and char level only.

        Args:
            forms: the tokens; those that `lower` makes equal are counted together.
            counts: (len(forms),) integers, how often the training part holds each.
            level, lower, split, min_count, max_size: as in `fit`.
            extra: words to know whatever their count and beyond `max_size`, such as those of a file of word vectors.
        """
        _check_options(level, split, min_count, max_size)
        if level == "subword":
            raise OptionError("Text: level='subword' cannot be fitted from counts of tokens; call Text.fit with texts.")
        total: dict[str, int] = {}
        for form, count in zip(forms, np.asarray(counts).tolist(), strict=True):
            token = form.lower() if lower else form
            total[token] = total.get(token, 0) + count
        kept = (token for token, count in total.items() if count >= min_count and token != UNKNOWN_TOKEN)
        tokens = _by_falling_count(kept, total)[:max_size]
        more = {token.lower() if lower else token for token in extra}
        if more:
            tokens = _by_falling_count({*tokens, *more} - {UNKNOWN_TOKEN}, total)
        return cls(level, lower, split, (*SPECIALS, *tokens))

    @property
    def size(self) -> int:
        """The number of codes, the specials included."""
        return len(self.tokens)

    @cached_property
    def _codes(self) -> dict[str, int]:
        # A text may hold the name of a special as a word of its own: "<pad>" is never padding, only "<unk>" is unknown.
        return {token: code for code, token in enumerate(self.tokens) if code > END}

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        return make_tokenizer(self._codes, self.merges)

    def split_text(self, text: str) -> list[str]:
        """The tokens of a text, after its normalisation; at subword level the pieces, written in their byte letters."""
        if self.level == "subword":
            return list(self._pieces(text).tokens)
        surface = self._surface(text)
        if self.level == "char":
            return list(surface)
        return surface.split() if self.split == "space" else split_marks(surface)

    def knows(self, token: str) -> bool:
        """Has the token a code of its own?"""
        return bool(self.codes_of([token])[0] != UNKNOWN)

    def codes_of(self, tokens: Sequence[str]) -> np.ndarray:
        """One code a token, int64 (len(tokens),); UNKNOWN where it is not known. `lower` lowers them too."""
        # The letters that stand for bytes in a subword have a case of their own.
        lower = self.lower and self.level != "subword"
        return self._codes_of([token.lower() for token in tokens] if lower else tokens)

    def encode(self, value: str) -> np.ndarray:
        """The codes of the text's tokens, int64 (number of tokens,); neither BEGIN nor END is added."""
        if self.level == "subword":
            return np.array(self._pieces(value).ids, np.int64)
        return self._codes_of(self.split_text(value))

    def decode(self, array: Sequence[int] | np.ndarray) -> str:
        """The text of the codes: PAD, BEGIN and END are left out, UNKNOWN is written "<unk>".

        Raises:
            DataError: a number is no code of this field.
        """
        numbers = np.asarray(array).ravel().tolist()
        if numbers and not (min(numbers) >= 0 and max(numbers) < self.size):
            wrong = next(number for number in numbers if not 0 <= number < self.size)
            raise DataError(
                f"Text: expected codes from 0 to {self.size - 1}, got {wrong}: decode with the field that encoded them."
            )
        tokens = self.tokens
        return self.join([tokens[code] for code in numbers if code not in _SILENT])

    def draw(self, random: np.random.Generator) -> str:
        """A text of one to eight known tokens; the empty text where none of those drawn can stand in one."""
        known = self.tokens[len(SPECIALS) :]
        tokens = [known[int(i)] for i in random.integers(len(known), size=int(random.integers(1, 9)))] if known else []
        # A token may need neighbours, as a joiner does, or be cut where the data had tokens of their own.
        alone = [token for token in tokens if self._knows(self.join([token]))]
        texts = (self.normalise(self.join(some)) for some in (tokens, alone))
        return next((text for text in texts if self._knows(text)), "")

    def say(self, value: str) -> str:
        """The text in quotes, cut where it is long."""
        return shortened(value)

    def describe(self) -> str:
        """How many tokens are known, as in "9,000 words"; the codes that stand for no token are not counted."""
        kind = {"word": "words", "char": "characters", "subword": "pieces of words"}[self.level]
        return f"{self.size - len(SPECIALS):,} {kind}"

    def normalise(self, text: str) -> str:
        """What decoding the codes of the text gives where every token is known."""
        surface = self._surface(text)
        return " ".join(surface.split()) if self.level == "word" else surface

    def join(self, tokens: Sequence[str]) -> str:
        """The text of tokens that `split_text` gave."""
        if self.level == "subword":
            return str(self._tokenizer.decoder.decode(list(tokens)))
        if self.level == "char":
            return "".join(tokens)
        return " ".join(tokens) if self.split == "space" else join_marks(tokens)

    def to_json(self) -> Json:
        """Plain JSON; `Text.from_json` gives the field back."""
        return {
            "level": self.level,
            "lower": self.lower,
            "split": self.split,
            "tokens": list(self.tokens[len(SPECIALS) :]),
            "merges": [list(pair) for pair in self.merges],
        }

    @classmethod
    def from_json(cls, data: Json) -> Text:
        """The field that `to_json` wrote."""
        merges = tuple((first, second) for first, second in typed(list[list[str]], data["merges"], "merges"))
        tokens = typed(list[str], data["tokens"], "tokens")
        lower, split = (
            typed(bool, data["lower"], "lower"),
            typed(Literal["punctuation", "space"], data["split"], "split"),
        )
        return cls(
            typed(Literal["word", "char", "subword"], data["level"], "level"),
            lower,
            split,
            (*SPECIALS, *tokens),
            merges,
        )

    def _surface(self, text: str) -> str:
        if not isinstance(text, str):
            raise DataError(f"Text: expected a string, got {text!r}: fill in or leave out what is missing.")
        return text.lower() if self.lower else text

    def _knows(self, text: str) -> bool:
        return self._codes.keys() >= set(self.split_text(text))

    def _codes_of(self, tokens: Sequence[str]) -> np.ndarray:
        known = self._codes.get
        return np.array([known(token, UNKNOWN) for token in tokens], np.int64)

    def _pieces(self, text: str) -> Encoding:
        surface = self._surface(text)
        try:
            return self._tokenizer.encode(surface)
        except TypeError as error:
            raise _half_a_character(surface) from error


def _by_falling_count(tokens: Iterable[str], counts: dict[str, int]) -> list[str]:
    """The tokens, the most frequent first, equal counts in the order of the tokens themselves."""
    return sorted(tokens, key=lambda token: (-counts.get(token, 0), token))


def _half_a_character(text: str) -> DataError:
    place = next((i for i, character in enumerate(text) if "\ud800" <= character <= "\udfff"), 0)
    return DataError(
        f"Text: expected Unicode, got the lone surrogate {text[place : place + 1]!r} at character {place}: "
        "read the text as UTF-8."
    )


def _check_options(level: str, split: str, min_count: int, max_size: int | None) -> None:
    for name, value, choices in (("level", level, LEVELS), ("split", split, SPLITS)):
        if value not in choices:
            raise OptionError(
                f"Text: {name} must be one of {', '.join(choices)}, got {value!r}.{suggest(str(value), choices)}"
            )
    for name, number in (("min_count", min_count), ("max_size", max_size)):
        if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
            raise OptionError(f"Text: {name} must be an integer of at least 1, got {number!r}.")
