import json

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.fields import Category


def test_decoding_gives_back_the_known_values() -> None:
    category = Category.fit(["rain", "sun", "rain", None])
    assert category.size == 3
    assert category.decode_all(category.encode_all(["sun", "rain"])) == ["sun", "rain"]


def test_unknown_and_missing_values_have_code_zero() -> None:
    category = Category.fit(["rain", "sun"])
    codes = category.encode_all(["fog", None, "sun"])
    assert np.array_equal(codes, [0, 0, 2])
    assert codes.dtype == np.int64
    assert category.decode_all(codes) == [None, None, "sun"]


def test_the_vocabulary_survives_json() -> None:
    category = Category.fit(["b", "a", "é"])
    assert Category.from_json(json.loads(json.dumps(category.to_json()))) == category


def test_one_value_is_one_code_and_several_are_told_where_to_go() -> None:
    category = Category.fit(["rain", "sun"])
    assert category.encode("sun").tolist() == [2]
    assert category.decode(np.array([1])) == "rain"
    with pytest.raises(DataError, match=r"one value as text, got \['sun'\]: encode many with encode_all"):
        category.encode(["sun"])  # type: ignore[arg-type]
    with pytest.raises(DataError, match="one code, got 2: decode many with decode_all"):
        category.decode(np.array([1, 2]))
    for code in (-1, 3):
        with pytest.raises(DataError, match=f"codes from 0 to 2, got {code}"):
            category.decode_all(np.array([1, code]))
