"""Text scores are those of sacrebleu and rouge_score; perplexity and distinct n-grams are their formulas."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from unrolled.errors import DataError, OptionError
from unrolled.score.text import bits, bleu, chrf, distinct_n, perplexity, rouge

TOLERANCE = 64 * np.finfo(np.float64).eps
WORDS = ["the", "The", "cat", "cats", "sat", "don't", "U.S.", "naïve", "42", "x-ray", "on", "mat", "...", "über", ","]


def texts(random: np.random.Generator, count: int, longest: int = 14) -> list[str]:
    return [" ".join(random.choice(WORDS, int(random.integers(0, longest)))) for _ in range(count)]


def test_rouge_is_that_of_rouge_score_with_the_best_reference() -> None:
    random = np.random.default_rng(0)
    kinds = ["rouge1", "rouge2", "rougeL"]
    scorer = RougeScorer(kinds)
    for _ in range(25):
        count = int(random.integers(1, 8))
        hypotheses = texts(random, count)
        references = [texts(random, int(random.integers(1, 4))) for _ in range(count)]
        rows = [scorer.score_multi(several, text) for text, several in zip(hypotheses, references, strict=True)]
        expected = [np.mean([row[kind].fmeasure for row in rows]) for kind in kinds]
        assert rouge(hypotheses, references) == pytest.approx(expected, abs=TOLERANCE)
        single = [several[0] for several in references]
        assert rouge(hypotheses, single) == rouge(hypotheses, [[reference] for reference in single])


def test_rouge_of_long_texts_is_that_of_rouge_score() -> None:
    random = np.random.default_rng(1)
    one, two = (" ".join(random.choice(WORDS, 300)) for _ in range(2))
    expected = RougeScorer(["rougeL"]).score(two, one)["rougeL"].fmeasure
    assert 0.2 < expected < 0.9
    assert rouge([one], [two]).rougeL == pytest.approx(expected, abs=TOLERANCE)


def test_rouge_takes_another_way_to_split() -> None:
    assert rouge(["добрый день"], ["добрый день"]).rouge1 == 0.0
    assert rouge(["добрый день"], ["добрый вечер"], split=str.split).rouge1 == 0.5


HYPOTHESES = ["The cat sat on the mat.", "It is a nice day today, isn't it?", "Completely different words here"]
ONE = ["The cat is sitting on the mat.", "Today is a nice day, isn't it?", "Nothing in common at all"]
TWO = ["A cat sat on the mat.", None, "Something else"]


def test_bleu_and_chrf_are_those_of_sacrebleu_with_a_signature() -> None:
    found = bleu(HYPOTHESES, ONE)
    assert found.value == sacrebleu.corpus_bleu(HYPOTHESES, [ONE]).score
    assert "nrefs:1|case:mixed|eff:no|tok:13a" in found.signature
    assert found.signature in str(found)
    lower = bleu(HYPOTHESES, ONE, lowercase=True, tokenize="char")
    assert lower.value == sacrebleu.corpus_bleu(HYPOTHESES, [ONE], lowercase=True, tokenize="char").score
    assert chrf(HYPOTHESES, ONE).value == sacrebleu.corpus_chrf(HYPOTHESES, [ONE]).score
    assert chrf(HYPOTHESES, ONE, word_order=2).value == sacrebleu.corpus_chrf(HYPOTHESES, [ONE], word_order=2).score


def test_texts_may_have_different_numbers_of_references() -> None:
    references = [[one] if two is None else [one, two] for one, two in zip(ONE, TWO, strict=True)]
    found = bleu(HYPOTHESES, references)
    assert found.value == sacrebleu.corpus_bleu(HYPOTHESES, [ONE, TWO]).score
    assert found.value > bleu(HYPOTHESES, ONE).value
    assert "nrefs:var" in found.signature
    assert chrf(HYPOTHESES, references).value == sacrebleu.corpus_chrf(HYPOTHESES, [ONE, TWO]).score


def test_split_text_is_scored_without_a_word(capfd: pytest.CaptureFixture[str]) -> None:
    bleu(["the end ."] * 120, ["the end ."] * 120)
    assert capfd.readouterr() == ("", "")


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(OptionError, match=r"chrf: expected the package sacrebleu.*install unrolled\[text\]"):
        chrf(HYPOTHESES, ONE)


@pytest.mark.parametrize("score", [bleu, chrf, rouge])
@pytest.mark.parametrize(
    ("hypotheses", "references", "sentence"),
    [
        ([], [], "got 0 texts and 0 references"),
        (["a"], ["a", "b"], "got 1 texts and 2 references"),
        ("a text", ["a text"], "got one text; put it in a list"),
        (["a", "b"], [["a"], []], "got none for text 1"),
    ],
)
def test_texts_without_their_references_are_refused(
    score: Any, hypotheses: Any, references: Any, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        score(hypotheses, references)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(OptionError, match=r"tokenize must be one of .* Did you mean 'char'"):
        bleu(HYPOTHESES, ONE, tokenize="chars")
    with pytest.raises(OptionError, match="word_order must be an integer of at least 0, got -1"):
        chrf(HYPOTHESES, ONE, word_order=-1)


def test_perplexity_and_bits_are_of_total_nats() -> None:
    chances = np.array([0.5, 0.25, 0.125])
    nats = float(-np.log(chances).sum())
    assert perplexity(nats, 3) == pytest.approx(4.0, rel=8 * TOLERANCE)
    assert bits(nats, 3) == pytest.approx(2.0, rel=8 * TOLERANCE)
    assert perplexity(1e6, 1) == math.inf
    with pytest.raises(DataError, match=r"perplexity: expected a count of at least 1, got 0"):
        perplexity(0.0, 0)


def test_distinct_n_counts_different_n_grams_over_all_texts() -> None:
    found = [["a", "b", "a", "b"], ["a", "b"], ["c"]]
    assert distinct_n(found, 1) == 3 / 7
    assert distinct_n(found, 2) == 2 / 4
    assert distinct_n(found, 5) == 0.0
