"""What drawings are called: the words of captions, or the names of classes, which are captions of one word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.errors import DataError, listed, suggest
from unrolled.fields.text import END, SPECIALS, Text
from unrolled.inputs.texts import Texts, WordOptions

__all__ = ["captions_of", "codes_of", "come_again"]

# Names come again and again where each stands so often.
AGAIN = 5


def come_again(captions: Sequence[str]) -> bool:
    """Whether captions are names of classes: each of one word, or each there again and again."""
    return len({*captions}) * AGAIN <= len(captions) or all(len(caption.split()) == 1 for caption in captions)


def captions_of(captions: Sequence[str], options: WordOptions, *, whole: bool) -> Texts:
    """The captions as texts of their words. whole: each is one word, its case kept."""
    if whole:
        return Texts([[caption] for caption in captions], Text("word", False, "space", SPECIALS), words=True)
    return Texts(captions, options.shape)


def codes_of(keyword: str, field: Text, *, whole: bool) -> np.ndarray:
    """The codes (n,) of the words of what somebody asks for. Raises `DataError` for words that are not known."""
    if not isinstance(keyword, str):
        raise DataError(f"generate: expected the keyword as a text, got {keyword!r}: give what is to be drawn.")
    words = [keyword] if whole else field.split_text(keyword)
    strange = [word for word in words if not field.knows(word)]
    if strange or not words:
        known = field.tokens[END + 1 :]
        kind = f"one of the {len(known):,} classes" if whole else f"some of the {len(known):,} words"
        told = listed(map(repr, strange)) if strange else "none"
        raise DataError(
            f"generate: expected {kind} that the model knows, such as {listed(known[:6])}, got {told}."
            f"{suggest(strange[0], known) if strange else ''} Choose among these, or fit with vectors= to understand "
            "words that no drawing is called."
        )
    return field.codes_of(words)
