from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from series import QUICK, days, one_series, two_series, write_csv

from unrolled.errors import DataError, ModelFileError, OptionError, SaveError
from unrolled.model import load
from unrolled.tasks import Forecaster
from unrolled.tasks.forecast.fit import make_plan, prepare
from unrolled.tasks.forecast.options import ForecasterOptions
from unrolled.tasks.forecast.reading import Reading


@pytest.fixture(scope="module")
def fitted() -> Forecaster:
    return Forecaster(7, **QUICK).fit(one_series(), time="day", target="load", past="wind")


def test_predict_needs_no_rows_for_the_future(fitted: Forecaster) -> None:
    table = fitted.predict().to_pandas()
    assert list(table.columns) == ["day", "target", "forecast", "lower_80", "upper_80", "lower_95", "upper_95"]
    assert [str(day.date()) for day in table["day"]] == days(7, "2020-03-01")
    assert set(table["target"]) == {"load"}


def test_bands_lie_inside_each_other(fitted: Forecaster) -> None:
    table = fitted.predict().to_pandas()
    order = table[["lower_95", "lower_80", "forecast", "upper_80", "upper_95"]].to_numpy()
    assert (np.diff(order, axis=1) >= 0).all()


def test_a_forecast_is_in_the_users_units() -> None:
    table = one_series()
    small = Forecaster(7, **QUICK).fit(table, time="day", target="load", past="wind").predict().to_pandas()
    table["load"] = [1000 * value for value in table["load"]]
    large = Forecaster(7, **QUICK).fit(table, time="day", target="load", past="wind").predict().to_pandas()
    np.testing.assert_allclose(large["forecast"], 1000 * small["forecast"], rtol=1e-4)


def test_stride_sets_how_far_apart_the_windows_of_training_lie() -> None:
    panel = Reading("day", "load").panel(one_series())
    counts = []
    for stride in (None, 1, 3):
        options = ForecasterOptions.collect({"horizon": 7, "lookback": 7, "stride": stride})
        plan = make_plan(panel, options, valid=7, test=0)
        counts.append(len(prepare(panel, options, plan, plan.ends.train, plan.ends.valid, None).train))
    assert counts == [40, 40, 14]


def test_the_same_seed_gives_the_same_forecast(fitted: Forecaster) -> None:
    again = Forecaster(7, **QUICK).fit(one_series(), time="day", target="load", past="wind")
    assert again.predict().to_csv() == fitted.predict().to_csv()
    other = Forecaster(7, seed=1, **QUICK).fit(one_series(), time="day", target="load", past="wind")
    assert other.predict().to_csv() != fitted.predict().to_csv()


@pytest.mark.parametrize("channels", ["separate", "joint"])
def test_several_series_and_targets_come_back_by_name(channels: str) -> None:
    model = Forecaster(3, channels=channels, **QUICK)
    model.fit(two_series(), time="day", target=["sales", "visits"], id="shop", static="region")
    table = model.predict().to_pandas()
    assert list(zip(table["shop"], table["target"], strict=True))[::3] == [
        ("01", "sales"), ("01", "visits"), ("02", "sales"), ("02", "visits"),
    ]  # fmt: skip
    means = table.groupby(["shop", "target"])["forecast"].mean()
    # Each comes back in its own units: the four series stand at about 10, 30, 100 and 200.
    np.testing.assert_allclose(means, [10, 30, 100, 200], rtol=0.3)
    model.check()


@pytest.mark.parametrize("options", [
    {"decoder": "autoregressive", "samples": 8}, {"likelihood": "point"}, {"likelihood": "gaussian"},
    {"decoder": "autoregressive", "likelihood": "negative-binomial", "samples": 8}, {"cell": "lstm", "layers": 2},
    {"likelihood": "student-t", "levels": 90}, {"cell": "rnn", "segment": 3, "lookback": 10},
    {"bidirectional": True, "layers": 2, "dropout": 0.1}, {"residual": "norm", "layers": 2, "layer_dropout": 0.1},
    {"cell": "lstm", "zoneout": (0.05, 0.5), "weight_dropout": 0.2, "input_dropout": 0.1, "output_dropout": 0.1},
    {"bidirectional": True, "zoneout": 0.1, "recurrent_dropout": 0.2, "residual": True, "layers": 2, "segment": 2},
    {"decoder": "autoregressive", "samples": 4, "residual": "norm", "layers": 2, "zoneout": 0.1, "weight_dropout": 0.2},
    {"decoder": "autoregressive", "samples": 4, "recurrent_dropout": 0.2, "input_dropout": 0.1, "output_dropout": 0.1},
])  # fmt: skip
def test_every_kind_of_forecaster_fits_predicts_and_keeps_the_laws(options: dict[str, Any], tmp_path: Path) -> None:
    table = one_series()
    table["load"] = [round(value) for value in table["load"]]
    model = Forecaster(5, **options, **QUICK).fit(table, time="day", target="load", past="wind")
    report = model.check()
    assert all(verdict.holds for verdict in report.verdicts)
    again = load(model.save(tmp_path / "model"))
    assert isinstance(again, Forecaster)
    assert again.predict().to_csv() == model.predict().to_csv()


