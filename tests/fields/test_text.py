import builtins
import json
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.text import BEGIN, END, PAD, SPECIALS, UNKNOWN, Text
from unrolled.fields.tokens.marks import ESCAPE, JOINER

STRANGE = [
    'Hello, world! "Is it (not) so?" -- don\'t... 3.14 snake_case a/b',
    "naïve cafe\u0301 हिन्दी 日本語。Ελλάς İstanbul ﷽",
    "👩\u200d👩\u200d👧 ❤\ufe0f!\ufe0f 🇩🇪👍🏽 \u0301alone می\u200cخواهم",
    f"{JOINER} a{JOINER}b {ESCAPE} {ESCAPE}1 {ESCAPE}0{JOINER}, ({JOINER})",
    "line\nbreak\r\ntab\tnull\0bell\x07 separator\x1cnbsp\xa0end\u2028",
    "<unk> <pad> </s> <s> (<unk>) <unk>, x<unk> <unk>y <unk><unk>",
    "  spaces  around  ",
    "",
]


def random_text(rng: random.Random) -> str:
    letters = f"aBß1_ ,.<>-'\"\n\t\0\u0301\u200d\ufe0f👍日Σ{JOINER}{ESCAPE}01"
    return "".join(rng.choice(letters) for _ in range(rng.randrange(12)))


def many_texts() -> list[str]:
    rng = random.Random(0)
    return [*STRANGE, *(random_text(rng) for _ in range(2000))]


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize(("level", "split"), [("word", "space"), ("word", "punctuation"), ("char", "space")])
def test_decoding_gives_back_the_normalised_text_of_known_tokens(level: str, split: str, lower: bool) -> None:
    texts = many_texts()
    text = Text.fit(texts, level=level, split=split, lower=lower)
    for value in texts:
        cased = value.lower() if lower else value
        expected = " ".join(cased.split()) if level == "word" else cased
        assert text.normalise(value) == expected
        assert text.decode(text.encode(value)) == expected
        assert text.join(text.split_text(value)) == expected


@pytest.mark.parametrize("lower", [False, True])
def test_subwords_give_back_any_text_seen_or_not(lower: bool) -> None:
    text = Text.fit(["the cat sat on the mat, the cat", "the dog"], level="subword", lower=lower, max_size=270)
    everything = [chr(point) for point in range(0, 0x110000, 997) if not 0xD800 <= point <= 0xDFFF]
    for value in [*many_texts(), "".join(everything)]:
        expected = value.lower() if lower else value
        assert text.normalise(value) == expected
        codes = text.encode(value)
        assert text.decode(codes) == expected
        assert (codes > END).all()
        assert np.array_equal(codes, text.codes_of(text.split_text(value)))
        assert text.join(text.split_text(value)) == expected


def test_marks_carry_a_joiner_on_the_side_where_they_touch_a_neighbour() -> None:
    text = Text.fit([])
    assert text.split_text("Hello, (big) world...") == ["Hello", "￭,", "(￭", "big", "￭)", "world", "￭.", "￭.", "￭."]
    assert text.split_text("don't - a_b") == ["don", "￭'￭", "t", "-", "a_b"]


def test_combining_marks_stay_with_their_letter() -> None:
    text = Text.fit([])
    assert text.split_text("हिन्दी, cafe\u0301s می\u200cخواهم ❤\ufe0fyes") == [
        "हिन्दी",
        "￭,",
        "cafe\u0301s",
        "می\u200cخواهم",
        "❤\ufe0f￭",
        "yes",
    ]


def test_a_long_run_without_spaces_is_split_like_short_ones() -> None:
    text = Text.fit([])
    run = ",".join(["ab"] * 100)
    assert text.split_text(run) == ["ab", *["￭,￭", "ab"] * 99]
    assert text.join(text.split_text(run)) == run


def test_tokens_stand_by_falling_count_and_then_by_themselves() -> None:
    assert Text.fit(["b a c b", "a d b"]).tokens == (*SPECIALS, "b", "a", "c", "d")


