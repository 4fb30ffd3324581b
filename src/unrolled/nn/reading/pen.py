"""The moves of a pen varied as another hand would make them, in training alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from unrolled.errors import OptionError, ShapeError
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded, zero_padding

__all__ = ["Hands", "MoveReader", "PenReader"]


class PenReader(Reader):
    """In training, each row is drawn by another hand: turned, slanted, stretched, and each point shaken.

        (dx, dy) -> A (dx, dy) + (n_t - n_(t-1)),   (x, y) -> A (x, y) + n_t
        A   = R(a) [1 s; 0 1] diag(f, g)
        a   ~ U(-degrees, degrees),   s ~ U(-slant, slant),   f, g = (1 + stretch)^u,   u ~ U(-1, 1)
        n_t ~ N(0, jitter^2) for both coordinates,   n_(-1) = n_0: a drawing begins where it began

    Each row has its own A. All is drawn from torch's random state, so a run that goes on draws what it would have
    drawn. Where nothing moves the pen, a row stays as it is.

    reader: what reads the steps then. degrees, slant, stretch, jitter: 0 leaves out. size: what the size of a drawing
    is in moves, and then in places: jitter is a part of it. places: the first of the two features that tell x and y,
    None where none do. turns: the feature that tells the angle between neighbouring moves, in half turns, which is told
    anew; None where none does.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        degrees: float = 0.0,
        slant: float = 0.0,
        stretch: float = 0.0,
        jitter: float = 0.0,
        size: tuple[float, float] = (1.0, 1.0),
        places: int | None = None,
        turns: int | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("degrees", degrees), ("slant", slant), ("stretch", stretch), ("jitter", jitter)):
            if not 0 <= value < math.inf:
                raise OptionError(f"PenReader: {name} must be a number of at least 0, got {value!r}.")
        self.reader = reader
        self.output_size = reader.output_size
        self.degrees, self.slant, self.stretch, self.jitter = degrees, slant, stretch, jitter
        self.size, self.places, self.turns = size, places, turns

    def frames(self, lengths: Tensor) -> Tensor:
        return self.reader.frames(lengths)

    @property
    def context(self) -> int | None:
        return self.reader.context

    def forward(self, x: Padded) -> Tensor:
        varies = self.training and (self.degrees or self.slant or self.stretch or self.jitter)
        y: Tensor = self.reader(x._replace(values=self._varied(zero_padding(x.values, x.lengths))) if varies else x)
        return y

    def _varied(self, values: Tensor) -> Tensor:
        """Steps (batch, time, features) of another hand."""
        matrix, found = _hands(values, self.degrees, self.slant, self.stretch), values.clone()
        shaken = self.jitter * torch.randn_like(values[..., :2])
        steps = torch.diff(shaken, dim=1, prepend=shaken[:, :1])
        found[..., :2] = values[..., :2] @ matrix + self.size[0] * steps
        if self.places is not None:
            places = slice(self.places, self.places + 2)
            found[..., places] = values[..., places] @ matrix + self.size[1] * shaken
        if self.turns is not None:
            found[..., self.turns] = _turns(found[..., :2])
        return found


class MoveReader(nn.Module):
    """The moves of a pen, what it does after each, and where it is then: what comes next is drawn from these.

        y = [dx, dy, pen is 0, pen is 1, pen is 2, x, y]        v = [dx, dy, pen, x, y]

    v: (..., 5); pen: 0 where it stays on the paper, 1 where it leaves it, 2 where a drawing has ended, as one has
    before another begins: y has 1 where it is so, else 0. x, y: the place; places=False leaves it out.

    >>> MoveReader()(torch.tensor([0.5, -1.0, 1.0, 7.0, 8.0])).tolist()
    [0.5, -1.0, 0.0, 1.0, 0.0, 7.0, 8.0]
    """

    def __init__(self, *, places: bool = True) -> None:
        super().__init__()
        self.places = places
        self.output_size = 7 if places else 5

    def forward(self, v: Tensor) -> Tensor:
        if v.shape[-1] != 5:
            raise ShapeError(
                f"MoveReader: expected dx, dy, what the pen does, x and y, got {v.shape[-1]} numbers; give these five."
            )
        pen = v[..., 2:3] == torch.arange(3, device=v.device)
        return torch.cat([v[..., :2], pen.to(v.dtype), *([v[..., 3:]] if self.places else [])], -1)


class Hands(nn.Module):
    """Moves (..., dx, dy, what the pen does[, x, y]) as another hand would make them: a matrix A for each row, see
    `PenReader`; places are turned as moves are.

    degrees, slant, stretch: as there; all of them 0 changes nothing. What is read and what is to come of a row are
    given together, so that both are of one hand.
    """

    def __init__(self, *, degrees: float = 0.0, slant: float = 0.0, stretch: float = 0.0) -> None:
        super().__init__()
        for name, value in (("degrees", degrees), ("slant", slant), ("stretch", stretch)):
            if not 0 <= value < math.inf:
                raise OptionError(f"Hands: {name} must be a number of at least 0, got {value!r}.")
        self.degrees, self.slant, self.stretch = degrees, slant, stretch

    def forward(self, *moves: Tensor) -> tuple[Tensor, ...]:
        """Each (batch, time, 3 or 5): the same row of all of them by the same hand."""
        matrix = _hands(moves[0], self.degrees, self.slant, self.stretch)
        return tuple(_turned(part, matrix) for part in moves)


def _turned(moves: Tensor, matrix: Tensor) -> Tensor:
    """Moves (batch, time, 3), or with places (batch, time, 5), by a matrix for each row."""
    parts = [moves[..., :2] @ matrix, moves[..., 2:3]]
    return torch.cat(parts if moves.shape[-1] == 3 else [*parts, moves[..., 3:] @ matrix], -1)


def _hands(values: Tensor, degrees: float, slant: float, stretch: float) -> Tensor:
    """(batch, 2, 2): what the moves of each row, as rows, are multiplied by: A transposed."""
    draws = 2 * torch.rand(4, len(values), device=values.device, dtype=values.dtype) - 1
    angle, slanted = draws[0] * math.radians(degrees), draws[1] * slant
    f, g = (1 + stretch) ** draws[2:]
    cos, sin = angle.cos(), angle.sin()
    first = torch.stack([f * cos, f * sin], -1)
    second = torch.stack([g * (slanted * cos - sin), g * (slanted * sin + cos)], -1)
    return torch.stack([first, second], -2)


def _turns(moves: Tensor) -> Tensor:
    """(batch, time) the angle from each move to the next in half turns, 0 where either has no length."""
    before = torch.cat([torch.zeros_like(moves[:, :1]), moves[:, :-1]], dim=1)
    (u, v), (x, y) = moves.unbind(-1), before.unbind(-1)
    angles = torch.atan2(x * v - y * u, x * u + y * v) / math.pi
    still = (torch.hypot(x, y) == 0) | (torch.hypot(u, v) == 0)
    return angles.masked_fill(still, 0.0)
