"""Live ink: any split of the points gives the steps of the whole drawing."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.fields.ink import Drawing, Ink

OPTIONS = list(itertools.product([None, 0.3, 0.02], [False, True], [False, True], [False, True]))


def scribble(random: np.random.Generator) -> Drawing:
    lengths = random.integers(1, 15, int(random.integers(1, 5)))
    points = np.cumsum(random.normal(size=(lengths.sum(), 2)), axis=0)
    times = np.cumsum(random.integers(0, 3, lengths.sum())) / 100
    return np.split(np.column_stack([points, times]), np.cumsum(lengths)[:-1])


def rows_of(drawing: Drawing, *, open_end: bool) -> np.ndarray:
    """The points as they are pushed, the last of each stroke marked, but for that of the drawing where it is open."""
    marks = np.concatenate([np.arange(1, len(stroke) + 1) == len(stroke) for stroke in drawing]).astype(float)
    marks[-1] = not open_end
    return np.column_stack([np.concatenate(drawing), marks])


def cuts(length: int, random: np.random.Generator) -> list[np.ndarray]:
    """Every point alone, all at once, and at random places, with pieces of nothing among them."""
    places = [np.sort(random.integers(0, length + 1, 4)) for _ in range(4)]
    return [np.arange(1, length), np.array([], np.int64), *places]


@pytest.mark.parametrize(("distance", "speed", "curvature", "position"), OPTIONS)
@pytest.mark.parametrize("open_end", [False, True])
def test_any_split_of_the_points_gives_the_steps_of_the_whole(
    distance: float | None, speed: bool, curvature: bool, position: bool, open_end: bool
) -> None:
    random = np.random.default_rng(0)
    more = {"speed": speed, "curvature": curvature, "position": position}
    field = Ink.fit([scribble(random) for _ in range(10)], "training", distance=distance, **more)
    front = field.front()
    for _ in range(10):
        drawing = scribble(random)
        rows, expected = rows_of(drawing, open_end=open_end), field.encode(drawing)
        for places in cuts(len(rows), random):
            found = [front.push(piece) for piece in np.split(rows, places)]
            found.append(front.flush())
            assert all(piece.dtype == np.float32 for piece in found)
            assert (len(found[-1]) > 0) == open_end
            assert len(found[-1]) <= 1 or distance is not None
            assert np.array_equal(np.concatenate(found), expected)


def test_a_step_comes_with_the_next_point_or_with_the_mark_of_its_end() -> None:
    front = Ink("training", 1.0, 1.0).front()
    assert front.push([[5, 5, 0]]).tolist() == []
    assert front.push([[6, 5, 0]]).tolist() == [[0, 0, 0]]
    assert front.push([[6, 7, 1]]).tolist() == [[1, 0, 0], [0, 2, 1]]
    assert front.push(np.zeros((0, 3))).shape == (0, 3)
    assert front.push([[0, 0, 0]]).tolist() == []
    assert front.flush().tolist() == [[-6, -7, 1]]
    # The next drawing begins anew, with or without times.
    assert front.flush().shape == (0, 3)
    assert front.push([[9, 9, 0.5, 1]]).tolist() == [[0, 0, 1]]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([[1, 2]], r"\(points, 3\), .*got \(1, 2\)"),
        ([1, 2, 0], r"got \(3,\)"),
        ([[1, 2, 0.5, 1]], r"\(points, 3\), .*got \(1, 4\)"),
        ([[1, 2, 0], [np.nan, 2, 0]], r"\[nan, 2\.0, 0\.0\] as point 1"),
        ([[1, 2, 2]], r"\[1\.0, 2\.0, 2\.0\] as point 0"),
        ([[1, 2, 0], [3, 1e300, 0]], "points within"),
        ([["a", 2, 0]], "points of numbers"),
        ([[1, 2, 0], [3, 1e6, 0]], "100,000 times"),
    ],
)
def test_points_that_do_not_fit_are_refused_and_change_nothing(points: object, message: str) -> None:
    front = Ink("training", 1.0, 1.0, 0.5).front()
    front.push([[0, 0, 0]])
    with pytest.raises(DataError, match=message):
        front.push(points)  # type: ignore[arg-type]
    assert front.push([[1, 0, 1]]).tolist() == [[0, 0, 0], [0.5, 0, 0], [0.5, 0, 1]]


def test_a_clock_that_runs_back_is_refused() -> None:
    front = Ink("training", 1.0, 1.0, None, 1.0).front()
    with pytest.raises(DataError, match=r"\(points, 4\), x, y"):
        front.push([[0, 0, 0]])
    front.push([[0, 0, 5.0, 0]])
    with pytest.raises(DataError, match="clock that never runs back"):
        front.push([[0, 0, 4.9, 0]])
    assert front.push([[0, 0, 5.0, 1]]).tolist() == [[0, 0, 0, 0], [0, 0, 1, 0]]
