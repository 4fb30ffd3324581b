"""A small recurrent regression and its data, for tests of the training loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from unrolled.data.batch.batching import Rows
from unrolled.state import HState


class Series(NamedTuple):
    """x (B, T, 3), target (B, T, 1), mask (B, T): True where the target counts."""

    x: Tensor
    target: Tensor
    mask: Tensor


class Data:
    """Random series of different lengths whose target is a running mean; padded to the longest of a batch."""

    carries_state = False

    def __init__(self, items: int = 22, longest: int = 12, seed: int = 0, dtype: torch.dtype = torch.float64) -> None:
        random = np.random.default_rng(seed)
        self.lengths = random.integers(3, longest + 1, items)
        self.x = torch.from_numpy(random.standard_normal((items, longest, 3))).to(dtype)
        self.target = self.x.cumsum(1).mean(2, keepdim=True) / 3

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, rows: Rows) -> Series:
        index, lengths = torch.from_numpy(rows), torch.from_numpy(self.lengths[rows])
        time = int(lengths.max())
        mask = torch.arange(time) < lengths[:, None]
        return Series(self.x[index, :time] * mask[..., None], self.target[index, :time], mask)

    def chunks(self, batch: Series, steps: int) -> list[Series]:
        parts = [leaf.split(steps, 1) for leaf in batch]
        return [Series(*leaves) for leaves in zip(*parts, strict=True)]


class Stream(Data):
    """Parallel streams cut into windows: item k * streams + b continues item (k - 1) * streams + b."""

    carries_state = True

    def __init__(self, streams: int = 4, windows: int = 6, steps: int = 5, seed: int = 0) -> None:
        super().__init__(streams, windows * steps, seed)
        self.lengths = np.full(streams * windows, steps)
        shape = (streams, windows, steps, -1)
        self.x = self.x.view(shape).transpose(0, 1).reshape(streams * windows, steps, 3)
        self.target = self.target.view(shape).transpose(0, 1).reshape(streams * windows, steps, 1)


class Regressor(nn.Module):
    """A torch GRU with dropout and a linear head; squared error summed over valid steps."""

    def __init__(self, hidden: int = 6, dropout: float = 0.0, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            self.gru = nn.GRU(3, hidden, batch_first=True, dtype=dtype)
            self.head = nn.Linear(hidden, 1, dtype=dtype)
        self.dropout = nn.Dropout(dropout)

    def loss(self, batch: Series, state: HState | None) -> tuple[Tensor, Tensor, Any]:
        y, h = self.gru(batch.x, None if state is None else state.h.transpose(0, 1).contiguous())
        error = self.head(self.dropout(y)) - batch.target
        total = torch.where(batch.mask[..., None], error, 0).square().sum()
        return total, batch.mask.sum(), HState(h.transpose(0, 1))


def weights(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same_bits(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
