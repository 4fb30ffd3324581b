"""Inputs stacked into frames: against the definition row by row, and piece by piece."""

from __future__ import annotations

import pytest
import torch

from unrolled.align.decode import Decode, DecodeOptions, Pair
from unrolled.align.pool import Pool, PoolOptions
from unrolled.errors import OptionError
from unrolled.heads.softmax import SoftmaxHead
from unrolled.nn import GRU, Embedding, SeriesReader
from unrolled.nn.reading.frames import StackedReader
from unrolled.nn.reading.masks import MaskedReader
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
    assert torch.equal(SeriesReader(3).frames(LENGTHS), LENGTHS)


def test_readers_around_a_reader_give_as_many_frames() -> None:
    inner = StackedReader(SeriesReader(3), 2)
    for reader in (MaskedReader(inner, times=1), StackedReader(inner, 3)):
        longest = int(reader.frames(LENGTHS).max())
        assert reader(series()).shape[1] == longest
    assert StackedReader(inner, 3).frames(LENGTHS).tolist() == [2, 1, 1, 0]


@pytest.mark.parametrize("stride", [2, 3])
def test_what_stands_on_frames_sees_those_of_a_row_alone(stride: int) -> None:
    """Pooling and attention count the frames of a row, not its inputs: a row alone is as in the batch."""
    torch.manual_seed(0)
    reader, x = StackedReader(SeriesReader(3), stride), series()
    pool = Pool(reader, GRU(3 * stride, 5), SoftmaxHead(5, 2), PoolOptions(pooling="mean")).eval()
    decode = Decode(reader, None, Embedding(6, 4), 6, DecodeOptions(hidden_size=5)).eval()
    target = Padded(torch.tensor([[4, 5]] * 4), torch.tensor([2, 1, 2, 2]))
    whole, written = pool.vectors(x), decode.log_probs(Pair(x, target))
    for row, length in enumerate(LENGTHS.tolist()):
        own = Padded(x.values[row : row + 1, : max(1, length)], LENGTHS[row : row + 1])
        torch.testing.assert_close(pool.vectors(own)[0], whole[row])
        alone = Pair(own, Padded(target.values[row : row + 1], target.lengths[row : row + 1]))
        valid = int(target.lengths[row]) + 1
        torch.testing.assert_close(decode.log_probs(alone)[0, :valid], written[row, :valid])


def test_a_stride_is_at_least_one() -> None:
    with pytest.raises(OptionError, match="stride must be an integer of at least 1, got 0"):
        StackedReader(SeriesReader(3), 0)
