"""Typed options: plain JSON values, checked when they are made, a mistake told in one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from unrolled.errors import OptionError, suggest

__all__ = ["Options"]


class Options(BaseModel):
    """Base of every set of options: fixed once made, `type(options)(**options.to_json()) == options`.

    Raises `OptionError` for an unknown name (with the nearest known one), a missing one, or a bad value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    owner: ClassVar[str] = ""
    """What messages call these options; left empty, the name of the class."""

    if not TYPE_CHECKING:

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise OptionError(_sentence(error, type(self))) from None

    @classmethod
    def names(cls) -> Iterable[str]:
        """The names that may be given, for messages."""
        return list(cls.model_fields)

    def to_json(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        return self.model_dump(mode="json")


def _sentence(error: ValidationError, kind: type[Options]) -> str:
    first = error.errors()[0]
    owner, name = kind.owner or kind.__name__, ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        names = kind.names()
        return f"{owner}: there is no option {name!r}.{suggest(name, names)} Options: {', '.join(names)}."
    if first["type"] == "missing":
        return f"{owner}: option {name!r} is missing; give {name}=."
    problem = first["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"{owner}: {problem}." if not name else f"{owner}: {name}={first['input']!r}: {problem}."
