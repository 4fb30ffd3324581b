"""What drawings are made of: how a network reads and makes them, one step after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from unrolled.align.next import StepReader
from unrolled.fields.field import Field
from unrolled.heads.head import Head
from unrolled.nn.reading.pen import Hands
from unrolled.tasks.draw.options import DrawerOptions

__all__ = ["Course", "Medium"]

V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)


class Course(Protocol[V_co]):
    """One drawing on its way. given: the steps that are there before anything is drawn, in order."""

    @property
    def given(self) -> Sequence[Tensor]: ...

    @property
    def over(self) -> bool:
        """Is it finished?"""

    def read(self) -> Tensor:
        """What is read before the next step, (1, ...)."""

    def add(self, step: Tensor) -> None:
        """The next step, as the head draws it for one place: (1,) or (1, numbers)."""

    def drawing(self) -> V_co:
        """What has been drawn."""


class Medium(ABC, Generic[V]):
    """How drawings of one kind are read and made; V: one of them.

    name: of the field in saved models. said, unit: what drawings and their steps are called. encoder, training,
    dropout: what is chosen where nothing is asked for.
    """

    name: ClassVar[str]
    said: ClassVar[str]
    unit: ClassVar[str]
    encoder: ClassVar[Mapping[str, object]]
    training: ClassVar[Mapping[str, object]]
    dropout: ClassVar[float]

    @classmethod
    @abstractmethod
    def fit(cls, values: Sequence[V], options: DrawerOptions) -> Field[Any]:
        """The field of these drawings."""

    def __init__(self, field: Any) -> None:
        self.field = field

    @abstractmethod
    def steps(self, value: V) -> tuple[np.ndarray, np.ndarray]:
        """What is read before each step, and the steps: (T, ...) each."""

    @abstractmethod
    def reader(self, options: DrawerOptions) -> StepReader:
        """What makes vectors of what is read."""

    @abstractmethod
    def head(self, features: int, options: DrawerOptions) -> Head:
        """What tells the next step of so many features."""

    @abstractmethod
    def hands(self, options: DrawerOptions) -> Hands | None:
        """How training varies the steps."""

    @abstractmethod
    def draw(self, head: Any, y: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
        """A step drawn by the head; temperature: below 1 safer, above 1 wilder, 0 the likeliest."""

    @abstractmethod
    def course(self, begun: V | None, limit: int | None) -> Course[V]:
        """A drawing on its way from what has been begun, or from nothing; limit: steps at most, None: all it takes."""

    @abstractmethod
    def given(self, begun: V) -> int:
        """How many strokes, or rows, of a drawing that goes on from this one were there before."""

    def counted(self, steps: np.ndarray) -> int:
        """How many of these steps a score is for: points, pixels."""
        return len(steps)

    @abstractmethod
    def scored(self, nats: float, count: int, deviation: float) -> float:
        """The score of so many steps in the medium's own unit: nats a point, bits a pixel; deviation: see `spread`."""

    def spread(self, steps: np.ndarray) -> float:
        """The deviation of the moves among the steps of the training part; 1 where nothing moves."""
        return 1.0

    def in_units(self, deviation: float) -> float | None:
        """That deviation in the units in which drawings came; None where nothing moves."""
        return None
