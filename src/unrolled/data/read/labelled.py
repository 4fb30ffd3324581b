"""What several readers give: values of one kind, with a label each where the source has labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, Self, TypeVar

import numpy as np

from unrolled.data.batch.batching import Rows
from unrolled.data.read.files import Places

__all__ = ["LabelledValues"]

V = TypeVar("V")


@dataclass(frozen=True, eq=False)
class LabelledValues(Generic[V]):
    """n values.

    Args:
        values: one each.
        labels: one text a value, or None.
        source: the file's name, or words for what is in memory.
        places: where each value came from.
    """

    values: list[V]
    labels: list[str] | None
    source: str
    places: Places

    def __len__(self) -> int:
        return len(self.values)

    def place(self, index: int) -> str:
        """Where value `index` came from, for messages: "line 15 of x.ts", "row 2 of the arrays"."""
        return self.places.of(index)

    def select(self, rows: Sequence[int] | Rows) -> Self:
        """The values given, in that order; each keeps its place."""
        chosen = np.asarray(rows, np.int64).tolist()
        labels = None if self.labels is None else [self.labels[i] for i in chosen]
        return replace(self, values=[self.values[i] for i in chosen], labels=labels, places=self.places.select(rows))