@pytest.mark.parametrize("level", ["word", "char", "subword"])
def test_a_fit_does_not_depend_on_the_order_of_the_texts(level: str) -> None:
    texts = [value for value in many_texts() if value]
    shuffled = texts.copy()
    random.Random(1).shuffle(shuffled)
    fitted = Text.fit(texts, level=level, max_size=400, min_count=2)
    assert Text.fit(iter(shuffled), level=level, max_size=400, min_count=2) == fitted


@pytest.mark.parametrize("level", ["word", "char", "subword"])
def test_codes_follow_the_falling_counts_of_the_training_tokens(level: str) -> None:
    texts = many_texts()
    text = Text.fit(texts, level=level, max_size=300)
    counts = Counter(code for value in texts for code in text.encode(value).tolist() if code != UNKNOWN)
    numbers = [counts[code] for code in range(len(SPECIALS), text.size)]
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[0] > numbers[-1]


def test_rare_tokens_are_left_out_and_the_most_frequent_kept() -> None:
    texts = ["a a a b b c c d"]
    assert Text.fit(texts, min_count=2).tokens[4:] == ("a", "b", "c")
    assert Text.fit(texts, max_size=2).tokens[4:] == ("a", "b")
    text = Text.fit(texts, min_count=3)
    assert text.encode("a b a").tolist() == [4, UNKNOWN, 4]
    assert text.decode(text.encode("a b a")) == "a <unk> a"


def test_lowering_makes_upper_and_lower_case_one() -> None:
    text = Text.fit(["The the THE cat"], lower=True)
    assert text.tokens[4:] == ("the", "cat")
    assert text.codes_of(["THE", "Cat", "dog"]).tolist() == [4, 5, UNKNOWN]
    assert text.decode(text.encode("The CAT")) == "the cat"


@pytest.mark.parametrize("split", ["space", "punctuation"])
def test_the_unknown_word_written_in_a_text_is_unknown(split: str) -> None:
    text = Text.fit(["the <unk> sat , <unk> sat"], split=split)
    assert "<unk>" not in text.tokens[4:]
    codes = text.encode("the <unk> sat")
    assert codes.tolist()[1] == UNKNOWN
    assert text.decode(codes) == "the <unk> sat"
    assert text.codes_of(["<unk>"]).tolist() == [UNKNOWN]


def test_names_of_specials_in_a_text_are_words_and_no_specials() -> None:
    text = Text.fit(["<pad> <s> </s>"], split="space")
    codes = text.encode("<pad> <s> </s>")
    assert (codes > END).all()
    assert text.decode(codes) == "<pad> <s> </s>"
    assert Text.fit(["a"], split="space").encode("<pad> </s>").tolist() == [UNKNOWN, UNKNOWN]


@pytest.mark.parametrize("level", ["word", "char", "subword"])
def test_specials_are_left_out_and_unknown_is_written(level: str) -> None:
    text = Text.fit(["ab"], level=level)
    codes = [BEGIN, *text.encode("ab"), UNKNOWN, END, PAD, PAD]
    assert text.decode(codes) == ("ab <unk>" if level == "word" else "ab<unk>")
    assert text.decode(np.array([], np.int64)) == ""


@pytest.mark.parametrize("texts", [[], ["", "  "], ["\n"]])
@pytest.mark.parametrize("level", ["word", "char", "subword"])
def test_a_fit_without_words_gives_a_field_that_works(level: str, texts: list[str]) -> None:
    text = Text.fit(texts, level=level)
    assert text.tokens[:4] == SPECIALS
    if level == "word":
        assert text.size == 4
        assert text.encode("a b").tolist() == [UNKNOWN, UNKNOWN]
    codes = text.encode("")
    assert codes.dtype == np.int64
    assert codes.shape == (0,)


