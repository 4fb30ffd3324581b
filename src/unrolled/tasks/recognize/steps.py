"""Steps of inputs as a recogniser takes them: with time after the end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unrolled.data.batch.batching import Rows
from unrolled.data.batch.ragged import Items

__all__ = ["lingering"]


def lingering(steps: Items, count: int) -> Items:
    """Each input with `count` steps of zeros behind it; one without steps stays so."""
    return _Lingering(steps, count) if count else steps


class _Lingering:
    """Items with steps of zeros behind them, which a batch alone holds."""

    def __init__(self, steps: Items, count: int) -> None:
        self._steps = steps
        self.lengths: np.ndarray = steps.lengths + np.where(steps.lengths > 0, count, 0)

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int, /) -> np.ndarray:
        item = self._steps[index]
        return np.pad(item, ((0, int(self.lengths[index]) - len(item)), (0, 0)))

    def pad(self, rows: Sequence[int] | Rows, *, least: int = 0) -> np.ndarray:
        chosen = np.asarray(rows, np.int64)
        return self._steps.pad(chosen, least=max(int(self.lengths[chosen].max(initial=0)), least))
