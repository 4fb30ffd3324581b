"""Plain text is parted into words as the training data part theirs."""

from __future__ import annotations

import pytest

from unrolled.inputs.plain import parted, parts_marks
from unrolled.tasks import Tagger


@pytest.mark.parametrize(("text", "words"), [
    ("Hello, world.", ["Hello", ",", "world", "."]),
    ("Mr. X came.", ["Mr.", "X", "came", "."]),
    ('"No!" (he said...)', ['"', "No", "!", '"', "(", "he", "said", "...", ")"]),
    ("at 3.14, or 10:30?", ["at", "3.14", ",", "or", "10:30", "?"]),
    ("... well", ["...", "well"]),
    ("", []),
])  # fmt: skip
def test_marks_at_the_ends_of_words_stand_alone(text: str, words: list[str]) -> None:
    assert parted(text, {"Mr."}.__contains__) == words


def test_what_training_data_do_with_marks_is_seen() -> None:
    assert parts_marks([["Mr.", "X", "came", "."], ["yes", "!"]])
    assert not parts_marks([["Hello,", "world."], ["yes", "."]])
    assert not parts_marks([["no", "marks"], []])


def test_a_tagger_reads_plain_text_as_it_learned_to() -> None:
    quick = {"max_steps": 1, "hidden_size": 4, "embedding_size": 4, "spelling": "none", "min_count": 1}
    apart = Tagger(**quick).fit(([["Ann", "left", "."]] * 8, [["N", "V", "P"]] * 8))
    assert apart.words("Bo left.") == ["Bo", "left", "."]
    assert [len(tags) for tags in apart.predict(["Bo left.", "no"])] == [3, 1]
    assert any("punctuation marks are parted" in remark for remark in apart.understood)
    together = Tagger(**quick).fit(([["Ann", "left."]] * 8, [["N", "V"]] * 8))
    assert together.words("Bo left.") == ["Bo", "left."]
