"""The field of drawings: its laws, its features by hand, what it keeps and what it loses."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from unrolled.errors import DataError, ModelFileError, NotStreamable, OptionError
from unrolled.fields.ink import Drawing, Ink, measured
from unrolled.testing import check_field

EPS = float(np.finfo(np.float32).eps)
OPTIONS = [
    *itertools.product(["drawing", "training"], [None, 0.3], [False], [False, True], [False]),
    ("drawing", 0.02, True, True, True),
    ("training", None, True, True, True),
]
NAMES = ("per", "distance", "speed", "curvature", "position")


def scribbles(count: int, seed: int = 0, *, step: float = 4.0) -> list[Drawing]:
    """Drawings of one to four strokes of one to forty points with times, on whole pixels as tablets give them."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        lengths = random.integers(1, 41, int(random.integers(1, 5)))
        points = np.round(np.cumsum(random.normal(size=(lengths.sum(), 2)) * step, axis=0) + 50)
        times = np.cumsum(random.integers(0, 30, lengths.sum())) / 1000
        found.append(np.split(np.column_stack([points, times]), np.cumsum(lengths)[:-1]))
    return found


DRAWINGS = scribbles(30)
DOT = [np.array([[3.0, 4, 1.5]])]


def fitted(
    per: str, distance: float | None = None, speed: bool = False, curvature: bool = False, position: bool = False
) -> Ink:
    return Ink.fit(DRAWINGS, per, distance=distance, speed=speed, curvature=curvature, position=position)


@pytest.mark.parametrize(NAMES, OPTIONS)
def test_the_field_keeps_every_law(
    per: str, distance: float | None, speed: bool, curvature: bool, position: bool
) -> None:
    def fit(rows: list[Drawing], count: int) -> Ink:
        return Ink.fit(rows[:count], per, distance=distance, speed=speed, curvature=curvature, position=position)

    check_field(fit(DRAWINGS, 30), fit=fit)
    check_field(fit(DRAWINGS, 30), fit=fit, rows=DRAWINGS, laws=["leak"])


@pytest.mark.parametrize(NAMES, OPTIONS)
def test_what_was_decoded_encodes_to_the_same_steps(
    per: str, distance: float | None, speed: bool, curvature: bool, position: bool
) -> None:
    field = fitted(per, distance, speed, curvature, position)
    for drawing in [*scribbles(60, seed=1), *scribbles(10, seed=2, step=1e-3), DOT]:
        steps = field.encode(drawing)
        assert steps.dtype == np.float32
        assert steps.shape[1] == field.width == len(field.features)
        assert np.isfinite(steps).all()
        again = field.encode(field.decode(steps))
        assert np.array_equal(steps[:, :3], again[:, :3])
        # The speed goes through times, in float64: what is left is a rounding to float32 here and there.
        np.testing.assert_allclose(again, steps, rtol=4 * EPS, atol=0)


def test_moves_of_many_sizes_lose_bits_once_and_their_features_follow() -> None:
    field = Ink("training", 1.0, 1.0, None, 1.0, True)
    random = np.random.default_rng(9)
    for _ in range(20):
        times = np.cumsum(random.random((30, 1)), axis=0)
        way = np.cumsum(random.normal(size=(30, 1)) * 1e3, axis=0)
        # Nearly straight on or back: turns so small that a bit of a move lost shows in them.
        steps = field.encode([np.hstack([way, way / 3 + random.normal(size=(30, 1)) * 1e-4, times])])
        again = field.encode(field.decode(steps))
        assert np.array_equal(np.delete(steps, 3, axis=1), np.delete(again, 3, axis=1))
        np.testing.assert_allclose(again, steps, rtol=4 * EPS, atol=0)


@pytest.mark.parametrize("per", ["drawing", "training"])
def test_without_a_distance_points_come_back_but_for_place_and_size(per: str) -> None:
    field = fitted(per)
    for drawing in [*scribbles(60, seed=3), DOT]:
        back = field.decode(field.encode(drawing))
        assert list(map(len, back)) == list(map(len, drawing))
        size = measured(drawing)[1] or 1.0
        points, found = np.concatenate(drawing)[:, :2], np.concatenate(back)
        if field.streamable:
            # No move is longer than a size, so float32 holds each.
            assert np.abs(np.diff(points, axis=0)).max(initial=0) < field.size
        else:
            points = points * field.size / size
        # The point and the first one are each rounded to the grid of 2^-24 sizes, by half its mesh at most.
        assert np.abs(points - points[0] - found).max() <= field.size * 2.0**-24


