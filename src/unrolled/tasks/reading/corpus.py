"""Inputs of any kind, and what is known of each: the base of what tasks read that take every kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from unrolled.data.read.files import Places
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import Input, check_kind
from unrolled.tasks.reading.options import SignalOptions

__all__ = ["InputCorpus"]


@dataclass(frozen=True, eq=False)
class InputCorpus(ABC):
    """n inputs of one kind; a subclass adds the answers: what is known of each of them, None where nobody told.

    places: where each came from. columns: where inputs and answers stood in a table. remarks: what was understood
    without being told.
    """

    inputs: Input[Any]
    places: Places
    columns: LabelColumns
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.inputs)

    @abstractmethod
    def with_answers_of(self, rows: np.ndarray) -> Self:
        """The same inputs with the answers of these rows, one after another."""

    def versions(self, options: SignalOptions) -> Self:
        """What training learns from: all examples, then all in another version, and so on, see `Input.versions`."""
        inputs = self.inputs.versions(options)
        if inputs is self.inputs:
            return self
        rows = np.arange(len(inputs)) % len(self)
        return replace(self.with_answers_of(rows), inputs=inputs, places=self.places.select(rows))

    def check_kind(self, owner: str, wanted: str) -> None:
        """Raises `DataError` where the inputs are of another kind than `wanted`."""
        check_kind(owner, wanted, self.inputs)

    def check_held(self, held: Self | None) -> None:
        """Raises `DataError` where examples that are held out are not of the kind of these."""
        if held is not None:
            held.check_kind("valid", self.inputs.kind)
