from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from unrolled.align.pool import Pool
from unrolled.errors import DataError, OptionError
from unrolled.model import load
from unrolled.score.areas import roc_area
from unrolled.score.calibration import probabilities
from unrolled.tasks import Classifier


def test_which_of_two_words_occurs_is_learned(critic: Classifier, toys: SimpleNamespace) -> None:
    report = critic.evaluate(*toys.reviews(40, seed=1))
    assert report.accuracy == 1.0
    assert critic.predict(["it was good", "it was bad"]).tolist() == ["pos", "neg"]


def test_whether_a_series_rises_or_falls_is_learned(climber: Classifier, toys: SimpleNamespace) -> None:
    assert climber.evaluate(*toys.slopes(40, seed=1)).accuracy >= 0.95


@pytest.mark.parametrize("options", [
    {"level": "char"}, {"level": "subword", "max_size": 300}, {"spelling": "cnn", "spelling_size": 4},
    {"spelling": "lstm", "spelling_size": 4}, {"pooling": "last"}, {"pooling": "mean"}, {"pooling": "attention"},
    {"split": "space", "lower": False}, {"embedding_dropout": 0.1, "reading_dropout": 0.1}, {"label_smoothing": 0.1},
    {"min_count": 2, "max_size": 5}, {"layers": 2, "dropout": 0.1, "cell": "gru", "bidirectional": False},
])  # fmt: skip
def test_every_way_to_read_and_pool_fits_saves_and_keeps_the_laws(
    options: dict[str, Any], toys: SimpleNamespace, tmp_path: Path
) -> None:
    texts, labels = toys.reviews(24)
    model = Classifier(**{**toys.quick, "epochs": 2, **options}).fit(texts, labels)
    again = load(model.save(tmp_path / "model.unrolled"))
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    assert again.get_params() == model.get_params()
    model.check()


def test_series_save_with_their_scaling_and_keep_the_laws(
    climber: Classifier, toys: SimpleNamespace, tmp_path: Path
) -> None:
    series, _ = toys.slopes(20, seed=2)
    again = load(climber.save(tmp_path / "folder"))
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(series), climber.predict_proba(series))
    climber.check()
    again.check()


def test_a_few_examples_that_are_all_right_make_the_network_no_surer(critic: Classifier) -> None:
    assert critic.notes.temperature == 1.0


def test_a_temperature_makes_held_out_examples_likelier_and_is_kept(toys: SimpleNamespace, tmp_path: Path) -> None:
    texts, labels = toys.reviews(80)
    # A third of the held-out labels is wrong: probabilities near 0 and 1 cannot be right there.
    wrong = [label if i % 3 else ("pos" if label == "neg" else "neg") for i, label in enumerate(labels[60:])]
    model = Classifier(**toys.quick, epochs=12).fit(texts[:60], labels[:60], valid=(texts[60:], wrong))
    assert model.notes.temperature > 1
    codes = [model.classes_.tolist().index(label) for label in wrong]
    logits = model._logits(model.make_data(model._read(texts[60:], labelled=False), np.arange(20)))
    found = model.predict_proba(texts[60:])
    np.testing.assert_array_equal(found, probabilities(logits, model.notes.temperature))
    nats = [-np.log(p[np.arange(20), codes]).mean() for p in (probabilities(logits), found)]
    assert nats[1] < nats[0]
    again = load(model.save(tmp_path / "model.unrolled"))
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(texts[60:]), found)


