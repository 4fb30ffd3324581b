"""The classifier among the estimators of scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from unrolled.errors import OptionError
from unrolled.tasks import Classifier


def test_options_come_and_go_as_parameters() -> None:
    model = Classifier(hidden_size=8, cell="gru", seed=3, cell_options={"reset": "before"})
    wanted = {"hidden_size": 8, "cell": "gru", "seed": 3, "cell_options": {"reset": "before"}}
    assert model.get_params() == model.get_params(deep=False) == wanted
    twin = clone(model)
    assert twin is not model
    assert twin.get_params() == wanted
    assert twin.options == model.options
    assert model.set_params(hidden_size=4, layers=2) is model
    assert model.get_params() == {**wanted, "hidden_size": 4, "layers": 2}
    assert model.options.encoder.hidden_size == 4
    assert twin.get_params() == wanted
    with pytest.raises(OptionError, match="Did you mean 'layers'"):
        model.set_params(layer=2)
    assert model.get_params()["layers"] == 2
    assert "layer" not in model.get_params()


def test_a_clone_is_not_fitted_and_says_so(critic: Classifier) -> None:
    check_is_fitted(critic)
    twin = clone(critic)
    with pytest.raises(NotFittedError):
        check_is_fitted(twin)
    assert not hasattr(twin, "classes_")
    assert is_classifier(twin)


@pytest.mark.parametrize("kind", ["texts", "array", "ragged", "frame"])
def test_cross_validation_takes_every_kind_of_input(kind: str, toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(30)
    series, rises = toys.slopes(30)
    model = Classifier(**toys.quick, epochs=6) if kind in ("texts", "frame") else Classifier(**toys.series, epochs=6)
    inputs: Any = {
        "texts": texts, "frame": pd.Series(texts), "ragged": series,
        "array": np.stack([values[np.arange(8) % len(values)] for values in series]),
    }[kind]  # fmt: skip
    scores = cross_val_score(model, inputs, labels if kind in ("texts", "frame") else rises, cv=3)
    assert scores.shape == (3,)
    assert ((scores >= 0) & (scores <= 1)).all()
    if kind != "array":
        assert scores.mean() > 0.6


def test_a_grid_of_options_is_searched(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(30)
    grid = {"hidden_size": np.array([4, 8]), "pooling": ["max", "mean"]}
    search = GridSearchCV(Classifier(**toys.quick, epochs=3), grid, cv=2, scoring="accuracy")
    search.fit(texts, labels)
    assert set(search.best_params_) == {"hidden_size", "pooling"}
    assert search.predict(texts).shape == (30,)
    assert search.score(texts, labels) == accuracy_score(labels, search.predict(texts))
    assert search.classes_.tolist() == ["neg", "pos"]
    losses = GridSearchCV(Classifier(**toys.quick, epochs=2), {"seed": [0, 1]}, cv=2, scoring="neg_log_loss")
    assert losses.fit(texts, labels).best_score_ < 0


def test_it_stands_at_the_end_of_a_pipeline(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(40)
    shouted = [text.upper() for text in texts]
    lowered = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    line = Pipeline([("lower", lowered), ("classify", Classifier(**toys.quick, epochs=15, lower=False))])
    line.set_params(classify__hidden_size=6)
    line.fit(shouted, labels)
    assert line.named_steps["classify"].options.encoder.hidden_size == 6
    assert line.score(shouted, labels) > 0.9
    assert line.predict_proba(shouted).shape == (40, 2)
    assert clone(line).get_params()["classify__hidden_size"] == 6


@pytest.mark.parametrize("labels", [
    ["no", "yes"] * 10, [0, 1] * 10, np.array([3, -1] * 10), np.array(["b", "a"] * 10), [True, False] * 10,
    np.array([True, False] * 10), np.array([2.0, 7.0] * 10), pd.Series([5, 6] * 10), np.array([[0], [1]] * 10),
    np.array(["x", "y"] * 10, object),
])  # fmt: skip
def test_labels_come_back_as_what_they_were(labels: Any, toys: SimpleNamespace) -> None:
    texts, _ = toys.reviews(20)
    model = Classifier(**toys.quick, epochs=1).fit(texts, labels)
    flat = np.asarray(labels).ravel()
    assert set(model.classes_.tolist()) == set(flat.tolist())
    found = model.predict(texts)
    assert set(found.tolist()) <= set(flat.tolist())
    assert model.score(texts, labels) == accuracy_score(flat, found)
    probabilities = model.predict_proba(texts)
    assert probabilities.shape == (20, 2)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(model.classes_[probabilities.argmax(1)], found)


def test_more_than_ten_numbers_are_classes_too(toys: SimpleNamespace) -> None:
    texts = [f"word{i % 12}" for i in range(48)]
    model = Classifier(**toys.quick, epochs=30).fit(texts, [i % 12 for i in range(48)])
    assert set(model.classes_.tolist()) == set(range(12))
    assert model.predict(["word11", "word2"]).tolist() == [11, 2]


def test_predictions_of_folds_stand_in_their_rows(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(30)
    folds = StratifiedKFold(3)
    found = cross_val_predict(Classifier(**toys.quick, epochs=3), texts, labels, cv=folds, method="predict_proba")
    assert found.shape == (30, 2)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-9)


def test_a_fold_with_few_examples_of_a_class_still_knows_it(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(20)
    found = cross_val_predict(
        Classifier(**toys.quick, epochs=1), [*texts, "odd", "strange"], [*labels, "rare", "rare"], cv=2,
        method="predict_proba",
    )  # fmt: skip
    assert found.shape == (22, 3)