def test_what_is_known_of_the_future_is_asked_for_and_used() -> None:
    model = Forecaster(4, **QUICK).fit(one_series(), time="day", target="load", future="free")
    with pytest.raises(DataError, match="free"):
        model.predict()
    ahead = days(4, "2020-03-01")
    low = model.predict(future={"day": ahead, "free": [0.0] * 4}).to_csv()
    assert model.predict(future={"day": ahead, "free": [1.0] * 4}).to_csv() != low
    with pytest.raises(DataError, match="2020-03-04"):
        model.predict(future={"day": ahead[:3], "free": [0.0] * 3})


def test_missing_values_are_masked_and_a_forecast_is_finite() -> None:
    table = one_series()
    for row in (0, 5, 30, 31, 32, 59):
        table["load"][row] = None
    model = Forecaster(7, **QUICK).fit(table, time="day", target="load", past="wind")
    assert np.isfinite(model.predict().to_pandas()["forecast"]).all()
    model.check()


def test_a_new_history_is_forecast_from_its_own_end(fitted: Forecaster) -> None:
    table = {name: values[-20:] for name, values in one_series(90).items()}
    assert str(fitted.predict(table).to_pandas()["day"][0].date()) == "2020-03-31"


def test_held_out_rows_are_scored_beside_the_baselines() -> None:
    model = Forecaster(7, **QUICK)
    model.fit(one_series(), time="day", target="load", past="wind", test=14)
    assert model.scores is not None
    assert [row["name"] for row in model.scores.rows] == ["model", "seasonal-naive", "drift", "last-value"]
    assert (model.scores.windows, model.scores.first, model.scores.last) == (2, "2020-02-16", "2020-02-29")
    assert "coverage_80" in model.scores["model"]
    assert model.scores["drift"]["coverage_80"] is None


def test_what_is_held_out_cannot_change_its_own_score_but_through_the_truth() -> None:
    table, spoiled = one_series(), one_series()
    spoiled["load"][-1] += 1.0
    scores = []
    for each in (table, spoiled):
        model = Forecaster(7, levels=80, **QUICK).fit(each, time="day", target="load", past="wind", test=7, refit=False)
        assert model.panel is not None
        scores.append(model.predict({name: values[:53] for name, values in each.items()}).to_csv())
    assert scores[0] == scores[1]


def test_evaluate_joins_new_rows_to_what_the_model_remembers(fitted: Forecaster) -> None:
    longer = one_series(81)
    new = {name: values[60:] for name, values in longer.items()}
    alone, whole = fitted.evaluate(new), fitted.evaluate(longer)
    # The drift starts at the first row there is, and the model does not remember the very first.
    assert [alone[name] for name in ("model", "seasonal-naive")] == [
        whole[name] for name in ("model", "seasonal-naive")
    ]
    assert (alone.windows, alone.first, alone.basis) == (3, "2020-03-01", "rows after the training data")


def test_evaluate_says_when_all_rows_were_trained_on(fitted: Forecaster) -> None:
    assert "trained on" in fitted.evaluate(one_series()).basis
    with pytest.raises(DataError, match="at least 7 rows"):
        fitted.evaluate({name: values[60:] for name, values in one_series(63).items()})


def test_backtest_refits_on_the_rows_before_the_first_origin(fitted: Forecaster) -> None:
    before = fitted.predict().to_csv()
    report = fitted.backtest(windows=3)
    assert (report.windows, report.first, report.last) == (3, "2020-02-09", "2020-02-29")
    # Rows after the first origin can only enter as inputs of later origins, so one window has the same forecast.
    spoiled = one_series()
    spoiled["load"][-7:] = [0.0] * 7
    one = Forecaster(7, **QUICK).backtest(spoiled, windows=1, time="day", target="load", past="wind")
    assert one["seasonal-naive"]["mae"] > 10
    assert fitted.predict().to_csv() == before


def test_a_report_reads_back_from_json_and_prints_a_row_a_model(fitted: Forecaster) -> None:
    report = fitted.evaluate(one_series())
    assert type(report).from_json(report.to_json()) == report
    assert len(str(report).splitlines()) == 2 + len(report.rows)
    assert report.to_pandas().shape[0] == len(report.rows)