@pytest.mark.parametrize("split", ["space", "punctuation"])
@pytest.mark.parametrize("level", ["word", "char", "subword"])
def test_the_field_survives_json(level: str, split: str) -> None:
    text = Text.fit(STRANGE, level=level, split=split, lower=True, max_size=280)
    again = Text.from_json(json.loads(json.dumps(text.to_json(), allow_nan=False)))
    assert again == text
    for value in STRANGE:
        assert np.array_equal(again.encode(value), text.encode(value))


def test_counts_give_the_field_that_the_texts_give() -> None:
    texts = [value.lower() for value in STRANGE]
    counts = Counter(token for value in texts for token in Text.fit([]).split_text(value))
    forms = sorted(counts)
    numbers = np.array([counts[form] for form in forms])
    options = {"level": "word", "lower": False, "split": "punctuation", "max_size": 30}
    assert Text.from_counts(forms, numbers, **options) == Text.fit(texts, **options)


def test_counts_of_forms_that_lowering_makes_equal_are_added() -> None:
    text = Text.from_counts(
        ["The", "cat", "the"], np.array([2, 3, 2]), level="word", lower=True, split="space", min_count=4
    )
    assert text.tokens[4:] == ("the",)


def test_words_counted_zero_times_are_left_out() -> None:
    text = Text.from_counts(["a", "b"], np.array([0, 1]), level="word", lower=False, split="space")
    assert text.tokens[4:] == ("b",)


def test_extra_words_are_known_whatever_their_count() -> None:
    text = Text.from_counts(
        ["a", "b", "c", "d"],
        np.array([5, 4, 1, 1]),
        level="word",
        lower=True,
        split="space",
        max_size=1,
        extra=["zebra", "C", "a", "<unk>"],
    )
    assert text.tokens[4:] == ("a", "c", "zebra")


def test_counts_cannot_give_subwords() -> None:
    with pytest.raises(OptionError, match=r"call Text\.fit"):
        Text.from_counts(["a"], np.array([1]), level="subword", lower=False, split="space")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "words"}, "Did you mean 'word'"),
        ({"split": "spaces"}, "Did you mean 'space'"),
        ({"min_count": 0}, "min_count must be an integer of at least 1, got 0"),
        ({"max_size": 2.5}, r"max_size must be an integer of at least 1, got 2\.5"),
    ],
)
def test_a_bad_option_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Text.fit(["a"], **options)  # type: ignore[arg-type]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(DataError, match="got the single text 'hello'"):
        Text.fit("hello")
    with pytest.raises(DataError, match="expected a string, got None"):
        Text.fit(["a", None])  # type: ignore[list-item]
    with pytest.raises(DataError, match="codes from 0 to 4, got -1"):
        Text.fit(["a"]).decode([4, -1])


def test_half_a_character_is_refused_where_bytes_are_needed_and_kept_elsewhere() -> None:
    with pytest.raises(DataError, match=r"lone surrogate .* at character 1"):
        Text.fit(["a"], level="subword").encode("x\ud800")
    with pytest.raises(DataError, match=r"lone surrogate .* at character 2"):
        Text.fit(["ab\udfff"], level="subword")
    text = Text.fit(["x\ud800"], level="char")
    assert text.decode(text.encode("x\ud800")) == "x\ud800"


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_tokenizers(name: str, *arguments: object, **options: object) -> object:
        if name == "tokenizers":
            raise ModuleNotFoundError(name)
        return real(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_tokenizers)
    with pytest.raises(OptionError, match=r"install unrolled\[text\]"):
        Text.fit(["a"], level="subword")


def test_the_fields_are_imported_without_heavy_packages() -> None:
    code = (
        "import sys; import unrolled.fields; print([n for n in ('torch', 'tokenizers', 'pyarrow') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize("level", ["word", "char", "subword"])
def test_drawn_texts_hold_known_tokens_and_differ(level: str) -> None:
    text = Text.fit(STRANGE, level=level, max_size=300)
    drawn = [text.draw(np.random.default_rng(seed)) for seed in range(200)]
    assert len(set(drawn)) > 100
    for value in drawn:
        assert UNKNOWN not in text.encode(value)
    assert Text.fit([]).draw(np.random.default_rng(0)) == ""
