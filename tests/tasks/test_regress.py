"""Numbers of whole inputs: that they are learned, that intervals hold what they promise, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.validation import check_is_fitted

import unrolled as ur
from unrolled.errors import DataError, OptionError
from unrolled.fields.sound import Sound
from unrolled.tasks.intervals import Intervals, NumberOptions, learned_intervals, stretches, widened

SMALL: dict[str, Any] = {"hidden_size": 8, "layers": 1, "bidirectional": False, "batch_size": 16}
QUICK: dict[str, Any] = SMALL | {"epochs": 2}
WORTH = {"good": 1.0, "fine": 0.5, "bad": -1.0, "dull": -0.5, "the": 0.0, "film": 0.0}


def levels(count: int, seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Noisy series of any length, and the level that each is about, from -50 to 150."""
    random = np.random.default_rng(seed)
    truth = random.uniform(-50, 150, count)
    return [level + 20 * random.standard_t(4, (int(random.integers(3, 9)), 1)) for level in truth], truth


def reviews(count: int, seed: int = 0) -> tuple[list[str], list[float]]:
    """Texts, and what their words are worth together."""
    random = np.random.default_rng(seed)
    texts = [random.choice(list(WORTH), random.integers(2, 7)) for _ in range(count)]
    return [" ".join(words) for words in texts], [float(sum(WORTH[word] for word in words)) for words in texts]


@pytest.fixture(scope="module")
def gauge() -> ur.Regressor:
    return ur.Regressor(**SMALL, epochs=8, learning_rate=0.02).fit(*levels(300))


def test_a_number_is_learned_far_better_than_a_constant(gauge: ur.Regressor) -> None:
    report = gauge.evaluate(*levels(300, 1))
    # A mean of some five draws of 20 * t(4) is off by 13 on average; the truth has the variance 200^2 / 12.
    assert report["model"]["r2"] > 0.85
    assert report["model"]["mae"] < 0.5 * report["training median"]["mae"]
    assert report["training mean"]["r2"] <= 0
    assert set(report.rows[0]) == {
        "name", "mae", "rmse", "r2", "coverage_80", "width_80", "coverage_95", "width_95",
    }  # fmt: skip


def test_the_sum_of_words_is_learned_of_texts() -> None:
    texts, worth = reviews(400)
    model = ur.Regressor(hidden_size=16, batch_size=16, epochs=15, learning_rate=0.01, seed=1).fit(texts, worth)
    assert model.score(*reviews(200, 1)) > 0.8


@pytest.mark.parametrize("likelihood", ["gaussian", "student-t", "quantile", "point"])
def test_intervals_hold_their_share_however_wrong_the_network_is(likelihood: str) -> None:
    held, rows = 400, 1000
    model = ur.Regressor(**QUICK, likelihood=likelihood, levels=(95, 50)).fit(*levels(60), valid=levels(held, 1))
    inputs, truth = levels(rows, 2)
    ends = model.predict_interval(inputs)
    assert ends.shape == (rows, 2, 2)
    assert (ends[..., 0] <= ends[..., 1]).all()
    assert (ends[:, 0, 0] <= ends[:, 1, 0]).all()
    assert (ends[:, 0, 1] >= ends[:, 1, 1]).all()
    for place, share in enumerate((0.95, 0.5)):
        inside = ((truth >= ends[:, place, 0]) & (truth <= ends[:, place, 1])).mean()
        # The share that n rows calibrate is distributed as Beta(k, n + 1 - k), that of m rows is a binomial about it;
        # five deviations of both, and one rank.
        deviation = math.sqrt(share * (1 - share) * (1 / (held + 2) + 1 / rows))
        assert abs(inside - share) <= 5 * deviation + 1 / (held + 1)


def test_as_many_rows_are_held_out_as_the_widest_level_needs() -> None:
    for count, wanted in ((300, 30), (100, 19), (45, 15)):
        model = ur.Regressor(**QUICK).fit(*levels(count))
        assert model.notes.held == wanted
    assert ur.Regressor(**QUICK, levels=()).fit(*levels(45)).notes.held == 4


def test_too_few_rows_give_what_holds_all_of_them() -> None:
    chosen = NumberOptions(likelihood="point", levels=(80, 95))
    target = np.array([[3.0], [-1.0], [2.0], [0.5]])
    plain = learned_intervals(chosen.make(), np.zeros((4, 1, 1)), chosen.shares)
    assert stretches(chosen.make(), plain, target, chosen.shares).tolist() == [[3.0], [3.0]]
    gaussian = NumberOptions(levels=(80, 95))
    wide = learned_intervals(gaussian.make(), np.tile([0.0, 9.0], (4, 1, 1)), gaussian.shares)
    assert stretches(gaussian.make(), wide, target, gaussian.shares)[1] == 1


def test_ends_that_cross_are_laid_one_around_the_other() -> None:
    plain = Intervals(np.zeros((1, 1)), np.ones((1, 1, 2)), np.ones((1, 1, 2)))
    lower, upper = widened(plain, np.array([[2.0], [1.0]]), (0.5, 0.9))
    assert (lower.tolist(), upper.tolist()) == ([[[-2.0, -2.0]]], [[[2.0, 2.0]]])


