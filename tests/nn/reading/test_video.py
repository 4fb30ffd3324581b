"""Frames as vectors: by the equations, each row alone, in pieces, and however many are seen at once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from unrolled.errors import OptionError, ShapeError
from unrolled.nn import PictureNet, VideoReader
from unrolled.nn.reading import video
from unrolled.padding import Padded, valid_mask

# A sum of n products of the dtype loses at most n halves of its epsilon of the sum of their sizes; float64 throughout.
TOLERANCE = {"rtol": 1e-11, "atol": 1e-11}
LENGTHS = torch.tensor([5, 1, 0, 4])


def reader(*, motion: bool = True, channels: int = 2) -> VideoReader:
    torch.manual_seed(0)
    made = VideoReader(PictureNet(channels * (1 + motion), (4, 6)), 7, 5, 9, motion=motion).double()
    for part in made.parameters():
        # Where nothing stands, a network that learned gives something.
        nn.init.normal_(part)
    return made


def videos(channels: int = 2) -> Padded:
    x = torch.randn(4, 5, 35 * channels, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return Padded(torch.where(valid_mask(LENGTHS, 5)[..., None], x, math.nan), LENGTHS)


@pytest.mark.parametrize("motion", [False, True])
def test_a_vector_is_that_of_the_equations(motion: bool) -> None:
    made, x = reader(motion=motion), videos()
    got = made(x)
    assert got.shape == (4, 5, 9)
    for row, length in enumerate(LENGTHS.tolist()):
        before = None
        for time in range(length):
            frame = x.values[row, time].reshape(7, 5, 2)
            changed = torch.zeros_like(frame) if before is None else frame - before
            seen = made.net(torch.cat([frame, changed], -1)[None] if motion else frame[None])[0]
            seen = torch.cat([seen.flatten(), seen.flatten(0, 1).max(0).values])
            vector = made.project.weight @ seen + made.project.bias
            mean, spread = vector.mean(), (vector.var(correction=0) + made.norm.eps).sqrt()
            expected = ((vector - mean) / spread * made.norm.weight + made.norm.bias).relu()
            torch.testing.assert_close(got[row, time], expected, **TOLERANCE)
            before = frame
    assert torch.equal(made.frames(LENGTHS), LENGTHS)


@pytest.mark.parametrize("motion", [False, True])
def test_padding_reaches_no_value_and_no_gradient_and_a_row_alone_is_the_row(motion: bool) -> None:
    made, x = reader(motion=motion), videos()
    values = x.values.clone().requires_grad_()
    got = made(Padded(values, LENGTHS))
    assert got.isfinite().all()
    got.square().sum().backward()
    assert values.grad is not None
    assert not values.grad[~valid_mask(LENGTHS, 5)].any()
    assert values.grad[valid_mask(LENGTHS, 5)].any(-1).all()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in made.parameters())
    for row, length in enumerate(LENGTHS.tolist()):
        alone = made(Padded(x.values[row : row + 1, : max(1, length)], LENGTHS[row : row + 1]))
        torch.testing.assert_close(alone[0, :length], got[row, :length], **TOLERANCE)


@pytest.mark.parametrize("cut", range(1, 5))
def test_pieces_that_begin_with_the_frame_before_give_the_vectors_of_the_whole(cut: int) -> None:
    made, x = reader(), torch.nan_to_num(videos().values)
    assert (made.context, reader(motion=False).context) == (1, 0)
    whole = made(Padded(x, torch.full((4,), 5)))
    first = made(Padded(x[:, :cut], torch.full((4,), cut)))
    rest = made(Padded(x[:, cut - 1 :], torch.full((4,), 6 - cut)))[:, 1:]
    torch.testing.assert_close(torch.cat([first, rest], 1), whole, **TOLERANCE)


def test_frames_seen_in_pieces_give_the_same_vectors_and_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for at_once in (1 << 19, 3 * 35, 1):
        monkeypatch.setattr(video, "_AT_ONCE", at_once)
        made = reader()
        got = made(videos())
        (got * torch.arange(9)).sum().backward()
        with torch.no_grad():
            torch.testing.assert_close(made(videos()), got, **TOLERANCE)
        found.append([got, *(part.grad for part in made.parameters())])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two, **TOLERANCE)


def test_rows_without_frames_have_no_vector() -> None:
    empty = reader()(Padded(torch.zeros(2, 0, 70, dtype=torch.float64), torch.zeros(2, dtype=torch.long)))
    assert empty.shape == (2, 0, 9)
    assert not reader()(Padded(torch.full((2, 3, 70), math.nan).double(), torch.zeros(2, dtype=torch.long))).any()


def test_frames_of_another_shape_and_networks_of_other_channels_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"values must be \(batch, frames, 70\), got \(2, 3, 35\)"):
        reader()(Padded(torch.zeros(2, 3, 35), torch.tensor([3, 3])))
    with pytest.raises(OptionError, match=r"twice the channels of a frame, got 3; make it of 2"):
        VideoReader(PictureNet(3), 8, 8)
    assert VideoReader(PictureNet(3), 8, 8, motion=False).channels == 3
