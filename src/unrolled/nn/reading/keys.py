"""Music heard in other keys, in training alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from unrolled.check import check_rate
from unrolled.errors import ShapeError
from unrolled.nn.reading.reader import Reader
from unrolled.padding import Padded, zero_padding

__all__ = ["OtherKeys", "TransposedReader"]


class OtherKeys(nn.Module):
    """Moves the notes of each row by a number of semitones of its own.

    maps: (2 most + 1, size) integers: where each column of a grid, or each code, goes when a row is moved by -most to
        most semitones; -1 where it goes nowhere, which is for columns alone. In the middle all stay.
    rate: how likely a row is to be moved, in [0, 1]; then every other key is as likely as any.
    codes: whether rows are codes (batch, time), else grids (batch, time, size), of which a step that is NaN stays so.
    """

    maps: Tensor

    def __init__(self, maps: Tensor, rate: float, *, codes: bool) -> None:
        super().__init__()
        if maps.ndim != 2 or len(maps) % 2 != 1:
            raise ShapeError(f"OtherKeys: maps must be (2 most + 1, size), got {tuple(maps.shape)}; give one a key.")
        self.rate, self.codes = rate if rate == 1 else check_rate("OtherKeys", "rate", rate), codes
        self.register_buffer("maps", maps, persistent=False)

    def draw(self, rows: int, device: torch.device) -> Tensor:
        """Which map each row takes, (rows,), drawn from torch's random state."""
        most = len(self.maps) // 2
        draws = torch.rand(2, rows, device=device, dtype=torch.float64)
        other = (draws[1] * 2 * most).long()
        # The key that a row has is not among the others.
        other = other + (other >= most)
        return torch.where((draws[0] < self.rate) & (most > 0), other, most)

    def forward(self, values: Tensor, chosen: Tensor) -> Tensor:
        """The values (batch, time, ...) of rows that each take the map chosen for it, (batch,)."""
        if self.codes:
            return self.maps[chosen[:, None], values]
        size = values.shape[-1]
        # What goes nowhere goes to a column that is cut off.
        places = self.maps[chosen].remainder(size + 1)[:, None].expand_as(values)
        # Two columns that go to one place are one note there.
        moved = values.new_zeros(*values.shape[:-1], size + 1).scatter_reduce(-1, places, values, "amax")[..., :size]
        return torch.where(values.isnan().any(-1, keepdim=True), torch.nan, moved)

    def extra_repr(self) -> str:
        return f"semitones={len(self.maps) // 2}, rate={self.rate}"


class TransposedReader(Reader):
    """In training, rows are read in other keys, see `OtherKeys`; else the reader as it is."""

    def __init__(self, reader: Reader, keys: OtherKeys) -> None:
        super().__init__()
        self.reader, self.keys = reader, keys
        self.output_size = reader.output_size

    def forward(self, x: Padded) -> Tensor:
        if self.training and self.keys.rate:
            values = zero_padding(x.values, x.lengths)
            x = x._replace(values=self.keys(values, self.keys.draw(len(values), values.device)))
        y: Tensor = self.reader(x)
        return y
