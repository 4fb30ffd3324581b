"""A tagger of series: a label for each step, from arrays and from tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.model import BrokenLaw, load
from unrolled.nn.reading.reader import SeriesReader
from unrolled.tasks import Tagger

QUICK: dict[str, Any] = {"hidden_size": 8, "layers": 1, "learning_rate": 0.03, "head_dropout": 0.0, "epochs": 12}
Labelled = tuple[list[np.ndarray], list[list[str]]]


def states(count: int, seed: int = 0) -> Labelled:
    """Series that wander between a high and a low state, and which of them each step is in."""
    random, series, labels = np.random.default_rng(seed), list[np.ndarray](), list[list[str]]()
    for _ in range(count):
        high = np.cumsum(random.random(int(random.integers(3, 12))) < 0.3) % 2
        series.append(
            np.stack([4.0 * high - 2, random.normal(size=len(high))], 1) + 0.1 * random.normal(size=(len(high), 2))
        )
        labels.append([("rest", "walk")[state] for state in high.tolist()])
    return series, labels


def rows_of(series: list[np.ndarray], labels: list[list[str]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"session": f"n{i}", "time": 0.1 * step, "x": x, "z": z, "state": label}
            for i, (values, own) in enumerate(zip(series, labels, strict=True))
            for step, ((x, z), label) in enumerate(zip(values.tolist(), own, strict=True))
        ]
    )


@pytest.fixture(scope="module")
def observer() -> Tagger:
    return Tagger(**QUICK).fit(states(60))


def test_labels_of_steps_are_learned_saved_and_keep_the_laws(observer: Tagger, tmp_path: Path) -> None:
    series, labels = states(20, seed=1)
    report = observer.evaluate((series, labels))
    assert report.accuracy >= 0.95
    assert report.spans is None
    assert observer.understood == ("tags: of each step, 2 classes (rest, walk)",)
    again = load(observer.save(tmp_path / "x.unrolled"))
    assert isinstance(again, Tagger)
    assert again.predict(series) == observer.predict(series)
    assert [observer.predict([one])[0] for one in series] == observer.predict(series)
    assert [len(tags) for tags in observer.predict(series)] == [len(values) for values in series]
    assert observer.predict([]) == []
    observer.check()
    again.check()


def test_numbers_are_tagged_without_dropping_them_where_nothing_is_asked_for() -> None:
    for given, rate in ((None, 0.0), (0.3, 0.3)):
        model = Tagger(**{**QUICK, "epochs": 1}, reading_dropout=given).fit(states(10))
        [reader] = [part for part in model.fitted().modules() if isinstance(part, SeriesReader)]
        assert reader.dropout.p == rate


def test_a_network_that_sees_the_padding_of_series_is_caught(observer: Tagger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeriesReader, "forward", lambda self, x: x.values.nan_to_num(1.0).cumsum(1).flip(1).cumsum(1))
    with pytest.raises(BrokenLaw):
        observer.check()


@pytest.mark.parametrize("options", [{"crf": True}, {"bidirectional": False}, {"scaling": "robust"}])
def test_every_kind_of_tagger_of_series_fits(options: dict[str, Any]) -> None:
    series, labels = states(20)
    model = Tagger(**{**QUICK, "epochs": 2}, **options).fit((series, [np.array(own) for own in labels]))
    assert model.options.head.crf == options.get("crf")
    assert {tag for tags in model.predict(series) for tag in tags} <= {"rest", "walk"}
    model.check()


def test_chunks_of_steps_are_chunks() -> None:
    series, labels = states(30)
    marks = {"rest": "O", "walk": "I-walk"}
    chunked = [[marks[tag] for tag in own] for own in labels]
    for own in chunked:
        for step, tag in enumerate(own):
            if tag != "O" and (step == 0 or own[step - 1] == "O"):
                own[step] = "B-walk"
    model = Tagger(**{**QUICK, "epochs": 2}).fit((series, chunked))
    assert model.evaluate((series, chunked)).spans is not None


def test_whole_numbers_and_truths_are_classes_and_come_back_as_texts() -> None:
    series, labels = states(20)
    numbers = [[int(tag == "walk") for tag in own] for own in labels]
    for told in (numbers, [np.array(own) for own in numbers], [np.array(own, float) for own in numbers]):
        model = Tagger(**{**QUICK, "epochs": 1}).fit((series, told))
        assert model.fields["tags"].values == ("0", "1")
    assert model.evaluate((series, numbers)) == model.evaluate((series, [[str(n) for n in own] for own in numbers]))


@pytest.mark.parametrize("kind", ["frame", "csv"])
def test_a_table_gives_what_arrays_give(kind: str, tmp_path: Path) -> None:
    series, labels = states(30)
    rows = rows_of(series, labels)
    shuffled = rows.iloc[np.argsort(np.random.default_rng(0).random(len(rows)) + (rows.time == 0) * -9)]
    # Series come in the order of their first rows: those keep the order of the arrays.
    shuffled = pd.concat([rows[rows.time == 0], shuffled[shuffled.time > 0]])
    source: Any = shuffled
    if kind == "csv":
        source = tmp_path / "x.csv"
        shuffled.to_csv(source, index=False)
    model = Tagger(**{**QUICK, "epochs": 2}).fit(source, column="state")
    plain = Tagger(**{**QUICK, "epochs": 2}).fit((series, labels))
    assert model.predict(source) == plain.predict(series) == model.predict(series)
    assert model.evaluate(source) == plain.evaluate((series, labels))
    assert "channels: x, z" in model.understood
    assert model.predict(rows.drop(columns="state")) == model.predict(series)
    again = load(model.save(tmp_path / "x.unrolled"))
    assert isinstance(again, Tagger)
    assert again.evaluate(rows[["z", "state", "x", "time", "session"]]) == model.evaluate(source)
    assert model.notes.steps == ("session", "time", ("x", "z"))


def test_what_does_not_fit_is_refused(observer: Tagger, grammarian: Tagger, toys: Any) -> None:
    series, labels = states(4)
    model = Tagger(**QUICK)
    for source, message in [
        ((series, labels[:3]), "tags for each of the 4 series, got 3"),
        ((series, [own[:-1] for own in labels]), "row 0 of the arrays has .* steps but .* tags"),
        ((series, [[None] * len(own) for own in labels]), "expected a tag at every step, but that of row 0"),
        ((series, [[0.5] * len(own) for own in labels]), "got 0.5"),
        ((series, ["walk"] * 4), "row 0 of the arrays"),
        (rows_of(series, labels).rename(columns={"session": "who"}), "a table whose column id= names series"),
        (rows_of(series, labels).replace({"state": {"rest": None}}), r"that of row \d+ of the table is missing"),
        (rows_of(series, labels).drop(columns="state"), "expected a column of labels.*column="),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=message):
            model.fit(source)
    with pytest.raises(OptionError, match="id='session'"):
        model.fit((series, labels), id="session")
    with pytest.raises(DataError, match="valid: expected series"):
        model.fit((series, labels), valid=toys.parts(4))
    for wrong in (["the walk"], [["the", "walk"]]):
        with pytest.raises(DataError, match="expected series, as in training"):
            observer.predict(wrong)
    with pytest.raises(DataError, match="expected texts, as in training, got series"):
        grammarian.predict(series)
    with pytest.raises(DataError, match="give every series the same columns"):
        observer.predict([np.zeros((3, 5))])


def test_files_with_a_label_for_each_step_are_learned_and_asked_about(tmp_path: Path) -> None:
    series, labels = states(40)
    lengths = np.array([len(values) for values in series])
    np.savez(tmp_path / "a.npz", x=np.concatenate(series), lengths=lengths, y=np.concatenate(labels))
    lines = [
        ":".join(",".join(map(repr, channel)) for channel in values.T.tolist()) + ":" + ",".join(own)
        for values, own in zip(series, labels, strict=True)
    ]
    (tmp_path / "a.ts").write_text("\n".join(["@univariate false", "@classLabel true rest walk", "@data", *lines]))
    expected = Tagger(**QUICK).fit((series, labels)).predict(series)
    for name in ("a.npz", "a.ts"):
        model = Tagger(**QUICK).fit(tmp_path / name)
        assert model.predict(series) == expected
        assert model.predict(tmp_path / name) == expected
        assert model.evaluate(tmp_path / name).accuracy >= 0.95
    np.savez(tmp_path / "b.npz", x=np.zeros((3, 4, 2)), y=np.array(["a", "b", "a"]))
    with pytest.raises(DataError, match=r"Expected labels of steps, \(3, 4\), as 'y' of b\.npz.*a Classifier learns"):
        Tagger(**QUICK).fit(tmp_path / "b.npz")
