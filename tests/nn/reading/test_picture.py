"""Convolutions over pictures and lines: against torch's own modules, each row alone, and in pieces."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from unrolled.errors import OptionError, ShapeError
from unrolled.nn import LineReader, PictureNet, PictureReader
from unrolled.padding import Padded, valid_mask

# A sum of n products of the dtype loses at most n halves of its epsilon of the sum of their sizes; float64 throughout.
TOLERANCE = {"rtol": 1e-11, "atol": 1e-11}


def stack(net: PictureNet) -> nn.Sequential:
    """The same network of torch's modules; norm is by places, as a group norm of one place would be."""
    parts = list[nn.Module]()
    for block in net.blocks:
        after, before = block.weight.shape[:2]
        conv = nn.Conv2d(before, after, 3, padding=1).double()
        conv.load_state_dict({"weight": block.weight, "bias": block.bias})
        parts += [conv, _Places(block.norm), nn.ReLU(), nn.MaxPool2d(2, ceil_mode=True)]
    return nn.Sequential(*parts)


class _Places(nn.Module):
    """Each place by itself: its features less their mean, by their deviation."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = x.mean(1, keepdim=True)
        spread = (x.var(1, correction=0, keepdim=True) + self.norm.eps).sqrt()
        gain, offset = (part[:, None, None] for part in (self.norm.weight, self.norm.bias))
        return (x - mean) / spread * gain + offset


def net(channels: int = 2, widths: tuple[int, ...] = (4, 6)) -> PictureNet:
    torch.manual_seed(0)
    made = PictureNet(channels, widths).double()
    for block in made.blocks:
        for part in (block.bias, block.norm.weight, block.norm.bias):
            nn.init.normal_(part)
    return made


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1), (1, 9), (2, 3)])
def test_a_grid_is_what_the_modules_of_torch_give(size: tuple[int, int]) -> None:
    made, x = net(), torch.randn(3, *size, 2, dtype=torch.float64)
    got = made(x)
    torch.testing.assert_close(got, stack(made)(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1), **TOLERANCE)
    assert got.shape == (3, *made.grid(*size), made.output_size)


def test_what_is_seen_of_a_picture_is_the_same_in_any_batch() -> None:
    made, x = net().train(), torch.randn(4, 9, 6, 2, dtype=torch.float64)
    whole = made(x)
    for row in range(4):
        torch.testing.assert_close(made(x[row : row + 1])[0], whole[row], **TOLERANCE)
    assert made(x[:0]).shape == (0, 3, 2, 6)


def test_pictures_of_another_shape_are_refused() -> None:
    for shape in ((3, 8, 8), (1, 8, 8, 3), (1, 0, 8, 2)):
        with pytest.raises(ShapeError, match=r"pictures must be \(n, height, width, 2\)"):
            net()(torch.zeros(*shape, dtype=torch.float64))
    with pytest.raises(ShapeError, match=r"values must be \(batch, 8, 12\), got \(2, 7, 12\)"):
        PictureReader(net(), 8, 6)(Padded(torch.zeros(2, 7, 12), torch.tensor([7, 7])))
    with pytest.raises(ShapeError, match=r"values must be \(batch, columns, 18\), got \(2, 7, 12\)"):
        LineReader(9, 2, (4,))(Padded(torch.zeros(2, 7, 12), torch.tensor([7, 7])))


def test_widths_are_at_least_one() -> None:
    with pytest.raises(OptionError, match="expected at least one width, got none"):
        PictureNet(1, ())
    with pytest.raises(OptionError, match="widths must be an integer of at least 1, got 0"):
        PictureNet(1, (4, 0))


def test_a_reader_of_pictures_gives_the_cells_of_the_grid_in_reading_order() -> None:
    reader, x = PictureReader(net(), 8, 6), torch.randn(3, 8, 6, 2, dtype=torch.float64)
    lengths = torch.tensor([8, 0, 8])
    steps = x.flatten(2).clone()
    steps[1] = math.nan
    got = reader(Padded(steps, lengths))
    assert reader.frames(lengths).tolist() == [4, 0, 4]
    grid = reader.net(x)
    for row in (0, 2):
        cells = [grid[row, y, z] for y in range(2) for z in range(2)]
        torch.testing.assert_close(got[row], torch.stack(cells), **TOLERANCE)
    got[[0, 2]].sum().backward()
    assert all(part.grad is not None and part.grad.isfinite().all() for part in reader.parameters())
    longer = torch.cat([steps, torch.full((3, 2, 12), math.nan, dtype=torch.float64)], 1)
    assert torch.equal(reader(Padded(longer, lengths))[[0, 2]], got[[0, 2]])
    for rows in (0, 1):
        nothing = Padded(steps[:, :rows], torch.zeros(3, dtype=torch.long))
        assert reader(nothing).isfinite().all()
        assert reader.frames(nothing.lengths).tolist() == [0, 0, 0]


def line(stride: int, *, causal: bool, widths: tuple[int, ...] = (4, 6, 5)) -> LineReader:
    torch.manual_seed(1)
    made = LineReader(9, 2, widths, stride=stride, causal=causal).double()
    for block in made.blocks:
        # Where nothing stands, a network that learned gives something.
        for part in (block.bias, block.norm.weight, block.norm.bias):
            nn.init.normal_(part)
    return made


LENGTHS = torch.tensor([25, 1, 0, 13, 2])


def lines() -> Padded:
    x = torch.randn(5, 25, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return Padded(torch.where(valid_mask(LENGTHS, 25)[..., None], x, math.nan), LENGTHS)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6, 16])
def test_a_line_alone_is_as_in_the_batch_whatever_stands_in_the_padding(stride: int, causal: bool) -> None:
    reader, x = line(stride, causal=causal), lines()
    whole, frames = reader(x), reader.frames(LENGTHS).tolist()
    assert frames == [math.ceil(length / stride) for length in LENGTHS.tolist()]
    assert whole.shape == (5, max(frames), reader.output_size)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = reader(Padded(x.values[row : row + 1, :length], LENGTHS[row : row + 1]))
        torch.testing.assert_close(alone[0, : frames[row]], whole[row, : frames[row]], **TOLERANCE)
    valid = valid_mask(reader.frames(LENGTHS), whole.shape[1])
    values = x.values.clone().requires_grad_()
    reader(Padded(values, LENGTHS))[valid].square().sum().backward()
    assert values.grad is not None
    assert not values.grad[~valid_mask(LENGTHS, 25)].any()
    assert values.grad.isfinite().all()


@pytest.mark.parametrize("causal", [False, True])
def test_the_columns_are_those_of_a_convolution_over_the_picture(causal: bool) -> None:
    """Height and time as torch's modules take them; a causal line is one with two columns before it and none behind."""
    reader, x = line(2, causal=causal, widths=(4, 6)), torch.randn(1, 12, 9, 2, dtype=torch.float64)
    seen = x.permute(0, 3, 2, 1)
    edges = nn.ZeroPad2d((2, 0, 1, 1) if causal else (1, 1, 1, 1))
    for block, stride in zip(reader.blocks, (2, 1), strict=True):
        conv = nn.Conv2d(*block.weight.shape[1::-1], 3).double()
        conv.load_state_dict({"weight": block.weight, "bias": block.bias})
        seen = nn.MaxPool2d((2, stride), ceil_mode=True)(_Places(block.norm)(conv(edges(seen))).relu())
    expected = seen[0].permute(2, 1, 0).flatten(1)
    torch.testing.assert_close(reader(Padded(x.flatten(2), torch.tensor([12])))[0], expected, **TOLERANCE)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_a_causal_line_does_not_see_what_follows(stride: int) -> None:
    values, rows = torch.randn(1, 24, 18, dtype=torch.float64), torch.tensor([24])
    for causal in (True, False):
        reader = line(stride, causal=causal)
        whole = reader(Padded(values, rows))
        for end in range(stride, 24, stride):
            changed = values.clone()
            changed[:, end:] += 1
            same = torch.equal(reader(Padded(changed, rows))[:, : end // stride], whole[:, : end // stride])
            assert same == causal


def test_pictures_are_learned_from() -> None:
    """Bars that stand or lie: no pixel by itself tells."""
    torch.manual_seed(0)
    x = torch.zeros(64, 8, 8, 1)
    for row in range(64):
        place = int(torch.randint(8, ()))
        x[row, place] = 1.0 if row % 2 else 0.0
        x[row, :, place] += 0.0 if row % 2 else 1.0
    truth = torch.arange(64) % 2
    made, head = PictureNet(1, (8, 8)), nn.Linear(8, 2)
    rule = torch.optim.Adam([*made.parameters(), *head.parameters()], 0.01)
    for _ in range(60):
        loss = nn.functional.cross_entropy(head(made(x).mean((1, 2))), truth)
        rule.zero_grad()
        loss.backward()
        rule.step()
    assert (head(made(x).mean((1, 2))).argmax(1) == truth).all()
