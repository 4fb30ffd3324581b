"""The simple baselines of the task benchmark, on data small enough to follow by hand."""

from __future__ import annotations

import importlib
import itertools
import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"
DISCOUNT = 0.75


@pytest.fixture
def simple(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("simple")


@pytest.fixture
def ngrams(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("simple_ngrams")


def sequences(seed: int, size: int, lengths: Sequence[int]) -> list[np.ndarray]:
    """Codes that lean on the code before them, so that n-grams repeat; the largest code never comes."""
    draw = np.random.default_rng(seed)
    found = []
    for length in lengths:
        codes = [int(draw.integers(size - 1))]
        while len(codes) < length:
            codes.append((2 * codes[-1] + int(draw.integers(2))) % (size - 1))
        found.append(np.array(codes[:length], np.int64))
    return found


class Definition:
    """Kneser-Ney by its definition, one probability at a time, over dictionaries of tuples."""

    def __init__(self, train: Sequence[np.ndarray], order: int, size: int) -> None:
        self.order, self.size = order, size
        grams: Counter[tuple[int, ...]] = Counter()
        for codes in train:
            padded = (-1,) * (order - 1) + tuple(map(int, codes))
            grams.update(padded[end - order : end] for end in range(order, len(padded) + 1))
        self.after: list[dict[tuple[int, ...], Counter[int]]] = []
        for _ in range(order):
            table: dict[tuple[int, ...], Counter[int]] = defaultdict(Counter)
            for gram, count in grams.items():
                table[gram[:-1]][gram[-1]] += count
            self.after.insert(0, table)
            grams = Counter(gram[1:] for gram in grams)

    def p(self, context: tuple[int, ...], code: int) -> float:
        shorter = self.p(context[1:], code) if context else 1 / self.size
        counts = self.after[len(context)].get(context)
        if not counts:
            return shorter
        total = sum(counts.values())
        return max(counts[code] - DISCOUNT, 0) / total + DISCOUNT * len(counts) / total * shorter

    def probabilities(self, test: Sequence[np.ndarray]) -> list[float]:
        found = []
        for codes in test:
            padded = (-1,) * (self.order - 1) + tuple(map(int, codes))
            found += [
                self.p(padded[end - self.order : end - 1], padded[end - 1])
                for end in range(self.order, len(padded) + 1)
            ]
        return found


def test_a_bigram_model_is_what_one_counts_by_hand(ngrams: Any) -> None:
    model = ngrams.KneserNey([np.array([0, 1, 0, 1, 0, 2])], order=2, size=3)
    # Before 0 stood 2 different tokens, before 1 and 2 one each: (2 - .75) / 4 + .75 * 3 / 4 / 3 = .5, and .25, .25.
    # After 0 came 1 twice and 2 once: 2 kinds of 3 in all.
    after_0 = [2 / 4 * 0.5, 1.25 / 3 + 2 / 4 * 0.25, 0.25 / 3 + 2 / 4 * 0.25]
    for code in range(3):
        assert model.probabilities([np.array([0, code])])[1] == pytest.approx(after_0[code], rel=1e-14)
    # Nothing came after 2, and a sequence began with 0 once.
    assert model.probabilities([np.array([2, 1])])[1] == pytest.approx(0.25, rel=1e-14)
    assert model.probabilities([np.array([0])])[0] == pytest.approx(0.25 + 0.75 * 0.5, rel=1e-14)


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_definition(ngrams: Any, order: int) -> None:
    size = 9
    train, test = sequences(0, size, [30, 1, 0, 57, 2, 40]), sequences(1, size, [12, 0, 1, 33])
    test.append(np.array([size - 1, 3, size - 1, size - 1]))
    ours = ngrams.KneserNey(train, order, size, DISCOUNT).probabilities(test)
    np.testing.assert_allclose(ours, Definition(train, order, size).probabilities(test), rtol=1e-13)


def test_probabilities_over_the_vocabulary_sum_to_one_after_any_context(ngrams: Any) -> None:
    size, draw = 11, np.random.default_rng(3)
    model = ngrams.KneserNey(sequences(2, size, [80, 5, 60]), 4, size)
    for length in (0, 1, 2, 3, 6):
        context = draw.integers(size, size=length)
        every = [np.append(context, code) for code in range(size)]
        last = model.probabilities(every)[length :: length + 1]
        assert last.sum() == pytest.approx(1, rel=1e-13)
        assert last.min() > 0


def test_no_context_crosses_from_one_sequence_into_another(ngrams: Any) -> None:
    size = 7
    train, test = sequences(4, size, [20, 3, 40]), sequences(5, size, [9, 4])
    model = ngrams.KneserNey(train, 3, size)
    alone = np.concatenate([model.probabilities([codes]) for codes in test])
    np.testing.assert_array_equal(model.probabilities(test), alone)
    np.testing.assert_array_equal(ngrams.KneserNey(train[::-1], 3, size).probabilities(test), alone)


def test_codes_outside_the_vocabulary_and_impossible_options_are_refused(ngrams: Any) -> None:
    with pytest.raises(ValueError, match=r"expected codes in 0 \.\. 2, got 3"):
        ngrams.KneserNey([np.array([0, 3])], 2, 3)
    with pytest.raises(ValueError, match=r"order >= 1 and 0 < discount < 1, got 0 and 0\.75"):
        ngrams.KneserNey([np.array([0])], 0, 3)
    with pytest.raises(ValueError, match="at least one token"):
        ngrams.KneserNey([np.array([], np.int64)], 2, 3)


def test_the_end_of_a_line_is_predicted_and_counted(ngrams: Any) -> None:
    # Vocabulary <unk>, a, <eos>; after order 1 counts a: 2, <eos>: 2.
    common = 1.25 / 4 + 0.75 * 2 / 4 / 3
    unknown = 0.75 * 2 / 4 / 3
    mean = -(math.log(common) * 2 + math.log(unknown)) / 3
    assert ngrams.word_perplexity(["a", "a"], ["a new"], order=1) == pytest.approx(math.exp(mean), rel=1e-13)


def test_a_text_learned_by_heart_is_easier_than_one_shuffled(ngrams: Any) -> None:
    text = "the cat sat on the mat and the rat sat on the cat. " * 20
    shuffled = "".join(random.Random(0).sample(text, len(text)))
    assert ngrams.character_nats(text, text[:200]) < 0.3 < 2 < ngrams.character_nats(text, shuffled)
    assert math.isfinite(ngrams.character_nats(text, "Ω")), "an unknown character has a probability"


def test_tokens_of_a_turn_are_words_with_one_apostrophe_numbers_and_marks(ngrams: Any) -> None:
    assert ngrams.dialogue_tokens("I DON'T know, 2012's 1st  'best'...é") == [
        *["i", "don't", "know", ",", "2012", "'", "s", "1", "st", "'", "best", "'", ".", ".", ".", "é"],
    ]
    assert ngrams.dialogue_tokens("  ") == []


def test_the_vocabulary_of_dialogues_holds_what_came_often_enough_in_training(ngrams: Any) -> None:
    turns = ["a b", "a", "B!", "c a"]
    assert ngrams.dialogue_vocabulary(turns, least=2) == ["<unk>", "<eot>", "a", "b"]
    # A rare token of the test part is the same to the model as another rare one.
    rare = [ngrams.dialogue_perplexity(turns, [turn], least=2) for turn in ("c a", "zebra a")]
    assert rare[0] == rare[1] > 1


def test_texts_are_told_apart_by_their_words_and_pairs(simple: Any) -> None:
    train = ["good film", "very good", "not bad", "bad film", "not good", "very bad"] * 2
    labels = ["+", "+", "+", "-", "-", "-"] * 2
    assert simple.text_accuracy(train, labels, ["not good", "not bad", "Good", "bad"], ["-", "+", "+", "-"]) == 1
    assert simple.text_accuracy(train, labels, ["good", "bad"], ["-", "-"]) == 0.5


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_statistics_of_a_series_are_of_the_whole_and_of_its_thirds(simple: Any, length: int) -> None:
    values = np.random.default_rng(length).standard_normal((length, 2))
    mean, std, least, largest, *thirds = simple.series_statistics(values)[:-1].reshape(7, 2)
    np.testing.assert_allclose(mean, values.sum(0) / length, rtol=1e-13)
    np.testing.assert_allclose(std**2, ((values - mean) ** 2).sum(0) / length, atol=1e-14)
    assert (least == np.sort(values, 0)[0]).all()
    assert (largest == np.sort(values, 0)[-1]).all()
    expected = {1: [[0], [0], [0]], 2: [[0], [0], [1]], 3: [[0], [1], [2]], 7: [[0, 1], [2, 3], [4, 5, 6]]}[length]
    np.testing.assert_allclose(thirds, [values[rows].mean(0) for rows in expected], rtol=1e-13)
    assert simple.series_statistics(values)[-1] == length


def test_series_of_different_lengths_are_told_apart(simple: Any) -> None:
    draw = np.random.default_rng(0)
    rising = [np.linspace(0, 1, 5 + k)[:, None] + 0.01 * draw.standard_normal((5 + k, 1)) for k in range(8)]
    labels = ["up", "down"] * 4
    series = [one if label == "up" else one[::-1] for one, label in zip(rising, labels, strict=True)]
    assert simple.series_accuracy(series[:4], labels[:4], series[4:], labels[4:]) == 1


def test_a_known_word_takes_its_usual_tag_and_another_that_of_its_ending(simple: Any) -> None:
    words = [["run", "run", "run", "walking", "talking", "Boston", "Austin"], ["king"] * 6 + ["ring", "bring"]]
    tags = [["V", "V", "N", "V", "V", "P", "P"], ["N"] * 8]
    found = simple.suffix_tags(words, tags, [["run", "smoking", "sing", "Houston"], [], ["?", "ston"]])
    # -king is of walking, talking and king; -ing of these and ring and bring; -ston with a capital is of Boston alone,
    # and with a small letter only -n is known, of run. "?" has the empty ending of the small words: three V, three N,
    # each counted once, and V was seen first.
    assert found == [["V", "V", "N", "P"], [], ["V", "V"]]
    assert simple.tag_accuracy([["A", "B"], ["A"]], [["A", "A"], ["A"]]) == pytest.approx(2 / 3)
    assert simple.suffix_tags_accuracy(words, tags, [["run", "king"]], [["N", "N"]]) == 0.5


def test_entities_and_their_f1_are_those_of_seqeval(simple: Any) -> None:
    metrics = pytest.importorskip("seqeval.metrics")
    labelling = pytest.importorskip("seqeval.metrics.sequence_labeling")
    draw = np.random.default_rng(0)
    values = np.array(["O", "B-x", "I-x", "B-y", "I-y"])
    gold, predicted = ([list(map(str, values[draw.integers(5, size=n)])) for n in (1, 2, 9, 30, 90)] for _ in range(2))
    for tags in (*gold, *predicted):
        theirs = {(kind, first, last + 1) for kind, first, last in labelling.get_entities(tags)}
        assert simple.entity_spans(tags) == theirs
    ours = simple.entity_f1(gold, predicted)
    assert 0 < ours < 1
    assert ours == pytest.approx(metrics.f1_score(gold, predicted), rel=1e-13)
    assert simple.entity_f1([["O"]], [["O"]]) == 0


def test_the_longest_name_of_the_training_part_wins_in_any_case(simple: Any) -> None:
    words = [["in", "New", "York"], ["New", "York", "Times"], ["a", "new", "day"], ["a", "York"]]
    tags = [["O", "B-place", "I-place"], ["B-group", "I-group", "I-group"], ["O"] * 3, ["O", "B-place"]]
    test = [["the", "NEW", "york", "times", "Day"], ["new", "york", "new"]]
    found = simple.gazetteer_tags(words, tags, test, capitals=False)
    assert found == [["O", "B-group", "I-group", "I-group", "O"], ["B-place", "I-place", "O"]]


def test_a_name_that_is_mostly_no_entity_is_left_out(simple: Any) -> None:
    words = [["may"], ["may"], ["May"], ["june"], ["June"], ["Ann"] * 5]
    tags = [["O"], ["O"], ["B-x"], ["O"], ["B-y"], ["B-x", "O", "O", "B-x", "B-x"]]
    assert simple.gazetteer_tags(words, tags, [["may", "june", "ann"]], capitals=False) == [["O", "B-y", "B-x"]]


def test_runs_of_capitalised_words_inside_a_sentence_are_entities_of_the_usual_type(simple: Any) -> None:
    words, tags = [["x", "y", "z"]], [["B-a", "B-b", "B-b"]]
    test = [["So", "Ann", "Lee", "saw", "USA", "and", "x", "Bo", "2"], ["Ann", "Lee", "x", "Bo", "Di"]]
    found = simple.gazetteer_tags(words, tags, test)
    assert found == [["O", "B-b", "I-b", "O", "O", "O", "B-a", "B-b", "O"], ["O", "B-b", "B-a", "B-b", "I-b"]]
    assert simple.gazetteer_tags([["x"]], [["O"]], [["a", "Bo"]]) == [["O", "O"]]


def test_a_source_takes_the_translation_of_the_nearest_training_source(simple: Any) -> None:
    pytest.importorskip("sacrebleu")
    sources, targets = ["A dog runs.", "Two men sit.", "A red car!"], ["Ein Hund rennt.", "Zwei Männer sitzen.", "Rot!"]
    asked = ["two men run", "the red car", "a DOG runs"]
    assert simple.nearest_translations(sources, targets, asked) == [targets[1], targets[2], targets[0]]
    assert simple.nearest_translations(sources, targets, ["?"]) == [targets[0]]
    assert simple.nearest_bleu(sources, targets, sources[:2], targets[:2]) == pytest.approx(100)


def test_bleu_is_of_lower_cased_words_and_marks(simple: Any) -> None:
    pytest.importorskip("sacrebleu")
    assert simple.words_and_marks("Über-Mann, 3x!") == ["über", "-", "mann", ",", "3x", "!"]
    assert simple.word_bleu(["THE cat sat , here."], ["the cat sat, here ."]) == pytest.approx(100)
    # 5 of 6 words, 4 of 5 pairs, 3 of 4 triples, 2 of 3 quadruples; as long as the reference.
    expected = 100 * math.prod([5 / 6, 4 / 5, 3 / 4, 2 / 3]) ** 0.25
    assert simple.word_bleu(["a b c d e f"], ["a b c d e g"]) == pytest.approx(expected)


def test_rouge_is_the_f1_of_shared_tokens_and_the_best_target_counts(simple: Any) -> None:
    # Shared: the, the, "."; of 5 and 4 tokens.
    assert simple.rouge_1("The cat, the .", "the dog the.") == pytest.approx(2 * 3 / 9)
    assert simple.rouge_1("", "") == 0
    targets = [["no", "one two"], ["three"]]
    assert simple.summary_rouge_1(["one", "three"], targets) == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert simple.lead_rouge_1([["one", "x"], ["three", "y"]], targets) == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_rouge_agrees_with_rouge_score_where_there_are_no_marks(simple: Any) -> None:
    scorer = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1"])
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefgh12", k=draw.randint(1, 12))) for _ in range(20)]
    for one, other in itertools.pairwise(texts):
        assert simple.rouge_1(one, other) == pytest.approx(scorer.score(other, one)["rouge1"].fmeasure, abs=1e-13)


def test_notes_are_on_as_often_as_they_were_and_as_after_their_state_before(simple: Any) -> None:
    train = [np.array([[1, 0], [1, 0], [0, 0], [1, 1]])]
    # Of four steps the first note is on in three, the second in one: (3 + 1) / 6 and (1 + 1) / 6.
    wanted = -math.log(4 / 6) - math.log(1 - 2 / 6)
    assert simple.marginal_nats(train, [np.array([[1, 0]])]) == pytest.approx(wanted, rel=1e-14)
    # After being off (at the beginning, and at the third step) the first note was on twice of two times, after being
    # on once of two; the second was on once of four after being off, and never was on before.
    after_off, after_on = -math.log(3 / 4) - math.log(1 - 2 / 6), -math.log(2 / 4) - math.log(1 - 2 / 6)
    found = simple.previous_nats(train, [np.array([[1, 0], [1, 0]])])
    assert found == pytest.approx((after_off + after_on) / 2, rel=1e-14)


def test_the_nearest_row_and_the_most_frequent_text(simple: Any) -> None:
    draw = np.random.default_rng(0)
    known, asked = draw.normal(size=(7, 3)), draw.normal(size=(5, 3))
    far = np.linalg.norm(asked[:, None] - known, axis=2)
    assert simple.nearest_rows(known, asked) == far.argmin(1).tolist()
    assert simple.most_frequent(["b", "a", "c", "a", "b"]) == "b"
