"""What drawings are called: the words of captions, or the names of classes, which are captions of one word."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.errors import DataError, listed, suggest
from unrolled.fields.text import END, SPECIALS, Text
from unrolled.fields.tokens import bare
from unrolled.inputs.texts import Texts, WordOptions

__all__ = ["captions_of", "codes_of", "come_again", "says_something", "unknown_words"]

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
    words = (
        [keyword]
        if whole
        else [word for word in field.split_text(keyword) if says_something(word) or field.knows(word)]
    )
    strange = [bare(word) for word in words if not field.knows(word)]
    if strange or not words:
        known = [bare(word) for word in field.tokens[END + 1 :] if whole or says_something(word)]
        kind = f"one of the {len(known):,} classes" if whole else f"some of the {len(known):,} words"
        told = listed(map(repr, strange)) if strange else "none"
        raise DataError(
            f"generate: expected {kind} that the model knows, such as {listed(known[:6])}, got {told}."
            f"{suggest(strange[0], known) if strange else ''} Choose among these, or fit with vectors= to understand "
            "words that no drawing is called."
        )
    return field.codes_of(words)


def unknown_words(captions: Texts, field: Text) -> tuple[str, ...]:
    """The words of captions that a field does not know, each once; marks are no words."""
    return tuple(bare(form) for form in captions.interned.forms if says_something(form) and not field.knows(form))


def says_something(token: str) -> bool:
    """Whether a token is more than a mark."""
    return any(character.isalnum() for character in token)
