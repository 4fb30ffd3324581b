"""A series that is measured as it comes comes back, up to what float32 loses of each step."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.fields import Levelled


@pytest.mark.parametrize("seed", range(5))
def test_a_running_level_is_undone(seed: int) -> None:
    random = np.random.default_rng(seed)
    series = [5.0 + 3.0 * random.normal(size=(int(random.integers(1, 200)), 2)) for _ in range(4)]
    field = Levelled.fit(series, "running")
    for values in series:
        # A step of at most ten deviations is rounded by 10 * 2^-24 of one, and at most 200 steps hand theirs on.
        np.testing.assert_allclose(field.decode(field.encode(values)), values, rtol=0, atol=3.0 * 200 * 10 * 2.0**-24)
