from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

QUICK = ["--hidden-size", "8", "--epochs", "6", "--set", "batch_size=8", "--set", "learning_rate=0.03"]


def series_file(path: Path, count: int, seed: int) -> str:
    """A .ts file of noisy series with the level of each as its target."""
    random = np.random.default_rng(seed)
    lines = ["@univariate true", "@targetLabel true", "@data"]
    for level in random.uniform(0, 100, count):
        values = level + random.normal(0, 10, random.integers(3, 9))
        lines.append(",".join(f"{value:.3f}" for value in values) + f":{level:.3f}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    pytest.importorskip("matplotlib")
    folder = tmp_path_factory.mktemp("regress")
    train, test = series_file(folder / "train.ts", 80, 0), series_file(folder / "test.ts", 40, 1)
    said = shell.ok("fit", "regress", train, "--test", test, "--levels", "50,90", "--plot", *QUICK,
                    "-o", str(folder / "run"))  # fmt: skip
    assert "Regressor: 1 number; series of 1 channel" in said
    assert "intervals: calibrated by 9 rows that were held out" in said
    assert "training median" in said
    assert f"next: unrolled predict {folder / 'run'} FILE" in said
    return folder / "run"


def test_a_run_folder_holds_model_scores_and_pictures(fitted: Path) -> None:
    rows = json.loads((fitted / "scores.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["model", "training mean", "training median"]
    assert {"mae", "rmse", "r2", "coverage_50", "width_90"} <= set(rows[0])
    for name in ("model.unrolled", "metrics.jsonl", "learning.png", "regression.png"):
        assert (fitted / name).stat().st_size > 0


def test_predict_gives_the_number_and_its_intervals(fitted: Path, shell: Any) -> None:
    file = str(fitted.parent / "test.ts")
    rows = list(csv.DictReader(io.StringIO(shell.ok("predict", str(fitted), file))))
    assert list(rows[0]) == ["prediction", "lower_50", "upper_50", "lower_90", "upper_90"]
    found = json.loads(shell.ok("predict", str(fitted), file, "--json"))
    assert len(rows) == len(found) == 40
    for row, one in zip(rows, found, strict=True):
        assert float(row["prediction"]) == pytest.approx(one["prediction"], rel=1e-5)
        assert float(row["upper_90"]) == pytest.approx(one["intervals"]["90"][1], rel=1e-5)
        assert one["intervals"]["90"][0] <= one["intervals"]["50"][0] <= one["prediction"]


def test_evaluate_says_the_scores_beside_constants(fitted: Path, shell: Any) -> None:
    said = shell.ok("evaluate", str(fitted), str(fitted.parent / "test.ts"))
    assert said.splitlines()[0] == "40 rows"
    assert "coverage_90" in said


def test_a_table_of_texts_is_learned_and_lines_are_answered(shell: Any, tmp_path: Path) -> None:
    rows = [f"{'good ' * (i % 4)}film,{i % 4 + 0.5}" for i in range(40)]
    (tmp_path / "rows.csv").write_text("\n".join(["review,stars", *rows]))
    run = str(tmp_path / "run")
    said = shell.ok("fit", "regress", str(tmp_path / "rows.csv"), "--text", "review", "--label", "stars", "-o", run,
                    "--valid", "0", "--set", "likelihood=point", *QUICK)  # fmt: skip
    assert "intervals: as they were learned, for nothing was held out to calibrate them" not in said
    assert shell.ok("predict", run, "-", stdin="good film\n").splitlines()[0] == "prediction"


def test_a_word_in_the_place_of_a_number_ends_in_one_sentence(shell: Any, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na film,2\nno film,many\n")
    said = shell.mistake("fit", "regress", str(tmp_path / "rows.csv"), "-o", str(tmp_path / "run"))
    assert "Expected a number as the target of line 3 of rows.csv, but got 'many'" in said


def test_several_columns_are_learned_and_answered_at_once(shell: Any, tmp_path: Path) -> None:
    random, rows = np.random.default_rng(0), ["who,x,age,dose"]
    for i in range(40):
        rows += [f"n{i},{i + random.normal():.3f},{i},{i / 10}" for _ in range(4)]
    (tmp_path / "rows.csv").write_text("\n".join(rows) + "\n")
    run, file = str(tmp_path / "run"), str(tmp_path / "rows.csv")
    said = shell.ok("fit", "regress", file, "--id", "who", "--label", "age", "--label", "dose", "-o", run, *QUICK)
    assert "Regressor: 2 numbers; series of 1 channel" in said
    found = json.loads(shell.ok("predict", run, file, "--json"))
    assert len(found) == 40
    assert [each["target"] for each in found[0]["targets"]] == ["age", "dose"]
    header = shell.ok("predict", run, file).splitlines()[0]
    assert header.startswith("prediction_age,lower_80_age,upper_80_age,")
    assert "prediction_dose" in header
    assert "target" in shell.ok("evaluate", run, file)
