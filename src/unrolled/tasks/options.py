"""What every task may be asked for: its own options, those of training and those of its encoder, all by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, JsonValue

from unrolled.options import Options
from unrolled.train import TrainOptions

__all__ = ["TaskOptions", "enough_epochs"]


class TaskOptions(Options):
    """Base of a task's options. seed: the same seed gives the same model. train: options of `TrainOptions` by name.

    `collect` takes all of them flat, as a user gives them, and puts each where it belongs.
    """

    seed: int = Field(default=0, ge=0, lt=2**32)
    train: dict[str, JsonValue] = Field(default_factory=dict)

    groups: ClassVar[Mapping[str, type[Options]]] = {"train": TrainOptions}
    """Fields that hold options of another kind by name, and that kind."""

    @classmethod
    def collect(cls, values: dict[str, Any]) -> Self:
        """Options by name. Raises `OptionError` for an unknown one (with the nearest known one) or a bad value."""
        own = {name: plain(value) for name, value in values.items()}
        for group in cls.groups:
            given = {name: own.pop(name) for name in cls._names_of(group) if name in own}
            own[group] = {**own.get(group, {}), **given}
        options = cls(**own)
        options.check()
        return options

    @classmethod
    def names(cls) -> list[str]:
        own = [name for name in cls.model_fields if name not in cls.groups]
        return own + sorted({name for group in cls.groups for name in cls._names_of(group)})

    @classmethod
    def _names_of(cls, group: str) -> list[str]:
        return [name for name in cls.groups[group].model_fields if name not in cls.model_fields]

    def check(self) -> None:
        """What can be said before the data are there, said now."""
        TrainOptions.from_json(dict(self.train))


def plain(value: Any) -> Any:
    """The value of an option as JSON has it: a number of numpy as Python's, a path as text."""
    if isinstance(value, np.generic):
        return value.item()
    return str(value) if isinstance(value, Path) else value


def enough_epochs(usual: int, batches: int, least: int) -> int:
    """The usual number of epochs, or as many more as make `least` steps of so few batches."""
    return max(usual, math.ceil(least / max(1, batches)))
