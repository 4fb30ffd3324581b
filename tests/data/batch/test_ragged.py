"""Items of different lengths: cut, selected, joined and padded."""

from __future__ import annotations

import numpy as np
import pytest

from unrolled.data import Ragged
from unrolled.errors import DataError


def items(seed: int = 0, shape: tuple[int, ...] = ()) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.integers(1, 99, (length, *shape)).astype(np.int32) for length in (3, 0, 1, 7, 0, 5)]


@pytest.mark.parametrize("shape", [(), (4,)], ids=["codes", "channels"])
def test_items_come_back_as_they_went_in(shape: tuple[int, ...]) -> None:
    given = items(shape=shape)
    ragged = Ragged.from_list(given)
    assert len(ragged) == len(given)
    assert ragged.values.dtype == np.int32
    assert ragged.lengths.tolist() == [3, 0, 1, 7, 0, 5]
    for i, item in enumerate(given):
        np.testing.assert_array_equal(ragged[i], item)
        np.testing.assert_array_equal(ragged[i - len(given)], item)
    assert [len(item) for item in ragged] == [3, 0, 1, 7, 0, 5]


def test_an_empty_list_among_integers_leaves_them_integers() -> None:
    assert Ragged.from_list([[], [1, 2]]).values.dtype == np.int64
    assert Ragged.from_list([]).values.dtype == np.int64
    assert Ragged.from_list([[1]], dtype=np.float32).values.dtype == np.float32


@pytest.mark.parametrize("shape", [(), (4,), (2, 3)], ids=["codes", "channels", "matrices"])
@pytest.mark.parametrize("rows", [[0, 3, 1], [1, 4], [3, 3, 0], [5], []], ids=str)
@pytest.mark.parametrize("fill", [0, -1])
def test_padding_agrees_with_one_row_after_the_other(shape: tuple[int, ...], rows: list[int], fill: int) -> None:
    given = items(shape=shape)
    longest = max((len(given[i]) for i in rows), default=0)
    expected = np.full((len(rows), longest, *shape), fill, np.int32)
    for b, i in enumerate(rows):
        expected[b, : len(given[i])] = given[i]
    padded = Ragged.from_list(given).pad(rows, fill=fill)
    assert padded.dtype == np.int32
    np.testing.assert_array_equal(padded, expected)


def test_a_batch_of_empty_items_can_be_given_one_step() -> None:
    assert Ragged.from_list(items()).pad([1, 4]).shape == (2, 0)
    assert Ragged.from_list(items()).pad([1, 4], least=1).tolist() == [[0], [0]]


def test_selecting_and_joining_keep_every_item() -> None:
    given = items()
    ragged = Ragged.from_list(given)
    rows = [5, 1, 0, 5]
    both = Ragged.concat([ragged.select(rows), ragged])
    for got, expected in zip(both, [*(given[i] for i in rows), *given], strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("offsets", [[0, 2], [1, 3], [0, 3, 2, 3], [], [[0, 3]]])
def test_offsets_that_do_not_cut_the_values_are_refused(offsets: list[int]) -> None:
    with pytest.raises(DataError, match="offsets must rise from 0 to the 3 values"):
        Ragged(np.arange(3), np.array(offsets, np.int64))


def test_an_item_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="below 6, got 6"):
        Ragged.from_list(items())[6]
    with pytest.raises(DataError, match="at least one part"):
        Ragged.concat([])
