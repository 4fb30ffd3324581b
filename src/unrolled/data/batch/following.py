"""Items of their own, each step to be foretold from those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from unrolled.data.batch.batching import Rows
from unrolled.data.batch.ragged import Items
from unrolled.data.batch.stream import Stretch

__all__ = ["Following"]


class Following:
    """Items whose every step is a target, given the steps before it: pieces of music, drawings.

        x_0 = [first, known_0]        x_t = [item_(t - 1), known_t]        target_t = item_t

    Args:
        items: codes (T,) or numbers (T, D) each.
        first: what stands before an item: a code, or a number for all D.
        rows: which of the items these are, (n,); None: all.
        known: of the places of steps (T,) what is known of each whatever stands there, (T, K), such as the beat of a
            bar; None: nothing. It goes with numbers alone.
    """

    carries_state = False

    def __init__(
        self,
        items: Items,
        first: float,
        rows: Rows | None = None,
        known: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.items, self.first, self.known = items, first, known
        self.rows = np.arange(len(items)) if rows is None else np.asarray(rows, np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Rows:
        """(n,) the steps of each item."""
        lengths: Rows = self.items.lengths[self.rows]
        return lengths

    def batch(self, rows: Sequence[int] | Rows) -> Stretch:
        """The items given, one a row; as long as the longest of them, at least one step."""
        chosen = self.rows[np.asarray(rows, np.int64)]
        target = self.items.pad(chosen, least=1)
        x = np.concatenate([np.full_like(target[:, :1], self.first), target[:, :-1]], axis=1)
        if self.known is not None:
            beside = self.known(np.arange(x.shape[1])).astype(x.dtype)
            x = np.concatenate([x, np.broadcast_to(beside, (len(x), *beside.shape))], axis=2)
        lengths = torch.from_numpy(np.asarray(self.items.lengths[chosen], np.int64))
        return Stretch(torch.from_numpy(x), torch.from_numpy(target), lengths)

    def chunks(self, batch: Stretch, steps: int) -> Sequence[Stretch]:
        """The batch cut along time into pieces of at most `steps` steps, through which the state is carried."""
        return batch.cut(steps)
