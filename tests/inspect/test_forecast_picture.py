from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import OptionError, SaveError
from unrolled.inspect.forecast import Band, ForecastPicture, draw_forecast

pytest.importorskip("matplotlib")


def picture(dates: bool = True) -> ForecastPicture:
    steps = np.arange(30)
    time = np.datetime64("2020-01-01", "ns") + steps.astype("timedelta64[D]") if dates else steps
    values = np.sin(steps / 3)
    band = Band("80 %", values[20:] - 1, values[20:] + 1)
    return ForecastPicture("load", time[:20], values[:20], time[20:], values[20:], (band,), "a note")


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_one_or_many_series_are_drawn(count: int, tmp_path: Path) -> None:
    path = draw_forecast([picture()] * count, tmp_path / "forecast.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_counters_and_missing_values_are_drawn(tmp_path: Path) -> None:
    counted = picture(dates=False)
    counted.values[-3:] = np.nan
    assert draw_forecast([counted], tmp_path / "forecast.svg").read_text().startswith("<?xml")


def test_a_picture_of_an_unknown_kind_or_in_a_wrong_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"forecast\.xyz"):
        draw_forecast([picture()], tmp_path / "forecast.xyz")
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="cannot write"):
        draw_forecast([picture()], tmp_path / "file" / "forecast.png")
