"""Error rates are those of jiwer, counts those of the best alignment, the equal error rate lies on the ROC curve."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.score.speech import (
    character_error_rate,
    edits,
    equal_error_rate,
    normalise_text,
    show_edits,
    word_error_rate,
)

EPS = np.finfo(np.float64).eps
WORDS = ["the", "The", "cat", "cats", "sat", "don't", "U.S.", "naïve", "42", "x-ray", "on", "mat", "...", "über", ","]


def pairs(random: np.random.Generator, words: list[str], longest: int = 12) -> tuple[list[str], list[str]]:
    """Texts said and the same with a third of the words changed, doubled or left out; some sides are empty."""
    said = [list(random.choice(words, int(random.integers(0, longest)))) for _ in range(int(random.integers(1, 9)))]
    heard = []
    for text in said:
        changed: list[str] = []
        for word in text:
            kind = int(random.integers(0, 9))
            changed += {0: [], 1: [str(random.choice(words))], 2: [word, str(random.choice(words))]}.get(kind, [word])
        heard.append(changed if random.random() < 0.9 else [])
    return [" ".join(text) for text in heard], [" ".join(["start", *said[0]]), *(" ".join(text) for text in said[1:])]


def splits(heard: str, said: str) -> set[tuple[int, int, int, int]]:
    """Hits, substitutions, deletions and insertions of every alignment, by trying them all; those with fewest edits."""
    found: dict[tuple[int, int], set[tuple[int, int, int, int]]] = {(0, 0): {(0, 0, 0, 0)}}
    for i, j in itertools.product(range(len(said) + 1), range(len(heard) + 1)):
        here = found.setdefault((i, j), set())
        if i and j:
            hit = said[i - 1] == heard[j - 1]
            here |= {(h + hit, s + (not hit), d, k) for h, s, d, k in found[i - 1, j - 1]}
        if i:
            here |= {(h, s, d + 1, k) for h, s, d, k in found[i - 1, j]}
        if j:
            here |= {(h, s, d, k + 1) for h, s, d, k in found[i, j - 1]}
    every = found[len(said), len(heard)]
    fewest = min(sum(counts[1:]) for counts in every)
    return {counts for counts in every if sum(counts[1:]) == fewest}


def test_rates_are_those_of_jiwer() -> None:
    jiwer = pytest.importorskip("jiwer")
    random = np.random.default_rng(0)
    for _ in range(300):
        heard, said = pairs(random, WORDS)
        words, letters = jiwer.process_words(said, heard), jiwer.process_characters(said, heard)
        for ours, theirs, rate in (
            (word_error_rate(heard, said), words, words.wer),
            (character_error_rate(heard, said), letters, letters.cer),
        ):
            # Both divide one integer by another.
            assert ours.rate == rate
            assert ours.edits == theirs.substitutions + theirs.deletions + theirs.insertions
            assert ours.length == theirs.hits + theirs.substitutions + theirs.deletions
            assert ours.hits >= theirs.hits


def test_counts_are_those_of_the_shortest_alignment_with_most_hits() -> None:
    jiwer = pytest.importorskip("jiwer")
    random = np.random.default_rng(1)
    several = 0
    for _ in range(300):
        heard, said = ("".join(random.choice(list("abc"), int(random.integers(low, 7)))) for low in (0, 1))
        best = splits(heard, said)
        ours = character_error_rate([heard], [said])
        found = (ours.hits, ours.substitutions, ours.deletions, ours.insertions)
        assert found == max(best)
        several += len(best) > 1
        theirs = jiwer.process_characters([said], [heard])
        counts = (theirs.hits, theirs.substitutions, theirs.deletions, theirs.insertions)
        assert counts in best
        assert counts == found or len(best) > 1
    assert several > 10


def test_the_alignment_is_what_is_counted_and_gives_both_texts_back() -> None:
    random = np.random.default_rng(2)
    for _ in range(100):
        heard, said = ("".join(random.choice(list("abcd"), int(random.integers(low, 12)))) for low in (0, 1))
        steps = edits(heard, said, unit="character")
        assert "".join(step.reference or "" for step in steps) == said
        assert "".join(step.hypothesis or "" for step in steps) == heard
        ours = character_error_rate([heard], [said])
        kinds = [step.kind for step in steps]
        counted = [kinds.count(kind) for kind in ("hit", "substitution", "deletion", "insertion")]
        assert counted == [ours.hits, ours.substitutions, ours.deletions, ours.insertions]
        assert all((step.reference == step.hypothesis) == (step.kind == "hit") for step in steps)


def test_a_corpus_is_the_sum_of_its_texts_and_not_the_mean_of_their_rates() -> None:
    random = np.random.default_rng(3)
    for _ in range(30):
        heard, said = pairs(random, WORDS)
        whole = word_error_rate(heard, said)
        each = [word_error_rate([one], [two]) for one, two in zip(heard, said, strict=True) if two]
        silent = [len(one.split()) for one, two in zip(heard, said, strict=True) if not two]
        assert whole.edits == sum(part.edits for part in each) + sum(silent)
        assert whole.length == sum(part.length for part in each)
        assert whole.wrong == sum(part.edits > 0 for part in each) + sum(count > 0 for count in silent)
    assert word_error_rate(["a", "x y z"], ["b", "x y z"]).rate == 1 / 4


def test_a_rate_counts_what_was_heard_in_silence_and_may_exceed_one() -> None:
    report = word_error_rate(["noise noise noise", "", "yes"], ["", "no", "yes"])
    assert (report.hits, report.substitutions, report.deletions, report.insertions) == (1, 0, 1, 3)
    assert report.rate == 2.0
    assert (report.texts, report.wrong) == (3, 2)


@pytest.mark.parametrize(
    ("normaliser", "expected"),
    [
        ("none", "  It’s 3.5 «Ångström», rock'n'roll 'tis U.S. x-ray\t_"),
        ("lower", "  it’s 3.5 «ångström», rock'n'roll 'tis u.s. x-ray\t_"),
        ("words", "it's 3 5 ångström rock'n'roll tis u s x ray"),
    ],
)
def test_each_normaliser_does_what_its_name_says(normaliser: str, expected: str) -> None:
    assert normalise_text("  It’s 3.5 «Ångström», rock'n'roll 'tis U.S. x-ray\t_", normaliser) == expected
    assert normalise_text(expected, normaliser) == expected


def test_a_letter_and_its_accent_are_one_letter_where_texts_are_normalised() -> None:
    composed, parted = "Caf\u00e9", "Cafe\u0301"
    assert word_error_rate([parted], [composed]).rate == 1.0
    for normaliser in ("lower", "words"):
        assert character_error_rate([parted], [composed], normaliser=normaliser).rate == 0.0


def test_normalising_inside_is_normalising_before() -> None:
    random = np.random.default_rng(4)
    for normaliser in ("lower", "words"):
        heard, said = pairs(random, WORDS)
        before = [[normalise_text(text, normaliser) for text in texts] for texts in (heard, said)]
        for rate in (word_error_rate, character_error_rate):
            inside, outside = rate(heard, said, normaliser=normaliser), rate(*before)
            assert (inside.rate, inside.normaliser) == (outside.rate, normaliser)


def test_the_report_is_a_line_and_plain_json() -> None:
    report = word_error_rate(["The hat sat down"], ["the cat sat."], normaliser="words")
    assert str(report) == (
        "66.67 % word error rate (1 substituted, 0 deleted, 1 inserted; 3 words in 1 texts, 1 of them wrong; "
        "normaliser 'words')"
    )
    assert json.loads(json.dumps(report.to_json())) == {
        "rate": 2 / 3, "unit": "word", "normaliser": "words", "hits": 2, "substitutions": 1, "deletions": 0,
        "insertions": 1, "length": 3, "texts": 1, "wrong": 1,
    }  # fmt: skip


def test_an_alignment_is_shown_in_columns() -> None:
    lines = show_edits(edits("a cat sat mat", "a cats on sat mat now")).splitlines()
    assert lines == [
        "said   a cats on  sat mat now",
        "heard  a **** cat sat mat ***",
        "         D    S           D",
    ]
    assert show_edits([]) == "said\nheard\n"


@pytest.mark.parametrize("rate", [word_error_rate, character_error_rate])
@pytest.mark.parametrize(
    ("heard", "said", "sentence"),
    [
        ([], [], "got 0 texts and 0 references"),
        (["a"], ["a", "b"], "got 1 texts and 2 references"),
        ("a text", ["a text"], "got one text; put it in a list"),
        (["a", ""], [" ", ""], r"in the references, got none in 2 \(normaliser 'none'\)"),
    ],
)
def test_texts_that_cannot_be_compared_are_refused(rate: Any, heard: Any, said: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        rate(heard, said)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(OptionError, match=r"normaliser must be one of .* Did you mean 'lower'"):
        word_error_rate(["a"], ["a"], normaliser="lowr")
    with pytest.raises(OptionError, match="unit must be one of"):
        edits("a", "a", unit="line")
    with pytest.raises(DataError, match=r"at most 50,000,000 pairs of characters, got 8,000 for 8,000"):
        edits("a" * 8000, "b" * 8000, unit="character")


def on_the_curve(scores: np.ndarray, same: np.ndarray) -> float:
    """The equal error rate from scikit-learn's points, by halving the false accepts until both errors agree."""
    metrics = pytest.importorskip("sklearn.metrics")
    false, true, _ = metrics.roc_curve(same, scores, drop_intermediate=False)
    low, high = 0.0, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        # Where the curve rises at one place, the highest point of it is meant: numpy takes the last.
        if 1 - np.interp(middle, false, true) > middle:
            low = middle
        else:
            high = middle
    return high