def test_what_is_only_held_out_changes_no_vocabulary_no_scaling_and_no_classes(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(40)
    model = Classifier(**toys.quick, epochs=1)
    model.fit(texts, labels, valid=([*texts[:5], "unheard word"], [*labels[:5], "other"]))
    assert model.classes_.tolist() == ["neg", "pos"]
    assert "unheard" not in model.fields["text"].tokens
    series, rises = toys.slopes(40)
    numbers = Classifier(hidden_size=4, layers=1, epochs=1)
    numbers.fit(series, rises, valid=([1e6 * values for values in series[:4]], rises[:4]))
    alone = Classifier(hidden_size=4, layers=1, epochs=1).fit(series, rises, valid=0)
    assert numbers.fields["series"].to_json() == alone.fields["series"].to_json()


def test_without_a_second_training_the_rows_held_out_stay_unknown(toys: SimpleNamespace) -> None:
    texts = [f"{text} only{i}" for i, text in enumerate(toys.reviews(40)[0])]
    labels = toys.reviews(40)[1]
    model = Classifier(**toys.quick, epochs=1).fit(texts, labels, valid=0.25, refit=False)
    assert sum(token.startswith("only") for token in model.fields["text"].tokens) == 30
    again = Classifier(**toys.quick, epochs=1).fit(texts, labels, valid=0.25)
    assert sum(token.startswith("only") for token in again.fields["text"].tokens) == 40


def test_no_class_is_held_out_whole(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(20)
    for seed in range(5):
        model = Classifier(**toys.quick, epochs=1, seed=seed)
        model.fit([*texts, "odd one"], [*labels, "rare"], valid=0.5, refit=False)
        assert model.classes_.tolist() == ["neg", "pos", "rare"]
    # Where every class stands once, nothing can be held out.
    assert len(Classifier(**toys.quick, epochs=1).fit(["a", "b"], ["x", "y"], refit=False).classes_) == 2


def test_examples_too_few_to_stop_by_only_calibrate(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(40)
    model = Classifier(**toys.quick, epochs=3).fit(texts, labels, refit=False)
    assert model.history is not None
    assert model.history.best_step is None
    assert model.history.epochs == 3
    many = Classifier(**toys.quick, epochs=3).fit(texts, labels, valid=toys.reviews(100, seed=1))
    assert many.history is not None
    assert many.history.best_step is not None


def test_patience_that_is_asked_for_is_heeded_however_few_are_held_out(toys: SimpleNamespace) -> None:
    model = Classifier(**toys.quick, epochs=30, patience=1).fit(*toys.reviews(40), refit=False)
    assert model.history is not None
    assert model.history.best_step is not None


def test_vectors_from_elsewhere_are_started_from_and_saved(toys: SimpleNamespace, tmp_path: Path) -> None:
    texts, labels = toys.reviews(30)
    (tmp_path / "vectors.txt").write_text("good 1 0 0\nbad 0 1 0\nsplendid 0.9 0.1 0\n")
    options = {**toys.quick, "vectors": str(tmp_path / "vectors.txt"), "vectors_frozen": True, "epochs": 8}
    del options["embedding_size"]
    model = Classifier(**options).fit(texts, labels)
    again = load(model.save(tmp_path / "model.unrolled"))
    (tmp_path / "vectors.txt").unlink()
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    # A word of the file that the training part never had is read by its vector.
    assert again.predict(["it was splendid"]).tolist() == ["pos"]


def test_the_vectors_give_the_size_of_the_embedding(toys: SimpleNamespace, tmp_path: Path) -> None:
    from unrolled.errors import OptionError

    (tmp_path / "vectors.txt").write_text("good 1 0 0\nbad 0 1 0\n")
    model = Classifier(**toys.quick, vectors=str(tmp_path / "vectors.txt"), epochs=1)
    with pytest.raises(OptionError, match=r"embedding_size=8.*3"):
        model.fit(*toys.reviews(10))


def test_inputs_of_a_class_point_one_way_and_so_do_those_of_a_class_never_seen(toys: SimpleNamespace) -> None:
    draw = np.random.default_rng(0)
    series = [draw.normal(size=(int(draw.integers(5, 9)), 4)) + 3 * np.eye(4)[i % 4] for i in range(160)]
    model = Classifier(hidden_size=16, layers=1, epochs=20).fit(
        [values for i, values in enumerate(series) if i % 4 < 3], [str(i % 4) for i in range(160) if i % 4 < 3]
    )
    new = series[:40]
    found = model.similarity(new, new)
    kinds = np.arange(40) % 4
    same = (kinds[:, None] == kinds) & ~np.eye(40, dtype=bool)
    assert roc_area(found[same | (kinds[:, None] != kinds)], same[same | (kinds[:, None] != kinds)]) > 0.95
    strange = (kinds[:, None] == 3) & same
    assert found[strange].mean() > found[(kinds[:, None] == 3) & (kinds != 3)].mean() + 0.1


def test_vectors_are_the_pooled_ones_of_unit_length_in_any_company(
    critic: Classifier, climber: Classifier, toys: SimpleNamespace, tmp_path: Path
) -> None:
    for model, inputs in ((critic, toys.reviews(12)[0]), (climber, toys.slopes(12)[0])):
        vectors, net = model.embed(inputs), cast("Pool[Any]", model.fitted())
        assert vectors.shape == (12, net.encoder.output_size)
        assert vectors.dtype == np.float64
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=2**-50)
        # A row alone is a batch of another shape: float32 sums in another order.
        np.testing.assert_allclose(np.concatenate([model.embed([one]) for one in inputs]), vectors, atol=2**-18)
        again = load(model.save(tmp_path / "model.unrolled"))
        assert isinstance(again, Classifier)
        np.testing.assert_array_equal(again.embed(inputs), vectors)
        np.testing.assert_array_equal(model.similarity(inputs, inputs[:5]), np.clip(vectors @ vectors[:5].T, -1, 1))
        # The head makes the class of the vector, whose length alone is lost.
        x = model.make_data(model._read(inputs, labelled=False), np.arange(12)).batch(np.arange(12)).x
        with torch.no_grad():
            pooled, told = net.vectors(x), net.predict(x)
        np.testing.assert_allclose(pooled.numpy(), vectors * pooled.norm(dim=1, keepdim=True).numpy(), atol=2**-18)
        assert torch.equal(net.head.best(pooled), told)
        assert model.embed(inputs[:0]).shape == (0, vectors.shape[1])
    # A text without a word has no step.
    np.testing.assert_array_equal(critic.embed([""]), np.zeros((1, 16)))


def test_vectors_are_asked_of_a_fitted_model_and_of_its_kind(climber: Classifier) -> None:
    with pytest.raises(OptionError, match="expected a fitted model"):
        Classifier().embed(["a text"])
    with pytest.raises(DataError, match="expected series, as in training, got texts"):
        climber.embed(["a text"])


def test_pictures_are_drawn(critic: Classifier, toys: SimpleNamespace, tmp_path: Path) -> None:
    texts, labels = toys.reviews(20, seed=4)
    assert critic.plot(texts, tmp_path / "confusion.png", labels).stat().st_size > 0
    assert critic.plot_reliability(texts, tmp_path / "reliability.svg", labels).stat().st_size > 0


def test_the_same_seed_gives_the_same_model_and_another_another(toys: SimpleNamespace) -> None:
    texts, labels = toys.reviews(24)
    one, two, other = (
        Classifier(**toys.quick, epochs=2, seed=seed).fit(texts, labels).predict_proba(texts) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def numbered(form: Any, count: int = 24) -> dict[str, list[Any]]:
    return {
        "text": [f"{'good' if i % 2 else 'bad'} film" for i in range(count)],
        "label": [form(i % 2) for i in range(count)],
    }


@pytest.mark.parametrize("known", [int, float, str, "{:.1f}".format, bool, np.int8])
def test_one_number_is_one_label_whatever_type_it_has(known: Any, toys: SimpleNamespace) -> None:
    data = numbered(known)
    model = Classifier(**{**toys.quick, "epochs": 12}).fit(data["text"], data["label"])
    for form in (int, float, str, "{:.1f}".format, bool):
        told = numbered(form)
        assert model.evaluate(told["text"], told["label"]).accuracy == 1.0


def test_whole_numbers_are_classes_in_their_own_order_and_type(toys: SimpleNamespace, tmp_path: Path) -> None:
    texts, labels = [f"w{i % 12}" for i in range(48)], [i % 12 for i in range(48)]
    model = Classifier(**{**toys.quick, "epochs": 1}).fit(texts, labels)
    assert model.classes_.tolist() == list(range(12))
    assert model.predict(texts[:2]).dtype.kind == "i"
    path = tmp_path / "x.csv"
    path.write_text("text,label\n" + "".join(f"{t},{y}\n" for t, y in zip(texts, labels, strict=True)))
    filed = Classifier(**{**toys.quick, "epochs": 1}).fit(path)
    assert filed.classes_.tolist() == [str(i) for i in range(12)]
    again = load(filed.save(tmp_path / "m.unrolled"))
    assert isinstance(again, Classifier)
    assert again.predict(texts).tolist() == filed.predict(texts).tolist()


def test_texts_of_digits_in_memory_sort_as_scikit_learn_sorts_them(toys: SimpleNamespace) -> None:
    texts, labels = [f"w{i % 12}" for i in range(48)], [str(i % 12) for i in range(48)]
    assert Classifier(**{**toys.quick, "epochs": 1}).fit(texts, labels).classes_.tolist() == sorted(set(labels))


@pytest.mark.parametrize("labels", [
    [i / 7 for i in range(60)], [f"{i / 7:.4f}" for i in range(60)], [1900 + i for i in range(60)],
    [i / 7 for i in range(8)], [i * 0.25 for i in range(30)] * 20,
])  # fmt: skip
def test_measurements_are_no_classes(labels: list[Any], toys: SimpleNamespace) -> None:
    with pytest.raises(DataError, match="regression"):
        Classifier(**toys.quick).fit([f"text {i}" for i in range(len(labels))], labels)


@pytest.mark.parametrize(
    "labels", [[i % 10 / 2 for i in range(40)], [i % 40 for i in range(200)], [f"n{i}" for i in range(30)]]
)
def test_few_numbers_and_many_names_are_classes(labels: list[Any], toys: SimpleNamespace) -> None:
    model = Classifier(**{**toys.quick, "epochs": 1}).fit([f"text {i}" for i in range(len(labels))], labels, valid=0)
    assert len(model.classes_) == len(set(labels))


def test_labels_that_training_has_never_seen_are_said(critic: Classifier) -> None:
    with pytest.raises(
        DataError, match=r"labels that training has seen \(neg, pos\), but all 2 are others \(bad, good\)"
    ):
        critic.evaluate(["a", "b"], ["good", "bad"])
    assert "<unk>" in str(critic.evaluate(["a", "b"], ["good", "neg"]))
