"""Files of every format version, written once and never again: each must load and forecast what it did."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from unrolled.data.read.table import read_table
from unrolled.model import load
from unrolled.model.artefact import FORMAT
from unrolled.tasks import Forecaster

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.unrolled"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file_loads_and_forecasts_what_it_did(path: Path) -> None:
    model = load(path)
    assert isinstance(model, Forecaster)
    found, expected = model.predict().to_arrow(), read_table(path.with_suffix(".csv"), text=["shop"])
    assert found.column_names == expected.column_names
    for name in expected.column_names[-3:]:
        # Another processor may round each of the few hundred float32 sums another way.
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=1e-4)
    model.check()


def test_every_format_version_has_its_golden_file() -> None:
    assert {int(path.stem.rpartition("-")[2]) for path in GOLDEN} == set(range(1, FORMAT + 1))
