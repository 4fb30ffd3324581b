from __future__ import annotations

import math
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from unrolled.errors import OptionError
from unrolled.fields.text import END, SPECIALS
from unrolled.fields.tokens import bare
from unrolled.tasks import LanguageModel


@pytest.fixture(scope="module")
def words(toys: SimpleNamespace) -> LanguageModel:
    lines = ["the cat sat, (the cow) sat. don't", "the cat is so-so", "a cow can't", "the c 3 4"] * 6
    return LanguageModel(level="word", **{**toys.running, "epochs": 6}).fit(lines)


def after(model: LanguageModel, tokens: list[str]) -> torch.Tensor:
    """Probabilities of what follows these tokens, at the beginning of a line."""
    net: Any = model.fitted()
    codes = [END if token == "\n" else int(model.fields["text"].codes_of([token])[0]) for token in tokens]
    with torch.no_grad():
        found, _ = net(torch.tensor([[END, *codes]]), state=net.begin(1))
    probabilities: torch.Tensor = found[0, -1].double().exp()
    return probabilities


@pytest.mark.parametrize(("typed", "context", "begun"), [
    ("the c", ["the"], "c"), ("the ", ["the"], ""), ("", [], ""), ("the cat", ["the"], "cat"), ("th", [], "th"),
    ("the cat sat, (the", ["the", "cat", "sat", "￭,", "(￭"], "the"), ("a cow\nthe c", ["a", "cow", "\n", "the"], "c"),
    ("don't", ["don", "￭'￭"], "t"), ("the zzz c", ["the", "zzz", ], "c"), ("a cow\n", ["a", "cow", "\n"], ""),
    ("so-s", ["so", "￭-￭"], "s"), ("the cat  ", ["the", "cat"], ""),
])  # fmt: skip
def test_word_probabilities_are_exact(words: LanguageModel, typed: str, context: list[str], begun: str) -> None:
    tokens, follows = words.fields["text"].tokens, after(words, context)
    fits = {
        bare(token): float(follows[code])
        for code, token in enumerate(tokens)
        if code >= len(SPECIALS) and bare(token).startswith(begun) and re.match(r"\w", bare(token))
    }
    whole = sum(fits.values())
    found = words.complete(typed, k=100)
    assert {each.word for each in found} == set(fits)
    for each in found:
        assert each.probability == pytest.approx(fits[each.word] / whole, rel=1e-5)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)
    assert words.complete(typed, k=2) == found[:2]


@pytest.mark.parametrize("typed", ["", "the ", "the c", "the cat sat on the mat, the do", "the cat\nthe", "zzz t"])
def test_probabilities_sum_to_at_most_one_and_words_begin_as_typed(writer: LanguageModel, typed: str) -> None:
    found = writer.complete(typed, k=4)
    begun = re.search(r"\w*$", typed)
    assert begun is not None
    assert 0 < len(found) <= 4
    assert sum(each.probability for each in found) <= 1 + 1e-6
    assert len({each.word for each in found}) == len(found)
    for each in found:
        assert each.word.startswith(begun.group())
        assert re.fullmatch(r"\w+", each.word)


def test_the_likeliest_word_is_the_one_that_follows(writer: LanguageModel) -> None:
    for typed, word in [("the c", "cat"), ("the cat sat on the ", "mat"), ("the cat s", "sat"), ("the cat", "cat")]:
        best = writer.complete(typed, k=1)[0]
        assert best.word == word
        assert best.probability > 0.5


def test_a_word_of_characters_has_the_probability_of_its_spelling_and_an_end(toys: SimpleNamespace) -> None:
    model = LanguageModel(level="char", **toys.running).fit(["ab abc b, a\nabd"] * 20)
    net: Any = model.fitted()
    field = model.fields["text"]
    letters = [code for code, token in enumerate(field.tokens) if code >= len(SPECIALS) and token.isalnum()]
    typed = "b, a"
    found = {each.word: each.probability for each in model.complete(typed, k=50)}
    context = field.encode(typed).tolist()
    with torch.no_grad():
        for rest, word in (("", "a"), ("b", "ab"), ("bc", "abc"), ("bd", "abd")):
            codes = context + field.encode(rest).tolist()
            log_probs, _ = net(torch.tensor([[model._first, *codes]]), state=net.begin(1))
            terms = log_probs[0].double()
            inside = sum(float(terms[i, codes[i]]) for i in range(len(context), len(codes)))
            ends = 1 - float(terms[-1, letters].exp().sum())
            assert found[word] == pytest.approx(math.exp(inside) * ends, rel=1e-4)
    assert sum(found.values()) <= 1 + 1e-6


def test_a_word_is_half_typed_at_any_level_in_any_case(toys: SimpleNamespace) -> None:
    for level in ("word", "char", "subword"):
        model = LanguageModel(level=level, lower=True, **{**toys.running, "max_size": 300}).fit(["The Cat Sat"] * 60)
        assert model.complete("The C", k=1)[0].word == "cat"
        assert model.complete("THE CAT SA", k=1)[0].word == "sat"


def test_a_word_with_combining_marks_is_one_word(toys: SimpleNamespace) -> None:
    for level in ("word", "char"):
        model = LanguageModel(level=level, **toys.running).fit(["मैं हिन्दी बोलता"] * 40)
        assert model.complete("मैं हिन्", k=3)[0].word == "हिन्दी"


def test_words_between_spaces_are_completed_whole(toys: SimpleNamespace) -> None:
    model = LanguageModel(level="word", split="space", **toys.running).fit(["well-known facts, here"] * 20)
    assert [each.word for each in model.complete("well-kn", k=3)] == ["well-known"]
    assert [each.word for each in model.complete("well-known fac", k=3)] == ["facts,"]


def test_what_cannot_be_completed_gives_nothing(writer: LanguageModel) -> None:
    assert writer.complete("the ЖЖ") == []


def test_a_number_below_one_is_refused(writer: LanguageModel) -> None:
    for k in (0, -1):
        with pytest.raises(OptionError, match="k must be"):
            writer.complete("the", k=k)


def test_a_longer_beginning_makes_its_words_likelier(writer: LanguageModel) -> None:
    beginning = "the cat sat on the mat, the d"
    short, longer = (writer.complete(typed, k=1)[0] for typed in (beginning, beginning + "o"))
    assert (short.word, longer.word) == ("dog", "dog")
    assert longer.probability >= short.probability - 1e-6
