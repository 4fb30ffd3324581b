"""Scores of texts: perplexity, BLEU and chrF of translations, ROUGE of summaries, distinct n-grams."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, cast

from unrolled.check import check_choice, check_size
from unrolled.errors import DataError, OptionError
from unrolled.score.overlap import References, common_length, ngrams, overlap_f1, with_references

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

__all__ = ["Rouge", "TextScore", "bits", "bleu", "chrf", "distinct_n", "perplexity", "rouge", "rouge_words"]

# Those that need no other package and no download.
TOKENIZERS = ("13a", "intl", "char", "zh", "none")


class TextScore(NamedTuple):
    """A score and the signature that says how it was computed, for others to compare with."""

    value: float
    signature: str

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.signature})"


class Rouge(NamedTuple):
    """F1 over single words, pairs of words, and the longest common subsequence; each in [0, 1]."""

    rouge1: float
    rouge2: float
    rougeL: float


def perplexity(nats: float, count: float) -> float:
    """exp(nats / count): nats is the sum of -ln p over `count` tokens. Infinite where that is too large a number.

    >>> round(perplexity(4 * math.log(10), 4), 9)
    10.0
    """
    mean = _mean("perplexity", nats, count)
    return math.exp(mean) if mean < 700 else math.inf


def bits(nats: float, count: float) -> float:
    """nats / count / ln 2: bits a token, or bits a character or byte if `count` counts those.

    >>> bits(8 * math.log(2), 4)
    2.0
    """
    return _mean("bits", nats, count) / math.log(2)


def bleu(
    hypotheses: Sequence[str], references: References, *, lowercase: bool = False, tokenize: str = "13a"
) -> TextScore:
    """Corpus BLEU in [0, 100], computed by sacrebleu.

    hypotheses: one plain text a sentence, not split into tokens. references: one text for each, or a list of texts for
    each. tokenize: "13a", "intl", "char", "zh" or "none".

    Raises:
        OptionError: sacrebleu (the extra `text`) is not installed, or there is no such way to split.
        DataError: nothing to score, or not a reference for each hypothesis.

    Source: Papineni et al. 2002; Post 2018, arXiv:1804.08771.
    """
    check_choice("bleu", "tokenize", tokenize, TOKENIZERS)
    metrics = _sacrebleu("bleu")
    # Told to be forced, it does not print advice about tokens; the number is the same.
    return _corpus("bleu", metrics.BLEU(lowercase=lowercase, tokenize=tokenize, force=True), hypotheses, references)


def chrf(hypotheses: Sequence[str], references: References, *, word_order: int = 0) -> TextScore:
    """Corpus chrF in [0, 100], computed by sacrebleu; word_order=2 is chrF++. Arguments and errors as `bleu`.

    Source: Popovic 2015.
    """
    if isinstance(word_order, bool) or not isinstance(word_order, int) or word_order < 0:
        raise OptionError(f"chrf: word_order must be an integer of at least 0, got {word_order!r}.")
    return _corpus("chrf", _sacrebleu("chrf").CHRF(word_order=word_order), hypotheses, references)


def rouge_words(text: str) -> list[str]:
    """Lower case, then every run of a to z and 0 to 9, as the usual ROUGE has it: other scripts leave nothing."""
    return re.findall(r"[a-z0-9]+", text.lower())


def rouge(
    hypotheses: Sequence[str], references: References, *, split: Callable[[str], Sequence[str]] = rouge_words
) -> Rouge:
    """ROUGE-1, ROUGE-2 and ROUGE-L F1: of each text the best over its references, then the mean over texts.

    references: one text for each, or a list of texts for each. split: text to words; the default does not stem and
    knows English alone, so give another for other languages.

    Source: Lin 2004.
    """
    pairs = with_references("rouge", hypotheses, references)
    sums = [0.0, 0.0, 0.0]
    for hypothesis, several in pairs:
        words = split(hypothesis)
        rows = [_rouge_of(words, split(reference)) for reference in several]
        sums = [total + max(column) for total, column in zip(sums, zip(*rows), strict=True)]
    return Rouge(*(total / len(pairs) for total in sums))


def distinct_n(texts: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams over all n-grams of the texts (lists of tokens), in [0, 1]; 0 where there is none.

    Source: Li et al. 2016, arXiv:1510.03055.

    >>> distinct_n([["so", "so", "so", "good"]], 1)
    0.5
    """
    check_size("distinct_n", "n", n)
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _mean(name: str, nats: float, count: float) -> float:
    if not count > 0:
        raise DataError(f"{name}: expected a count of at least 1, got {count!r}; give a text with at least one token.")
    return float(nats) / float(count)


def _sacrebleu(name: str) -> ModuleType:
    try:
        from sacrebleu import metrics
    except ModuleNotFoundError as error:
        raise OptionError(
            f"{name}: expected the package sacrebleu, but it is not installed; install unrolled[text]."
        ) from error
    return metrics


def _corpus(name: str, metric: Metric, hypotheses: Sequence[str], references: References) -> TextScore:
    pairs = with_references(name, hypotheses, references)
    most = max(len(several) for _, several in pairs)
    # sacrebleu wants the first reference of every text, then the second of every text, with None where there is none.
    streams = [[several[i] if i < len(several) else None for _, several in pairs] for i in range(most)]
    value = metric.corpus_score([hypothesis for hypothesis, _ in pairs], cast("list[list[str]]", streams)).score
    return TextScore(float(value), str(metric.get_signature()))


def _rouge_of(words: Sequence[str], reference: Sequence[str]) -> tuple[float, float, float]:
    one, two = (_overlap(ngrams(words, n), ngrams(reference, n)) for n in (1, 2))
    return one, two, overlap_f1(common_length(words, reference), len(words), len(reference))


def _overlap(one: list[tuple[str, ...]], two: list[tuple[str, ...]]) -> float:
    return overlap_f1((Counter(one) & Counter(two)).total(), len(one), len(two))
