"""The field of pictures: its laws, its sizes, colours and statistics, and lines as they come."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, ModelFileError, NotStreamable, OptionError
from unrolled.fields import Image, field_from_json, field_to_json
from unrolled.testing import check_field

pytest.importorskip("PIL")


def pictures(count: int = 6, size: tuple[int, int] = (6, 4), channels: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    shape = size if channels == 1 else (*size, channels)
    return [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("options", [
    {"steps": "rows"}, {"steps": "columns"}, {"steps": "pixels"}, {"steps": "pixels", "colour": "colour"},
    {"size": (5, 7), "steps": "rows", "colour": "grey"}, {"size": (5, None), "steps": "columns"},
    {"size": (9, None), "steps": "columns", "colour": "colour"}, {"size": (1, 1)},
])  # fmt: skip
def test_the_field_keeps_the_laws_of_fields(options: dict[str, Any]) -> None:
    for channels in (1, 3):
        rows = pictures(channels=channels)
        check_field(Image.fit(rows, **options), fit=lambda some, n: Image.fit(some[:n], **options), rows=rows)


def test_steps_are_rows_columns_or_pixels() -> None:
    (picture,) = pictures(1)
    rows, columns, pixels = (Image.fit([picture], steps=steps).encode(picture) for steps in
                             ("rows", "columns", "pixels"))  # fmt: skip
    assert (rows.shape, columns.shape, pixels.shape) == ((6, 12), (4, 18), (24, 3))
    as_picture = rows.reshape(6, 4, 3)
    assert np.array_equal(columns.reshape(4, 6, 3).swapaxes(0, 1), as_picture)
    assert np.array_equal(pixels.reshape(6, 4, 3), as_picture)


def test_what_is_around_a_picture_is_zero_and_pixels_are_measured_from_there() -> None:
    random = np.random.default_rng(1)
    some = [np.full((8, 8), 250, np.uint8) for _ in range(5)]
    for picture in some:
        picture[1:-1, 1:-1] = random.integers(0, 256, (6, 6))
    encoded = np.stack([Image.fit(some).encode(picture) for picture in some])
    assert not encoded[:, [0, -1]].any()
    # The mean square of numbers of float32, of some hundred of them.
    assert abs((encoded.astype(np.float64) ** 2).mean() - 1) < 1e-5


def test_a_picture_that_never_changes_is_zero() -> None:
    assert not Image.fit([np.full((3, 3), 9, np.uint8)]).encode(np.full((3, 3), 9, np.uint8)).any()


def test_the_size_is_that_in_the_middle_and_not_too_large() -> None:
    assert Image.fit(pictures(size=(6, 4))).size == (6, 4)
    assert Image.fit([*pictures(size=(6, 4)), *pictures(2, (60, 10))]).size == (6, 4)
    assert Image.fit(pictures(2, (300, 100))).size == (64, 21)


def test_the_colour_is_grey_where_all_pictures_are() -> None:
    grey = pictures(channels=1)
    same = [np.repeat(picture[..., None], 3, axis=2) for picture in grey]
    assert Image.fit(grey).colour == Image.fit(same).colour == "grey"
    assert Image.fit([*grey, *pictures(1)]).colour == "colour"


def test_grey_is_as_bright_as_pillow_has_it() -> None:
    kind = pytest.importorskip("PIL.Image")
    (picture,) = pictures(1)
    field = Image.fit([picture], colour="grey")
    assert np.array_equal(field.decode(field.encode(picture)), np.asarray(kind.fromarray(picture).convert("L")))


def test_another_size_is_fitted_in_with_its_own_shape() -> None:
    field = Image.fit([np.full((8, 8), 200, np.uint8)])
    wide = field.decode(field.encode(np.zeros((4, 16), np.uint8)))
    assert wide.shape == (8, 8)
    assert (wide[3:5] == 0).all()
    assert (wide[[0, 1, 2, 5, 6, 7]] == 200).all()
    high = field.decode(field.encode(np.zeros((16, 2), np.uint8)))
    assert (high[:, 3] == 0).all()
    assert (high[:, [0, 1, 2, 4, 5, 6, 7]] == 200).all()
    thin = field.decode(field.encode(np.zeros((1, 400), np.uint8)))
    assert int((thin == 0).sum()) == 8


def test_a_line_keeps_its_shape_at_the_height_of_the_field() -> None:
    field = Image.fit(pictures(2, (8, 20), 1), size=(8, None), steps="columns")
    for size, columns in (((8, 20), 20), ((16, 20), 10), ((4, 5), 10), ((300, 1), 1)):
        encoded = field.encode(np.zeros(size, np.uint8))
        assert encoded.shape == (columns, 8)
        assert field.length(size) == columns
    with pytest.raises(DataError, match=r"at most 20,000 columns, got 40,000 x 8 pixels, which are 40,000"):
        field.encode(np.zeros((8, 40_000), np.uint8))


@pytest.mark.parametrize("seed", range(5))
def test_a_line_in_pieces_gives_the_steps_of_the_whole(seed: int) -> None:
    random = np.random.default_rng(seed)
    field = Image.fit(pictures(2, (8, 20)), size=(8, None), steps="columns", colour="grey")
    line = random.integers(0, 256, (8, 50, 3), dtype=np.uint8)
    front, cuts = field.front(), np.sort(random.integers(0, 51, 6))
    found = [front.push(piece) for piece in np.split(line, cuts, axis=1)]
    assert np.array_equal(np.concatenate([*found, front.flush()]), field.encode(line))
    with pytest.raises(DataError, match="8 pixels high, got 9"):
        front.push(np.zeros((9, 3), np.uint8))


def test_what_has_one_size_is_not_read_while_it_comes() -> None:
    with pytest.raises(NotStreamable, match="pictures of one size"):
        Image.fit(pictures()).front()


@pytest.mark.parametrize(("value", "said"), [
    (np.zeros(4), r"got float64 \(4,\)"), (np.zeros((4, 4, 2), np.uint8), r"got uint8 \(4, 4, 2\)"),
    (np.array([["a"]]), r"got <U1 \(1, 1\)"), (np.zeros((0, 4), np.uint8), "at least one pixel"),
    (np.full((2, 2), 1.5), "from 1.5 to 1.5: scale them"), (np.full((2, 2), np.nan), "from nan to nan"),
    (np.full((2, 2), 256), "from 256 to 256"), (np.full((2, 2), -1), "from -1 to -1"),
])  # fmt: skip
def test_what_is_no_picture_is_refused(value: np.ndarray, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Image.fit(pictures()).encode(value)


def test_floats_and_truths_are_black_to_white() -> None:
    field = Image.fit([np.zeros((1, 3), np.uint8)])
    assert field.decode(field.encode(np.array([[0, 0.5, 1]]))).tolist() == [[0, 128, 255]]
    assert field.decode(field.encode(np.array([[True, False, True]]))).tolist() == [[255, 0, 255]]
    assert field.decode(field.encode(np.array([[0, 7, 255]]))).tolist() == [[0, 7, 255]]


def test_pictures_of_pillow_are_pictures() -> None:
    kind = pytest.importorskip("PIL.Image")
    (picture,) = pictures(1)
    field = Image.fit([picture])
    assert np.array_equal(field.encode(kind.fromarray(picture)), field.encode(picture))
    file = io.BytesIO()
    kind.fromarray(np.random.default_rng(0).integers(0, 256, (50, 50), dtype=np.uint8)).save(file, "png")
    cut = kind.open(io.BytesIO(file.getvalue()[:1000]))
    with pytest.raises(DataError, match=r"Image cannot be decoded .*: give a whole picture"):
        field.encode(cut)
    covered = np.dstack([picture, np.zeros((6, 4), np.uint8)])
    assert (field.decode(field.encode(covered)) == 255).all()


def test_steps_of_another_shape_are_no_picture() -> None:
    field = Image.fit(pictures())
    for wrong in (np.zeros((5, 12)), np.zeros((6, 11)), np.full((6, 12), np.nan)):
        with pytest.raises(DataError, match=r"expected finite numbers \(6, 12\)"):
            field.decode(wrong)


def test_there_must_be_a_picture_and_a_size() -> None:
    with pytest.raises(DataError, match="at least one picture to fit, got none"):
        Image.fit([])
    with pytest.raises(OptionError, match="at least 1 x 1, got 0 x 3"):
        Image.fit(pictures(), size=(0, 3))
    with pytest.raises(OptionError, match="lines of any width are read by columns, got steps='rows'"):
        Image.fit(pictures(), size=(8, None))


@pytest.mark.parametrize("change", [
    {"size": [None, 4]}, {"size": [6, 4, 3]}, {"size": [0, 4]}, {"colour": "red"}, {"steps": "bits"},
    {"size": [6, None]},
    {"number": {"kind": "standard", "columns": 1, "center": [[0.0]], "scale": [[1.0]]}},
])  # fmt: skip
def test_a_saved_field_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelFileError):
        field_from_json({**field_to_json(Image.fit(pictures())), **change})
