import json
from itertools import product

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.fields import Tags
from unrolled.fields.tokens import learned_scheme, odd_tags, scheme_of, spans, write_chunks

BIO_TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")
IOBES_TAGS = (*BIO_TAGS, "E-X", "S-X", "E-Y", "S-Y")


def all_sequences(tags: tuple[str, ...], longest: int) -> list[list[str]]:
    return [list(sequence) for length in range(longest + 1) for sequence in product(tags, repeat=length)]


@pytest.mark.parametrize(("alphabet", "scheme"), [(BIO_TAGS, "BIO"), (IOBES_TAGS, "IOBES")])
def test_a_sequence_is_legal_exactly_if_repairing_changes_nothing(alphabet: tuple[str, ...], scheme: str) -> None:
    tags = Tags(alphabet, scheme)
    begin, follow, end = tags.legal()
    for sequence in all_sequences(alphabet, 4)[1:]:
        codes = tags.encode(sequence)
        allowed = begin[codes[0]] and end[codes[-1]] and follow[codes[:-1], codes[1:]].all()
        repaired = tags.repair(sequence)
        assert allowed == (repaired == sequence)
        assert tags.repair(repaired) == repaired
        assert tags.spans(repaired) == tags.spans(sequence)


def test_everything_is_legal_without_a_scheme() -> None:
    tags = Tags.fit([["NOUN", "VERB"], ["ADJ"]])
    assert tags == Tags(("ADJ", "NOUN", "VERB"), "none")
    begin, follow, end = tags.legal()
    assert begin.shape == end.shape == (3,)
    assert follow.shape == (3, 3)
    assert begin.all()
    assert follow.all()
    assert end.all()
    assert tags.repair(("NOUN", "X")) == ["NOUN", "X"]
    assert tags.spans(["NOUN", "VERB"]) == []


@pytest.mark.parametrize(
    ("sequences", "scheme"),
    [
        ([["O", "B-X", "I-X"]], "BIO"),
        ([["I-X"]], "BIO"),
        ([["B", "I", "O"]], "BIO"),
        ([["O", "S-X"], ["B-Y", "E-Y"]], "IOBES"),
        ([["O", "S-X"]], "IOBES"),
        ([["O", "B-X", "NN"]], "none"),
        ([["O", "O"]], "none"),
        ([["B", "M", "E", "S"]], "IOBES"),
        ([["IN", "BX", "O"]], "none"),
        ([[]], "none"),
        ([], "none"),
    ],
)
def test_the_scheme_is_seen_from_the_tags(sequences: list[list[str]], scheme: str) -> None:
    assert Tags.fit(iter(sequences)).scheme == scheme


def test_data_that_mark_a_beginning_only_between_neighbours_gain_the_marks_they_lack() -> None:
    iob1 = ["I-X", "I-X", "B-X", "O", "I-Y"]
    tags = Tags.fit([iob1])
    assert tags.values == ("B-X", "B-Y", "I-X", "O")
    assert tags.repair(iob1) == ["B-X", "I-X", "B-X", "O", "B-Y"]


def test_broken_iobes_is_made_whole() -> None:
    tags = Tags(IOBES_TAGS, "IOBES")
    broken = ["I-X", "O", "B-X", "I-Y", "E-Y", "E-Y", "S-X", "I-X", "B-Y", "I-Y"]
    assert tags.repair(broken) == ["S-X", "O", "S-X", "B-Y", "E-Y", "S-Y", "S-X", "S-X", "B-Y", "E-Y"]


def test_unknown_tags_have_code_minus_one_and_are_kept_by_repair() -> None:
    tags = Tags.fit([["B-X", "O"]])
    assert tags.encode(["O", "B-Z", "_", "B-X"]).tolist() == [1, -1, -1, 0]
    assert tags.encode([]).dtype == np.int64
    assert tags.repair(["_", "I-Z", "O"]) == ["_", "B-Z", "O"]
    assert tags.decode([0, -1, 1]) == ["B-X", "<unk>", "O"]
    for code in (2, -2):
        with pytest.raises(DataError, match=f"codes from -1 to 1, got {code}"):
            tags.decode([code])


def test_decoding_gives_back_the_tags_and_json_the_field() -> None:
    tags = Tags.fit([list(IOBES_TAGS)])
    known = list(tags.values)
    assert tags.size == len(known)
    assert tags.decode(tags.encode(known)) == known
    assert Tags.from_json(json.loads(json.dumps(tags.to_json()))) == tags


def test_a_flat_list_of_tags_is_refused() -> None:
    with pytest.raises(DataError, match="got the text 'B-X'"):
        Tags.fit(["B-X", "O"])


@pytest.mark.parametrize(("alphabet", "scheme"), [(BIO_TAGS, "BIO"), (IOBES_TAGS, "IOBES")])
def test_drawn_tags_are_legal_and_use_every_tag(alphabet: tuple[str, ...], scheme: str) -> None:
    tags = Tags(alphabet, scheme)
    drawn = [tags.draw(np.random.default_rng(seed)) for seed in range(300)]
    assert all(tags.repair(sequence) == sequence for sequence in drawn)
    assert {tag for sequence in drawn for tag in sequence} == set(alphabet)


CHUNKED = [["B-X", "I-X", "I-X", "B-X", "O", "B-Y", "B-X", "I-X", "B-X"], ["O", "B-Y"], [], ["B-X", "B-X", "I-X"]]


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "IOE1", "IOE2", "IOBES", "BILOU", "BMES", "BMEWO", "BIEWO"])
@pytest.mark.parametrize("bare", [False, True])
def test_every_scheme_is_seen_read_and_written(scheme: str, bare: bool) -> None:
    bio = [[tag[:1] for tag in tags] for tags in CHUNKED] if bare else CHUNKED
    came = [write_chunks(tags, scheme) for tags in bio]
    assert scheme_of(came) == scheme
    assert [spans(tags) for tags in came] == [spans(tags) for tags in bio]
    fitted = Tags.fit(came)
    assert fitted.scheme == learned_scheme(scheme)
    assert [write_chunks(fitted.repair(tags), scheme) for tags in came] == came
    assert odd_tags(came, scheme) == []


def test_one_odd_tag_leaves_the_scheme_and_is_found() -> None:
    came = [*CHUNKED * 3, ["O", "tag", "o"]]
    assert scheme_of(came) == "none"
    assert scheme_of([*came[:-1], ["O", "tag"]]) == "BIO"
    assert odd_tags([["O"], ["B-X", "tag", "tag"]], "BIO") == [("tag", 2, 1, 1)]
    assert scheme_of([*CHUNKED * 3, ["U-X"]]) == "BIO"
    assert Tags.fit([*CHUNKED * 3, ["tag"]]).values == ("B-X", "B-Y", "I-X", "O", "tag")
    assert scheme_of([["N", "V", "S", "B"]]) == "none"
