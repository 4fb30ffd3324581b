"""Items whose steps are foretold from those before them: what a batch holds, and its cuts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unrolled.data.batch.following import Following
from unrolled.data.batch.ragged import Ragged

CODES = Ragged.from_list([[3, 4, 5], [6], []], np.int64)
NUMBERS = Ragged.from_list([np.full((2, 2), 7, np.float32), np.full((3, 2), 8, np.float32)])


def test_what_is_read_is_what_came_before() -> None:
    data = Following(CODES, 1)
    batch = data.batch([0, 1, 2])
    assert batch.x.tolist() == [[1, 3, 4], [1, 6, 0], [1, 0, 0]]
    assert batch.target.tolist() == [[3, 4, 5], [6, 0, 0], [0, 0, 0]]
    assert batch.lengths.tolist() == data.lengths.tolist() == [3, 1, 0]
    assert batch.x.dtype == torch.int64
    assert data.batch([2]).x.shape == (1, 1)


def test_nothing_stands_before_numbers() -> None:
    batch = Following(NUMBERS, np.nan, np.array([1, 0])).batch([1])
    assert bool(batch.x[0, 0].isnan().all())
    assert batch.x[0, 1:].tolist() == [[7, 7]]
    assert batch.x.dtype == batch.target.dtype == torch.float32


def test_what_is_known_of_a_step_stands_beside_what_came_before_it() -> None:
    batch = Following(NUMBERS, 0.0, known=lambda at: np.stack([at, at % 2], 1)).batch([0, 1])
    assert batch.x.tolist() == [
        [[0, 0, 0, 0], [7, 7, 1, 1], [7, 7, 2, 0]],
        [[0, 0, 0, 0], [8, 8, 1, 1], [8, 8, 2, 0]],
    ]
    assert batch.x.dtype == torch.float32
    assert batch.target.shape == (2, 3, 2)


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_cuts_along_time_hold_every_step_once(steps: int) -> None:
    data = Following(NUMBERS, 0.0)
    whole = data.batch([0, 1])
    parts = data.chunks(whole, steps)
    assert torch.equal(torch.cat([part.x for part in parts], 1), whole.x)
    assert torch.equal(torch.cat([part.target for part in parts], 1), whole.target)
    assert torch.equal(torch.stack([part.lengths for part in parts]).sum(0), whole.lengths)
