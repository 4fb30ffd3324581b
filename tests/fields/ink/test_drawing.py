"""What is a drawing and what is none, how large one is, and what is done with a clock that runs back."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.errors import DataError
from unrolled.fields.ink import boxed, fault_of, held_clock, measured, without_times
from unrolled.fields.ink.drawing import checked


def timed(*times: float) -> np.ndarray:
    return np.column_stack([np.arange(len(times)), np.zeros(len(times)), times])


def test_dots_and_an_empty_drawing_have_no_fault() -> None:
    assert fault_of([]) is None
    assert fault_of([np.zeros((1, 2)), np.ones((1, 2))]) is None
    assert fault_of([timed(0, 0, 1), timed(1), timed(1, 5)]) is None


@pytest.mark.parametrize(
    ("drawing", "place", "words"),
    [
        ([np.zeros(3)], (0, None), ("points of x and y", r"\(3,\)")),
        ([np.zeros((2, 4))], (0, None), ("points of x and y", r"\(2, 4\)")),
        ([np.zeros((2, 2)), timed(0)], (1, None), ("seconds in every stroke or in none", "both")),
        ([np.zeros((2, 2)), np.zeros((0, 2))], (1, None), ("at least one point", "none")),
        ([np.zeros((2, 2)), np.array([[0, 0], [np.nan, 1]])], (1, 1), ("finite numbers", "nan")),
        ([timed(0, np.inf)], (0, 1), ("finite numbers", "inf")),
        ([timed(0, 2, 1.5)], (0, 2), ("clock that never runs back", "1.5 s after 2 s")),
        ([timed(0, 2), timed(1, 3)], (1, 0), ("clock that never runs back", "1 s after 2 s")),
    ],
)
def test_a_fault_is_named_with_its_place(
    drawing: list[np.ndarray], place: tuple[int, int | None], words: tuple[str, str]
) -> None:
    fault = fault_of(drawing)
    assert fault is not None
    assert (fault.stroke, fault.point) == place
    where = f"stroke {place[0]}" + ("" if place[1] is None else f", point {place[1]}")
    with pytest.raises(DataError, match=rf"^Ink: expected .*{words[0]}.*, got .*{words[1]}.* in {where}: .+\.$"):
        checked(drawing, "Ink")


@pytest.mark.parametrize("value", ["strokes", 3, [["a"]], [[[1, 2], [3]]], [[[10**400, 0]]], None, {}])
def test_what_is_no_list_of_numbers_is_no_drawing(value: object) -> None:
    with pytest.raises(DataError, match="Ink: expected"):
        checked(value, "Ink")  # type: ignore[arg-type]


def test_lists_of_numbers_are_a_drawing() -> None:
    (stroke,) = checked([[[1, 2], [3, 4]]], "Ink")  # type: ignore[list-item]
    assert stroke.dtype == np.float64
    assert stroke.tolist() == [[1, 2], [3, 4]]


def test_the_size_is_the_longer_side() -> None:
    corner, size = measured([np.array([[1.0, 5], [4, 6]]), np.array([[2.0, 10]])])
    assert corner.tolist() == [1, 5]
    assert size == 5
    assert measured([np.array([[7.0, 7]])])[1] == 0


def test_a_box_holds_drawings_of_any_size() -> None:
    (dot,) = boxed([np.array([[3.0, 4, 9]])])
    assert dot.tolist() == [[0, 0]]
    for size in (1e-300, 1.0, 1.7e308):
        (line,) = boxed([np.array([[-size, 0], [size, size]])])
        np.testing.assert_allclose(line, [[0, 0], [1, 0.5]], rtol=1e-15)


def test_a_clock_is_held_or_left_out() -> None:
    drawing = [timed(0, 3, 2, 4), timed(3.5, 5)]
    held = held_clock(drawing)
    assert [stroke[:, 2].tolist() for stroke in held] == [[0, 3, 3, 4], [4, 5]]
    assert fault_of(held) is None
    assert drawing[0][2, 2] == 2
    assert [stroke.shape for stroke in without_times(drawing)] == [(4, 2), (2, 2)]
    plain = without_times(drawing)
    assert all(np.array_equal(a, b) for a, b in zip(held_clock(plain), plain, strict=True))
    assert held_clock([]) == []
