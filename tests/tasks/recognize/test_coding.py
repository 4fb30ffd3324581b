"""Texts as the codes of a CTC, and the words that codes make up."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from unrolled.fields.text import Text
from unrolled.search.paths import Spelled
from unrolled.tasks.recognize.coding import Coding, WordSpan, Writing, frames_needed

TEXTS = ["the cat  sat", "a cat", "The end"]


@pytest.mark.parametrize("level", ["char", "word", "subword"])
def test_texts_come_back_and_zero_is_no_code(level: str) -> None:
    if level == "subword":
        pytest.importorskip("tokenizers")
    coding = Coding(Text.fit(TEXTS, level=level, split="space", max_size=300))
    for text in TEXTS:
        codes = coding.encode(text)
        assert codes.min() >= 1
        assert codes.max() < coding.size
        assert coding.decode(codes) == (" ".join(text.split()) if level == "word" else text)
    every = {code for text in TEXTS for code in coding.encode(text).tolist()}
    if level != "subword":
        assert every == set(range(1, coding.size))


def test_what_is_not_known_has_no_code() -> None:
    coding = Coding(Text.fit(["ab"], level="char"))
    assert coding.encode("axb").tolist() == coding.encode("ab").tolist()
    assert coding.unknown("axby") == ["x", "y"]
    assert coding.encode("").tolist() == []


@pytest.mark.parametrize(("level", "tokens", "words"), [
    ("char", ["a", "b", " ", " ", "c"], [("ab", 0, 2, 0.8), ("c", 4, 5, 0.5)]),
    ("word", ["ab", "ab", "c"], [("ab", 0, 1, 0.9), ("ab", 1, 2, 0.8), ("c", 2, 3, 0.7)]),
    ("char", [" ", "a", " "], [("a", 1, 2, 0.8)]),
])  # fmt: skip
def test_words_have_the_frames_and_the_confidence_of_their_codes(
    level: str, tokens: list[str], words: list[tuple[str, int, int, float]]
) -> None:
    coding = Coding(Text.fit([" ".join(tokens)] if level == "word" else ["".join(tokens)], level=level, split="space"))
    spelled = [
        Spelled((coding.tokens.index(token),), at, at + 1, round(0.9 - 0.1 * at, 1)) for at, token in enumerate(tokens)
    ]
    assert coding.words(spelled) == [WordSpan(*word) for word in words]


def test_pieces_begin_a_word_where_they_hold_the_space_before_it() -> None:
    pytest.importorskip("tokenizers")
    coding = Coding(Text.fit(["low lower lowest"] * 9, level="subword", max_size=262))
    codes = coding.encode("low lowest é").tolist()
    spelled = [Spelled((code,), at, at + 1, 0.5) for at, code in enumerate(codes)]
    found = coding.words(spelled)
    assert [word.text for word in found] == ["low", "lowest", "é"]
    assert [found[0].begin, found[-1].end] == [0, len(codes)]
    assert all(one.end <= other.begin for one, other in pairwise(found))


def test_equal_codes_need_a_frame_between_them() -> None:
    assert [frames_needed(np.array(codes, np.int64)) for codes in ([], [1], [1, 1], [1, 2, 1], [2, 2, 2])] == [
        0, 1, 3, 3, 5,
    ]  # fmt: skip


@pytest.mark.parametrize("level", ["char", "word", "subword"])
def test_codes_that_become_sure_in_any_steps_are_written_as_the_whole_would_be(level: str) -> None:
    if level == "subword":
        pytest.importorskip("tokenizers")
    # Letters of one to four bytes, and the sign for what is no character.
    coding = Coding(Text.fit([*TEXTS, "é ß 猫 𝄞 \ufffd x\ufffd"], level=level, split="space", max_size=300))
    random = np.random.default_rng(0)
    for _ in range(200):
        codes = tuple(random.integers(1, coding.size, 12).tolist())
        if random.random() < 0.5:
            codes = tuple(coding.encode("the é 猫 end 𝄞 \ufffd cat").tolist())
        writing, known = Writing(coding), 0
        for sure in np.sort(random.integers(0, len(codes) + 1, 6)).tolist():
            known = min(len(codes), sure + int(random.integers(0, 4)))
            text, rest = writing.follow(codes[:sure], codes[sure:known])
            assert text == coding.decode(codes[:sure]).rstrip("\ufffd")
            assert text + rest == coding.decode(codes[:known]).rstrip("\ufffd")
    # Where nothing may be said after all.
    assert writing.follow((), ()) == ("", "")
