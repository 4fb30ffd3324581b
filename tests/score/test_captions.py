"""Scores of captions are those of sacrebleu, rouge_score and pycocoevalcap, and CIDEr-D is its formula."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from unrolled.errors import DataError
from unrolled.score.captions import (
    caption_bleu,
    caption_rouge,
    caption_scores,
    caption_words,
    cider,
    exact_matches,
    word_f1,
)

# Sums of at most a hundred terms in another order, of numbers up to 10.
TOLERANCE = 10 * 128 * np.finfo(np.float64).eps
WORDS = ["a", "the", "red", "blue", "dog", "cat", "runs", "sits", "on", "grass", "under", "two", "and"]


def texts(random: np.random.Generator, count: int, least: int = 0, longest: int = 12) -> list[str]:
    return [" ".join(random.choice(WORDS, int(random.integers(least, longest)))) for _ in range(count)]


def pictures(seed: int, least: int = 0) -> tuple[list[str], list[list[str]]]:
    """Captions, each with one to five references, some of which are like it."""
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 12))
    references = [texts(random, int(random.integers(1, 6)), least) for _ in range(count)]
    said = texts(random, count, least)
    said[0] = references[0][0]
    return said, references


@pytest.mark.parametrize("seed", range(30))
def test_bleu_is_that_of_sacrebleu(seed: int) -> None:
    said, references = pictures(seed)
    streams = [[own[i] if i < len(own) else None for own in references] for i in range(5)]
    for n in (1, 2, 4):
        metric = sacrebleu.BLEU(tokenize="none", smooth_method="none", max_ngram_order=n)
        expected = metric.corpus_score(said, streams).score / 100
        assert caption_bleu(said, references, n=n) == pytest.approx(expected, abs=TOLERANCE)


def test_bleu_is_above_0_where_it_is_compared() -> None:
    assert sum(caption_bleu(*pictures(seed)) > 0 for seed in range(30)) > 15


@pytest.mark.parametrize("seed", range(10))
def test_rouge_with_one_reference_and_a_beta_of_1_is_that_of_rouge_score(seed: int) -> None:
    said, references = pictures(seed)
    single = [own[0] for own in references]
    scorer = RougeScorer(["rougeL"])
    expected = np.mean([scorer.score(one, text)["rougeL"].fmeasure for one, text in zip(single, said, strict=True)])
    assert caption_rouge(said, single, beta=1.0) == pytest.approx(expected, abs=TOLERANCE)


@pytest.mark.parametrize("seed", range(30))
def test_all_three_are_those_of_the_evaluation_of_coco(seed: int) -> None:
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu_scorer")
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge")
    scorer = pytest.importorskip("pycocoevalcap.cider.cider_scorer")
    said, references = pictures(seed, least=2)
    told = scorer.CiderScorer(n=4, sigma=6.0)
    counted = bleu.BleuScorer(n=4)
    for text, own in zip(said, references, strict=True):
        told += (text, own)
        counted += (text, own)
    assert cider(said, references) == pytest.approx(float(told.compute_score()[0]), abs=TOLERANCE)
    # It adds 1e-15 to what is found, and 1e-9 to what it divides by.
    expected, found = counted.compute_score(option="closest", verbose=0)[0][3], caption_bleu(said, references)
    assert found == pytest.approx(expected, rel=1e-8) if found else expected < 1e-3
    ids = dict(enumerate(references))
    given = {place: [text] for place, text in enumerate(said)}
    assert caption_rouge(said, references) == pytest.approx(float(rouge.Rouge().compute_score(ids, given)[0]))


def by_the_formula(said: list[str], references: list[list[str]]) -> float:
    """CIDEr-D in plain loops, a gram at a time."""

    def grams(text: str, k: int) -> Counter[str]:
        words = text.split()
        return Counter(" ".join(words[i : i + k]) for i in range(len(words) - k + 1))

    total = 0.0
    for text, own in zip(said, references, strict=True):
        for k in (1, 2, 3, 4):
            every = {gram for each in references for one in each for gram in grams(one, k)} | set(grams(text, k))
            rare = {
                gram: math.log(
                    len(said) / max(1, sum(any(gram in grams(one, k) for one in each) for each in references))
                )
                for gram in every
            }
            for one in own:
                ours = {gram: grams(text, k)[gram] * rare[gram] for gram in every}
                theirs = {gram: grams(one, k)[gram] * rare[gram] for gram in every}
                dot = sum(min(ours[gram], theirs[gram]) * theirs[gram] for gram in every)
                norms = math.sqrt(sum(v * v for v in ours.values()) * sum(v * v for v in theirs.values()))
                shorter = len(text.split()) - len(one.split())
                total += math.exp(-(shorter**2) / 72) * (dot / norms if norms else 0.0) / len(own)
    return 10 * total / 4 / len(said)


@pytest.mark.parametrize("seed", range(10))
def test_cider_is_its_formula(seed: int) -> None:
    said, references = pictures(seed)
    assert cider(said, references) == pytest.approx(by_the_formula(said, references), abs=TOLERANCE)


def test_cider_by_hand() -> None:
    # Each word stands in one picture of two, so all weigh ln 2; the first caption is its reference, the second shares
    # one word of two with a reference as long, and no pair of words: cos = 1/2 for k = 1, 0 for k = 2; of k = 3 and 4
    # there is none.
    assert cider(["a b", "c x"], [["a b"], ["c d"]]) == pytest.approx(10 * ((1 + 1) + 0.5) / 4 / 2)


def test_words_that_are_said_too_often_count_once_in_cider() -> None:
    plain, often = (cider([text, "x y"], [["a b c d"], ["x y"]]) for text in ("a b", "a a a a"))
    assert often < plain


def test_cider_of_one_picture_is_refused_and_left_out_of_all_scores() -> None:
    with pytest.raises(DataError, match="at least two pictures"):
        cider(["a dog"], ["a dog"])
    assert caption_scores(["a dog"], ["a dog"]).cider is None


def test_word_f1_takes_the_best_reference_and_the_words_as_often_as_they_stand_there() -> None:
    assert word_f1(["a dog"], [["a dog runs", "a dog"]]) == 1.0
    assert word_f1(["dog dog dog"], ["dog"]) == 2 * 1 / (3 + 1)
    assert word_f1(["", "x"], ["dog", "x"]) == 0.5


def test_exact_matches_are_of_words_in_their_order() -> None:
    said = ["A red dog.", "dog red a", "a red", ""]
    assert exact_matches(said, [["x", "a red dog"], ["a red dog"], ["a red dog"], ["a"]]) == 0.25
    assert exact_matches(said[:1], ["a red dog"], split=str.split) == 0.0


def test_words_are_letters_and_digits_of_any_script() -> None:
    assert caption_words("Zwei Hunde, “schön”: мяч!") == ["zwei", "hunde", "schön", "мяч"]


def test_all_scores_of_captions_that_are_right_are_the_best() -> None:
    references = [["a dog runs on grass", "the dog"], ["two cats sit under it"]]
    found = caption_scores([own[0] for own in references], references)
    assert found.bleu == found.rouge == found.f1 == found.exact == 1.0
    # The second reference of the first picture is another text, so its caption is not like all.
    assert found.cider is not None
    assert 5 < found.cider < 10


def test_captions_without_references_are_refused() -> None:
    with pytest.raises(DataError, match="word_f1: expected at least one reference for each text, got none for text 0"):
        word_f1(["a"], [[]])
