"""Pictures read by convolutions: a network that knows of no time, and readers that make steps of what it sees."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad

from unrolled.check import check_rate, check_size
from unrolled.errors import OptionError, ShapeError
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded, valid_mask, zero_padding

__all__ = ["WIDTHS", "GridNet", "LineReader", "PictureNet", "PictureReader"]

WIDTHS = (32, 64, 128)
"""The features after each convolution where nothing else is asked for."""

# What a convolution sees beside the place that it is at, to both sides together.
_AROUND = 2


class GridNet(nn.Module, ABC):
    """What sees pictures, each by itself, as grids of features. channels: of a pixel; output_size: of a cell."""

    channels: int
    output_size: int

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Pictures (n, height, width, channels), 0 what is usual, to grids (n, rows, columns, output_size)."""

    @abstractmethod
    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The rows and columns of what `forward` gives of pictures of that size."""


class PictureNet(GridNet):
    """A grid of features of each picture, by itself: what is seen at a cell depends on no other picture of the batch.

        x_k = relu(maxpool 2x2 (norm(W_k * x_(k-1) + b_k)))        W_k 3x3, at the edges zeros

    norm is over the features of each place, with a gain and an offset for each. A grid has half the rows and columns
    after each width, rounded up, so that a picture of any size has at least one cell.

    channels: of a pixel. widths: the features after each convolution.

    >>> net = PictureNet(3, (8, 16))
    >>> net(torch.zeros(5, 30, 20, 3)).shape, net.grid(30, 20)
    (torch.Size([5, 8, 5, 16]), (8, 5))
    """

    def __init__(self, channels: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.channels = check_size("PictureNet", "channels", channels)
        self.blocks = _blocks("PictureNet", channels, widths)
        self.output_size = widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4 or x.shape[3] != self.channels or not x.shape[1] * x.shape[2]:
            raise ShapeError(
                f"PictureNet: pictures must be (n, height, width, {self.channels}), got {tuple(x.shape)}; give pixels "
                "of that many channels."
            )
        # Features last in memory, as they came: the convolutions are then as fast, and norm needs no copy.
        seen = x.permute(0, 3, 1, 2)
        for block in self.blocks:
            seen = max_pool2d(block(seen, (1, 1)), 2, ceil_mode=True).relu()
        return seen.permute(0, 2, 3, 1)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return _halved(height, len(self.blocks)), _halved(width, len(self.blocks))


class PictureReader(Reader):
    """Pictures of one size, whose steps are their rows, as the cells of a grid in reading order.

        steps (batch, height, width * channels)  ->  (batch, rows * columns, features)

    A picture that is not there, a row of no steps, has no cell.

    net: sees the pictures. height, width: of each. dropout: rate in [0, 1), on each feature of each cell.

    >>> reader = PictureReader(PictureNet(1, (8, 16)), 8, 6)
    >>> reader(Padded(torch.zeros(2, 8, 6), torch.tensor([8, 0]))).shape, reader.frames(torch.tensor([8, 0])).tolist()
    (torch.Size([2, 4, 16]), [4, 0])
    """

    def __init__(self, net: GridNet, height: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.net = net
        self.height = check_size("PictureReader", "height", height)
        self.width = check_size("PictureReader", "width", width)
        self.dropout = nn.Dropout(check_rate("PictureReader", "dropout", dropout))
        self.output_size = net.output_size
        rows, columns = net.grid(height, width)
        self.cells = rows * columns

    def forward(self, x: Padded) -> Tensor:
        features, rows = self.width * self.net.channels, x.values.shape[1]
        # Pictures that are not there may have one step of padding together, and any batch more than its pictures have.
        if x.values.ndim != 3 or x.values.shape[2] != features or 1 < rows < self.height:
            raise ShapeError(
                f"PictureReader: values must be (batch, {self.height}, {features}), got {tuple(x.values.shape)}; "
                "encode the pictures with the field this was built for."
            )
        whole = pad(zero_padding(x.values, x.lengths), (0, 0, 0, self.height - rows))
        pictures = whole.reshape(-1, self.height, self.width, self.net.channels)
        cells: Tensor = self.dropout(self.net(pictures).flatten(1, 2))
        return cells

    def frames(self, lengths: Tensor) -> Tensor:
        return torch.where(lengths > 0, self.cells, 0)

    @property
    def context(self) -> int | None:
        return None


class LineReader(Reader):
    """Pictures of lines, of one height and any length: columns are time, and all that stands above each other one step.

        x_k   = relu(maxpool 2 x s_k (norm(W_k * x_(k-1) + b_k)))    over height and time; s_1 s_2 ... = stride
        y_t   = the column t of the last, its rows beside each other  (batch, ceil(columns / stride), output_size)

    Around a line, and behind the end of each, stand zeros in each x_k, whatever stands in the padding.

    height, channels: of a picture, whose columns come as height * channels numbers each. widths: the features after
    each convolution. stride: columns that become one step. causal: a step depends on nothing that follows it: each
    convolution sees the two columns before its own instead of one to both sides. dropout: rate in [0, 1), on each
    feature of each step.

    >>> reader = LineReader(32, 1, (8, 16, 16), stride=3)
    >>> reader(Padded(torch.zeros(2, 100, 32), torch.tensor([100, 7]))).shape, reader.frames(torch.tensor([100, 7]))
    (torch.Size([2, 34, 64]), tensor([34,  3]))
    """

    def __init__(
        self,
        height: int,
        channels: int,
        widths: Sequence[int] = WIDTHS,
        *,
        stride: int = 1,
        causal: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.height, self.channels = check_size("LineReader", "height", height), channels
        self.blocks = _blocks("LineReader", check_size("LineReader", "channels", channels), widths)
        self.stride, self.causal = check_size("LineReader", "stride", stride), causal
        self.strides = _parted(stride, len(self.blocks))
        self.dropout = nn.Dropout(check_rate("LineReader", "dropout", dropout))
        self.output_size = widths[-1] * _halved(height, len(self.blocks))

    def forward(self, x: Padded) -> Tensor:
        features = self.height * self.channels
        if x.values.ndim != 3 or x.values.shape[2] != features:
            raise ShapeError(
                f"LineReader: values must be (batch, columns, {features}), got {tuple(x.values.shape)}; encode the "
                "lines with the field this was built for."
            )
        if not x.values.shape[1]:
            return x.values.new_zeros(len(x.values), 0, self.output_size)
        lengths = x.lengths.to(x.values.device)
        seen = zero_padding(x.values, lengths).reshape(*x.values.shape[:2], self.height, self.channels)
        seen = seen.permute(0, 3, 2, 1)
        for block, stride in zip(self.blocks, self.strides, strict=True):
            seen = block(pad(seen, (_AROUND, 0)), (1, 0)) if self.causal else block(seen, (1, 1))
            # What is below 0 becomes 0 in the end, so that zeros behind the end change nothing.
            seen = torch.where(valid_mask(lengths, seen.shape[3])[:, None, None], seen, 0)
            seen = max_pool2d(seen, (2, stride), ceil_mode=True).relu()
            lengths = _strided(lengths, stride)
        y: Tensor = self.dropout(seen.permute(0, 3, 2, 1).flatten(2))
        return y

    def frames(self, lengths: Tensor) -> Tensor:
        return _strided(lengths, self.stride)

    @property
    def context(self) -> int | None:
        if not self.causal:
            return None
        seen, step = 0, 1
        for stride in self.strides:
            seen, step = seen + _AROUND * step, step * stride
        return seen


class _Block(nn.Module):
    """A convolution over pictures (n, features, height, width) with so many zeros around, and norm."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(after, before, 3, 3))
        self.bias = nn.Parameter(torch.zeros(after))
        self.norm = nn.LayerNorm(after)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, edges: tuple[int, int]) -> Tensor:
        seen: Tensor = self.norm(conv2d(x, self.weight, self.bias, padding=edges).permute(0, 2, 3, 1))
        return seen.permute(0, 3, 1, 2)


def _blocks(owner: str, channels: int, widths: Sequence[int]) -> nn.ModuleList:
    if not widths:
        raise OptionError(f"{owner}: expected at least one width, got none; give the features of each convolution.")
    for width in widths:
        check_size(owner, "widths", width)
    return nn.ModuleList(_Block(*both) for both in zip((channels, *widths), widths, strict=False))


def _halved(size: int, times: int) -> int:
    """What is left of a size that is halved so many times, each time rounded up."""
    return (size - 1 >> times) + 1


def _strided(lengths: Tensor, stride: int) -> Tensor:
    return torch.div(lengths + stride - 1, stride, rounding_mode="floor")


def _parted(stride: int, parts: int) -> list[int]:
    """So many factors of a stride, the largest first."""
    found, factors = [1] * parts, list[int]()
    for prime in range(2, stride + 1):
        while stride % prime == 0:
            factors.append(prime)
            stride //= prime
    for place, factor in enumerate(reversed(factors)):
        found[place % parts] *= factor
    return found
