"""Rows of drawings of a pen: Omniglot's characters, and words laid out of its letters."""

from __future__ import annotations

from typing import Any

import simple
from ink_words import omniglot_parts, written_words
from tasks_row import Score, notes

import unrolled as ur

__all__ = ["OMNIGLOT", "WORDS", "omniglot", "omniglot_simple", "omniglot_words"]

# Both chosen on drawers 15 and 16, from whom nothing is learned.
OMNIGLOT: dict[str, Any] = {"epochs": 50, "batch_size": 32, "label_smoothing": 0.1}
WORDS: dict[str, Any] = {"epochs": 5, "learning_rate": 3e-3, "warmup": 300, "feature_noise": 0.0}
# Words laid out of the letters of the training hands, each letter varied; and of those of the test hands, as they are.
TRAINED, TESTED = 16_000, 500


def omniglot(seed: int, **options: Any) -> Score:
    parts = omniglot_parts()
    model = ur.Classifier(seed=seed, **options).fit(*parts["train"][:2], valid=0)
    return Score("accuracy", model.evaluate(*parts["test"][:2]).accuracy, notes(model))


def omniglot_simple() -> dict[str, float]:
    parts = omniglot_parts()
    (train, labels, _), (test, truth, _) = parts["train"], parts["test"]
    return {"1-NN on 32 points": simple.nearest_drawing_accuracy(train, labels, test, truth)}


def omniglot_words(seed: int, **options: Any) -> Score:
    parts = omniglot_parts("Latin")
    model = ur.Recognizer(seed=seed, **options).fit(*written_words(parts["train"], TRAINED, 1, vary=True), valid=0)
    found = model.evaluate(*written_words(parts["test"], TESTED, 2), beam=8)
    return Score("CER", 100 * found.characters.rate, notes(model) | {"WER": round(100 * found.words.rate, 2)})
