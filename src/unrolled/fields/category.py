"""A field for categories: text values become codes, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from unrolled.errors import DataError
from unrolled.fields.field import Field, register_field, shortened
from unrolled.options import typed
from unrolled.types import Json


@register_field
@dataclass(frozen=True)
class Category(Field[str | None]):
    """A vocabulary: value number i has the code i + 1; a value never seen, and a missing one, has the code 0.

    Args:
        values: the known values, distinct.
    """

    kind: ClassVar[str] = "Category"
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

    def encode(self, value: str | None) -> np.ndarray:
        """The code of one value, int64 (1,), 0 where unknown or missing; `encode_all` encodes many."""
        if not isinstance(value, str | None):
            raise DataError(f"Category: expected one value as text, got {value!r}: encode many with encode_all.")
        return self.encode_all([value])

    def encode_all(self, values: Iterable[str | None]) -> np.ndarray:
        """The code of each value, int64 (number of values,), 0 where unknown or missing."""
        codes = self._codes
        return np.fromiter((codes.get(value, 0) for value in values), np.int64)

    def decode(self, array: np.ndarray) -> str | None:
        """The value of an array of one code; None for code 0. `decode_all` decodes many.

        Raises:
            DataError: it is not one code of this field.
        """
        if np.size(array) != 1:
            raise DataError(f"Category: expected one code, got {np.size(array)}: decode many with decode_all.")
        return self.decode_all(array)[0]

    def decode_all(self, codes: np.ndarray) -> list[str | None]:
        """The value of each code; None for code 0.

        Raises:
            DataError: a number is no code of this field.
        """
        table: tuple[str | None, ...] = (None, *self.values)
        numbers = np.asarray(codes).ravel().tolist()
        for number in numbers:
            if not 0 <= number < self.size:
                raise DataError(
                    f"Category: expected codes from 0 to {self.size - 1}, got {number}: "
                    "decode with the field that encoded them."
                )
        return [table[number] for number in numbers]

    def draw(self, random: np.random.Generator) -> str | None:
        """One of the values, or None, each as likely."""
        return (None, *self.values)[int(random.integers(self.size))]

    def say(self, value: str | None) -> str:
        """The value in quotes, or "missing"."""
        return "missing" if value is None else shortened(value)

    def to_json(self) -> Json:
        """Plain JSON; `Category.from_json` gives the field back."""
        return {"values": list(self.values)}

    @classmethod
    def from_json(cls, data: Json) -> Category:
        """The field that `to_json` wrote."""
        return cls(tuple(typed(list[str], data["values"], "values")))
