"""What users hand in by mistake: one clear sentence, or the obvious right result; never another error, never NaN."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unrolled.errors import DataError, ModelFileError, OptionError, UnrolledError
from unrolled.model import load
from unrolled.tasks import Classifier, LanguageModel, Tagger, Translator

KINDS = {"classify": Classifier, "tag": Tagger, "language": LanguageModel, "translate": Translator}


@pytest.fixture
def fresh(toys: SimpleNamespace) -> dict[str, Any]:
    """An unfitted model of each task, small and quick."""
    return {
        "classify": Classifier(**toys.quick, epochs=1), "tag": Tagger(**{**toys.tags, "epochs": 1}),
        "language": LanguageModel(**{**toys.running, "epochs": 1}),
        "translate": Translator(**{**toys.pairs, "epochs": 1}),
    }  # fmt: skip


def refused(call: Callable[[], Any], *words: str) -> None:
    """The call ends in one sentence for the user that holds these words."""
    with pytest.raises((DataError, OptionError)) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 1000
    for word in words:
        assert word in said, said


def test_a_model_that_is_not_fitted_says_what_to_do(fresh: dict[str, Any], tmp_path: Path) -> None:
    classify, tag, language, translate = fresh.values()
    for call in (
        lambda: classify.predict(["a"]), lambda: classify.predict_proba([[1.0]]), lambda: classify.score(["a"], ["b"]),
        lambda: classify.evaluate("x.csv"), lambda: classify.plot(["a"], "x.png", ["b"]),
        lambda: classify.plot_reliability(["a"], "x.png", ["b"]), lambda: tag.predict(["a"]), lambda: tag.predict("x"),
        lambda: tag.spans(["a"]), lambda: tag.evaluate((["a"], [["b"]])), lambda: language.evaluate(["a"]),
        lambda: language.score("a"), lambda: language.generate(), lambda: language.stream(),
        lambda: language.complete("a"), lambda: translate.predict(["a"]), lambda: translate.candidates(["a"]),
        lambda: translate.evaluate(["a"], ["b"]), lambda: translate.attention("a"),
        lambda: translate.plot("a", tmp_path / "x.png"), *(model.check for model in fresh.values()),
        *(lambda model=model: model.save(tmp_path / "x") for model in fresh.values()),
    ):  # fmt: skip
        refused(call, "fit() has not been called")
    with pytest.raises(AttributeError, match="fit"):
        _ = classify.classes_


@pytest.mark.parametrize("task", list(KINDS))
def test_an_option_that_is_unknown_or_wrong_is_refused_at_once(task: str) -> None:
    kind: Any = KINDS[task]
    refused(lambda: kind(hiden_size=8), "Did you mean 'hidden_size' (", kind.__name__)
    refused(lambda: kind(learning_rat=8), "Did you mean 'learning_rate' (")
    refused(lambda: kind(min_cont=8), "Did you mean 'min_count' (")
    refused(lambda: kind(cell="gruu"), "Did you mean 'gru'?")
    refused(lambda: kind(cell="gru", cell_options={"peephol": True}), "peephol")
    for name, value in [
        ("hidden_size", 0), ("hidden_size", "big"), ("epochs", 0), ("learning_rate", -1), ("dropout", 1.5),
        ("seed", -1), ("level", "letter"), ("embedding_size", 0), ("layers", 1.5), ("min_count", 0), ("max_size", 0),
        ("learning_rate", float("nan")), ("zoneout", 2), ("batch_size", 0), ("schedule", "cosin"),
    ]:  # fmt: skip
        refused(lambda name=name, value=value: kind(**{name: value}), name)


@pytest.mark.parametrize("task", list(KINDS))
def test_a_file_that_is_not_there_is_named_with_the_nearest(task: str, fresh: dict[str, Any], tmp_path: Path) -> None:
    for ending in (".csv", ".txt", ".conll", ".de"):
        (tmp_path / f"train{ending}").write_text("a\n")
    ending = {"classify": ".csv", "tag": ".conll", "language": ".txt", "translate": ".csv"}[task]
    for name in (str(tmp_path / f"trian{ending}"), tmp_path / f"trian{ending}"):
        refused(lambda name=name: fresh[task].fit(name), f"trian{ending}", f"Did you mean 'train{ending}'?")
    refused(lambda: fresh[task].fit("a whole text in the place of a file"), "put a text itself in a list")
    refused(lambda: fresh[task].fit("long" * 2000), "put a text itself in a list")
    refused(lambda: fresh[task].fit(""), "check the path")


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.jsonl", "x.parquet", "x.ts", "x.npz", "x.npy", "x.docx", "x"])
def test_an_empty_or_strange_file_is_refused_by_every_task(name: str, fresh: dict[str, Any], tmp_path: Path) -> None:
    for content in (b"", b"\n\n", b"\x00\x01\x02", b"\xff\xfe\x00"):
        (tmp_path / name).write_bytes(content)
        for task, model in fresh.items():
            # A text of control characters is a text; a line in it is all that a language model asks for.
            if task == "language" and b"\xff" not in content and content:
                continue
            refused(lambda model=model: model.fit(tmp_path / name))


def test_bytes_that_are_no_utf8_are_named_in_every_kind_of_source(
    fresh: dict[str, Any], toys: SimpleNamespace, tmp_path: Path
) -> None:
    good, bad = b"fine line", b"bad \xff line"
    for name, content, model in [
        ("x.csv", b"text,label\n" + good + b",a\n" + bad + b",b\n", fresh["classify"]),
        ("x.tsv", b"text\tlabel\n" + good + b"\ta\n" + bad + b"\tb\n", fresh["classify"]),
        ("x.jsonl", b'{"text": "a", "label": "b"}\n{"text": "\xff", "label": "c"}\n', fresh["classify"]),
        ("x.ts", b"@univariate true\n@classLabel true a\xff b\n@data\n1,2:a\n", fresh["classify"]),
        ("x.conll", b"good\tA\n\nb\xffd\tB\n", fresh["tag"]),
        ("x.txt", good + b"\n" + bad, fresh["language"]),
        ("y.csv", b"source,target\na,b\n\xff,c\n", fresh["translate"]),
    ]:  # fmt: skip
        (tmp_path / name).write_bytes(content)
        refused(lambda model=model, name=name: model.fit(tmp_path / name), name, f"byte {content.index(0xFF)}", "UTF-8")
    (tmp_path / "folder" / "neg").mkdir(parents=True)
    (tmp_path / "folder" / "neg" / "1.txt").write_bytes(bad)
    refused(lambda: fresh["classify"].fit(tmp_path / "folder"), "1.txt", "byte 4")
    (tmp_path / "good.de").write_bytes(good + b"\n" + good)
    refused(lambda: fresh["translate"].fit(tmp_path / "good.de", tmp_path / "x.txt"), "x.txt", "byte 14")
    (tmp_path / "vectors.txt").write_bytes(b"good 1 2\nb\xffd 3 4\n")
    model = Classifier(vectors=str(tmp_path / "vectors.txt"), hidden_size=4)
    refused(lambda: model.fit(*toys.reviews(10)), "vectors.txt", "byte 10")


def test_a_wrong_column_is_answered_with_the_nearest(fresh: dict[str, Any], tmp_path: Path) -> None:
    table = pd.DataFrame({"text": ["a", "b"], "label": [1, 2]})
    refused(lambda: fresh["classify"].fit(table, label="lable"), "'lable'", "Did you mean 'label'?")
    refused(lambda: fresh["classify"].fit(table, text="txt"), "Did you mean 'text'?", "It has: text, label")
    refused(lambda: fresh["translate"].fit({"source": ["a"], "tarjet": ["b"]}), "Did you mean 'tarjet'?")
    (tmp_path / "x.conll").write_text("a\tX\n")
    refused(lambda: fresh["tag"].fit(tmp_path / "x.conll", column="upos"), "upos")
    refused(lambda: fresh["tag"].fit(tmp_path / "x.conll", column=7), "column 7")


def test_examples_too_few_are_counted(fresh: dict[str, Any]) -> None:
    for inputs, labels in (([], []), (["a"], ["x"]), (["a", "b"], ["x", "x"]), (np.zeros((3, 4, 1)), [1, 1, 1])):
        refused(lambda inputs=inputs, labels=labels: fresh["classify"].fit(inputs, labels))
    refused(lambda: fresh["classify"].fit(["a", "b"], ["x", "x"]), "at least two classes", "'x'")
    for source in (([], []), (["a"], [["x"]])):
        refused(lambda source=source: fresh["tag"].fit(source), "at least 2")
    refused(lambda: fresh["language"].fit([]))
    refused(lambda: fresh["translate"].fit([], []), "got none")
    refused(lambda: fresh["translate"].fit(["a"], ["b"]), "at least 2")


@pytest.mark.parametrize("valid", [1, 1.0, -0.1, float("nan"), True, ("a", "b", "c"), 2.5])
def test_a_part_to_hold_out_lies_between_none_and_all(valid: Any, fresh: dict[str, Any], toys: SimpleNamespace) -> None:
    refused(lambda: fresh["classify"].fit(*toys.reviews(10), valid=valid), "valid")
    refused(lambda: fresh["tag"].fit(toys.parts(10), valid=valid), "valid")
    refused(lambda: fresh["translate"].fit(*toys.reversals(10), valid=valid), "valid")
    if not isinstance(valid, tuple):
        refused(lambda: fresh["language"].fit(["a", "b"], valid=valid), "valid")


@pytest.mark.parametrize("valid", [0.01, 0.5, 0.99])
def test_of_two_examples_one_is_learned_from(valid: float, fresh: dict[str, Any]) -> None:
    fresh["classify"].fit(["a", "b"], ["x", "y"], valid=valid)
    fresh["tag"].fit((["a b", "b a"], [["x", "y"], ["y", "x"]]), valid=valid)
    fresh["language"].fit(["a", "b"], valid=valid)
    fresh["translate"].fit(["a", "b"], ["x", "y"], valid=valid)
    assert fresh["classify"].classes_.tolist() == ["x", "y"]
    assert fresh["translate"].notes.longest == 1


def test_empty_documents_are_documents(fresh: dict[str, Any]) -> None:
    classify = fresh["classify"].fit(["", "a", "", "b", "  ", "\n"], ["x", "y"] * 3)
    for inputs in (["", ""], [""], ["   "], ["", "a b"]):
        found = classify.predict_proba(inputs)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(1), 1)
    assert fresh["classify"].fit(["", ""], ["x", "y"]).predict([""]).shape == (1,)
    translate = fresh["translate"].fit(["", "a", "b"], ["x", "", "y"])
    assert len(translate.predict(["", "a"])) == 2
    language = fresh["language"].fit(["", "", "a"])
    assert np.isfinite(language.score(""))
    for model in (classify, translate, language):
        model.check()


def test_words_never_seen_are_read_as_unknown(critic: Classifier, registrar: Tagger, mirror: Translator) -> None:
    assert np.isfinite(critic.predict_proba(["zzz yyy", "ЖЖ", "\u200b", "😀"])).all()
    assert len(registrar.predict(["zzz ЖЖ 😀"])[0]) == 3
    assert len(mirror.predict(["zzz ЖЖ"])) == 1


def test_a_label_never_seen_in_training_counts_as_wrong(
    critic: Classifier, toys: SimpleNamespace, tmp_path: Path
) -> None:
    report = critic.evaluate(["it was good", "it was good", "it was bad"], ["pos", "other", "neg"])
    assert report.accuracy == pytest.approx(2 / 3)
    refused(lambda: critic.evaluate(["good"], ["other"]), "expected labels that training has seen", "other")
    assert critic.score(["good", "bad"], ["pos", "neg"]) == 1
    assert critic.plot(["good", "bad"], tmp_path / "x.png", ["pos", "other"]).exists()
    model = Classifier(**toys.quick, epochs=1)
    model.fit(*toys.reviews(20), valid=(["good", "bad"], ["pos", "other"]))
    refused(lambda: model.fit(*toys.reviews(20), valid=(["a"], ["other"])), "valid", "'other'", "'neg'")


def test_series_and_texts_are_not_mixed_up(critic: Classifier, climber: Classifier, toys: SimpleNamespace) -> None:
    refused(lambda: critic.predict(np.zeros((2, 3, 1))), "expected texts", "got series")
    refused(lambda: climber.predict(["a text"]), "expected series", "got texts")
    refused(lambda: climber.evaluate(["a text"], ["up"]), "expected series")
    model = Classifier(**toys.quick)
    refused(lambda: model.fit(*toys.reviews(10), valid=(np.zeros((2, 3, 1)), ["pos", "neg"])), "valid")


def test_series_that_do_not_fit_are_named(fresh: dict[str, Any], climber: Classifier) -> None:
    model = Classifier(hidden_size=4, layers=1, epochs=1)
    good = np.zeros((3, 2))
    refused(lambda: model.fit([good, np.zeros((3, 1))], ["a", "b"]), "2 channels", "row 1")
    refused(lambda: model.fit([good, np.zeros((0, 2))], ["a", "b"]), "row 1")
    refused(lambda: model.fit([good, np.full((3, 2), np.inf)], ["a", "b"]), "row 1", "infinite")
    refused(lambda: model.fit([good, [["x", "y"]]], ["a", "b"]), "row 1")
    refused(lambda: model.fit([good, None], ["a", "b"]), "row 1")
    refused(lambda: model.fit(np.zeros(3), ["a", "b", "c"]), "(3,)")
    refused(lambda: climber.predict([np.zeros((4, 2))]), "1")
    refused(lambda: climber.predict([np.zeros((4, 1)), np.zeros((0, 1))]), "row 1")
    refused(lambda: climber.predict(3), "int")
    refused(lambda: climber.predict(None))


def test_missing_values_in_series_make_no_nan(toys: SimpleNamespace, climber: Classifier) -> None:
    series, labels = toys.slopes(20)
    for values in series[::2]:
        values[1] = np.nan
    series[4][:] = np.nan
    model = Classifier(hidden_size=4, layers=1, epochs=2).fit(series, labels)
    for either in (model, climber):
        assert np.isfinite(either.predict_proba(series)).all()
        assert np.isfinite(either.predict_proba([np.full((3, 1), np.nan)])).all()
    model.check()
    blank = Classifier(hidden_size=4, layers=1, epochs=1).fit([np.full((3, 2), np.nan)] * 4, [0, 1, 0, 1])
    assert np.isfinite(blank.predict_proba(np.zeros((2, 5, 2)))).all()


def test_nothing_to_predict_gives_nothing(
    critic: Classifier, climber: Classifier, registrar: Tagger, mirror: Translator
) -> None:
    for model in (critic, climber):
        assert model.predict([]).shape == (0,)
        assert model.predict_proba([]).shape == (0, 2)
        assert model.predict(np.zeros((0, 4, 1))).shape == (0,)
        refused(lambda model=model: model.evaluate([], []))
    assert registrar.predict([]) == registrar.spans([]) == []
    assert mirror.predict([]) == []
    refused(lambda: registrar.evaluate(([], [])))
    refused(lambda: mirror.evaluate([], []))


def test_a_tag_file_with_a_broken_line_is_named(fresh: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "x.conll").write_text("a\tX\nb\tY\n\nc\nd\tX\n")
    refused(lambda: fresh["tag"].fit(tmp_path / "x.conll"), "Line 4 of x.conll")
    (tmp_path / "x.conll").write_text("a\tX\nb\t\n")
    refused(lambda: fresh["tag"].fit(tmp_path / "x.conll"), "Line 2 of x.conll", "empty tag")
    (tmp_path / "x.conll").write_text("just words\nand more of them\n")
    refused(lambda: fresh["tag"].fit(tmp_path / "x.conll"), "Line 2 of x.conll")


def test_a_file_of_vectors_with_a_broken_line_is_named(toys: SimpleNamespace, tmp_path: Path) -> None:
    for kind in (Classifier, Tagger):
        (tmp_path / "v.txt").write_text("good 1 2 3\nbad 4 5\n")
        data: Any = toys.reviews(10) if kind is Classifier else (toys.parts(10),)
        model: Any = kind(vectors=tmp_path / "v.txt", hidden_size=4)
        refused(lambda model=model, data=data: model.fit(*data), "v.txt", "line 2")
    refused(lambda: Classifier(vectors=tmp_path / "w.txt").fit(*toys.reviews(10)), "w.txt", "Did you mean 'v.txt'?")


def test_a_line_of_a_megabyte_is_read(tmp_path: Path, toys: SimpleNamespace) -> None:
    long = "word " * 200_000
    (tmp_path / "x.tsv").write_text(f"text\tlabel\n{long}\ta\ngood\tb\nbad\ta\n")
    model = Classifier(hidden_size=2, embedding_size=2, bidirectional=False, epochs=1, batch_size=1)
    assert len(model.fit(tmp_path / "x.tsv", valid=0).predict(["good"])) == 1
    (tmp_path / "x.conll").write_text("x" * 1_000_000 + "\tX\n\ny\tY\n")
    tag = Tagger(**{**toys.tags, "epochs": 1, "min_count": 1}).fit(tmp_path / "x.conll", valid=0)
    assert len(tag.predict([["x" * 1_000_000]])[0]) == 1


def test_both_counts_of_parallel_files_are_named(fresh: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "a.de").write_text("x\n" * 5)
    (tmp_path / "a.en").write_text("y\n" * 4)
    refused(lambda: fresh["translate"].fit(tmp_path / "a.de", tmp_path / "a.en"), "5 and 4", "a.de", "a.en")
    refused(lambda: fresh["translate"].fit(["x"] * 3, ["y"] * 2), "3 sources", "2 targets")


def test_numbers_and_paths_of_other_kinds_are_options_too(toys: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("good 1 2\n")
    model = Classifier(
        hidden_size=np.int64(4), learning_rate=np.float32(0.01), vectors=tmp_path / "v.txt", epochs=np.int32(1),
        bidirectional=np.bool_(True),
    )  # fmt: skip
    again = load(model.fit(*toys.reviews(10)).save(tmp_path / "m.unrolled"))
    assert isinstance(again, Classifier)
    assert again.options.encoder.hidden_size == 4


def test_options_of_stopping_go_together_with_learning_again(fresh: dict[str, Any], toys: SimpleNamespace) -> None:
    for options in ({"schedule": "plateau"}, {"average": "asgd", "patience": 8}):
        model = Classifier(**toys.quick, epochs=1, **options)
        refused(lambda model=model: model.fit(*toys.reviews(20)), "refit=False")
        model.fit(*toys.reviews(20), refit=False)
        model.fit(*toys.reviews(20), valid=toys.reviews(10, seed=1))
    refused(lambda: Classifier(**toys.quick, patience=2).fit(*toys.reviews(20), valid=0), "patience=2")


def test_a_training_that_fails_leaves_the_model_before_it(fresh: dict[str, Any], toys: SimpleNamespace) -> None:
    data: dict[str, Any] = {
        "classify": toys.reviews(20), "tag": (toys.names(20),), "language": (["a b", "b a"] * 5,),
        "translate": toys.reversals(20),
    }  # fmt: skip
    wrong: dict[str, Any] = {
        "classify": (["a", "b"], ["x", "y"]), "tag": ((["a b", "c"], [["x", "y"], ["x"]]),), "language": (["x"] * 9,),
        "translate": (["x"] * 3, ["y " * 9] * 3),
    }  # fmt: skip
    bad: dict[str, Any] = {
        "classify": (["a"], [None]), "tag": (["a"], [[""]]), "language": [3], "translate": (["a"], [None]),
    }  # fmt: skip
    for task, model in fresh.items():
        model.fit(*data[task])
        before = model.pack()[0]
        refused(lambda task=task, model=model: model.fit(*wrong[task], valid=bad[task]))
        refused(lambda task=task, model=model: model.fit(*wrong[task], valid=0, resume=True), "resume=True")
        assert model.pack()[0] == before
        model.check()


def test_a_damaged_model_is_refused(critic: Classifier, tmp_path: Path) -> None:
    whole = critic.save(tmp_path / "m.unrolled").read_bytes()
    (tmp_path / "m.unrolled").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelFileError):
        load(tmp_path / "m.unrolled")


@pytest.mark.parametrize("source", [
    3, None, 3.5, object(), {"a": [1]}, {}, [None], [[None]], [{}], [[]], [3], {"text": []}, pd.DataFrame(), b"bytes",
    [["a"]], [b"a"], ([1], [2]), np.array(3), np.array(["a"]), iter([]), (), ("a",), [("a", "b")], {"text": 3},
])  # fmt: skip
def test_rubbish_never_ends_in_another_kind_of_error(
    source: Any, fresh: dict[str, Any], critic: Classifier, climber: Classifier, registrar: Tagger,
    mirror: Translator,
) -> None:  # fmt: skip
    calls: list[Callable[[], Any]] = [
        *(lambda model=model: model.fit(source) for model in fresh.values()),
        *(lambda model=model: model.predict(source) for model in (critic, climber, registrar, mirror)),
        *(lambda model=model: model.evaluate(source) for model in (critic, climber, registrar, mirror)),
        lambda: fresh["classify"].fit(["a", "b"], source), lambda: fresh["classify"].fit(source, source),
        lambda: fresh["tag"].fit((source, source)), lambda: fresh["translate"].fit(source, source),
        lambda: fresh["classify"].fit(["a", "b"], ["x", "y"], valid=source if source is not None else "no"),
        lambda: fresh["language"].fit(["a", "b"], valid=source if source is not None else "no"),
    ]  # fmt: skip
    for call in calls:
        with contextlib.suppress(UnrolledError):
            call()
