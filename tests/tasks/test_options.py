"""Options of tasks: typed groups, given flat by name, told in the name of the task."""

from __future__ import annotations

import json
from typing import Any

import pytest

from unrolled.errors import OptionError
from unrolled.nn import EncoderOptions
from unrolled.tasks.classify import ClassifierOptions
from unrolled.tasks.forecast.options import ForecasterOptions
from unrolled.tasks.language import LanguageOptions
from unrolled.tasks.options import TaskOptions
from unrolled.tasks.tag import TaggerOptions
from unrolled.tasks.translate import TranslatorOptions
from unrolled.train import TrainOptions

KINDS: list[type[TaskOptions]] = [
    ClassifierOptions, TaggerOptions, LanguageOptions, TranslatorOptions, ForecasterOptions,
]  # fmt: skip
NEEDED: dict[type[TaskOptions], dict[str, Any]] = {ForecasterOptions: {"horizon": 3}}
EVERY = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.owner)


def collect(kind: type[TaskOptions], **values: object) -> Any:
    return kind.collect({**NEEDED.get(kind, {}), **values})


@EVERY
def test_every_option_has_one_place_and_no_group_the_name_of_an_option(kind: type[TaskOptions]) -> None:
    places, groups = kind.places(), kind.groups()
    assert set(places.values()) <= {"", *groups}
    assert not places.keys() & groups.keys()
    assert not places.keys() & kind.absent.keys()
    assert {"seed", "cell", "hidden_size", "epochs", "learning_rate"} <= places.keys()


def test_flat_options_go_into_their_groups_over_the_defaults_of_the_task() -> None:
    options = collect(TaggerOptions, lower=False, cell="gru", epochs=3, crf=True, seed=5)
    assert (options.text.lower, options.text.split, options.text.min_count) == (False, "space", 2)
    assert (options.encoder.given(), options.train.given()) == ({"cell": "gru"}, {"epochs": 3})
    assert (options.head.crf, options.spelled.spelling, options.seed) == (True, "cnn", 5)


def test_the_masks_of_a_language_model_are_drawn_by_its_head() -> None:
    options = collect(LanguageOptions, input_dropout=0.25, weight_dropout=0.5)
    assert (options.head.input_dropout, options.encoder.given()) == (0.25, {"weight_dropout": 0.5})


@EVERY
@pytest.mark.parametrize(("name", "value"), [
    ("hidden_size", 0), ("learning_rate", -1), ("seed", -1), ("cell", "lstmm"), ("hiden_size", 3), ("epochs", "many"),
])  # fmt: skip
def test_a_mistake_in_any_group_is_told_in_the_name_of_the_task(kind: Any, name: str, value: object) -> None:
    with pytest.raises(OptionError, match=rf"^{kind.owner}: .*{name}"):
        collect(kind, **{name: value})


@EVERY
def test_every_option_says_what_it_means_and_what_it_usually_is(kind: type[TaskOptions]) -> None:
    meanings, usual = kind.meanings(), kind.usual()
    assert list(meanings) == list(usual) == list(kind.places())
    assert [name for name, meaning in meanings.items() if not meaning.endswith(".")] == []


@EVERY
def test_an_unknown_option_is_told_with_the_meaning_of_the_nearest(kind: type[TaskOptions]) -> None:
    with pytest.raises(OptionError, match="'unrolled options' says what each of them means"):
        collect(kind, nonsense=1)
    with pytest.raises(OptionError, match=r"Did you mean 'learning_rate' \(learning rate\)"):
        collect(kind, learning_rat=1)
    with pytest.raises(OptionError, match="there is no option 'hidden'"):
        collect(kind, encoder={"hidden": 1})


@EVERY
def test_an_option_of_other_tasks_is_refused_with_the_reason(kind: type[TaskOptions]) -> None:
    for name, reason in kind.absent.items():
        with pytest.raises(OptionError) as caught:
            collect(kind, **{name: None})
        assert str(caught.value) == f"{kind.owner}: there is no option {name!r}, {reason}."


