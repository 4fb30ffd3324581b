"""A field for categories: text values become codes, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Category:
    """A vocabulary: value number i has the code i + 1; a value never seen, and a missing one, has the code 0.

    Args:
        values: the known values, distinct.
    """

    values: tuple[str, ...]

    @classmethod
    def fit(cls, values: Iterable[str | None]) -> Category:
        """The vocabulary of the values given, sorted; None is left out. Hand in the training part only."""
        return cls(tuple(sorted({value for value in values if value is not None})))

    @property
    def size(self) -> int:
        """The number of codes, the unknown one included."""
        return len(self.values) + 1

    @cached_property
    def _codes(self) -> dict[str | None, int]:
        return {value: code for code, value in enumerate(self.values, start=1)}

    def encode(self, values: Iterable[str | None]) -> np.ndarray:
        """The codes of the values, int64, 0 where unknown or missing."""
        codes = self._codes
        return np.fromiter((codes.get(value, 0) for value in values), np.int64)

    def decode(self, codes: np.ndarray) -> list[str | None]:
        """The values of the codes; None for code 0."""
        table: tuple[str | None, ...] = (None, *self.values)
        return [table[code] for code in np.asarray(codes).ravel()]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `Category.from_json` gives the field back."""
        return {"values": list(self.values)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Category:
        """The field that `to_json` wrote."""
        return cls(tuple(data["values"]))
