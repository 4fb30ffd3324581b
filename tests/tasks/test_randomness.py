"""Random numbers: those of the caller stay as they were, and two fits in two threads are as two fits in turn."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.model import Model, load
from unrolled.tasks import Classifier, Forecaster, LanguageModel, Tagger, Translator

SMALL: dict[str, Any] = {"hidden_size": 8, "max_steps": 2}
Fit = Callable[[SimpleNamespace, int], Model]


def forecaster(toys: SimpleNamespace, seed: int) -> Model:
    table = {"t": np.arange(60), "y": np.sin(np.arange(60.0))}
    model = Forecaster(**SMALL, seed=seed, horizon=3, decoder="autoregressive").fit(table, time="t", target="y")
    model.predict()
    return model


def classifier(toys: SimpleNamespace, seed: int) -> Model:
    texts, labels = toys.reviews(12)
    model = Classifier(**SMALL, seed=seed).fit(texts, labels)
    model.predict(texts)
    return model


def tagger(toys: SimpleNamespace, seed: int) -> Model:
    model = Tagger(**SMALL, seed=seed).fit(toys.parts(12))
    model.predict(toys.parts(12)[0])
    return model


def writer(toys: SimpleNamespace, seed: int) -> Model:
    model = LanguageModel(**SMALL, seed=seed).fit(toys.rhymes(5))
    model.generate("the", seed=3)
    return model


def translator(toys: SimpleNamespace, seed: int) -> Model:
    sources, targets = toys.reversals(30)
    model = Translator(**SMALL, seed=seed).fit(sources, targets)
    model.predict(sources[:2])
    return model


FITS: dict[str, Fit] = {
    "forecast": forecaster, "classify": classifier, "tag": tagger, "language": writer, "translate": translator,
}  # fmt: skip


def states() -> list[object]:
    """What the caller's generators are about to give."""
    return [torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()]  # noqa: NPY002


def weights(model: Model) -> list[float]:
    """All of them in a row."""
    return [value for part in model.fitted().parameters() for value in part.detach().flatten().tolist()]


@pytest.mark.parametrize("task", FITS)
def test_the_callers_random_numbers_are_untouched(task: str, toys: SimpleNamespace, tmp_path: Path) -> None:
    before = states()
    model = FITS[task](toys, 0)
    assert states() == before
    again = load(model.save(tmp_path / "model.unrolled"))
    assert states() == before
    again.check()
    assert states() == before


@pytest.mark.parametrize("task", FITS)
def test_two_fits_at_once_are_as_one_after_the_other(task: str, toys: SimpleNamespace) -> None:
    expected = {seed: weights(FITS[task](toys, seed)) for seed in (1, 2)}
    found: dict[int, list[float]] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: weights(FITS[task](toys, seed))}))  # type: ignore[misc]
        for seed in expected
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected
