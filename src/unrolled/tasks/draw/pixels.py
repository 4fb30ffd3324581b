"""Small pictures as drawings: pixels of a few colours, painted in reading order."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import DataError
from unrolled.fields.palette import Palette
from unrolled.heads.codes import CodeHead, draw_codes
from unrolled.heads.softmax import OutputLayer
from unrolled.nn.reading.pen import Hands
from unrolled.nn.reading.pixels import NEAR, PixelReader
from unrolled.tasks.draw.medium import Medium
from unrolled.tasks.draw.options import DrawerOptions

__all__ = ["Pixels"]


class Pixels(Medium[np.ndarray]):
    """Pictures (height, width, 3 or 4) of whole numbers from 0 to 255, as a `Palette` reduces them."""

    name, said, unit = "palette", "pictures", "pixel"
    encoder: ClassVar[Mapping[str, object]] = {"cell": "lstm", "hidden_size": 128}
    training: ClassVar[Mapping[str, object]] = {"learning_rate": 4e-3, "epochs": 15, "batch_size": 32}
    dropout = 0.2
    field: Palette

    @classmethod
    def fit(cls, values: Sequence[np.ndarray], options: DrawerOptions) -> Palette:
        return Palette.fit(values, options.picture.size, options.picture.colours)

    def steps(self, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes = self.field.encode(value)
        return _around(codes, self.field), codes.astype(np.int16)

    def reader(self, options: DrawerOptions) -> PixelReader:
        return PixelReader(len(self.field.colours), self.field.size)

    def head(self, features: int, options: DrawerOptions) -> OutputLayer:
        return OutputLayer(features, len(self.field.colours))

    def hands(self, options: DrawerOptions) -> Hands | None:
        return None

    def draw(self, head: CodeHead, y: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        if not temperature:
            return head.best(y)
        # From the largest down, so that a power of tiny numbers leaves at least that one.
        chances = head.probabilities(y)
        return draw_codes((chances / chances.amax(-1, keepdim=True)) ** (1 / temperature), generator)

    def course(self, begun: np.ndarray | None, limit: int | None) -> Painting:
        return Painting(self.field, begun, limit)

    def given(self, begun: np.ndarray) -> int:
        return int(begun.shape[0]) * self.field.size // int(begun.shape[1])

    def scored(self, nats: float, count: int, deviation: float) -> float:
        return nats / count / math.log(2)


class Painting:
    """One picture on its way, from its first rows or from nothing."""

    def __init__(self, field: Palette, begun: np.ndarray | None, limit: int | None) -> None:
        self._field, self._codes = field, list[int]()
        codes = [] if begun is None else _upper(begun, field)
        self.given = [torch.tensor([code]) for code in codes]
        self._end = min(field.size**2, math.inf if limit is None else len(codes) + limit)

    @property
    def over(self) -> bool:
        return len(self._codes) >= self._end

    def read(self) -> Tensor:
        at, size = len(self._codes), self._field.size
        row, column = divmod(at, size)
        none = len(self._field.colours)

        def colour(down: int, right: int) -> int:
            y, x = row + down, column + right
            return self._codes[y * size + x] if y >= 0 and 0 <= x < size else none

        return torch.tensor([[*(colour(*step) for step in NEAR), row, column]])

    def add(self, step: Tensor) -> None:
        self._codes.append(int(step[0]))

    def drawing(self) -> np.ndarray:
        """What is not painted yet is the brightest colour."""
        every = [*self._codes, *[len(self._field.colours) - 1] * (self._field.size**2 - len(self._codes))]
        return self._field.decode(np.array(every))


def _around(codes: np.ndarray, field: Palette) -> np.ndarray:
    """(size * size, neighbours + 2) int16: what is read before each pixel."""
    size, none = field.size, len(field.colours)
    wide = np.full((size + 2, size + 4), none, np.int16)
    wide[2:, 2:-2] = codes.reshape(size, size)
    near = [wide[2 + down : 2 + down + size, 2 + right : 2 + right + size].reshape(-1) for down, right in NEAR]
    rows, columns = np.divmod(np.arange(size * size, dtype=np.int16), size)
    return np.stack([*near, rows, columns], -1).astype(np.int16)


def _upper(begun: np.ndarray, field: Palette) -> list[int]:
    """The codes of the rows that a begun picture has: as much of a square as it is high for its width."""
    shape = np.shape(begun)
    if len(shape) < 2 or not shape[0] or not shape[1] or shape[0] > shape[1]:
        raise DataError(
            f"Palette: expected the upper rows of a picture, at most as high as wide, got {shape}: cut off what is to "
            "be painted."
        )
    whole = np.full((shape[1], *shape[1:]), 255, np.asarray(begun).dtype)
    whole[: shape[0]] = begun
    rows: Any = shape[0] * field.size // shape[1]
    return [int(code) for code in field.encode(whole)[: rows * field.size]]
