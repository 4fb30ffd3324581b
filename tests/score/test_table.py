"""Rows of scores as text, to the letter."""

from __future__ import annotations

from unrolled.score.regression import RegressionReport
from unrolled.tasks.forecast.report import Report


def test_a_forecast_report_is_a_table() -> None:
    rows = (
        {"name": "model", "mae": 0.123456, "mase": None, "wql": 1234567.0},
        {"name": "seasonal-naive", "mae": 12.0, "mase": 1e-9, "wql": None},
    )
    assert str(Report(rows, "held out", 3, 7, "2020-01-01", "2020-02-01")).splitlines() == [
        "3 forecasts of 7 steps, 2020-01-01 to 2020-02-01: held out",
        "name               mae   mase        wql",
        "model           0.1235      -  1.235e+06",
        "seasonal-naive      12  1e-09          -",
    ]


def test_a_report_of_numbers_is_a_table() -> None:
    rows = ({"name": "model", "target": 1, "r2": 0.5}, {"name": "mean", "target": 2, "r2": -0.0})
    assert str(RegressionReport(rows, 1234)).splitlines() == [
        "1,234 rows",
        "name   target   r2",
        "model       1  0.5",
        "mean        2   -0",
    ]