def test_the_equal_error_rate_lies_on_the_curve_of_scikit_learn() -> None:
    random = np.random.default_rng(5)
    for _ in range(200):
        size = int(random.integers(2, 60))
        same = np.append(random.random(size) < random.random(), [True, False])
        # Few values make ties, within a kind and between both.
        scores = random.integers(0, int(random.integers(2, 40)), size + 2) + same * random.integers(0, 9)
        found = equal_error_rate(scores, same)
        assert found.rate == pytest.approx(on_the_curve(scores, same), abs=16 * EPS)
        assert scores.min() <= found.threshold <= scores.max()


def test_both_errors_are_the_rate_at_a_threshold_between_two_scores() -> None:
    random = np.random.default_rng(6)
    exact = 0
    for _ in range(100):
        same = np.repeat([True, False], 20)
        scores = random.normal(size=40) + same
        rate, threshold = equal_error_rate(scores, same)
        accepted = scores >= threshold
        errors = (accepted[~same].mean(), (~accepted[same]).mean())
        # As many pairs of one kind as of the other: the two errors differ by the one pair between two thresholds.
        assert errors == pytest.approx((rate, rate), abs=1 / 20 + 4 * EPS)
        exact += errors == (rate, rate)
    assert exact > 50


def test_verifications_whose_equal_error_rate_is_known() -> None:
    same = np.array([True, True, False, False])
    assert equal_error_rate([4, 3, 2, 1], same) == (0.0, 3.0)
    assert equal_error_rate([1, 2, 3, 4], same).rate == 1.0
    assert equal_error_rate([7, 7, 7, 7], same) == (0.5, 7.0)
    assert equal_error_rate([4, 2, 3, 1], same).rate == 0.5
    # Half way between two thresholds, and two thirds of the way to the first.
    assert equal_error_rate([4, 3, 3, 1], same) == (0.25, 3.5)
    assert equal_error_rate([5, 5, 1], [1, 0, 0]) == (pytest.approx(1 / 3, abs=EPS), 5.0)


def test_taking_all_for_their_opposite_turns_the_rate_round() -> None:
    random = np.random.default_rng(7)
    for _ in range(50):
        same = np.append(random.random(30) < 0.4, [True, False])
        scores = random.integers(0, 12, 32)
        rate = equal_error_rate(scores, same).rate
        assert equal_error_rate(scores, ~same).rate == pytest.approx(1 - rate, abs=16 * EPS)
        assert equal_error_rate(-scores, ~same).rate == pytest.approx(rate, abs=16 * EPS)


@pytest.mark.parametrize(
    ("scores", "same", "sentence"),
    [
        ([1.0], [True, False], "a label for each score, got 2 for 1"),
        ([1.0, 2.0], [1, 2], "as bool or 0 and 1, one a pair, got int64"),
        ([1.0, float("nan")], [True, False], "expected finite scores, got 1 of 2 that are not; leave those pairs out"),
        ([1.0, 2.0], [True, True], "pairs with the label and without, got 2 of 2 with it"),
        ([], [], "expected one score a pair"),
    ],
)
def test_pairs_that_verify_nothing_are_refused(scores: Any, same: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        equal_error_rate(scores, same)
