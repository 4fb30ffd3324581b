from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from unrolled.cli.app import make_app

QUICK = ["--set", "hidden_size=8", "--set", "max_steps=6", "--set", "evaluate_every_steps=3"]


def days(count: int, start: str = "2020-01-01") -> list[str]:
    return [str(day) for day in np.datetime64(start) + np.arange(count)]


def table(path: Path, count: int = 60, start: str = "2020-01-01", **more: list[Any]) -> str:
    t = np.arange(count)
    values = 20 + 5 * np.sin(2 * np.pi * t / 7) + 0.1 * (t % 5)
    columns = {"day": days(count, start), "load": [f"{v:.3f}" for v in values], **more}
    rows = zip(*columns.values(), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(make_app(), list(words), input=stdin)


def mistake(*words: str, stdin: str | None = None) -> str:
    """The one sentence of a command that must fail with exit code 2."""
    result = run(*words, stdin=stdin)
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("unrolled: ")
    return lines[0]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    result = run("fit", "forecast", table(folder / "load.csv"), "--horizon", "7", "-o", str(folder / "run"), *QUICK)
    assert result.exit_code == 0, result.output
    assert "seasonal-naive" in result.stdout
    return folder / "run"


def test_a_run_folder_holds_model_scores_forecast_and_metrics(fitted: Path) -> None:
    for name in ("model.unrolled", "scores.json", "forecast.csv", "metrics.jsonl", "run.json"):
        assert (fitted / name).stat().st_size > 0
    rows = json.loads((fitted / "scores.json").read_text())["rows"]
    assert {row["name"] for row in rows} == {"model", "seasonal-naive", "drift", "last-value"}
    assert len((fitted / "forecast.csv").read_text().splitlines()) == 8


def test_predict_prints_csv_or_json_or_writes_a_file(fitted: Path, tmp_path: Path) -> None:
    text = run("predict", str(fitted)).stdout
    assert text == (fitted / "forecast.csv").read_text()
    rows = json.loads(run("predict", str(fitted), "--json").stdout)
    assert len(rows) == 7
    assert rows[0]["day"] == "2020-03-01"
    result = run("predict", str(fitted), "-o", str(tmp_path / "f.csv"))
    assert (result.stdout, (tmp_path / "f.csv").read_text()) == ("", text)


def test_predict_writes_a_picture(fitted: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert run("predict", str(fitted), "--plot", str(tmp_path / "f.png")).exit_code == 0
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")
    assert "f.xyz" in mistake("predict", str(fitted), "--plot", str(tmp_path / "f.xyz"))


def test_a_newer_history_comes_by_file_or_by_standard_input(fitted: Path, tmp_path: Path) -> None:
    newer = table(tmp_path / "newer.csv", 30, "2020-03-01")
    by_file = run("predict", str(fitted), newer).stdout
    assert by_file.splitlines()[1].startswith("2020-03-31")


def test_evaluate_scores_new_rows(fitted: Path, tmp_path: Path) -> None:
    newer = table(tmp_path / "newer.csv", 14, "2020-03-01")
    report = json.loads(run("evaluate", str(fitted), newer, "--json").stdout)
    assert (report["windows"], report["first"]) == (2, "2020-03-01")
    assert "seasonal-naive" in run("evaluate", str(fitted), newer).stdout


def test_backtest_of_a_run_and_of_a_file(fitted: Path) -> None:
    report = json.loads(run("backtest", str(fitted), "--windows", "2", "--json").stdout)
    assert report["windows"] == 2
    assert "--horizon" in mistake("backtest", str(fitted.parent / "load.csv"))
    words = ["backtest", str(fitted.parent / "load.csv"), "--horizon", "7", "--windows", "2", "--json", *QUICK]
    assert json.loads(run(*words).stdout) == report


def test_resuming_a_finished_run_changes_nothing(fitted: Path) -> None:
    before = (fitted / "model.unrolled").read_bytes()
    result = run("fit", "--resume", str(fitted), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["run"] == str(fitted)
    assert (fitted / "model.unrolled").read_bytes() == before


def test_a_run_that_time_has_stopped_goes_on_with_more(tmp_path: Path) -> None:
    source, folder = table(tmp_path / "load.csv"), str(tmp_path / "run")
    words = ["fit", "forecast", source, "--horizon", "7", "--max-minutes", "0.000001", *QUICK]
    assert run(*words, "-o", folder).exit_code == 0
    straight = str(tmp_path / "straight")
    assert run(*words[:5], *QUICK, "-o", straight).exit_code == 0
    assert run("predict", folder).stdout != run("predict", straight).stdout
    assert "--max-minutes" in mistake("fit", "--max-minutes", "3", *words[1:])
    result = run("fit", "--resume", folder, "--max-minutes", "30")
    assert result.exit_code == 0, result.output
    assert run("predict", folder).stdout == run("predict", straight).stdout
    assert json.loads((tmp_path / "run" / "run.json").read_text())["options"]["max_minutes"] == 30


def test_options_of_a_task_are_listed_with_their_meanings() -> None:
    lines = run("options", "tag").stdout.splitlines()
    assert ["spelling", '"cnn"', "Also", "read", "each", "word", "by"] in [line.split()[:7] for line in lines]
    rows = json.loads(run("options", "forecast", "--json").stdout)
    assert {"option": "calendar", "usual": True, "means": "Read the date: hour, weekday, month."} in rows
    assert "forecast" in run("options").stdout
    assert "not known here" in mistake("options", "cooking")


def test_a_run_without_a_model_says_when_there_will_be_one(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text((fitted / "run.json").read_text())
    assert "has no model yet" in mistake("predict", str(tmp_path))


def test_a_run_is_not_resumed_on_other_data(tmp_path: Path) -> None:
    source = table(tmp_path / "load.csv")
    assert run("fit", "forecast", source, "--horizon", "7", "-o", str(tmp_path / "run"), *QUICK).exit_code == 0
    table(tmp_path / "load.csv", 61)
    assert "has changed since" in mistake("fit", "--resume", str(tmp_path / "run"))
    Path(source).unlink()
    assert "no longer there" in mistake("fit", "--resume", str(tmp_path / "run"))


def test_a_run_is_not_overwritten(fitted: Path) -> None:
    source = str(fitted.parent / "load.csv")
    assert "--resume" in mistake("fit", "forecast", source, "--horizon", "7", "-o", str(fitted))
    assert "is a file" in mistake("fit", "forecast", source, "--horizon", "7", "-o", source)


@pytest.mark.parametrize(("words", "message"), [
    (["--target", "lode"], "Did you mean 'load'"), (["--cell", "gruu"], "Did you mean 'gru'"),
    (["--set", "hiden_size=3"], "Did you mean 'hidden_size'"), (["--set", "hidden_size"], "name=value"),
    (["--levels", "many"], "--levels"), (["--test", "some"], "--test"), (["--step", "fortnight"], "fortnight"),
    (["--set", "lookback=70"], "60 rows"), (["--past", "wind"], "wind"),
])  # fmt: skip
def test_a_mistake_ends_in_one_sentence_and_leaves_nothing(words: list[str], message: str, tmp_path: Path) -> None:
    source = table(tmp_path / "load.csv")
    out = tmp_path / "run"
    assert message in mistake("fit", "forecast", source, "--horizon", "7", "-o", str(out), *words)
    assert not out.exists()


@pytest.mark.parametrize(("text", "message"), [
    ("", "empty"), ("day,load\n", "no rows"), ("day,load\n2020-01-01,1\n2020-01-02,two\n", "'two'"),
    ("day,load\n2020-01-01,1\n2020-01-01,2\n2020-01-02,2\n", "2020-01-01"),
    ("day,load\n2020-01-01,\n2020-01-02,\n2020-01-03,\n", "load"),
    ("day,load\n2020-01-01,1\n2020-01-02,2\n2020-01-03,3\n", "3 rows"),
])  # fmt: skip
def test_a_file_that_cannot_be_used_is_told_apart(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text(text)
    words = ["fit", "forecast", str(tmp_path / "bad.csv"), "--time", "day", "--target", "load", "--horizon", "7"]
    assert message in mistake(*words, "-o", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_read_is_told(fitted: Path, tmp_path: Path) -> None:
    assert "no model" in mistake("predict", str(tmp_path / "none"))
    whole = (fitted / "model.unrolled").read_bytes()
    (tmp_path / "cut.unrolled").write_bytes(whole[:-200])
    assert "damaged or cut short" in mistake("predict", str(tmp_path / "cut.unrolled"))
    assert "run.json" in mistake("fit", "--resume", str(tmp_path))


def test_results_that_cannot_be_written_are_told(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in mistake("predict", str(fitted), "-o", str(tmp_path / "file" / "f.csv"))
    words = ["fit", "forecast", str(fitted.parent / "load.csv"), "--horizon", "7", "-o", str(tmp_path / "file" / "run")]
    assert "cannot write" in mistake(*words, *QUICK)


def test_future_covariates_are_asked_for_by_date(tmp_path: Path) -> None:
    source = table(tmp_path / "load.csv", free=[0, 1] * 30)
    words = ["--target", "load", "--future", "free", "--horizon", "3", "-o", str(tmp_path / "run")]
    result = run("fit", "forecast", source, *words, *QUICK, "--plot")
    assert result.exit_code == 0, result.output
    assert "--future FILE --plot" in result.stdout
    assert "--future" in mistake("predict", str(tmp_path / "run"))
    (tmp_path / "free.csv").write_text("day,free\n2020-03-01,0\n2020-03-02,1\n")
    assert "2020-03-03" in mistake("predict", str(tmp_path / "run"), "--future", str(tmp_path / "free.csv"))
    (tmp_path / "free.csv").write_text("day,free\n2020-03-01,0\n2020-03-02,1\n2020-03-03,1\n")
    assert len(run("predict", str(tmp_path / "run"), "--future", str(tmp_path / "free.csv")).stdout.splitlines()) == 4


def test_kernels_are_listed_with_an_answer() -> None:
    rows = json.loads(run("kernels", "--json").stdout)
    assert {row["op"] for row in rows} >= {"rnn", "lstm", "gru"}
    for op in {row["op"] for row in rows}:
        assert sum(row["runs"] for row in rows if row["op"] == op and row["device"] == "cpu") == 1
    assert "reference" in run("kernels").stdout


def test_help_teaches_and_the_version_is_shown() -> None:
    for words in ([], ["fit"], ["fit", "forecast"], ["predict"], ["evaluate"], ["backtest"]):
        assert "unrolled " in run(*words, "--help").stdout
    assert run("--version").stdout.startswith("unrolled 0.")


PYTHON = [sys.executable, "-c", "from unrolled.cli import main; main()"]


def test_help_is_quick_and_imports_no_torch() -> None:
    code = (
        "import sys, time\nsys.argv = ['unrolled', '--help']\nfrom unrolled.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\nassert not {'torch', 'numpy'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_mistake_ends_a_real_process_with_code_2(tmp_path: Path) -> None:
    words = ["fit", "forecast", table(tmp_path / "load.csv"), "--horizon", "7", "--target", "lode"]
    for _ in range(3):
        result = subprocess.run([*PYTHON, *words], capture_output=True, text=True)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1), result.stderr


def test_a_pipe_carries_tables_both_ways(fitted: Path, tmp_path: Path) -> None:
    newer = Path(table(tmp_path / "newer.csv", 30, "2020-03-01")).read_bytes()
    result = subprocess.run([*PYTHON, "predict", str(fitted), "-"], input=newer, capture_output=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode() == run("predict", str(fitted), str(tmp_path / "newer.csv")).stdout


def test_an_interrupt_loses_nothing(tmp_path: Path) -> None:
    source, folder = table(tmp_path / "load.csv"), tmp_path / "run"
    words = ["hidden_size=8", "max_steps=100000", "patience=1000", "evaluate_every_steps=5"]
    long = [part for word in words for part in ("--set", word)]
    command = [*PYTHON, "fit", "forecast", source, "--horizon", "7", "-o", str(folder), *long]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 60
    while not (folder / "model.unrolled").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    # A run can be asked for its forecast while it goes on.
    assert run("predict", str(folder)).exit_code == 0
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert (
        err.decode().strip() == f"unrolled: interrupted, nothing is lost: go on with 'unrolled fit --resume {folder}'."
    )
    assert sorted(path.name for path in (folder / "checkpoints").iterdir())
