"""What a network sees of a picture that is painted pixel by pixel in reading order."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.check import check_size
from unrolled.errors import ShapeError

__all__ = ["NEAR", "PixelReader"]

NEAR = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
"""Where the pixels that are read stand, rows and columns from the one that comes next: all were painted before it."""


class PixelReader(nn.Module):
    """Vectors of the colours around the pixel that comes next, and of where that is.

        y = [E_1[colour_1], ..., E_n[colour_n], R[row], C[column]]        each neighbour has a table of its own

    x: (..., n + 2) codes: of the n neighbours, `colours` where one lies beyond the border; then row and column.

    colours: how many there are. size: pixels of a side. near: neighbours. width, place_width: features of a colour, and
    of a row or a column.

    >>> PixelReader(16, 8, near=2)(torch.zeros(3, 64, 4, dtype=torch.long)).shape
    torch.Size([3, 64, 56])
    """

    def __init__(
        self, colours: int, size: int, *, near: int = len(NEAR), width: int = 16, place_width: int = 12
    ) -> None:
        super().__init__()
        for name, value in (("colours", colours), ("size", size), ("near", near), ("width", width)):
            check_size("PixelReader", name, value)
        self.colours, self.size, self.near = colours, size, near
        self.output_size = near * width + 2 * check_size("PixelReader", "place_width", place_width)
        self.around = nn.Embedding(near * (colours + 1), width)
        self.places = nn.Embedding(2 * size, place_width)
        nn.init.normal_(self.around.weight, std=width**-0.5)
        nn.init.normal_(self.places.weight, std=place_width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.near + 2:
            raise ShapeError(
                f"PixelReader: expected {self.near} neighbours, a row and a column at each pixel, got "
                f"{x.shape[-1]} codes; make the reader with near={x.shape[-1] - 2}."
            )
        # All tables in one, one after another: a single look-up for each of the two.
        colours = x[..., : self.near] + torch.arange(self.near, device=x.device) * (self.colours + 1)
        places = x[..., self.near :] + torch.arange(2, device=x.device) * self.size
        return torch.cat([self.around(colours).flatten(-2), self.places(places).flatten(-2)], -1)

    def extra_repr(self) -> str:
        return f"{self.colours}, {self.size}"
