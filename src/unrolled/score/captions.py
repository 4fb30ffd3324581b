"""Scores of captions, each against one reference or several: BLEU, ROUGE-L, CIDEr-D, F1 of words, exact matches."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from unrolled.check import check_size
from unrolled.errors import DataError
from unrolled.score.overlap import References, common_length, ngrams, overlap_f1, with_references

__all__ = [
    "CaptionScores",
    "caption_bleu",
    "caption_rouge",
    "caption_scores",
    "caption_words",
    "cider",
    "exact_matches",
    "word_f1",
]

Split: TypeAlias = Callable[[str], Sequence[str]]
"""A text to its words."""

Gram: TypeAlias = tuple[str, ...]
# n-grams that BLEU and CIDEr count: of one word to four.
LONGEST = 4
# Words by which lengths differ that CIDEr-D takes for one deviation.
SIGMA = 6.0


class CaptionScores(NamedTuple):
    """bleu: BLEU-4. cider: None for a single picture, where no word is rarer than another. All others are in [0, 1]."""

    bleu: float
    rouge: float
    cider: float | None
    f1: float
    exact: float


def caption_words(text: str) -> list[str]:
    """Lower case, then every run of letters and digits, with what a hyphen or an apostrophe joins; marks are left out.

    >>> caption_words("A dog's T-shirt: 2 colours!")
    ['a', "dog's", 't-shirt', '2', 'colours']
    """
    return re.findall(r"\w+(?:[-'’]\w+)*", text.lower())


def caption_scores(hypotheses: Sequence[str], references: References, *, split: Split = caption_words) -> CaptionScores:
    """All scores of this page. references: one text for each caption, or a list of texts for each."""
    return CaptionScores(
        caption_bleu(hypotheses, references, split=split),
        caption_rouge(hypotheses, references, split=split),
        cider(hypotheses, references, split=split) if len(hypotheses) > 1 else None,
        word_f1(hypotheses, references, split=split),
        exact_matches(hypotheses, references, split=split),
    )


def caption_bleu(
    hypotheses: Sequence[str], references: References, *, n: int = LONGEST, split: Split = caption_words
) -> float:
    """BLEU over all captions together, in [0, 1], without smoothing.

        BLEU = min(1, exp(1 - r / c)) prod_k p_k^(1/n)    p_k: n-grams of k words, each as often as in one reference

    c: words of the captions; r: of the reference of each whose length is nearest, of two such the shorter.

    Source: Papineni et al. 2002.
    """
    check_size("caption_bleu", "n", n)
    found, given = [0] * n, [0] * n
    ours = theirs = 0
    for words, several in _split("caption_bleu", hypotheses, references, split):
        ours += len(words)
        theirs += min((abs(len(reference) - len(words)), len(reference)) for reference in several)[1]
        for k in range(n):
            counts = Counter(ngrams(words, k + 1))
            most: Counter[Gram] = Counter()
            for reference in several:
                most |= Counter(ngrams(reference, k + 1))
            found[k] += (counts & most).total()
            given[k] += counts.total()
    if not all(found):
        return 0.0
    mean = sum(math.log(one / all_) for one, all_ in zip(found, given, strict=True)) / n
    return math.exp(min(0.0, 1 - theirs / ours) + mean)


def caption_rouge(
    hypotheses: Sequence[str], references: References, *, beta: float = 1.2, split: Split = caption_words
) -> float:
    """ROUGE-L as captions are scored by it, the mean over them: F_beta of the longest common subsequence.

        F = (1 + beta^2) P R / (R + beta^2 P)    P, R: of the reference where each is largest

    Source: Lin 2004; beta and the largest P and R as in the evaluation of COCO, Chen et al. 2015, arXiv:1504.00325.
    """
    pairs = _split("caption_rouge", hypotheses, references, split)
    total = 0.0
    for words, several in pairs:
        common = [common_length(words, reference) for reference in several]
        if any(common):
            precision = max(common) / len(words)
            recall = max(one / len(reference) for one, reference in zip(common, several, strict=True) if one)
            total += (1 + beta**2) * precision * recall / (recall + beta**2 * precision)
    return total / len(pairs)


def cider(hypotheses: Sequence[str], references: References, *, split: Split = caption_words) -> float:
    """CIDEr-D, the mean over captions; 10 and more where each is like all references of its own picture.

        g_k(s)  = count of the n-gram in s  *  ln(pictures / max(1, pictures with it in a reference))
        CIDEr_k = mean over references s of  exp(-(l(c) - l(s))^2 / (2 sigma^2))  min(g_k(c), g_k(s)) . g_k(s)
                                                                                    / (|g_k(c)| |g_k(s)|)
        CIDEr-D = 10 * mean of CIDEr_k over k = 1 .. 4 words,    sigma = 6,  l: words

    How rare an n-gram is, these references tell. Source: Vedantam et al. 2015, arXiv:1411.5726, section 6, with counts
    in the place of shares of all n-grams, as the authors' own program has them.

    Raises:
        DataError: fewer than two pictures.
    """
    pairs = _split("cider", hypotheses, references, split)
    if len(pairs) < 2:
        raise DataError("cider: expected at least two pictures, got one, of which no word is rarer than another.")
    seen = Counter(gram for _, several in pairs for gram in {gram for one in several for gram in _grams(one)})
    rarity = {gram: math.log(len(pairs) / count) for gram, count in seen.items()}
    unseen = math.log(len(pairs))
    total = 0.0
    for words, several in pairs:
        own = _weighed(words, rarity, unseen)
        total += sum(_likeness(own, _weighed(one, rarity, unseen), len(words) - len(one)) for one in several) / len(
            several
        )
    return 10 * total / len(pairs)


def word_f1(hypotheses: Sequence[str], references: References, *, split: Split = caption_words) -> float:
    """F1 of the words of each caption, in any order, with the reference where it is best; the mean over captions.

    >>> word_f1(["a red dog"], [["the dog", "a red cat runs"]], split=str.split)
    0.5714285714285714
    """
    pairs = _split("word_f1", hypotheses, references, split)
    best = (max(_words_in_common(words, reference) for reference in several) for words, several in pairs)
    return sum(best) / len(pairs)


def exact_matches(hypotheses: Sequence[str], references: References, *, split: Split = caption_words) -> float:
    """The share of captions whose words are those of a reference, in the same order."""
    pairs = _split("exact_matches", hypotheses, references, split)
    return sum(any(words == reference for reference in several) for words, several in pairs) / len(pairs)


def _split(
    name: str, hypotheses: Sequence[str], references: References, split: Split
) -> list[tuple[list[str], list[list[str]]]]:
    """The words of each caption, and of each of its references."""
    pairs = with_references(name, hypotheses, references)
    return [(list(split(text)), [list(split(one)) for one in several]) for text, several in pairs]


def _grams(words: Sequence[str]) -> list[Gram]:
    return [gram for k in range(1, LONGEST + 1) for gram in ngrams(words, k)]


def _weighed(words: Sequence[str], rarity: dict[Gram, float], unseen: float) -> list[dict[Gram, float]]:
    """g_k of a text, for each k."""
    counted = (Counter(ngrams(words, k)) for k in range(1, LONGEST + 1))
    return [{gram: count * rarity.get(gram, unseen) for gram, count in counts.items()} for counts in counted]


def _likeness(one: list[dict[Gram, float]], two: list[dict[Gram, float]], longer: int) -> float:
    """The mean of a caption's CIDEr_k for one reference, before the factor of 10."""
    total = 0.0
    for ours, theirs in zip(one, two, strict=True):
        sizes = math.hypot(*ours.values()) * math.hypot(*theirs.values())
        common = sum(min(weight, theirs[gram]) * theirs[gram] for gram, weight in ours.items() if gram in theirs)
        total += common / sizes if sizes else 0.0
    return math.exp(-(longer**2) / (2 * SIGMA**2)) * total / LONGEST


def _words_in_common(one: Sequence[str], two: Sequence[str]) -> float:
    return overlap_f1((Counter(one) & Counter(two)).total(), len(one), len(two))
