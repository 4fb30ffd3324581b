"""The picture of a regression: what it shows, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.inspect.regression import draw_regression


@pytest.mark.parametrize("values", [1, 3])
@pytest.mark.parametrize("intervals", [True, False])
@pytest.mark.parametrize("rows", [1, 700])
def test_a_picture_is_drawn_of_any_number_of_rows_and_targets(
    values: int, intervals: bool, rows: int, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=(rows, values))
    found = truth + 0.2 * random.normal(size=truth.shape)
    band = (80.0, found - 0.3, found + 0.3) if intervals else None
    written = draw_regression(truth, found, band, tmp_path / "picture.png")
    assert written.read_bytes().startswith(b"\x89PNG")
    again = draw_regression(truth, found, band, tmp_path / "again.png")
    assert written.read_bytes() == again.read_bytes()


def test_no_rows_and_too_many_targets_are_refused(tmp_path: Path) -> None:
    for shape in ((0, 1), (3, 5)):
        with pytest.raises(DataError, match="plot: expected a prediction for each of some rows and of 1 to 4 targets"):
            draw_regression(np.zeros(shape), np.zeros(shape), None, tmp_path / "picture.png")
