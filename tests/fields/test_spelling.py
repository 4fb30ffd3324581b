import json

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields import Spelling


def test_a_word_becomes_the_codes_of_its_characters_between_begin_and_end() -> None:
    spelling = Spelling.fit(["banana", "bad"])
    assert spelling.characters == "abnd"
    assert spelling.size == 8
    expected = [[2, 5, 4, 7, 3, 0], [2, 3, 0, 0, 0, 0], [2, 4, 1, 4, 1, 3]]
    codes = spelling.encode_all(["bad", "", "axax"])
    assert codes.tolist() == expected
    assert codes.dtype == np.int64


def test_every_row_agrees_with_a_spelling_letter_by_letter() -> None:
    random = np.random.default_rng(0)
    letters = list("abcdeé日👍\u0301\0\ud800")
    words = ["".join(random.choice(letters, random.integers(0, 9))) for _ in range(200)]
    spelling = Spelling.fit(words[:50], min_count=3)
    code = {character: i for i, character in enumerate(spelling.characters, start=4)}
    encoded = spelling.encode_all(words)
    assert encoded.shape == (200, max(map(len, words)) + 2)
    for word, row in zip(words, encoded.tolist()):
        expected = [2, *(code.get(character, 1) for character in word), 3]
        assert row == expected + [0] * (len(row) - len(expected))


def test_rare_characters_are_unknown() -> None:
    spelling = Spelling.fit(iter(["aab", "ab", "c"]), min_count=2)
    assert spelling.characters == "ab"
    assert spelling.encode_all(["c"]).tolist() == [[2, 1, 3]]


def test_of_a_very_long_word_both_ends_are_written() -> None:
    spelling = Spelling.fit(["abcdefg"], longest=5)
    assert np.array_equal(spelling.encode_all(["abcdefg"]), spelling.encode_all(["abcfg"]))
    assert spelling.encode_all(["abcde", "a" * 1000]).shape == (2, 7)
    single = Spelling.fit(["ab"], longest=1)
    assert single.encode_all(["ab"]).tolist() == [[2, 4, 3]]


def test_a_fit_without_words_and_an_empty_list_work() -> None:
    spelling = Spelling.fit([])
    assert spelling.size == 4
    assert spelling.encode_all(["ab"]).tolist() == [[2, 1, 1, 3]]
    assert spelling.encode_all([]).shape == (0, 2)


def test_the_alphabet_survives_json() -> None:
    spelling = Spelling.fit(["é日👍\ud800"], longest=9)
    assert Spelling.from_json(json.loads(json.dumps(spelling.to_json()))) == spelling


def test_mistakes_are_refused() -> None:
    with pytest.raises(DataError, match="got the text 'word'"):
        Spelling.fit("word")
    with pytest.raises(OptionError, match="min_count must be an integer of at least 1, got 0"):
        Spelling.fit(["a"], min_count=0)
    with pytest.raises(OptionError, match="longest must be an integer of at least 1, got True"):
        Spelling.fit(["a"], longest=True)


def test_one_word_becomes_codes_and_comes_back() -> None:
    spelling = Spelling.fit(["banana"], longest=5)
    assert spelling.encode("nab").tolist() == [2, *spelling.encode_all(["nab"])[0, 1:4], 3]
    assert spelling.decode(spelling.encode("nab")) == "nab"
    assert spelling.decode(spelling.encode_all(["a", "nana"])[0]) == "a"
    assert spelling.decode(spelling.encode("xab")) == "\ufffdab"
    assert spelling.decode(spelling.encode("banxnab")) == "banab"
    with pytest.raises(DataError, match=r"one word, got \['nab'\]: encode many with encode_all"):
        spelling.encode(["nab"])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="codes from 0 to 6, got 7"):
        spelling.decode(np.array([2, 7, 3]))
