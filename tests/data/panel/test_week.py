import numpy as np
import pandas as pd
import pytest

from unrolled.data import Columns, Panel, Step, build_panel, extend_panel

HOURS = pd.date_range("2023-01-02", periods=24 * 28, freq="h")
DAYS = pd.date_range("2023-01-02", periods=70, freq="D")


def panel(times: pd.DatetimeIndex, step: str | None = None) -> Panel:
    return build_panel({"t": times, "y": np.arange(float(len(times)))}, Columns("t", ("y",)), step=step)


def shop(times: pd.DatetimeIndex = HOURS) -> pd.DatetimeIndex:
    return times[(times.hour >= 9) & (times.hour < 18) & (times.day_of_week < 6)]


@pytest.mark.parametrize(
    ("times", "slots", "season", "ahead"),
    [
        (shop(), 54, 9, "2023-01-30T09"),
        (shop()[:-3], 54, 9, "2023-01-28T15"),
        (shop()[:40], 63, 9, "2023-01-06T13"),
        (HOURS[(HOURS.hour >= 22) | (HOURS.hour < 6)], 56, 8, "2023-01-30T00"),
        (DAYS[DAYS.day_of_week < 6], 6, 6, "2023-03-13"),
        (DAYS[np.isin(DAYS.day_of_week, [0, 2, 4])], 3, 3, "2023-03-13"),
    ],
)
def test_only_slots_that_exist_are_steps(times: pd.DatetimeIndex, slots: int, season: int, ahead: str) -> None:
    found = panel(times)
    assert len(found.time) == len(times)
    assert (len(found.step.slots), found.step.season) == (slots, season)
    assert extend_panel(found, 1).time[-1] == np.datetime64(ahead, "ns")
    assert any("only such steps are forecast" in remark for remark in found.remarks)


def test_a_step_that_is_given_counts_every_hour() -> None:
    found = panel(shop(), "h")
    assert found.step == Step.parse("h")
    assert any("rows that are not there are filled in" in remark for remark in found.remarks)


def test_gaps_that_do_not_repeat_are_missing_values() -> None:
    random = np.random.default_rng(0)
    for times in (HOURS[random.random(len(HOURS)) < 0.93], HOURS[(HOURS.day < 10) | (HOURS.day > 17)]):
        assert panel(times).step == Step.parse("h")


def test_opening_hours_of_a_zone_do_not_move_with_summer_time() -> None:
    times = shop(pd.date_range("2023-02-13", periods=24 * 42, freq="h")).tz_localize("America/New_York")
    found = panel(times)
    assert len(found.step.slots) == 54
    assert str(found.stamps(extend_panel(found, 1).time[-1:])[0].as_py())[:19] == "2023-03-27 09:00:00"


def test_slots_shift_and_count_alike_and_survive_json() -> None:
    step = panel(shop()).step
    times = step.range(np.datetime64("2023-01-28T17", "ns"), 200)
    position, exact = step.between(np.repeat(times[:1], 200), times)
    assert exact.all()
    assert np.array_equal(position, np.arange(200))
    assert np.array_equal(step.floor(times + np.timedelta64(59, "m")), times)
    assert Step.from_json(step.to_json()) == step
    assert not step.between(times[:1], times[:1] + np.timedelta64(12, "h"))[1][0]
