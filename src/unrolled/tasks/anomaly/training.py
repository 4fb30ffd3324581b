"""What a detector's network learns from: rows as they are read, and what is to be said at each."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from unrolled.data.batch.stream import NumberStream
from unrolled.tasks.anomaly.follow import DetectorNet, read_and_wanted
from unrolled.tasks.anomaly.reading import Observed
from unrolled.tasks.anomaly.rows import RowFields

__all__ = ["ReadRows", "read_halves"]


class ReadRows(NamedTuple):
    """Rows of all series, one after the other. inputs: (N, ...), wanted: (N, A D), NaN where nothing is to be said.
    starts: where series begin."""

    inputs: np.ndarray
    wanted: np.ndarray
    starts: np.ndarray

    @property
    def scored(self) -> bool:
        """Whether anything is to be said."""
        return not bool(np.isnan(self.wanted).all())

    def stream(self, streams: int, steps: int) -> NumberStream:
        """The rows as parallel streams, cut into windows."""
        return NumberStream(self.inputs, self.wanted, streams, steps, starts=self.starts)


def read_halves(
    net: DetectorNet, rows: Observed, ends: np.ndarray, fields: RowFields, out: list[np.ndarray] | None
) -> tuple[ReadRows, ReadRows]:
    """The rows before `ends` of each series, and those from there on; of those marked in `out` nothing is learned."""
    halves: tuple[list[tuple[np.ndarray, np.ndarray]], ...] = ([], [])
    for i, name in enumerate(rows.ids):
        part, end = rows.rows(i), int(ends[i])
        scale = fields.scale(name)
        encoded, _ = fields.encode(scale, rows.values[part], rows.clocks[part], fields.begin())
        inputs, wanted = read_and_wanted(net, encoded)
        wanted = wanted.copy()
        held = np.tile(~np.isnan(scale.constant), len(fields.ahead))
        # A channel that never changes teaches nothing, but something must be learned from.
        wanted[:, held & ~held.all()] = np.nan
        if out is not None:
            wanted[out[i]] = np.nan
        for half, chosen in zip(halves, (slice(0, end), slice(end, None)), strict=True):
            half.append((inputs[chosen], _to_come(wanted[chosen], fields.ahead)))
    early, late = (_joined(half) for half in halves)
    return early, late


def _to_come(wanted: np.ndarray, ahead: tuple[int, ...]) -> np.ndarray:
    """(T, A D) at each step what is to be foreseen there: of later rows, NaN where these are not."""
    found = np.full_like(wanted, np.nan)
    width = wanted.shape[1] // len(ahead)
    for i, a in enumerate(ahead):
        part = slice(i * width, (i + 1) * width)
        found[: max(len(wanted) - a + 1, 0), part] = wanted[a - 1 :, part]
    return found


def _joined(pairs: list[tuple[np.ndarray, np.ndarray]]) -> ReadRows:
    lengths = np.array([len(inputs) for inputs, _ in pairs])
    starts = (np.cumsum(lengths) - lengths)[lengths > 0]
    inputs, wanted = (np.concatenate([pair[k] for pair in pairs]) for k in range(2))
    return ReadRows(inputs, wanted, starts)
