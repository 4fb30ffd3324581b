from __future__ import annotations

import pytest
import torch

from unrolled.align.mode import evaluating
from unrolled.errors import NonFiniteError
from unrolled.tasks import Classifier, LanguageModel, Tagger, Translator


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_with_weights_that_are_no_numbers_gives_no_answer(value: float) -> None:
    net = torch.nn.Linear(2, 3)
    with evaluating(net):
        pass
    with torch.no_grad():
        net.weight[1, 1] = value
    with torch.no_grad(), pytest.raises(NonFiniteError, match="'weight'"), evaluating(net.eval()):
        pass


def test_large_weights_are_numbers() -> None:
    net = torch.nn.Linear(2, 3)
    torch.nn.init.constant_(net.weight, 3e38)
    with evaluating(net):
        assert not net.training
        assert not torch.is_grad_enabled()


def test_every_task_refuses_to_answer_by_weights_that_are_no_numbers() -> None:
    small = {"epochs": 1, "hidden_size": 4}
    classifier = Classifier(**small).fit(["a b", "c"] * 8, ["x", "y"] * 8)
    tagger = Tagger(**small).fit(([["a", "b"]] * 8, [["x", "y"]] * 8))
    language = LanguageModel(**small, level="char").fit(["ab cd\n"] * 20)
    translator = Translator(**small).fit((["a b"] * 20, ["b a"] * 20))
    for model in (classifier, tagger, language, translator):
        with torch.no_grad():
            for weight in model.fitted().parameters():
                weight.fill_(torch.nan)
    for ask in (
        lambda: classifier.predict(["a"]), lambda: tagger.predict([["a"]]), lambda: translator.predict(["a"]),
        lambda: language.score("a"), lambda: language.generate("a"), lambda: language.complete("a"),
        lambda: list(language.stream("a")), lambda: translator.attention("a", "b"),
    ):  # fmt: skip
        with pytest.raises(NonFiniteError):
            ask()
