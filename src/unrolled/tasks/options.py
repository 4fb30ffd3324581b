"""What a task may be asked for: groups of options, each typed, all given flat by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field

from unrolled.errors import OptionError
from unrolled.nn.build import EncoderOptions, ForwardOptions, check_encoder, make_encoder
from unrolled.nn.recurrent import Recurrent
from unrolled.options import Options, unknown
from unrolled.train import BatchedOptions, RunOptions, TrainOptions

__all__ = ["TaskOptions", "enough_epochs", "plain"]


class TaskOptions(Options):
    """Base of a task's options. A field that is itself `Options` is a group, and its default holds the task's own ones.

    `collect` takes all options flat, as a user gives them, and puts each into the group that has it; where two have it,
    into the first. seed: the same seed gives the same model.
    """

    seed: int = Field(default=0, ge=0, lt=2**32, description="The same seed gives the same model.")
    encoder: ForwardOptions = EncoderOptions()
    train: RunOptions = BatchedOptions()

    completed: ClassVar[frozenset[str]] = frozenset({"encoder", "train"})
    """Groups that the task completes from the data, so that a saved model holds of them what was given alone."""
    absent: ClassVar[Mapping[str, str]] = {}
    """Options of other tasks that mean nothing to this one, and why, for messages. Earlier files name some of them."""

    @classmethod
    def collect(cls, values: Mapping[str, object]) -> Self:
        """Options by name. Raises `OptionError` for an unknown one (with the nearest known one) or a bad value."""
        options = cls._assembled(values)
        options.check()
        return options

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `to_json` gave, here or in an earlier version."""
        return cls._assembled(cls.without_absent(values))

    @classmethod
    def without_absent(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values by name, also inside groups, but for those `absent`."""
        kept = {name: value for name, value in values.items() if name not in cls.absent}
        inner = {name: cls.without_absent(kept[name]) for name in cls.groups() if name in kept}
        return {**kept, **inner}

    @classmethod
    def groups(cls) -> dict[str, type[Options]]:
        """The fields that are groups, and the kind of each; what a task names itself comes first."""
        kinds: dict[str, type[Options]] = {}
        for name, field in cls.model_fields.items():
            kind = field.annotation if field.is_required() else type(field.default)
            if isinstance(kind, type) and issubclass(kind, Options):
                kinds[name] = kind
        return dict(sorted(kinds.items(), key=lambda item: item[0] in TaskOptions.model_fields))

    @classmethod
    def places(cls) -> dict[str, str]:
        """Every option by its flat name, and the group that it belongs to; "" for the task itself."""
        groups = cls.groups()
        places = {name: "" for name in cls.model_fields if name not in groups}
        for group, kind in groups.items():
            for name in kind.model_fields:
                places.setdefault(name, group)
        return places

    @classmethod
    def meanings(cls) -> dict[str, str]:
        groups, own = cls.groups(), super().meanings()
        every = {group: kind.meanings() for group, kind in groups.items()}
        return {name: every[group][name] if group else own[name] for name, group in cls.places().items()}

    @classmethod
    def usual(cls) -> dict[str, object]:
        """What each option is where it is not given; None: nothing, or what the task chooses for the data."""
        groups, found = cls.groups(), dict[str, object]()
        for name, group in cls.places().items():
            default = cls.model_fields[group].default if group else None
            if group in cls.completed:
                found[name] = default.given().get(name) if isinstance(default, Options) else None
                continue
            field = (groups[group] if group else cls).model_fields[name]
            value = (
                getattr(default, name) if isinstance(default, Options) else field.get_default(call_default_factory=True)
            )
            found[name] = None if field.is_required() else value
        return found

    @classmethod
    def _assembled(cls, values: Mapping[str, object]) -> Self:
        places, groups = cls.places(), cls.groups()
        parts: dict[str, dict[str, object]] = {group: {} for group in groups}
        own: dict[str, object] = {}
        for name, value in values.items():
            if name in groups and isinstance(value, Mapping):
                parts[name] |= value
            elif name not in places:
                raise OptionError(f"{cls.owner}: {cls._no_option(name)}")
            else:
                (parts[places[name]] if places[name] else own)[name] = plain(value)
        made = {name: cls._group(name, kind, parts[name]) for name, kind in groups.items()}
        return cls.signed(cls.owner, {**own, **made})

    @classmethod
    def _group(cls, name: str, kind: type[Options], values: Mapping[str, object]) -> Options:
        default = cls.model_fields[name].default
        usual = default.given() if isinstance(default, Options) else {}
        return kind.signed(cls.owner, {**usual, **values})

    @classmethod
    def _no_option(cls, name: str) -> str:
        if name in cls.absent:
            return f"there is no option {name!r}, {cls.absent[name]}."
        return unknown(name, cls.meanings())

    def replaced(self, **values: object) -> Self:
        """These options with other values of some."""
        return self._assembled({**self.to_json(), **values})

    def training(self, **usual: object) -> TrainOptions:
        """The options of training that were given, and the usual values of the others."""
        return TrainOptions.signed(self.owner, {"seed": self.seed, **usual, **self.train.given()})

    def check(self) -> None:
        """What can be said before the data are there, said now."""
        if "cell" in self.encoder.given():
            check_encoder(self.encoder, self.owner)

    def make_encoder(self, input_size: int, **usual: object) -> Recurrent[Any]:
        """The encoder that was asked for, the usual one where nothing was."""
        return make_encoder(input_size, self.encoder.over(**usual), owner=self.owner)

    def to_json(self) -> dict[str, Any]:
        """The options flat by name; of groups that the data complete what was given alone, under the group's name."""
        groups = self.groups()
        content = {name: value for name, value in self.model_dump(mode="json").items() if name not in groups}
        places = self.places()
        for group in groups:
            options: Options = getattr(self, group)
            if group in self.completed:
                content[group] = options.model_dump(mode="json", exclude_unset=True)
            else:
                content |= {name: value for name, value in options.to_json().items() if places[name] == group}
        return content


def plain(value: object) -> object:
    """The value of an option as JSON has it: a number of numpy as Python's, a path as text, also in a list."""
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        item: object = value.item()
        return item
    return str(value) if isinstance(value, Path) else value


def enough_epochs(usual: int, batches: int, least: int) -> int:
    """The usual number of epochs, or as many more as make `least` steps of so few batches."""
    return max(usual, math.ceil(least / max(1, batches)))
