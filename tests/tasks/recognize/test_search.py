"""What else has a say: language models, a bonus for words, a lexicon, words that are expected."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.text import Text
from unrolled.search.prefix import prefix_search
from unrolled.tasks import LanguageModel, Recognizer
from unrolled.tasks.recognize.coding import Coding
from unrolled.tasks.recognize.options import SearchOptions
from unrolled.tasks.recognize.scorers import make_scorers

CODING = Coding(Text.fit(["ab ab c", "ba"], level="char"))
KNOWN = ("ab", "ba", "c")
SMALL: dict[str, Any] = {"hidden_size": 8, "embedding_size": 4, "learning_rate": 0.05, "epochs": 6, "steps": 10,
                         "streams": 4, "warmup": 0}  # fmt: skip


def vague(text: str, rival: str, share: float = 0.45) -> np.ndarray:
    """Log-probabilities (frames, size): at each letter the rival's has so much more than the text's; then a blank."""
    rows = []
    for one, other in zip(text, rival, strict=True):
        row = np.full(CODING.size, 1e-6)
        row[CODING.tokens.index(other)] += share
        row[CODING.tokens.index(one)] += 0.98 - share
        rows += [row, np.full(CODING.size, 1e-6) + (np.arange(CODING.size) == 0)]
    return np.log(np.array(rows) / np.sum(rows, axis=1, keepdims=True))


def found(frames: np.ndarray, **search: Any) -> tuple[str, float]:
    asked = SearchOptions(**search)
    [[best]] = prefix_search(frames[None], width=8, scorers=make_scorers(asked, CODING, KNOWN))
    return CODING.decode(best.codes), best.score


@pytest.fixture(scope="module")
def words() -> LanguageModel:
    """Over words; nearly all of what it has read is "ab ab ab"."""
    return LanguageModel(split="space", lower=False, **SMALL).fit(["ab ab ab"] * 60 + ["ba c"], valid=0)


def test_a_model_of_characters_turns_the_scale_by_its_weight(reader: LanguageModel) -> None:
    frames = vague("ab ab", "ba ba", 0.55)
    assert found(frames)[0] == "ba ba"
    assert found(frames, language_model=reader, lm_weight=1.0)[0] == "ab ab"
    assert found(frames, language_model=reader, lm_weight=0.0)[0] == "ba ba"


def test_the_score_is_that_of_the_sound_and_what_the_model_says_of_the_line(reader: LanguageModel) -> None:
    frames = vague("ab", "ab")
    alone, fused = found(frames)[1], found(frames, language_model=reader, lm_weight=0.7)[1]
    # The model's own score of the line, its end included; float32 against float64 in some ten sums.
    assert fused == pytest.approx(alone + 0.7 * reader.score("ab"), abs=1e-4)


def test_a_model_of_words_has_a_say_in_a_search_of_characters(words: LanguageModel, tmp_path: Path) -> None:
    frames = vague("ab ab", "ba ba", 0.55)
    assert found(frames, language_model=words, lm_weight=1.0)[0] == "ab ab"
    saved = words.save(tmp_path / "words.unrolled")
    assert found(frames, language_model=str(saved), lm_weight=1.0)[0] == "ab ab"
    assert found(frames, language_model=saved, lm_weight=0.5) == found(frames, language_model=words, lm_weight=0.5)


def test_a_model_of_words_scores_a_line_as_it_does_alone(words: LanguageModel) -> None:
    frames = vague("ab c", "ab c")
    alone, fused = found(frames)[1], found(frames, language_model=words, lm_weight=0.3)[1]
    assert fused == pytest.approx(alone + 0.3 * words.score("ab c"), abs=1e-4)


def test_pieces_of_words_have_a_say_too() -> None:
    pytest.importorskip("tokenizers")
    pieces = LanguageModel(level="subword", max_size=260, **SMALL).fit([" ab ab ab"] * 60, valid=0)
    assert found(vague("ab ab", "ba ba", 0.55), language_model=pieces, lm_weight=1.0)[0] == "ab ab"


def test_a_lexicon_leaves_its_words_alone(tmp_path: Path) -> None:
    frames = vague("ab ab", "bb bb", 0.55)
    assert found(frames)[0] == "bb bb"
    assert found(frames, lexicon="training")[0] == "ab ab"
    assert found(frames, lexicon=["bb", "ab"])[0] == "bb bb"
    (tmp_path / "words.txt").write_text("ab\nba xyz\n")
    assert found(frames, lexicon=str(tmp_path / "words.txt"))[0] == "ab ab"
    assert found(frames, lexicon=tmp_path / "words.txt")[0] == "ab ab"


def test_expected_words_earn_their_bonus_once_a_place() -> None:
    frames = vague("ab ab", "ba ba", 0.55)
    assert found(frames, hot_words={"ab": 2.0})[0] == "ab ab"
    assert found(frames, hot_words=["ab"])[1] == pytest.approx(found(frames, hot_words={"ab": 4.0})[1])
    gained = found(frames, hot_words={"ab": 2.0})[1] - found(frames, lexicon=["ab"])[1]
    assert gained == pytest.approx(2 * 2.0)


def test_a_bonus_is_added_for_every_word() -> None:
    frames = vague("ab c ab", "ab c ab")
    # What a narrow beam loses of log p, which is a little of paths of a millionth each, is not the same in both.
    assert found(frames, word_bonus=0.5)[1] - found(frames)[1] == pytest.approx(3 * 0.5, abs=1e-4)


def test_the_width_of_the_beam_follows_what_is_asked() -> None:
    widths = [SearchOptions(**given).width for given in (
        {}, {"beam": 3}, {"nbest": 5}, {"lexicon": "training"}, {"word_bonus": 1.0}, {"nbest": 30, "hot_words": ["a"]},
    )]  # fmt: skip
    assert widths == [1, 3, 5, 16, 16, 30]


@pytest.mark.parametrize(("search", "kind", "sentence"), [
    ({"lexicon": ["xyz"]}, DataError, "none of the 1 words of the lexicon can be written (xyz)"),
    ({"hot_words": ["ax"]}, DataError, "the expected words 'ax' cannot be written: training has not seen 'x'"),
    ({"hot_words": [" "]}, DataError, "training has not seen an empty word"),
    ({"hot_words": {"ab": -1.0}}, OptionError, "a bonus must be a number above 0, got -1.0"),
    ({"language_model": 3}, OptionError, "expected language_model= as a LanguageModel, or where one is saved, got int"),
])  # fmt: skip
def test_what_cannot_have_a_say_is_one_sentence(search: dict[str, Any], kind: type[Exception], sentence: str) -> None:
    with pytest.raises(kind) as caught:
        found(vague("ab", "ab"), **search)
    assert sentence in str(caught.value)


def test_a_model_of_other_tokens_is_refused(reader: LanguageModel, words: LanguageModel) -> None:
    written = Coding(Text.fit(["ab ba"], level="word", split="space"))
    with pytest.raises(OptionError, match="expected a language model of the words that are written, got one of chars"):
        make_scorers(SearchOptions(language_model=reader), written, ())
    assert len(make_scorers(SearchOptions(language_model=words), written, ())) == 1
    with pytest.raises(OptionError, match=r"lexicon= spells words out, got a model that writes words"):
        make_scorers(SearchOptions(lexicon=["ab"]), written, ())
    greek = Coding(Text.fit(["αβ γ"], level="char"))
    with pytest.raises(OptionError, match="the language model knows nothing of what is written"):
        make_scorers(SearchOptions(language_model=words), greek, ())


def test_a_search_is_asked_of_a_recogniser_by_name(
    clerk: Recognizer, words: LanguageModel, letters: SimpleNamespace
) -> None:
    series, texts = letters.spelled(6, seed=4)
    fused = clerk.transcribe(series, beam=8, nbest=3, language_model=words, lm_weight=0.2, word_bonus=0.3)
    for one in fused:
        scores = [hypothesis.score for hypothesis in one.hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert all(math.isfinite(score) for score in scores)
    said = {word for text in clerk.predict(series, lexicon=["ab", "c", "ba"]) for word in text.split()}
    assert said <= {"ab", "c", "ba"}
    assert clerk.evaluate(series, texts, lexicon=" ".join(texts).split()).words.rate < 0.2
    with pytest.raises(OptionError, match=r"predict: there is no option 'bean'. Did you mean 'beam'"):
        clerk.predict(series, bean=3)
