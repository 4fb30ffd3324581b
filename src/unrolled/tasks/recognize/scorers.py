"""What else has a say in a search of texts: a language model, a bonus for words, a lexicon, words that are expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

from unrolled.align.mode import require_finite
from unrolled.align.next import Next
from unrolled.data.read.lines import read_lines
from unrolled.errors import DataError, OptionError, listed
from unrolled.fields.text import SPECIALS, UNKNOWN, Text
from unrolled.model import load
from unrolled.search.fusion import HotWords, Lexicon, ModelScorer, Scorer, Units, Weighted
from unrolled.search.words import WordScorer
from unrolled.tasks.language import LanguageModel
from unrolled.tasks.recognize.coding import Coding
from unrolled.tasks.recognize.options import SearchOptions
from unrolled.tasks.writing.prompts import newline_of

__all__ = ["AnyScorer", "make_scorers"]

AnyScorer: TypeAlias = Scorer[Any]

# Nats that an expected word is worth where nobody says.
EXPECTED = 4.0
# What a word costs that a language model over words does not know, beside what the model says of such words.
STRANGE = 5.0


def make_scorers(asked: SearchOptions, coding: Coding, known: Sequence[str]) -> list[AnyScorer]:
    """The scorers that were asked for; known: the words of the training part."""
    scorers: list[AnyScorer] = []
    if asked.language_model is not None:
        scorers.append(Weighted(_of_model(_loaded(asked.language_model), coding, known), asked.lm_weight))
    if asked.word_bonus:
        scorers.append(Units(asked.word_bonus, coding.separators))
    if asked.lexicon is not None:
        scorers.append(_lexicon(asked.lexicon, coding, known))
    if asked.hot_words:
        scorers.append(_hot_words(asked.hot_words, coding))
    return scorers


def _loaded(given: object) -> LanguageModel:
    model = load(given) if isinstance(given, str | Path) else given
    if not isinstance(model, LanguageModel):
        raise OptionError(
            f"predict: expected language_model= as a LanguageModel, or where one is saved, got {type(model).__name__}; "
            "fit one with 'unrolled fit language'."
        )
    return model


def _of_model(model: LanguageModel, coding: Coding, known: Sequence[str]) -> AnyScorer:
    """A language model of the very tokens that are written, or of words where characters are."""
    text: Text = model.fields["text"]
    net = cast("Next[object]", model.fitted())
    require_finite(net)
    first = newline_of(text)
    spelled = coding.field.level == "char" and text.level != "char"
    if not spelled:
        _need_same(text, coding)
    codes = None if spelled else text.codes_of(coding.tokens).tolist()
    scorer = ModelScorer(net.step, net.begin(1), begin=first, end=first, codes=codes)
    if not spelled:
        return scorer
    words = _known_words(text, coding, known)
    unknown = [] if text.level == "subword" else [UNKNOWN]
    return WordScorer(scorer, words, coding.separators, unknown=STRANGE, unknown_codes=unknown)


def _need_same(text: Text, coding: Coding) -> None:
    """Raises OptionError where a language model does not read the tokens that are written."""
    level = coding.field.level
    if text.level != level or (level == "subword" and set(text.tokens) != set(coding.field.tokens)):
        raise OptionError(
            f"predict: expected a language model of the {level}s that are written, got one of {text.level}s; fit it "
            f"with level={level!r}" + (" on texts cut into the same pieces." if level == "subword" else ".")
        )
    if set(text.codes_of(coding.tokens[1:]).tolist()) <= {UNKNOWN}:
        raise _foreign()


def _known_words(text: Text, coding: Coding, known: Sequence[str]) -> dict[tuple[int, ...], list[int]]:
    """The model's codes of each word that it knows and that can be written: its own, and those of the transcripts."""
    own = [text.join([token]) for token in text.tokens[len(SPECIALS) :]] if text.level == "word" else []
    found: dict[tuple[int, ...], list[int]] = {}
    for word in dict.fromkeys((*known, *own)):
        # Inside a line a piece holds the space before it.
        codes = text.encode(f" {word}" if text.level == "subword" else word).tolist()
        if word and not any(map(str.isspace, word)) and codes and UNKNOWN not in codes and not coding.unknown(word):
            found[tuple(coding.encode(word).tolist())] = codes
    if not found:
        raise _foreign()
    return found


def _foreign() -> OptionError:
    return OptionError(
        "predict: the language model knows nothing of what is written; fit it on texts like the transcripts, or with "
        "lower=True."
    )


def _lexicon(given: str | Path | Sequence[str], coding: Coding, known: Sequence[str]) -> Lexicon:
    _need_characters("lexicon", coding)
    if given == "training":
        words: Sequence[str] = known
    elif isinstance(given, str | Path):
        words = [word for line in read_lines(given) for word in line.split()]
    else:
        words = [word for entry in given for word in entry.split()]
    kept = sorted({word for word in words if not coding.unknown(word)})
    if not kept:
        raise DataError(
            f"predict: none of the {len(words):,} words of the lexicon can be written ({listed(words, 4)}); write them "
            "as in the transcripts, upper and lower case included."
        )
    return Lexicon([coding.encode(word).tolist() for word in kept], coding.separators)


def _hot_words(given: Mapping[str, float] | Sequence[str], coding: Coding) -> HotWords:
    bonuses = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, EXPECTED)
    phrases: dict[tuple[int, ...], float] = {}
    for phrase, bonus in bonuses.items():
        unknown = coding.unknown(phrase)
        if unknown or not phrase.strip():
            raise DataError(
                f"predict: the expected words {phrase!r} cannot be written: training has not seen "
                f"{listed(map(repr, dict.fromkeys(unknown))) or 'an empty word'}; write them as in the transcripts."
            )
        # A piece of a word holds the space before it, so a phrase is spelled in two ways.
        spaced = coding.field.level == "subword"
        for said in (phrase.strip(), *((" " + phrase.strip(),) if spaced else ())):
            phrases[tuple(coding.encode(said).tolist())] = float(bonus)
    return HotWords(phrases, coding.separators)


def _need_characters(what: str, coding: Coding) -> None:
    if coding.field.level != "char":
        raise OptionError(
            f"predict: {what}= spells words out, got a model that writes {coding.field.level}s; fit one with "
            "level='char'."
        )
