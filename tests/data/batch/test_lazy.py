"""Items made when they are asked for: batches as of a Ragged, those used last are kept, what has changed is told."""

from __future__ import annotations

import pickle
import weakref

import numpy as np
import pytest
import torch

from unrolled.data import LazyRagged, PaddedColumn, Ragged
from unrolled.errors import DataError

WIDTH = 3
STEP = 4 * WIDTH
"""Bytes of a step of float32."""


class Maker:
    """Copies of items, and which were asked for; `alive` tells how many bytes of them are still held."""

    def __init__(self, items: list[np.ndarray]) -> None:
        self.items, self.asked, self._made = items, list[int](), list[weakref.ref[np.ndarray]]()

    def __call__(self, i: int) -> np.ndarray:
        item = self.items[i].copy()
        self.asked.append(i)
        self._made.append(weakref.ref(item))
        return item

    @property
    def alive(self) -> int:
        return sum(item.nbytes for made in self._made if (item := made()) is not None)


def drawn(random: np.random.Generator, count: int = 9) -> list[np.ndarray]:
    return [random.normal(size=(n, WIDTH)).astype(np.float32) for n in random.integers(0, 7, count)]


def lazy(maker: Maker, room: int) -> LazyRagged:
    lengths = [len(item) for item in maker.items]
    return LazyRagged(maker, lengths, room=room, name="item {}".format, shape=(WIDTH,))


def misses(uses: list[int], sizes: list[int], room: int) -> list[int]:
    """Which of the uses find nothing, if those unused for longest make way."""
    order, missed = list[int](), list[int]()
    for i in uses:
        if i in order:
            order.remove(i)
        else:
            missed.append(i)
            if sizes[i] > room:
                continue
            while sum(sizes[j] for j in order) + sizes[i] > room:
                order.pop(0)
        order.append(i)
    return missed


@pytest.mark.parametrize("seed", range(20))
def test_batches_are_those_of_a_ragged_and_those_used_last_are_kept(seed: int) -> None:
    random = np.random.default_rng(seed)
    items = drawn(random)
    whole, maker = Ragged.from_list(items, np.float32), Maker(items)
    room = int(random.choice([0, STEP, 5 * STEP, 17 * STEP, 1000 * STEP]))
    some, uses = lazy(maker, room), list[int]()
    np.testing.assert_array_equal(some.lengths, whole.lengths)
    for _ in range(30):
        rows = random.integers(-len(items), len(items), random.integers(0, 5))
        least = int(random.integers(3))
        np.testing.assert_array_equal(some.pad(rows, least=least), whole.pad(rows, least=least))
        one, other = (PaddedColumn(ragged).take(rows) for ragged in (some, whole))
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.lengths, other.lengths)
        uses += 2 * (rows % len(items)).tolist()
        assert maker.alive <= room
    assert maker.asked == misses(uses, [item.nbytes for item in items], room)


def test_nothing_is_made_before_it_is_asked_for_nor_twice_where_all_have_room() -> None:
    items = drawn(np.random.default_rng(0))
    maker = Maker(items)
    some = lazy(maker, sum(item.nbytes for item in items))
    assert (len(some), maker.asked) == (9, [])
    for _ in range(3):
        for i in range(-9, 9):
            np.testing.assert_array_equal(some[i], items[i])
    assert sorted(maker.asked) == list(range(9))


@pytest.mark.parametrize(("changed", "how"), [
    (np.zeros((2, WIDTH), np.float32), "it had 4 steps and has 2 now"),
    (np.zeros((4, WIDTH), np.float32), "it holds something else than when it was read before"),
])  # fmt: skip
def test_an_item_that_has_changed_is_told(changed: np.ndarray, how: str) -> None:
    maker = Maker([np.ones((4, WIDTH), np.float32)])
    some = lazy(maker, 0)
    np.testing.assert_array_equal(some[0], maker.items[0])
    maker.items = [changed]
    with pytest.raises(DataError) as caught:
        some.pad([0])
    assert str(caught.value) == (
        f"item 0 has changed since training or prediction began ({how}): leave it as it is until they are done."
    )


def test_an_item_of_another_length_than_promised_is_told_at_once() -> None:
    some = LazyRagged(Maker([np.ones((4, WIDTH), np.float32)]), [5], room=99, name=str, shape=(WIDTH,))
    with pytest.raises(DataError, match="it had 5 steps and has 4 now"):
        some.pad([0])


def plain(i: int) -> np.ndarray:
    """An item of 1,000 steps."""
    return np.full((1000, WIDTH), i, np.float32)


def test_a_copy_for_another_process_gives_the_same_and_takes_nothing_along() -> None:
    some = LazyRagged(plain, [1000] * 9, room=4000 * STEP, name=str, shape=(WIDTH,))
    rows = [4, 1, 7, 4]
    expected = some.pad(rows)
    packed = pickle.dumps(some)
    assert len(packed) < 1000 * STEP
    np.testing.assert_array_equal(pickle.loads(packed).pad(rows), expected)


def test_an_item_that_is_not_there_is_refused() -> None:
    with pytest.raises(IndexError, match="below 9, got 9"):
        lazy(Maker(drawn(np.random.default_rng(0))), 0)[9]
