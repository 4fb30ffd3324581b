"""Right padding: masks, reversal, the last step, and PackedSequence."""

from __future__ import annotations

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from unrolled.errors import LengthsError
from unrolled.padding import (
    from_packed,
    last_step,
    resets_from_the_right,
    reverse_padded,
    to_packed,
    valid_mask,
    zero_padding,
)

LENGTHS = torch.tensor([4, 2, 0, 1])


def numbered(features: int = 1) -> torch.Tensor:
    steps = torch.arange(1.0, 5.0)[None, :, None] + 10 * torch.arange(4.0)[:, None, None]
    return steps.expand(4, 4, features).double()


def test_valid_mask_counts_from_the_left() -> None:
    assert valid_mask(LENGTHS, 4).int().tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_zero_padding_selects_so_that_nan_leaves_no_trace() -> None:
    x = numbered().clone()
    x[1, 2:] = float("nan")
    x.requires_grad_()
    y = zero_padding(x, LENGTHS)
    assert y[1].flatten().tolist() == [11, 12, 0, 0]
    y.square().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad[1].flatten().tolist() == [22, 24, 0, 0]


def test_zero_padding_without_lengths_gives_x_itself() -> None:
    x = numbered()
    assert zero_padding(x, None) is x


@pytest.mark.parametrize("trailing", [(), (2,), (2, 3)])
def test_zero_padding_and_reversal_take_any_trailing_dimensions(trailing: tuple[int, ...]) -> None:
    x = torch.randn(4, 4, *trailing)
    assert zero_padding(x, LENGTHS).shape == x.shape
    assert torch.equal(reverse_padded(x, LENGTHS)[1, 0], x[1, 1])


def test_reversal_turns_valid_steps_and_leaves_padding_in_place() -> None:
    assert reverse_padded(numbered(), LENGTHS)[..., 0].tolist() == [
        [4, 3, 2, 1],
        [12, 11, 13, 14],
        [21, 22, 23, 24],
        [31, 32, 33, 34],
    ]


def test_reversal_twice_is_nothing() -> None:
    for lengths in (LENGTHS, None):
        assert torch.equal(reverse_padded(reverse_padded(numbered(3), lengths), lengths), numbered(3))


def test_reversed_resets_stand_where_each_segment_ended() -> None:
    reset = torch.zeros(4, 4, dtype=torch.bool)
    reset[0, 0] = reset[0, 1] = reset[1, 1] = True
    # Row 0 has the segments [0], [1 2 3]; reversed: [3 2 1], [0]. Row 1: [0], [1] -> [1], [0].
    found = reverse_padded(resets_from_the_right(reset), LENGTHS)
    assert found.int().tolist() == [[0, 0, 0, 1], [0, 1, 0, 0], [0] * 4, [0] * 4]


def test_reversed_resets_of_one_and_two_steps() -> None:
    assert resets_from_the_right(torch.ones(1, 1, dtype=torch.bool)).tolist() == [[False]]
    assert resets_from_the_right(torch.ones(1, 2, dtype=torch.bool)).tolist() == [[True, False]]


def test_last_step_is_the_last_valid_one_and_zero_for_an_empty_row() -> None:
    for kind in (torch.int64, torch.int32, torch.uint8):
        assert last_step(numbered(), LENGTHS.to(kind)).flatten().tolist() == [4, 12, 0, 31]
    assert last_step(numbered(), None).flatten().tolist() == [4, 14, 24, 34]


def test_nan_in_the_padding_does_not_reach_the_last_step() -> None:
    y = numbered().masked_fill(~valid_mask(LENGTHS, 4)[..., None], float("nan")).requires_grad_()
    last = last_step(y, LENGTHS)
    assert torch.isfinite(last).all()
    last.sum().backward()  # type: ignore[no-untyped-call]
    assert y.grad is not None
    assert torch.isfinite(y.grad).all()


@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packed_sequences_go_there_and_back(enforce_sorted: bool) -> None:
    lengths = torch.tensor([4, 2, 1]) if enforce_sorted else torch.tensor([2, 4, 1])
    x = zero_padding(numbered(2)[:3], lengths)
    packed = to_packed(x, lengths, enforce_sorted=enforce_sorted)
    theirs = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=enforce_sorted)
    assert torch.equal(packed.data, theirs.data)
    back, counts = from_packed(packed)
    assert torch.equal(back, x)
    assert counts.tolist() == lengths.tolist()
    assert torch.equal(pad_packed_sequence(packed, batch_first=True)[0], back)


def test_a_row_of_length_zero_cannot_be_packed_and_the_error_says_so() -> None:
    with pytest.raises(LengthsError, match="holds no row of length 0; drop such rows"):
        to_packed(numbered(), LENGTHS)