def test_steps_are_those_counted_by_hand() -> None:
    # A box of 4 x 8: sizes are eighths. Moves of 1/4, 1/2 and 1: the root of the mean square is next to 1/2.
    drawing = [np.array([[2.0, 0, 0], [2, 2, 0.5]]), np.array([[2.0, 6, 0.5], [6, 6, 1.5], [6, 8, 2.5]])]
    field = Ink("drawing", 8.0, 0.5, None, 1.0, True)
    assert field.features == ("dx", "dy", "pen up", "speed", "curvature")
    speeds = [0, 0.25 / (0.25 + 0.5), 1, 0.5 / (0.5 + 1), 0.25 / (0.25 + 1)]
    expected = [
        [0, 0, 0, speeds[0], 0],
        [0, 0.5, 1, speeds[1], 0],
        [0, 1, 0, speeds[2], 0],
        [1, 0, 0, speeds[3], -0.5],
        [0, 0.5, 1, speeds[4], 0.5],
    ]
    np.testing.assert_array_equal(field.encode(drawing), np.array(expected, np.float32))
    back = field.decode(field.encode(drawing))
    for one, other in zip(drawing, back, strict=True):
        # The last bits of float32 in a speed move a time of some seconds by as many of its own.
        np.testing.assert_allclose(other, one - [2, 0, 0], atol=16 * EPS)


def test_the_position_is_told_from_the_middle_of_the_box_or_from_the_first_point() -> None:
    drawing = [np.array([[2.0, 0], [2, 2]]), np.array([[2.0, 6], [6, 6], [6, 8]])]
    places = np.array([[-1, -2], [-1, -1], [-1, 1], [1, 1], [1, 2]], np.float32)
    own, live = (Ink(per, 8.0, 0.5, position=True) for per in ("drawing", "training"))
    assert own.features == live.features == ("dx", "dy", "pen up", "x", "y")
    np.testing.assert_array_equal(own.encode(drawing)[:, 3:], places)
    np.testing.assert_array_equal(live.encode(drawing)[:, 3:], places - places[0])
    for found in (own, live):
        np.testing.assert_array_equal(found.encode(drawing)[:, :3], Ink(found.per, 8.0, 0.5).encode(drawing))
    # Where the pen went is what its moves add up to, also where points were left out.
    for field in (fitted("drawing", 0.3, position=True), fitted("training", 0.3, position=True)):
        for scribble in scribbles(20, seed=10):
            steps = field.encode(scribble).astype(np.float64)
            ways = 4 * field.spread * np.cumsum(steps[:, :2], axis=0)
            np.testing.assert_allclose(steps[:, 3:] - steps[0, 3:], ways, rtol=0, atol=4 * EPS * np.abs(ways).max())


def test_curvature_is_the_angle_of_complex_numbers() -> None:
    field = fitted("training", curvature=True)
    for drawing in scribbles(20, seed=4):
        steps = field.encode(drawing).astype(np.float64)
        moves = steps[:, 0] + 1j * steps[:, 1]
        turns = np.angle(moves[1:] * moves[:-1].conj()) / np.pi
        moving = (moves[1:] != 0) & (moves[:-1] != 0)
        assert (steps[1:, 3][~moving] == 0).all()
        # Straight back is half a turn to either side.
        difference = np.abs(turns - steps[1:, 3])[moving]
        assert np.minimum(difference, 2 - difference).max(initial=0) <= 2 * EPS


def test_a_turn_straight_back_is_positive_on_every_way() -> None:
    field = Ink("training", 1.0, 1.0, None, None, True)
    for way in ([1, 0], [-1, 0], [0, 1], [0, -1], [0.5, -0.25]):
        steps = field.encode([np.array([[0, 0], way, [0, 0]], np.float64)])
        assert steps[:, 3].tolist() == [0, 0, 1]