def test_without_rows_held_out_intervals_are_as_learned_and_a_point_has_none(gauge: ur.Regressor) -> None:
    inputs, truth = levels(80)
    learned = ur.Regressor(**QUICK).fit(inputs, truth, valid=0)
    assert learned.predict_interval(inputs).shape == (80, 2, 2)
    point = ur.Regressor(**QUICK, likelihood="point").fit(inputs, truth, valid=0)
    with pytest.raises(OptionError, match="likelihood 'point' knows intervals by rows that were held out alone"):
        point.predict_interval(inputs)
    assert set(point.evaluate(inputs, truth).rows[0]) == {"name", "mae", "rmse", "r2"}
    with pytest.raises(OptionError, match="expected a fitted model"):
        ur.Regressor().predict_interval(inputs)


def test_several_numbers_are_learned_at_once() -> None:
    inputs, truth = levels(120)
    both = np.stack([truth, -1e6 * truth + 5], 1)
    model = ur.Regressor(**SMALL, epochs=12, learning_rate=0.02).fit(inputs, both)
    found, ends = model.predict(inputs), model.predict_interval(inputs)
    assert (found.shape, ends.shape) == ((120, 2), (120, 2, 2, 2))
    assert ((ends[..., 0] <= found[..., None]) & (found[..., None] <= ends[..., 1])).all()
    assert model.score(inputs, both) == pytest.approx(r2_score(both, found), abs=1e-6)
    assert model.score(inputs, both) > 0.7
    report = model.evaluate(inputs, both)
    assert [row["target"] for row in report.rows] == [1, 1, 1, 2, 2, 2]
    with pytest.raises(DataError, match="Regressor: expected 2 numbers as each target, as in training, got 1"):
        model.evaluate(inputs, truth)


def test_a_saved_model_says_the_same(gauge: ur.Regressor, tmp_path: Path) -> None:
    inputs, truth = levels(20, 3)
    again = ur.load(gauge.save(tmp_path / "gauge.unrolled"))
    assert isinstance(again, ur.Regressor)
    np.testing.assert_array_equal(again.predict(inputs), gauge.predict(inputs))
    np.testing.assert_array_equal(again.predict_interval(inputs), gauge.predict_interval(inputs))
    assert again.evaluate(inputs, truth) == gauge.evaluate(inputs, truth)
    assert again.predict([]).shape == (0,)
    assert again.predict_interval([]).shape == (0, 2, 2)


@pytest.mark.parametrize("several", [False, True])
def test_a_fitted_regressor_keeps_the_laws(several: bool) -> None:
    inputs, truth = levels(40)
    target = np.stack([truth, truth**2, truth - 1], 1) if several else truth
    report = ur.Regressor(**QUICK).fit(inputs, target).check()
    assert {"padding", "batch", "leak", "round trip of the model"} <= {verdict.name for verdict in report.verdicts}
    texts, worth = reviews(40)
    ur.Regressor(**QUICK).fit(texts, worth).check()


@pytest.mark.parametrize("kind", ["steps", "table", "jsonl", "frame", "dict", "ts", "npz", "array", "sounds"])
def test_every_kind_of_source_is_read(kind: str, tmp_path: Path) -> None:
    texts, worth = reviews(40)
    series, truth = levels(40)
    whole = np.stack([one[np.arange(6) % len(one)] for one in series])
    sounds = [Sound(0.1 * np.random.default_rng(i).normal(size=400).astype(np.float32), 4000) for i in range(40)]
    frame = pd.DataFrame({"text": texts, "label": worth})
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    lines = [",".join(map(str, one[:, 0])) + f":{number}" for one, number in zip(series, truth, strict=True)]
    (tmp_path / "rows.ts").write_text("\n".join(["@targetLabel true", "@univariate true", "@data", *lines]))
    np.savez(tmp_path / "rows.npz", x=whole, y=truth)
    parts = [pd.DataFrame({"who": f"s{i}", "v": one[:, 0], "label": truth[i]}) for i, one in enumerate(series)]
    steps = pd.concat(parts, ignore_index=True)
    given: tuple[Any, ...] = {
        "steps": (steps,), "table": (tmp_path / "rows.csv",), "jsonl": (tmp_path / "rows.jsonl",), "frame": (frame,),
        "dict": (frame.to_dict("list"),), "ts": (tmp_path / "rows.ts",), "npz": (tmp_path / "rows.npz",),
        "array": (whole, truth), "sounds": (sounds, truth),
    }[kind]  # fmt: skip
    how = {"id": "who"} if kind == "steps" else {}
    model = ur.Regressor(**QUICK).fit(*given, **how)
    assert model.evaluate(*given).count == 40
    assert model.predict(given[0]).shape == (40,)
    expected = worth if kind in ("table", "jsonl", "frame", "dict") else truth
    centre = model.fields["target"].center[0, 0]
    assert min(expected) < centre < max(expected)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (None, "row 3 of the texts has no target: fill it in or leave the example out"),
        (float("nan"), "row 3 of the texts has no target"),
        ("", "row 3 of the texts has no target"),
        ("great", "Expected a number as the target of row 3 of the texts, but got 'great'"),
        ("1_000", "Expected a number as the target of row 3 of the texts, but got '1_000'"),
        (True, "Expected a number as the target of row 3 of the texts, but got 'True'"),
        (float("inf"), "Expected a finite target of row 3 of the texts, but got inf"),
        ("-inf", "Expected a finite target of row 3 of the texts, but got -inf"),
        (10**400, "Expected a number as the target of row 3 of the texts, but got '1000"),
        ([1.0, 2.0], "Expected 1 number as the target of row 3 of the texts, got 2"),
    ],
)
def test_a_target_that_is_none_is_named(bad: Any, said: str) -> None:
    texts, worth = reviews(10)
    targets: list[Any] = [*worth[:3], bad, *worth[4:]]
    with pytest.raises(DataError) as caught:
        ur.Regressor(**QUICK).fit(texts, targets)
    assert said in str(caught.value)
    assert len(str(caught.value)) <= 600