@EVERY
def test_options_survive_json(kind: type[TaskOptions]) -> None:
    options = collect(kind, cell="gru", zoneout=(0.25,), epochs=3, betas=(0.5, 0.75), seed=4)
    again = kind.from_json(json.loads(json.dumps(options.to_json())))
    assert again == options
    for group in kind.completed:
        assert getattr(again, group).given() == getattr(options, group).given()


@EVERY
def test_options_may_be_replaced(kind: type[TaskOptions]) -> None:
    options = collect(kind, cell="gru", epochs=3)
    assert options.replaced(epochs=4, seed=7) == collect(kind, cell="gru", epochs=4, seed=7)
    with pytest.raises(OptionError, match=f"^{kind.owner}: there is no option 'epoch'"):
        options.replaced(epoch=3)


def test_options_given_go_before_the_usual_ones_also_where_they_are_the_default() -> None:
    assert EncoderOptions(cell="lstm", layers=1).over(cell="gru", layers=3, hidden_size=5).given() == {
        "cell": "lstm", "hidden_size": 5, "layers": 1,
    }  # fmt: skip
    options = collect(ClassifierOptions, epochs=10, batch_size=3)
    assert options.training(epochs=60, patience=4) == TrainOptions(epochs=10, batch_size=3, patience=4)
    with pytest.raises(OptionError, match=r"^Classifier: got batch_size=3 and token_budget=9; give one"):
        options.training(token_budget=9)


# What files held before options came in groups: the options of a task flat, those of encoder and training apart.
EARLIER: list[tuple[type[TaskOptions], dict[str, Any], dict[str, object]]] = [
    (TaggerOptions, {
        "seed": 1, "train": {"epochs": 2}, "level": "word", "lower": True, "split": "space", "min_count": 1,
        "max_size": None, "embedding_size": 4, "vectors": None, "vectors_frozen": False, "spelling": "lstm",
        "spelling_size": 3, "embedding_dropout": 0.1, "reading_dropout": None, "encoder": {"bidirectional": False},
        "crf": True, "scheme": None, "head_dropout": 0.3,
    }, {"seed": 1, "epochs": 2, "min_count": 1, "embedding_size": 4, "spelling": "lstm", "spelling_size": 3,
        "reading_dropout": None, "bidirectional": False, "crf": True}),
    (LanguageOptions, {
        "seed": 0, "train": {}, "level": "char", "lower": False, "split": "punctuation", "min_count": 1,
        "max_size": None, "embedding_size": None, "vectors": None, "vectors_frozen": False, "spelling": "none",
        "spelling_size": 64, "embedding_dropout": None, "reading_dropout": 0.0,
        "encoder": {"layers": 2, "bidirectional": False}, "tied": True, "input_dropout": 0.5, "output_dropout": None,
        "samples": None, "activation_penalty": 2.0, "slowness_penalty": 0.0, "streams": 3, "steps": None,
    }, {"level": "char", "layers": 2, "input_dropout": 0.5, "activation_penalty": 2.0, "streams": 3}),
    (TranslatorOptions, {
        "seed": 0, "train": {"token_budget": 90}, "level": "word", "lower": False, "split": "punctuation",
        "min_count": 1, "max_size": 50, "embedding_size": None, "vectors": None, "vectors_frozen": False,
        "spelling": "none", "spelling_size": 64, "embedding_dropout": None, "reading_dropout": 0.2,
        "encoder": {"cell": "lstm"}, "decoder_layers": 2, "attention": "none", "feeding": False, "sampling": 0.0,
        "copying": "none", "label_smoothing": 0.1, "tied": True, "head_dropout": 0.3,
    }, {"token_budget": 90, "level": "word", "max_size": 50, "cell": "lstm", "decoder_layers": 2, "attention": "none"}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "held", "flat"), EARLIER, ids=[kind.owner for kind, _, _ in EARLIER])
def test_options_of_earlier_files_are_read(kind: Any, held: dict[str, Any], flat: dict[str, object]) -> None:
    assert kind.from_json(held) == kind.collect(flat)
    given = {**flat, **{name: held.get(name) for name in kind.absent}}
    assert kind.without_absent(given) == flat


def test_every_name_of_the_room_is_there() -> None:
    import unrolled.tasks

    for name in unrolled.tasks.__all__:
        assert getattr(unrolled.tasks, name).__name__ == name