@pytest.mark.parametrize("place", [0.0, 1e3, -1e5])
def test_a_drawing_of_its_own_size_is_the_same_wherever_it_stands_and_however_large_it_is(place: float) -> None:
    field = fitted("drawing")
    for drawing in scribbles(10, seed=5):
        # Powers of two and whole numbers change no bit.
        moved = [stroke * [32, 32, 1] + [place, -place, 7] for stroke in drawing]
        assert np.array_equal(field.encode(drawing), field.encode(moved))


def test_steps_of_the_training_part_have_a_mean_square_near_one() -> None:
    for per, distance in itertools.product(["drawing", "training"], [None, 0.1]):
        field = fitted(per, distance)
        moves = np.concatenate([field.encode(drawing)[1:, :2] for drawing in DRAWINGS])
        # The power of two next to it is at most the root of two away.
        assert 0.5 <= np.mean(moves.astype(np.float64) ** 2) <= 2
        assert np.frexp(field.spread)[0] == 0.5


def test_equal_distances_are_equal_and_lie_on_the_line() -> None:
    field = fitted("training", 0.05)
    for drawing in scribbles(20, seed=6):
        back = field.decode(field.encode(drawing))
        origin = drawing[0][0, :2]
        assert len(back) == len(drawing)
        for stroke, points in zip(drawing, back, strict=True):
            gaps = np.hypot(*np.diff(points, axis=0).T) / field.size
            assert np.abs(gaps[:-1] - 0.05).max(initial=0) <= 2.0**-21
            assert gaps[-1:].max(initial=0) <= 0.05 + 2.0**-21
            # Both ends stay.
            for end in (0, -1):
                assert np.abs(points[end] + origin - stroke[end, :2]).max() <= 2 * field.size * 2.0**-24
            assert max(distance_to(point + origin, stroke[:, :2]) for point in points) <= field.size * 2.0**-22


def distance_to(point: np.ndarray, line: np.ndarray) -> float:
    """How far a point is from a line of pieces, by its definition."""
    begin, way = line[:-1], np.diff(line, axis=0)
    square = (way**2).sum(1)
    part = np.clip(((point - begin) * way).sum(1) / np.where(square > 0, square, 1), 0, 1)
    nearest = np.concatenate([begin + part[:, None] * way, line[-1:]])
    return float(np.hypot(*(nearest - point).T).min())


def test_a_point_stands_where_the_line_first_leaves_the_circle_around_the_last_one() -> None:
    random = np.random.default_rng(7)
    stroke = np.cumsum(random.normal(size=(200, 2)), axis=0)
    field = Ink("training", 10.0, 0.125, 0.2)
    (found,) = field.decode(field.encode([stroke]))
    # By brute force: the line in pieces so short that they end at most this far beyond the circle.
    pieces = 2000
    fine = np.concatenate(
        [a + (b - a) * np.arange(1, pieces + 1)[:, None] / pieces for a, b in itertools.pairwise(stroke)]
    )
    short = np.hypot(*np.diff(stroke, axis=0).T).max() / pieces
    at, start = stroke[0], 0
    for point in found[1:-1]:
        start += int(np.argmax(np.hypot(*(fine[start:] - at).T) >= 2.0 - 1e-6))
        assert np.hypot(*(fine[start] - (point + stroke[0]))) <= 3 * short
        at = point + stroke[0]
    assert len(fine) - start > 1


def test_the_points_that_set_the_size_stay() -> None:
    field = fitted("drawing", 0.3)
    for drawing in scribbles(40, seed=8):
        back = field.decode(field.encode(drawing))
        assert measured(back)[1] == pytest.approx(field.size if measured(drawing)[1] else 0.0, rel=1e-15)


def test_dots_and_strokes_that_rest_have_finite_steps() -> None:
    rest = [np.array([[5.0, 5, 0]] * 3), np.array([[5.0, 5, 2]])]
    for per, distance, speed, curvature, position in OPTIONS:
        field = fitted(per, distance, speed, curvature, position)
        assert field.encode(DOT).tolist() == [[0, 0, 1] + [0] * (field.width - 3)]
        steps = field.encode(rest)
        assert not np.delete(steps, 2, axis=1).any()
        assert steps[:, 2].sum() == 2
        assert [stroke.shape[1] for stroke in field.decode(steps)] == [2 + speed] * 2
        assert field.encode([]).shape == (0, field.width)
        assert field.decode(np.zeros((0, field.width), np.float32)) == []


