from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

QUICK = ("--set", "max_steps=60", "--set", "hidden_size=6")


def write(path: Path, rows: int = 200) -> Path:
    random = np.random.default_rng(0)
    times = np.datetime64("2024-01-01", "s") + np.arange(rows) * np.timedelta64(3600, "s")
    values = np.stack([np.sin(np.arange(rows) / 5), np.cos(np.arange(rows) / 3)], 1) + random.normal(0, 0.05, (rows, 2))
    values[150:155, 1] += 3
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "flow", "heat", "failure"])
        writer.writerows([str(t), *v.round(4), int(150 <= i < 155)] for i, (t, v) in enumerate(zip(times, values)))
    return path


def test_a_table_is_learned_scored_and_drawn(shell: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    table, run = str(write(tmp_path / "rows.csv")), str(tmp_path / "run")
    asked = ["--truth", "failure", "--calibration", "conformal", "--false-alarms", "0.01"]
    said = shell.ok("fit", "anomaly", table, *asked, *QUICK, "--plot", "-o", run)
    assert "AnomalyDetector: 2 channels; 1 series" in said
    assert f"next: unrolled predict {run} FILE --events" in said
    for name in ("model.unrolled", "metrics.jsonl", "learning.png", "anomalies.png"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    rows = list(csv.DictReader(shell.ok("predict", run, table).splitlines()))
    assert len(rows) == 200
    assert rows[150]["alarm"] == "1"
    assert rows[150]["channel"] == "heat"
    assert rows[150]["timestamp"] == "2024-01-07 06:00:00"
    found = shell.ok("predict", run, table, "--events")
    assert ",2024-01-07 06:00:00," in found
    assert "heat" in found
    assert "windows: F1" in shell.ok("evaluate", run, table)
    told = json.loads(shell.ok("evaluate", run, table, "--truth", "failure", "--json"))
    assert told["windows"]["support"] == 1


def test_mistakes_are_told_in_a_sentence(shell: Any, tmp_path: Path) -> None:
    table, run = str(write(tmp_path / "rows.csv", 200)), str(tmp_path / "run")
    assert "'flows'" in shell.mistake("fit", "anomaly", table, "--columns", "flows", "-o", run)
    shell.ok("fit", "anomaly", table, "--columns", "flow,heat", *QUICK, "-o", run)
    assert "--truth" in shell.mistake("evaluate", run, table)
    broken = tmp_path / "broken.csv"
    broken.write_text(Path(table).read_text().replace(",0\n", ",0\n2024-01-01T00:30:00,much,1,0\n", 1))
    for words in ([], ["--events"]):
        assert "'much'" in shell.mistake("predict", run, str(broken), *words)


def test_what_was_understood_speaks_of_options(shell: Any, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    rows = write(table).read_text().splitlines()
    table.write_text("\n".join([*rows[:50], rows[49], *rows[50:]]) + "\n")
    said = shell.ok("fit", "anomaly", str(table), "--epochs", "1", *QUICK, "-o", str(tmp_path / "run"))
    assert "say of which with --id\n" in said
