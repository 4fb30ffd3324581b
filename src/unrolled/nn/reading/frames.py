"""Readers that shorten time: several inputs become one frame."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from unrolled.check import check_size
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded, zero_padding

__all__ = ["StackedReader"]


class StackedReader(Reader):
    """The vectors of `stride` steps beside each other, as one frame: ceil(length / stride) frames a row.

    The last frame of a row is filled up with zeros. Pieces of a row that are cut at multiples of the stride give the
    frames of the whole.

    >>> from unrolled.nn import SeriesReader
    >>> reader = StackedReader(SeriesReader(3), 2)
    >>> reader(Padded(torch.zeros(2, 7, 3), torch.tensor([7, 2]))).shape, reader.frames(torch.tensor([7, 2])).tolist()
    (torch.Size([2, 4, 6]), [4, 1])
    """

    def __init__(self, reader: Reader, stride: int) -> None:
        super().__init__()
        self.reader = reader
        self.stride = check_size("StackedReader", "stride", stride)
        self.output_size = stride * reader.output_size

    def forward(self, x: Padded) -> Tensor:
        vectors = zero_padding(self.reader(x), self.reader.frames(x.lengths))
        whole = pad(vectors, (0, 0, 0, -vectors.shape[1] % self.stride))
        return whole.reshape(len(whole), whole.shape[1] // self.stride, self.output_size)

    def frames(self, lengths: Tensor) -> Tensor:
        return torch.div(self.reader.frames(lengths) + self.stride - 1, self.stride, rounding_mode="floor")

    @property
    def context(self) -> int | None:
        return self.reader.context
