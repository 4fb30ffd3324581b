"""Mixed precision: every task trains and predicts in bf16, and answers inside a caller's own autocast."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.tasks import Classifier, Forecaster, LanguageModel, Tagger, Translator

Answer = Callable[[], Any]
SMALL: dict[str, Any] = {"hidden_size": 8, "max_steps": 2, "precision": "bf16"}


def forecast(toys: SimpleNamespace, **options: Any) -> Answer:
    table = {"t": np.arange(60), "y": np.sin(np.arange(60.0))}
    model = Forecaster(**SMALL, horizon=3, **options).fit(table, time="t", target="y")
    return lambda: model.predict().to_pandas().forecast.to_numpy()


def classes(toys: SimpleNamespace, **options: Any) -> Answer:
    texts, labels = toys.reviews(12)
    model = Classifier(**SMALL, **options).fit(texts, labels)
    return lambda: model.predict_proba(texts)


def tags(toys: SimpleNamespace, **options: Any) -> Answer:
    sentences, own = toys.parts(12)
    model = Tagger(**SMALL, **options).fit((sentences, own))
    return lambda: model.predict(sentences)


def language(toys: SimpleNamespace, **options: Any) -> Answer:
    model = LanguageModel(**SMALL, **options).fit(toys.rhymes(5))
    return lambda: np.array(model.evaluate(toys.rhymes(2)).perplexity)


def translation(toys: SimpleNamespace, **options: Any) -> Answer:
    sources, targets = toys.reversals(30)
    model = Translator(**SMALL, **options).fit(sources, targets)
    return lambda: model.predict(sources[:3])


TASKS = {"forecast": forecast, "classify": classes, "tag": tags, "language": language, "translate": translation}


@pytest.mark.parametrize("cell", ["gru", "lstm", "lru", "mlstm"])
@pytest.mark.parametrize("task", TASKS)
def test_every_task_trains_and_predicts_in_bf16(task: str, cell: str, toys: SimpleNamespace) -> None:
    answer = TASKS[task](toys, cell=cell)
    plain = answer()
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            inside = answer()
        if isinstance(plain, np.ndarray):
            assert np.isfinite(plain).all()
            np.testing.assert_allclose(inside, plain, rtol=0.1, atol=0.1)
        else:
            assert [len(one) for one in inside] == [len(one) for one in plain] or task == "translate"


def test_a_forecaster_that_feeds_itself_trains_in_bf16(toys: SimpleNamespace) -> None:
    options = {"recurrent_dropout": 0.1, "weight_dropout": 0.1, "layers": 2}
    assert np.isfinite(forecast(toys, decoder="autoregressive", **options)()).all()
