"""Palettes: the laws, small pictures by hand, colours that there are, and what is no picture."""

import json

import numpy as np
import pytest

from unrolled.errors import DataError, ModelFileError, OptionError
from unrolled.fields import Palette
from unrolled.testing import check_field

WHITE, RED, BLUE = (255, 255, 255), (220, 20, 20), (20, 20, 220)


def painted(*rows: str) -> np.ndarray:
    """A picture of letters: w, r and b."""
    table = {"w": WHITE, "r": RED, "b": BLUE}
    return np.array([[table[letter] for letter in row] for row in rows], np.uint8)


def random_pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, (int(random.integers(1, 30)), 20, 3), np.uint8) for _ in range(count)]


@pytest.mark.parametrize(("size", "colours"), [(2, 2), (8, 16), (16, 5)])
def test_a_palette_keeps_the_laws_of_fields(size: int, colours: int) -> None:
    field = Palette.fit(random_pictures(9), size, colours)
    assert len(field.colours) == colours
    check_field(field, fit=lambda rows, n: Palette.fit(rows[:n], size, colours), rows=random_pictures(10, 1))


def test_codes_stand_in_reading_order_dark_colours_first() -> None:
    picture = painted("rw", "bw")
    field = Palette.fit([picture], 2, 3)
    assert field.colours == (BLUE, RED, WHITE)
    assert field.encode(picture).tolist() == [1, 2, 0, 2]
    assert np.array_equal(field.decode(np.array([1, 2, 0, 2])), picture)


def test_each_pixel_is_the_mean_of_its_part_of_the_picture() -> None:
    # Three columns on two: each pixel holds one and a half of them.
    field = Palette(2, ((0, 0, 0), (85, 85, 85), (170, 170, 170), (255, 255, 255)))
    picture = np.array([[0, 255, 255]] * 3, np.uint8)
    assert field.encode(picture).tolist() == [1, 3, 1, 3]
    # One pixel on four.
    assert field.encode(np.array([[170]])).tolist() == [2] * 4


def test_what_is_no_square_stands_in_the_middle_of_a_white_one_and_what_is_clear_is_white() -> None:
    field = Palette(4, (BLUE, RED, WHITE))
    assert (
        field.decode(field.encode(painted("rrrr", "bbbb"))).tolist() == painted("wwww", "rrrr", "bbbb", "wwww").tolist()
    )
    clear = np.concatenate([painted("rb", "rb"), np.array([[[255], [0]], [[255], [0]]], np.uint8)], axis=2)
    assert field.decode(field.encode(clear)).tolist() == painted("rrww", "rrww", "rrww", "rrww").tolist()


def test_no_more_colours_are_learned_than_there_are_and_none_twice() -> None:
    assert Palette.fit([painted("rr", "rr")], 2, 16).colours == (RED,)
    assert len(Palette.fit([np.full((1, 1), 7, np.uint8)], 16, 16).colours) == 1


def test_colours_lie_nearer_to_the_pixels_than_steps_of_equal_size() -> None:
    random = np.random.default_rng(0)
    centres = random.integers(0, 256, (6, 3))
    picture = np.clip(centres[random.integers(6, size=(32, 32))] + random.integers(-3, 4, (32, 32, 3)), 0, 255)
    field = Palette.fit([picture], 32, 6)
    # Every pixel lies within three of its centre in each colour, and each learned colour within as many of its mean.
    assert np.abs(field.decode(field.encode(picture)).astype(int) - picture).max() <= 6


def test_the_same_pictures_give_the_same_colours_in_any_order() -> None:
    pictures = random_pictures(6)
    assert Palette.fit(pictures, 4, 8) == Palette.fit(pictures[::-1], 4, 8)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((0, 4), np.uint8),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((4, 4)),
        np.full((4, 4), 256),
        np.full((2, 2), -1),
    ],
)
def test_what_is_no_picture_is_told(value: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"expected a picture as \(height, width\)"):
        Palette(2, (RED, BLUE)).encode(value)


def test_what_is_no_palette_is_told() -> None:
    with pytest.raises(OptionError, match=r"size must lie in 2\.\.128, got 1"):
        Palette.fit([painted("rb")], 1)
    with pytest.raises(OptionError, match=r"colours must lie in 2\.\.256, got 1000"):
        Palette.fit([painted("rb")], 2, 1000)
    with pytest.raises(DataError, match="at least one picture"):
        Palette.fit([])
    with pytest.raises(DataError, match="expected 4 codes of a picture"):
        Palette(2, (RED, BLUE)).decode(np.zeros(3, int))
    with pytest.raises(DataError, match="expected codes from 0 to 1, got 0, 7"):
        Palette(2, (RED, BLUE)).decode(np.array([0, 7, 0, 0]))
    whole = json.loads(json.dumps(Palette(2, (RED, BLUE)).to_json()))
    for wrong in ({"size": 1}, {"colours": []}, {"colours": [[0, 0, 256]]}, {"colours": [[1, 2, 3], [1, 2, 3]]}):
        with pytest.raises(ModelFileError, match="expected a Palette of distinct colours"):
            Palette.from_json({**whole, **wrong})
