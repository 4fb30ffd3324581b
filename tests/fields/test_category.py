import json

import numpy as np

from unrolled.fields import Category


def test_decoding_gives_back_the_known_values() -> None:
    category = Category.fit(["rain", "sun", "rain", None])
    assert category.size == 3
    assert category.decode(category.encode(["sun", "rain"])) == ["sun", "rain"]


def test_unknown_and_missing_values_have_code_zero() -> None:
    category = Category.fit(["rain", "sun"])
    codes = category.encode(["fog", None, "sun"])
    assert np.array_equal(codes, [0, 0, 2])
    assert codes.dtype == np.int64
    assert category.decode(codes) == [None, None, "sun"]


def test_the_vocabulary_survives_json() -> None:
    category = Category.fit(["b", "a", "é"])
    assert Category.from_json(json.loads(json.dumps(category.to_json()))) == category