def test_a_line_of_a_table_with_a_word_for_a_number_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\ngood film,3\nbad film,poor\nthe film,2\n")
    with pytest.raises(DataError, match=r"target of line 3 of rows\.csv, but got 'poor'"):
        ur.Regressor().fit(tmp_path / "rows.csv")


def test_targets_that_are_all_the_same_are_refused() -> None:
    texts, worth = reviews(20)
    with pytest.raises(DataError, match="expected numbers that differ, but the target is 4 in all 20 rows"):
        ur.Regressor().fit(texts, [4] * 20)
    with pytest.raises(DataError, match="but target 2 is 0 in all 20 rows"):
        ur.Regressor().fit(texts, np.stack([worth, np.zeros(20)], 1))


def test_other_mistakes_are_told_in_a_sentence(gauge: ur.Regressor) -> None:
    inputs, truth = levels(20)
    with pytest.raises(OptionError, match="levels are percents between 0 and 100, each once, got 100"):
        ur.Regressor(levels=(80, 100))
    with pytest.raises(OptionError, match="likelihood"):
        ur.Regressor(likelihood="poisson")
    with pytest.raises(DataError, match="Regressor: expected series, as in training, got texts"):
        gauge.predict(["a text"])
    with pytest.raises(DataError, match="valid: expected 1 number as each target, as in training, got 2"):
        ur.Regressor(**QUICK).fit(inputs, truth, valid=(inputs, np.stack([truth, truth], 1)))
    with pytest.raises(DataError, match="Expected one label for each of the 20 inputs, got 3"):
        ur.Regressor().fit(inputs, truth[:3])


def test_numbers_of_any_size_are_scaled() -> None:
    inputs, truth = levels(60)
    for size in (1e-200, 1e200):
        model = ur.Regressor(**SMALL, epochs=3).fit(inputs, truth * size)
        found = model.predict(inputs)
        assert np.isfinite(found).all()
        assert 1 < np.ptp(found) / size < 300


def test_the_picture_is_drawn(gauge: ur.Regressor, tmp_path: Path) -> None:
    assert gauge.plot(levels(50, 5)[0], tmp_path / "picture.png", levels(50, 5)[1]).stat().st_size > 10_000


def test_it_is_a_regressor_of_scikit_learn(gauge: ur.Regressor) -> None:
    assert is_regressor(gauge)
    check_is_fitted(gauge)
    twin = clone(gauge)
    assert twin.get_params() == gauge.get_params()
    with pytest.raises(NotFittedError):
        check_is_fitted(twin)
    inputs, truth = levels(60)
    assert gauge.score(inputs, truth) == pytest.approx(r2_score(truth, gauge.predict(inputs)), abs=1e-9)
    scores = cross_val_score(ur.Regressor(**QUICK), inputs, truth, cv=3)
    assert scores.shape == (3,)
    search = GridSearchCV(ur.Regressor(**QUICK), {"hidden_size": np.array([2, 4])}, cv=2, scoring="r2")
    assert search.fit(inputs, truth).predict(inputs).shape == (60,)


def test_several_columns_of_a_table_are_learned_and_known_again(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        {"who": f"n{i}", "at": step, "x": i / 10 + 0.1 * random.normal(), "dose": i / 10, "age": 30 - i}
        for i in range(40)
        for step in range(5)
    ]
    table = {name: [row[name] for row in rows] for name in rows[0]}
    model = ur.Regressor(hidden_size=8, epochs=60).fit(table, id="who", label=["age", "dose"], valid=0)
    assert model.predict(table).shape == (40, 2)
    assert model.score(table) > 0.9
    again = ur.load(model.save(tmp_path / "x.unrolled"))
    assert isinstance(again, ur.Regressor)
    assert again.score(table) == model.score(table)
    with pytest.raises(DataError, match="'size' is not in"):
        ur.Regressor().fit(table, id="who", label=["age", "size"])