def test_a_kept_run_resumes_to_the_same_model(tmp_path: Path) -> None:
    table = one_series()
    whole = Forecaster(7, **QUICK).fit(table, time="day", target="load", run=tmp_path / "a")

    class Stop(Exception):
        pass

    def stop(event: Any) -> None:
        if event.step == 4:
            raise Stop

    broken = Forecaster(7, checkpoint_every_steps=1, **QUICK)
    with pytest.raises(Stop):
        broken.fit(table, time="day", target="load", run=tmp_path / "b", callbacks=[stop])
    early = load(tmp_path / "b")
    assert isinstance(early, Forecaster)
    assert len(early.predict()) == 7
    resumed = Forecaster(7, checkpoint_every_steps=1, **QUICK)
    resumed.fit(table, time="day", target="load", run=tmp_path / "b", resume=True)
    assert resumed.predict().to_csv() == whole.predict().to_csv()


def test_a_time_limit_holds_for_both_stages_together(tmp_path: Path) -> None:
    model = Forecaster(7, **QUICK, max_minutes=10).fit(one_series(), time="day", target="load", run=tmp_path)
    assert model.history is not None
    records = [
        sorted((run / "checkpoints").iterdir())[-1] / "checkpoint.json" for run in (tmp_path, tmp_path / "refit")
    ]
    assert [json.loads(path.read_text())["options"]["max_minutes"] for path in records] == [6.0, 4.0]


def test_a_fit_that_ends_in_a_mistake_leaves_the_model_as_it_was() -> None:
    model = Forecaster(7, **QUICK).fit(one_series(), time="day", target="load", test=None)
    before, scores = model.predict().to_csv(), model.scores
    with pytest.raises(DataError, match="shorter than one window"):
        model.fit(one_series(6), time="day", target="load")
    assert (model.predict().to_csv(), model.scores) == (before, scores)
    assert scores is not None


def test_options_can_be_asked_for_and_changed() -> None:
    model = Forecaster(7, **QUICK)
    assert model.get_params() == {"horizon": 7, **QUICK}
    assert (
        model.set_params(cell="lstm", hidden_size=6).options
        == Forecaster(7, **{**QUICK, "hidden_size": 6}, cell="lstm").options
    )


@pytest.mark.parametrize(("options", "message"), [
    ({"horizn": 3}, "Did you mean 'horizon'"), ({"hiden_size": 3}, "Did you mean 'hidden_size'"),
    ({"learning_rat": 3}, "Did you mean 'learning_rate'"), ({"cell": "gruu"}, "Did you mean 'gru'"),
    ({"levels": (80, 120)}, "between 0 and 100"), ({"likelihood": "quantil"}, "Did you mean 'quantile'"),
    ({"decoder": "autoregressive", "segment": 3}, "segment"),
    ({"decoder": "autoregressive", "static_inputs": "decoder"}, "static_inputs"),
    ({"decoder": "autoregressive", "bidirectional": True}, "bidirectional belongs to decoder='direct'"),
    ({"zoneout": (0.1, 0.2)}, "one for each of the 1 parts"), ({"cell": "lru", "zoneout": 0.1}, "Zoneout"),
    ({"bidirectional": True, "residual": "norm"}, "Forecaster: residual='norm' needs a layer"),
    ({"cell_options": {"rest": "after"}}, "rest"), ({"hidden_size": 1}, "Forecaster: hidden_size=1"),
    ({"learning_rate": -1}, "learning_rate"),
    ({"decoder": "autoregressive", "likelihood": "quantile"}, "quantile"), ({"scaling": "logg"}, "log"),
])  # fmt: skip
def test_a_wrong_option_is_refused_in_one_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        Forecaster(7, **options)
    assert "\n" not in str(caught.value)


def test_a_series_shorter_than_the_window_is_named() -> None:
    table = two_series(20)
    short = {name: values[:26] for name, values in table.items()}
    with pytest.raises(DataError, match=r"'02' has 6 rows, shorter than one window of 15") as caught:
        Forecaster(5, lookback=10, **QUICK).fit(short, time="day", target="sales", id="shop")
    assert "\n" not in str(caught.value)


def test_an_unfitted_forecaster_says_what_to_do() -> None:
    with pytest.raises(OptionError, match="fit"):
        Forecaster(7).predict()
    with pytest.raises(OptionError, match="fit"):
        Forecaster(7).save("nowhere")


def test_saving_where_nothing_can_be_written_is_one_sentence(fitted: Forecaster, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="cannot write"):
        fitted.save(tmp_path / "file" / "model.unrolled")
    with pytest.raises(SaveError, match="cannot write"):
        fitted.predict().to_csv(tmp_path / "file" / "x.csv")


