"""Rows of pictures: scikit-learn's digits by rows and by pixels, and lines of print."""

from __future__ import annotations

from typing import Any

import numpy as np
import simple
from rendered_lines import HELD, SEEN, rendered_lines, words_of
from tasks_row import Score, notes

import unrolled as ur

__all__ = ["BY_PIXELS", "BY_ROWS", "LINES", "digits", "digits_simple", "lines"]

# All else is as by default: on a quarter of the training part rows came to .982 (.979 varied, .953 of two layers with
# more dropout) and pixels to .976.
BY_ROWS: dict[str, Any] = {"image_steps": "rows"}
BY_PIXELS: dict[str, Any] = {"image_steps": "pixels"}
# One layer, so that more epochs fit into the time.
LINES: dict[str, Any] = {"layers": 1, "learning_rate": 4e-3, "epochs": 9}
# Lines to learn from, and for each of the two scores: in the fonts that were seen, and in one that was not.
TRAINED, TESTED = 6000, 400


def digit_parts() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pictures (n, 8, 8) uint8 and digits: three quarters to learn from, a quarter for the test, as they come out of
    scikit-learn's own split with random_state=0, each digit's share the same."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    data = load_digits()
    pictures = np.rint(data.images * (255 / 16)).astype(np.uint8)
    train, test, labels, truth = train_test_split(
        pictures, data.target, test_size=0.25, random_state=0, stratify=data.target
    )
    return train, labels, test, truth


def digits(seed: int, **options: Any) -> Score:
    train, labels, test, truth = digit_parts()
    model = ur.Classifier(seed=seed, **options).fit(train, labels)
    return Score("accuracy", model.evaluate(test, truth).accuracy, notes(model))


def digits_simple() -> dict[str, float]:
    train, labels, test, truth = digit_parts()
    flat = [part.reshape(len(part), -1) / 255 for part in (train, test)]
    return {"LR": simple.logistic_accuracy(flat[0], labels.tolist(), flat[1], truth.tolist())}


def lines(seed: int, **options: Any) -> Score:
    """CER on new words in the fonts that were seen, and in one that was not."""
    train = rendered_lines(TRAINED, 1, SEEN, words_of(test=False))
    model = ur.Recognizer(seed=seed, **options).fit(*train, valid=0)
    seen, held = (
        model.evaluate(*rendered_lines(TESTED, number, fonts, words_of(test=True)))
        for number, fonts in ((2, SEEN), (3, HELD))
    )
    more = {"WER": round(100 * seen.words.rate, 2), "held_font": round(100 * held.characters.rate, 2)}
    return Score("CER", 100 * seen.characters.rate, more | notes(model))
