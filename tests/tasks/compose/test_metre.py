"""The beat of a step: what is told of it, for steps of any length."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.tasks.compose.metre import Metre


def told(step: float, beats: int, count: int) -> tuple[list[int], list[int]]:
    """The beat and the part of each of so many steps."""
    metre = Metre(step, beats)
    found = metre(np.arange(count))
    assert found.shape == (count, metre.width)
    parts = found[:, beats:]
    assert (found[:, :beats].sum(1) == 1).all()
    assert not metre.parts or (parts.sum(1) == 1).all()
    return found[:, :beats].argmax(1).tolist(), parts.argmax(1).tolist() if metre.parts else []


def test_quarters_are_beats() -> None:
    assert told(1.0, 3, 7) == ([0, 1, 2, 0, 1, 2, 0], [])


@pytest.mark.parametrize("parts", [2, 3, 4, 6, 8, 12, 16, 24])
def test_shorter_steps_are_parts_of_a_beat(parts: int) -> None:
    beats, places = told(1 / parts, 5, 400)
    assert beats == [t // parts % 5 for t in range(400)]
    assert places == [t % parts for t in range(400)]


def test_steps_that_make_no_beat_have_the_beat_in_which_they_begin() -> None:
    assert told(2.0, 4, 4) == ([0, 2, 0, 2], [])
    assert told(0.4, 4, 6) == ([0, 0, 0, 1, 1, 2], [])


def test_nothing_is_told_where_it_is_not_asked_for() -> None:
    assert Metre(0.25, 0)(np.arange(3)).shape == (3, 0)