def test_a_file_cut_anywhere_is_refused(fitted: Forecaster, tmp_path: Path) -> None:
    whole = fitted.save(tmp_path / "model.unrolled").read_bytes()
    for part in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.unrolled").write_bytes(whole[:part])
        with pytest.raises(ModelFileError):
            load(tmp_path / "cut.unrolled")


def test_a_csv_file_gives_what_a_table_in_memory_gives(fitted: Forecaster, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "load.csv", one_series())
    again = Forecaster(7, **QUICK).fit(path, time="day", target="load", past="wind")
    assert again.predict().to_csv() == fitted.predict().to_csv()


def fit_on(values: list[float] | np.ndarray, **options: Any) -> Forecaster:
    return Forecaster(7, **{**QUICK, **options}).fit({"day": days(len(values)), "y": list(values)})


@pytest.mark.parametrize("value", [0.001, 0.0, -7.0, 12_346_322.0, 1e-20])
def test_a_series_of_one_value_is_forecast_by_it(value: float, tmp_path: Path) -> None:
    model = fit_on([value] * 60)
    for fitted in (model, load(model.save(tmp_path / "model.unrolled"))):
        found = fitted.predict().to_pandas()
        for name in ("forecast", "lower_80", "upper_95"):
            assert (found[name] == value).all()
    assert len({row["forecast"] for row in model.predict().to_json()}) == 1


def test_a_series_that_no_longer_holds_its_value_is_forecast_by_the_network() -> None:
    found = fit_on([5.0] * 60).predict({"day": days(30), "y": [5.0] * 29 + [9.0]}).to_pandas()
    assert not (found["forecast"] == 5.0).any()


def test_text_has_the_digits_that_show_the_spread() -> None:
    t = np.arange(200)
    prediction = fit_on(12_345_678 + 3.2 * t + np.sin(t)).predict()
    whole = prediction.to_pandas()
    for row, (_, exact) in zip(prediction.to_json(), whole.iterrows(), strict=True):
        assert row["lower_95"] < row["forecast"] < row["upper_95"]
        assert abs(row["forecast"] - exact["forecast"]) < 1e-2
    assert len({line.split(",")[2] for line in prediction.to_csv().splitlines()[1:]}) == 7
    ordinary = fit_on(100 + 50 * np.sin(t)).predict()
    assert all(row["forecast"] == float(f"{row['forecast']:.6g}") for row in ordinary.to_json())


def test_times_are_given_back_in_the_zone_of_the_data() -> None:
    hours = pd.date_range("2023-03-20", periods=24 * 6, freq="h", tz="Europe/Berlin")
    model = Forecaster(24, **QUICK).fit(pd.DataFrame({"t": hours, "y": np.sin(np.arange(len(hours)))}), time="t")
    prediction = model.predict()
    assert prediction.to_pandas()["t"].iloc[0] == hours[-1] + pd.Timedelta(hours=1)
    lines = prediction.to_csv().splitlines()
    assert lines[1].startswith("2023-03-26 00:00:00+01:00,")
    assert lines[24].startswith("2023-03-27 00:00:00+02:00,")
    assert model.evaluate(pd.DataFrame({"t": hours, "y": 1.0})).windows > 0


def test_a_model_reads_days_first_where_its_training_data_did() -> None:
    dates = pd.date_range("2024-01-01", periods=60)
    table = {"t": [f"{day:%d/%m/%Y}" for day in dates], "y": np.arange(60.0).tolist()}
    model = Forecaster(2, **QUICK).fit(table, time="t")
    later = {"t": ["01/03/2024", "02/03/2024", "03/03/2024", "04/03/2024"], "y": [1.0, 2.0, 3.0, 4.0]}
    assert model.predict(later).to_csv().splitlines()[1].startswith("2024-03-05,")
    told = Forecaster(2, **QUICK).fit(
        {"t": [f"01/{m:02d}/2024" for m in range(1, 13)], "y": list(range(12))}, day_first=True
    )
    assert "MS" in told.understood[0]


def test_planned_rows_are_the_future_of_fit_and_of_predict(tmp_path: Path) -> None:
    table = one_series(67)
    table["load"] = [*table["load"][:60], *[None] * 7]
    columns = {"time": "day", "target": "load", "future": "free"}
    model = Forecaster(7, **QUICK).fit(table, test=None, **columns)
    assert any("the last 7 rows have no target, from 2020-03-01 on" in remark for remark in model.understood)
    found = load(model.save(tmp_path / "model.unrolled")).predict()
    assert found.to_csv() == model.predict().to_csv() == model.predict(table).to_csv()
    assert found.to_csv() == model.predict(future=table).to_csv()
    assert found.to_csv().splitlines()[1].startswith("2020-03-01,")
