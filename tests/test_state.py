"""States as trees."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from unrolled.errors import ModelFileError, ShapeError
from unrolled.state import (
    HState,
    concat_rows,
    detach,
    from_bytes,
    leaves,
    map_state,
    rows,
    select_rows,
    split_rows,
    to_bytes,
    where_rows,
)


class Pair(NamedTuple):
    h: Tensor
    extra: Tensor | None


class Nested(NamedTuple):
    low: Pair
    high: tuple[HState, Tensor]


def nested(batch: int = 3) -> Nested:
    h = torch.arange(2.0 * batch, dtype=torch.float64).view(batch, 2)
    count = torch.arange(batch)
    return Nested(Pair(h, None), (HState(10 + h), count))


def test_map_keeps_structure_and_none() -> None:
    doubled = map_state(lambda leaf: 2 * leaf, nested())
    assert isinstance(doubled, Nested)
    assert isinstance(doubled.low, Pair)
    assert doubled.low.extra is None
    assert type(doubled.high) is tuple
    assert torch.equal(doubled.high[0].h, 2 * nested().high[0].h)


def test_map_walks_several_states_together() -> None:
    total = map_state(lambda a, b, c: a + b + c, nested(), nested(), nested())
    assert torch.equal(total.low.h, 3 * nested().low.h)


@pytest.mark.parametrize(
    "other",
    [
        HState(torch.zeros(3, 2)),
        Nested(Pair(torch.zeros(3, 2), None), (HState(torch.zeros(3, 2)),)),  # type: ignore[arg-type]
        Nested(HState(torch.zeros(3, 2)), (HState(torch.zeros(3, 2)), torch.zeros(3))),  # type: ignore[arg-type]
        "text",
    ],
)
def test_map_refuses_states_of_another_structure(other: object) -> None:
    with pytest.raises(ShapeError, match=r"state: expected the structure .*, got .*; pass the state that this layer"):
        map_state(lambda a, b: a, nested(), other)


def test_map_refuses_what_is_no_state() -> None:
    with pytest.raises(ShapeError, match="expected tensors in \\(named\\) tuples, got dict"):
        map_state(lambda leaf: leaf, {"h": torch.zeros(1)})


@pytest.mark.parametrize("other", [None, HState(torch.zeros(3, 2))])
def test_map_refuses_a_leaf_against_anything_but_a_leaf(other: object) -> None:
    with pytest.raises(ShapeError, match="expected the structure"):
        map_state(lambda a, b: a, HState(torch.zeros(3, 2)), HState(other))  # type: ignore[arg-type]


def test_leaves_come_in_order_without_none() -> None:
    assert [tuple(leaf.shape) for leaf in leaves(nested())] == [(3, 2), (3, 2), (3,)]
    assert rows(nested()) == 3


def test_select_repeats_and_reorders_rows() -> None:
    for index in ([2, 0, 2], torch.tensor([2, 0, 2]), torch.tensor([2, 0, 2], dtype=torch.int16)):
        picked = select_rows(nested(), index)
        assert picked.low.h[:, 0].tolist() == [4, 0, 4]
        assert picked.high[1].tolist() == [2, 0, 2]


def test_select_carries_gradients_to_the_rows_it_took() -> None:
    state = HState(torch.zeros(3, 2, requires_grad=True))
    select_rows(state, [0, 0, 2]).h.sum().backward()  # type: ignore[no-untyped-call]
    assert state.h.grad is not None
    assert state.h.grad[:, 0].tolist() == [2, 0, 1]


def test_split_and_concat_are_inverse() -> None:
    for sizes in (None, [1, 2], [0, 3], [3]):
        parts = split_rows(nested(), sizes)
        assert [rows(part) for part in parts] == (sizes or [1, 1, 1])
        joined = concat_rows(parts)
        assert all(torch.equal(a, b) for a, b in zip(leaves(joined), leaves(nested()), strict=True))


@pytest.mark.parametrize("sizes", [[1, 1], [2, 2], [4, -1], []])
def test_split_refuses_sizes_that_do_not_add_up(sizes: list[int]) -> None:
    with pytest.raises(ShapeError, match=r"split_rows: sizes must be at least 0 and add up to the 3 rows of the state"):
        split_rows(nested(), sizes)


def test_concat_refuses_nothing() -> None:
    with pytest.raises(ShapeError, match="concat_rows: expected at least one state, got none"):
        concat_rows([])


def test_detach_cuts_the_graph_and_keeps_the_values() -> None:
    weight = torch.ones(3, 2, requires_grad=True)
    state = detach(HState(2 * weight))
    assert not state.h.requires_grad
    assert state.h.tolist() == [[2, 2]] * 3


def test_where_rows_picks_row_by_row() -> None:
    other = map_state(torch.zeros_like, nested())
    mixed = where_rows(torch.tensor([True, False, True]), nested(), other)
    assert mixed.low.h[:, 1].tolist() == [1, 0, 5]
    assert mixed.high[1].tolist() == [0, 0, 2]


def test_where_rows_takes_one_row_for_all() -> None:
    start = HState(torch.full((1, 2), 7.0))
    mixed = where_rows(torch.tensor([True, False]), start, HState(torch.zeros(2, 2)))
    assert mixed.h.tolist() == [[7, 7], [0, 0]]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_bytes_return_every_dtype_bit_for_bit(dtype: torch.dtype) -> None:
    state = Pair(torch.randn(3, 2, 4).to(dtype).transpose(1, 2), None)
    back = from_bytes(to_bytes(state), Pair(torch.zeros(1, 4, 2), None))
    assert isinstance(back, Pair)
    assert back.h.dtype == dtype
    assert torch.equal(back.h, state.h)


def test_bytes_hold_integers_booleans_and_empty_rows() -> None:
    state = (torch.tensor([True, False]), torch.tensor([1, -2]), torch.zeros(2, 0))
    back = from_bytes(to_bytes(state), state)
    assert [leaf.tolist() for leaf in back] == [leaf.tolist() for leaf in state]
    none = HState(torch.zeros(0, 3))
    assert from_bytes(to_bytes(none), HState(torch.zeros(1, 3))).h.shape == (0, 3)


def test_bytes_read_back_are_writable_and_their_own() -> None:
    data = to_bytes(nested())
    state = from_bytes(data, nested())
    state.low.h.add_(1)
    assert torch.equal(from_bytes(data, nested()).low.h, nested().low.h)


@pytest.mark.parametrize("keep", [0, 4, 8, 20, -1])
def test_bytes_cut_short_are_refused(keep: int) -> None:
    with pytest.raises(ModelFileError, match="state: "):
        from_bytes(to_bytes(nested())[:keep], nested())


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        b"",
        (4).to_bytes(8, "little") + b"null",
        (2).to_bytes(8, "little") + b"{}",
        (7).to_bytes(8, "little") + b'["abc"]',
        (20).to_bytes(8, "little") + b'[["float32", [-1]]] ',
        (22).to_bytes(8, "little") + b'[["float32", [2, 4]]] ' + b"\0" * 3,
        (27).to_bytes(8, "little") + b'[["os.system", [2, 4]]]    ',
        to_bytes(nested()) + b"more",
    ],
)
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ModelFileError, match="state: "):
        from_bytes(data, nested())


def test_bytes_of_another_layer_are_refused() -> None:
    with pytest.raises(ModelFileError, match=r"expected leaves shaped \[\(5,\)\] a row, got \[\(4,\)\]; the snapshot"):
        from_bytes(to_bytes(HState(torch.zeros(2, 4))), HState(torch.zeros(1, 5)))


def test_bytes_whose_leaves_disagree_in_rows_are_refused() -> None:
    with pytest.raises(ModelFileError, match="rows"):
        from_bytes(to_bytes((torch.zeros(2, 4), torch.zeros(3, 4))), (torch.zeros(1, 4), torch.zeros(1, 4)))