def test_fields_of_dots_alone_are_fields() -> None:
    field = Ink.fit([DOT, DOT], "training", speed=True)
    assert (field.size, field.spread, field.pace) == (1, 1, 1)
    assert field.encode(DOT).tolist() == [[0, 0, 1, 0]]


def test_a_stroke_that_no_pen_up_ends_ends_with_the_drawing() -> None:
    field = Ink("training", 1.0, 1.0)
    strokes = field.decode(np.array([[0, 0, 0.4], [1, 0, 0.6], [0, 1, 0.5], [1, 1, 0.1]]))
    assert [stroke.tolist() for stroke in strokes] == [[[0, 0], [1, 0]], [[1, 1], [2, 2]]]


def test_drawings_of_numbers_at_the_ends_of_float64_are_steps_or_a_sentence() -> None:
    field = fitted("drawing")
    tiny = field.encode([np.array([[0.0, 0], [5e-324, 0], [1e-323, 5e-324]])])
    assert (tiny[:, :2] * field.spread).tolist() == [[0, 0], [0.5, 0], [0.5, 0.5]]
    with pytest.raises(DataError, match="whose sides are numbers"):
        field.encode([np.array([[-1.7e308, 0], [1.7e308, 0]])])
    with pytest.raises(DataError, match=r"points within 1,048,576 times .*got \[1\.7e\+308, 0\.0\]"):
        fitted("training").encode([np.array([[-1.7e308, 0], [1.7e308, 0]])])
    far = fitted("training", speed=True).encode([np.array([[0, 0, -1.7e308], [1, 0, 1.7e308]])])
    assert np.isfinite(far).all()


def test_names_of_drawings_count_strokes_and_points() -> None:
    field = fitted("drawing")
    assert field.say([np.zeros((60, 2)), np.zeros((49, 2)), np.zeros((1, 2))]) == "3 strokes of 110 points"
    assert field.say(DOT) == "1 stroke of 1 point"


def test_the_field_survives_json_bit_for_bit() -> None:
    for per, distance, speed, curvature, position in OPTIONS:
        field = fitted(per, distance, speed, curvature, position)
        again = Ink.from_json(json.loads(json.dumps(field.to_json())))
        assert again == field
        assert np.array_equal(again.encode(DRAWINGS[0]), field.encode(DRAWINGS[0]))


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0.0}, {"size": float("nan")}, {"spread": 0.3}, {"spread": 2.0**-1000}, {"distance": 1e-9},
     {"pace": -1.0}, {"per": "word"}, {"curvature": 1}, {"position": 0}],
)  # fmt: skip
def test_numbers_that_no_data_have_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ModelFileError, match="load:"):
        Ink.from_json({**fitted("drawing", 0.1, True).to_json(), **wrong})


def test_mistakes_are_named() -> None:
    plain = [stroke[:, :2] for stroke in DRAWINGS[0]]
    field = fitted("training", 0.01, speed=True)
    with pytest.raises(DataError, match="expected times for the feature of speed"):
        field.encode(plain)
    with pytest.raises(DataError, match="expected times in every training drawing"):
        Ink.fit([DRAWINGS[0], plain], speed=True)
    with pytest.raises(DataError, match="at least one drawing"):
        Ink.fit([])
    with pytest.raises(OptionError, match=r"drawing, training, got 'drawings'.*Did you mean 'drawing'"):
        Ink.fit(DRAWINGS, "drawings")
    for distance in (0, 2, float("nan"), -0.1):
        with pytest.raises(OptionError, match=r"distance must lie in 0\.001\.\.1"):
            Ink.fit(DRAWINGS, distance=distance)
    with pytest.raises(DataError, match=r"the steps as \(steps, 4\), got \(3, 3\)"):
        field.decode(np.zeros((3, 3)))
    with pytest.raises(DataError, match="finite steps"):
        field.decode(np.full((3, 4), np.nan))
    with pytest.raises(DataError, match=r"100,000 times the distance of 0\.01 apart"):
        field.encode([np.array([[0, 0, 0], [1e6, 0, 1]])])
    with pytest.raises(NotStreamable, match="per='training'"):
        fitted("drawing").front()
    assert (fitted("drawing").streamable, field.streamable) == (False, True)
