"""Inputs stacked into frames: against the definition row by row, and piece by piece."""

from __future__ import annotations

import pytest
import torch

from unrolled.errors import OptionError
from unrolled.nn import SeriesReader
from unrolled.nn.reading.frames import StackedReader, frames_of
from unrolled.padding import Padded, valid_mask

LENGTHS = torch.tensor([7, 4, 1, 0])


def series() -> Padded:
    x = torch.randn(4, 7, 3, generator=torch.Generator().manual_seed(0))
    return Padded(torch.where(valid_mask(LENGTHS, 7)[..., None], x, float("nan")), LENGTHS)


@pytest.mark.parametrize("stride", [1, 2, 3, 8])
def test_a_frame_holds_the_steps_that_follow_each_other(stride: int) -> None:
    x, reader = series(), StackedReader(SeriesReader(3), stride)
    got, frames = reader(x), reader.frames(LENGTHS).tolist()
    assert got.shape == (4, -(-7 // stride), 3 * stride)
    for row, length in enumerate(LENGTHS.tolist()):
        steps = [*x.values[row, :length], *[torch.zeros(3)] * stride]
        expected = [torch.cat(steps[at : at + stride]) for at in range(0, length, stride)]
        assert frames[row] == len(expected)
        assert all(torch.equal(one, other) for one, other in zip(got[row], expected, strict=False))


def test_pieces_at_multiples_of_the_stride_give_the_frames_of_the_whole() -> None:
    reader, x = StackedReader(SeriesReader(2), 3), torch.randn(1, 8, 2)
    pieces = [reader(Padded(piece, torch.tensor([piece.shape[1]]))) for piece in x.split([3, 3, 2], 1)]
    assert torch.equal(torch.cat(pieces, 1), reader(Padded(x, torch.tensor([8]))))


def test_other_readers_give_a_frame_for_each_step() -> None:
    assert torch.equal(frames_of(SeriesReader(3), LENGTHS), LENGTHS)


def test_a_stride_is_at_least_one() -> None:
    with pytest.raises(OptionError, match="stride must be an integer of at least 1, got 0"):
        StackedReader(SeriesReader(3), 0)
