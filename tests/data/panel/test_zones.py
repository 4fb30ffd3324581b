import numpy as np
import pandas as pd
import pytest

from unrolled.data import Columns, Panel, build_panel, extend_panel
from unrolled.errors import DataError

COLUMNS = Columns("t", ("y",))
KNOWN = Columns("t", ("y",), future=("open",))


def panel(times: object) -> Panel:
    return build_panel({"t": times, "y": np.arange(float(len(list(times))))}, COLUMNS)  # type: ignore[call-overload]


def hours(zone: str | None, start: str = "2023-11-08", days: int = 10) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=24 * days, freq="h", tz=zone)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("step", ["D", "MS", "ME", "B"])
def test_days_and_months_of_a_zone_are_regular_in_spite_of_summer_time(zone: str, step: str) -> None:
    times = pd.date_range("2022-01-31", periods=150, freq=step)
    found = panel(times.tz_localize(zone))
    assert str(found.step) == step
    assert np.array_equal(found.time, times.to_numpy("datetime64[ns]"))
    later = extend_panel(found, 1).time[-1:]
    assert str(found.stamps(later)[0].as_py().tzinfo) == zone


def test_days_written_with_offsets_are_the_dates_written() -> None:
    days = pd.date_range("2023-03-01", periods=60, freq="D", tz="Europe/Berlin")
    found = panel([day.isoformat() for day in days])
    assert str(found.step) == "D"
    assert str(found.time[-1])[:10] == "2023-04-29"


def test_resampled_days_of_a_zone_begin_at_its_midnight() -> None:
    table = pd.DataFrame({"t": hours("Europe/Berlin"), "y": hours("Europe/Berlin").day.to_numpy(float)})
    found = build_panel(table, COLUMNS, step="D", resample="mean")
    assert np.array_equal(found.target[:, 0], np.arange(8.0, 18.0))


def history(zone: str | None) -> Panel:
    times = hours(zone)
    return build_panel(pd.DataFrame({"t": times, "y": 1.0, "open": times.hour.to_numpy(float)}), KNOWN)


@pytest.mark.parametrize("zone", ["America/New_York", None, "UTC"])
def test_a_later_table_in_another_way_of_writing_the_same_hours_is_understood(zone: str | None) -> None:
    times = hours("America/New_York", "2023-11-18", 2)
    values = times.hour.to_numpy(float)
    written = times.tz_localize(None) if zone is None else times.tz_convert(zone)
    extended = extend_panel(history("America/New_York"), 24, pd.DataFrame({"t": written, "open": values}))
    assert np.array_equal(extended.future[-24:, 0], np.arange(24.0))


def test_hours_with_a_zone_after_hours_without_are_refused() -> None:
    later = pd.DataFrame({"t": hours("UTC", "2023-11-18"), "open": 0.0})
    with pytest.raises(DataError, match="has a zone \\(UTC\\), but the history has none"):
        extend_panel(history(None), 24, later)


def test_a_panel_of_a_zone_survives_being_taken_apart() -> None:
    found = history("America/New_York")
    back = Panel.from_parts(*found.to_parts())
    assert back.form == found.form
    assert back.stamps(back.time).equals(found.stamps(found.time))


def test_panels_of_before_zones_were_kept_read_zones_as_utc() -> None:
    data, arrays = history("America/New_York").to_parts()
    del data["form"]
    old = Panel.from_parts(data, arrays)
    later = pd.DataFrame({"t": hours("America/New_York", "2023-11-18"), "open": 7.0})
    assert (extend_panel(old, 24, later).future[-24:] == 7).all()
    assert old.stamps(old.time).type.tz is None
