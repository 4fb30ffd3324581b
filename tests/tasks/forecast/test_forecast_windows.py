import numpy as np
import pytest

from unrolled.data import Columns, PanelFields, build_panel
from unrolled.tasks.forecast.windows import every, sliding


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_windows_keep_their_targets_within_their_part(stride: int) -> None:
    times = np.concatenate([np.arange(40), np.arange(25)])
    table = {"id": ["b"] * 40 + ["a"] * 25, "t": times, "y": np.sin(times)}
    panel = build_panel(table, Columns("t", ("y",), "id"))
    first, last = np.array([20, 12]), np.array([33, 20])
    windows = sliding(PanelFields.fit(panel).encode(panel), 6, 3, first, last, stride)
    for i in range(2):
        assert np.array_equal(windows.cuts[windows.series == i], np.arange(first[i], last[i] - 2, stride))


def test_a_part_without_room_has_no_window() -> None:
    assert np.array_equal(every(np.array([4, 9, 5]), np.array([6, 8, 5]), 1), [[4, 5, 6], [-1, -1, -1], [5, -1, -1]])
