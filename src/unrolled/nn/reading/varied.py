"""Pictures varied as another camera, light or hand would show them, in training alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from unrolled.check import check_size
from unrolled.errors import OptionError
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded, zero_padding

__all__ = ["VariedReader"]


class VariedReader(Reader):
    """In training, each picture as it would look from elsewhere or in another light; else the reader as it is.

        place: p' = m + A (p - m) + (shift width u_1, shift height u_2),    m the middle, each picture its own draws
               A  = R(a) [1 s; 0 1] diag(f, g),   a ~ U(-degrees, degrees),   s ~ U(-slant, slant),
               f, g = (1 + stretch)^u,            where flip, -f in place of f for every second picture
        light: v' = (1 + light)^u v + light w       u ~ U(-1, 1),   w ~ U(-1, 1) for each channel

    u_1, u_2 ~ U(-1, 1). Between pixels it is linear; beyond the edges it is 0, which is what is usual around a picture.
    Of lines only the rows move, so that no column leaves its time but by the slant: R, f and u_1 are left out. All is
    drawn from torch's random state, so a run that goes on draws what it would have drawn.

    reader: what reads the pictures then. height: of a picture; channels: of a pixel. by: what the steps of a picture
    are, "rows", "columns" or "pixels", or "frames", where a row is a video, all of whose pictures change alike. lines:
    columns of any number. flip, shift (a part of the size), degrees, slant, stretch, light: 0 leaves out.
    """

    def __init__(
        self,
        reader: Reader,
        height: int,
        channels: int,
        *,
        by: str,
        lines: bool = False,
        flip: bool = False,
        shift: float = 0.0,
        degrees: float = 0.0,
        slant: float = 0.0,
        stretch: float = 0.0,
        light: float = 0.0,
    ) -> None:
        super().__init__()
        amounts = {"shift": shift, "degrees": degrees, "slant": slant, "stretch": stretch, "light": light}
        for name, value in amounts.items():
            if not 0 <= value < math.inf:
                raise OptionError(f"VariedReader: {name} must be a number of at least 0, got {value!r}.")
        if lines and (flip or degrees):
            raise OptionError(
                f"VariedReader: lines are neither mirrored nor turned, got flip={flip!r} and degrees={degrees!r}; "
                "choose shift, slant, stretch or light."
            )
        self.reader = reader
        self.output_size = reader.output_size
        self.height, self.channels = check_size("VariedReader", "height", height), channels
        self.by, self.lines, self.flip = by, lines, flip
        self.shift, self.degrees, self.slant, self.stretch, self.light = amounts.values()

    def frames(self, lengths: Tensor) -> Tensor:
        return self.reader.frames(lengths)

    @property
    def context(self) -> int | None:
        return self.reader.context

    def forward(self, x: Padded) -> Tensor:
        moves = self.flip or self.shift or self.degrees or self.slant or self.stretch
        if self.training and (moves or self.light) and x.values.shape[1]:
            pictures = self._pictures(zero_padding(x.values, x.lengths))
            pictures = self._moved(pictures) if moves else pictures
            x = x._replace(values=self._steps(self._lit(pictures) if self.light else pictures, x.values.shape))
        y: Tensor = self.reader(x)
        return y

    def _pictures(self, steps: Tensor) -> Tensor:
        """(batch, height, width, channels) of steps."""
        if self.by == "frames":
            frames = steps.reshape(*steps.shape[:2], self.height, -1, self.channels)
            return frames.permute(0, 2, 3, 1, 4).flatten(3)
        if self.by == "columns":
            return steps.reshape(*steps.shape[:2], self.height, self.channels).transpose(1, 2)
        return steps.reshape(len(steps), self.height, -1, self.channels)

    def _steps(self, pictures: Tensor, shape: torch.Size) -> Tensor:
        if self.by == "frames":
            frames = pictures.reshape(*pictures.shape[:3], shape[1], self.channels)
            return frames.permute(0, 3, 1, 2, 4).reshape(shape)
        return (pictures.transpose(1, 2) if self.by == "columns" else pictures).reshape(shape)

    def _moved(self, pictures: Tensor) -> Tensor:
        matrix, shift = self._view(pictures)
        height, width = pictures.shape[1:3]
        size = torch.tensor([width, height], device=pictures.device, dtype=pictures.dtype)
        middle = (size - 1) / 2
        y, x = torch.meshgrid(*(torch.arange(n, device=pictures.device) for n in (height, width)), indexing="ij")
        places = torch.stack([x, y], -1).to(pictures) - middle
        # Where each pixel comes from.
        wanted = (places - (shift * size)[:, None, None]) @ torch.linalg.inv(matrix).transpose(1, 2)[:, None] + middle
        # As grid_sample counts: -1 and 1 are the outer edges of the outermost pixels.
        grid = (2 * wanted + 1) / size - 1
        moved = grid_sample(pictures.permute(0, 3, 1, 2), grid, padding_mode="zeros", align_corners=False)
        return moved.permute(0, 2, 3, 1)

    def _view(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """A (batch, 2, 2), from x and y to x and y, and the shifts (batch, 2) in parts of width and height."""
        draws = 2 * torch.rand(7, len(pictures), device=pictures.device, dtype=pictures.dtype) - 1
        angle, slant = draws[0] * math.radians(self.degrees), draws[1] * self.slant
        f, g = (1 + self.stretch) ** draws[2:4]
        shift = self.shift * draws[4:6].T
        one, nothing = torch.ones_like(g), torch.zeros_like(g)
        if self.lines:
            matrix = torch.stack([torch.stack([one, slant * g], -1), torch.stack([nothing, g], -1)], -2)
            return matrix, shift * shift.new_tensor([0.0, 1.0])
        f = torch.where(draws[6] > 0, -f, f) if self.flip else f
        cos, sin = angle.cos(), angle.sin()
        first = torch.stack([f * cos, g * (slant * cos - sin)], -1)
        second = torch.stack([f * sin, g * (slant * sin + cos)], -1)
        return torch.stack([first, second], -2), shift

    def _lit(self, pictures: Tensor) -> Tensor:
        draws = 2 * torch.rand(len(pictures), 1 + self.channels, device=pictures.device, dtype=pictures.dtype) - 1
        gain = (1 + self.light) ** draws[:, :1]
        tones = draws[:, 1:].repeat(1, pictures.shape[3] // self.channels)
        return pictures * gain[:, None, None] + self.light * tones[:, None, None]
