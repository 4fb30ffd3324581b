"""Span scores are those of seqeval, also for tags that break their scheme."""

from __future__ import annotations

import json

import numpy as np
import pytest
from seqeval.metrics.sequence_labeling import f1_score, precision_recall_fscore_support

from unrolled.errors import DataError
from unrolled.fields import spans
from unrolled.score.spans import span_f1

TOLERANCE = 64 * np.finfo(np.float64).eps
TAGS = ["O", *(f"{mark}-{kind}" for mark in "BI" for kind in ("PER", "LOC", "MISC"))]


def sentences(random: np.random.Generator) -> tuple[list[list[str]], list[list[str]]]:
    """Tags at random, legal or not, and a copy of which some are changed."""
    gold = [random.choice(TAGS, int(random.integers(1, 12))).tolist() for _ in range(int(random.integers(1, 9)))]
    changed = [[tag if random.random() < 0.8 else str(random.choice(TAGS)) for tag in tags] for tags in gold]
    return gold, changed


def test_scores_are_those_of_seqeval_also_for_illegal_tags() -> None:
    random = np.random.default_rng(0)
    for _ in range(60):
        gold, predicted = sentences(random)
        report = span_f1([spans(tags) for tags in gold], [spans(tags) for tags in predicted])
        micro = precision_recall_fscore_support(gold, predicted, average="micro", zero_division=0)
        assert report.overall.rates == pytest.approx(micro[:3], abs=TOLERANCE)
        assert report.f1 == pytest.approx(f1_score(gold, predicted, zero_division=0), abs=TOLERANCE)
        if not report.types:
            continue
        each = precision_recall_fscore_support(gold, predicted, average=None, zero_division=0)
        for i, row in enumerate(report.types):
            assert row.rates == pytest.approx([column[i] for column in each[:3]], abs=TOLERANCE)
            assert row.support == each[3][i]
        macro = precision_recall_fscore_support(gold, predicted, average="macro", zero_division=0)
        assert report.macro == pytest.approx(macro[:3], abs=TOLERANCE)


def test_a_span_needs_its_sentence_its_type_and_both_ends() -> None:
    gold = [[("PER", 0, 2)], [("LOC", 1, 2)], []]
    assert span_f1(gold, gold).f1 == 1.0
    for wrong in ([("LOC", 0, 2)], [("PER", 0, 1)], [("PER", 1, 2)]):
        assert span_f1(gold, [wrong, [], []]).overall.correct == 0
    assert span_f1(gold, [[], [("PER", 0, 2)], [("LOC", 1, 2)]]).overall.correct == 0


def test_a_span_given_twice_counts_once() -> None:
    report = span_f1([[("PER", 0, 2)]], [[("PER", 0, 2), ("PER", 0, 2)]])
    assert (report.overall.correct, report.overall.predicted) == (1, 1)


def test_no_spans_at_all_score_zero_without_a_warning() -> None:
    report = span_f1([[], []], [[], []])
    assert (report.f1, report.types, report.macro) == (0.0, (), (0.0, 0.0, 0.0))
    assert span_f1([], []).f1 == 0.0


def test_the_report_is_a_table_and_plain_json() -> None:
    report = span_f1([[("PER", 0, 2), ("LOC", 3, 4)]], [[("PER", 0, 2)]])
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["LOC", "PER", "all", "macro"]
    assert lines[3].split() == ["all", "spans", "1.000", "0.500", "0.667", "2"]
    assert json.loads(json.dumps(report.to_json()))["overall"]["f1"] == pytest.approx(2 / 3)


def test_different_numbers_of_sentences_are_refused() -> None:
    with pytest.raises(DataError, match="for 2 sentences, got 1"):
        span_f1([[], []], [[]])
