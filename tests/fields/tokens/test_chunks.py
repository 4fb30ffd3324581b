from itertools import product

import numpy as np
import pytest
from seqeval.metrics.sequence_labeling import get_entities
from seqeval.scheme import IOB2, IOBES, Entities

from unrolled.fields.tokens import spans, to_bio, to_iobes

BIO_TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")
IOBES_TAGS = (*BIO_TAGS, "E-X", "S-X", "E-Y", "S-Y")


def all_sequences(tags: tuple[str, ...], longest: int) -> list[list[str]]:
    return [list(sequence) for length in range(longest + 1) for sequence in product(tags, repeat=length)]


def random_sequences(tags: tuple[str, ...], count: int) -> list[list[str]]:
    random = np.random.default_rng(0)
    return [random.choice(tags, random.integers(1, 40)).tolist() for _ in range(count)]


def conlleval_chunks(tags: list[str]) -> list[tuple[str, int, int]]:
    """The two tables of the CoNLL-2000 script for B, I and O, row by row."""
    ends = {("B", "B"), ("B", "O"), ("I", "B"), ("I", "O")}
    starts = {("B", "B"), ("I", "B"), ("O", "B"), ("O", "I")}
    found, first = [], 0
    mark_before, kind_before = "O", ""
    for place, tag in enumerate([*tags, "O"]):
        mark, _, kind = tag.partition("-")
        if (mark_before, mark) in ends or (mark_before != "O" and kind_before != kind):
            found.append((kind_before, first, place))
        if (mark_before, mark) in starts or (mark != "O" and kind_before != kind):
            first = place
        mark_before, kind_before = mark, kind
    return found


def test_chunks_of_legal_and_illegal_bio_are_those_of_conlleval_and_seqeval() -> None:
    for tags in all_sequences(BIO_TAGS, 5) + random_sequences(BIO_TAGS, 300):
        found = spans(tags)
        assert found == conlleval_chunks(tags)
        assert found == [(kind, first, last + 1) for kind, first, last in get_entities(tags)]


def test_chunks_of_legal_and_illegal_iobes_are_those_of_seqeval() -> None:
    for tags in all_sequences(IOBES_TAGS, 4) + random_sequences(IOBES_TAGS, 1000):
        assert spans(tags) == [(kind, first, last + 1) for kind, first, last in get_entities(tags)]


@pytest.mark.parametrize(("convert", "scheme"), [(to_bio, IOB2), (to_iobes, IOBES)])
def test_converted_tags_are_strictly_legal_and_describe_the_same_chunks(convert, scheme) -> None:
    for tags in random_sequences(IOBES_TAGS, 300):
        converted = convert(tags)
        strict = Entities([converted], scheme).entities[0]
        assert [(entity.tag, entity.start, entity.end) for entity in strict] == spans(tags)
        assert spans(converted) == spans(tags)


def test_the_two_schemes_convert_into_each_other_without_loss() -> None:
    for tags in random_sequences(IOBES_TAGS, 100):
        assert to_bio(to_iobes(to_bio(tags))) == to_bio(tags)
        assert to_iobes(to_bio(to_iobes(tags))) == to_iobes(tags)


def test_types_may_hold_dashes_and_be_missing() -> None:
    assert spans(["B-A-B", "I-A-B", "I-A", "B", "I", "", "O"]) == [("A-B", 0, 2), ("A", 2, 3), ("", 3, 5)]
    assert to_iobes(["B", "I", "O", "B"]) == ["B", "E", "O", "S"]
