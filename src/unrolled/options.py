"""Typed options: plain JSON values, checked when they are made, a mistake told in one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from unrolled.errors import ModelFileError, OptionError, listed

__all__ = ["Options", "typed", "unknown"]

# So many options are listed in a message.
FEW = 12


class Options(BaseModel):
    """Base of every set of options: fixed once made, `type(options)(**options.to_json()) == options`.

    Raises `OptionError` for an unknown name (with the nearest known one), a missing one, or a bad value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    owner: ClassVar[str] = ""
    """What messages call these options; left empty, the name of the class."""

    if not TYPE_CHECKING:

        def __init__(self, **values: object) -> None:
            self._take(self.owner or type(self).__name__, values)

    @classmethod
    def signed(cls, owner: str, values: Mapping[str, object]) -> Self:
        """These options; a mistake in them is told in the name of `owner`, to whom the user gave them."""
        made = cls.__new__(cls)
        made._take(owner, values)
        return made

    def _take(self, owner: str, values: Mapping[str, object]) -> None:
        try:
            BaseModel.__init__(self, **values)
        except ValidationError as error:
            raise OptionError(f"{owner}: {_sentence(error, self.meanings())}") from None

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """What each option that may be given means, in a few words, or nothing."""
        return {name: _meaning(field) for name, field in cls.model_fields.items()}

    def given(self) -> dict[str, Any]:
        """The options that were named when these were made; the others have their defaults."""
        return {name: getattr(self, name) for name in type(self).model_fields if name in self.model_fields_set}

    def over(self, **usual: object) -> Self:
        """These options, with the usual values in place of those that were not given."""
        return type(self)(**{**usual, **self.given()})

    def to_json(self) -> dict[str, Any]:
        """The options as plain JSON values."""
        return self.model_dump(mode="json")


def typed(kind: Any, value: object, name: str, *, strict: bool = True) -> Any:
    """The value that a saved model holds under a name, if it is of this kind; unless `strict`, a list may be a tuple.

    Raises `ModelFileError`.
    """
    try:
        return TypeAdapter(kind).validate_python(value, strict=strict)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"[{part!r}]" for part in first["loc"])
        raise ModelFileError(f"load: {name}{place} is {str(first['input'])[:40]!r}: {first['msg']}.") from error


def unknown(name: str, meanings: Mapping[str, str]) -> str:
    """The sentence about an option that there is not."""
    close = difflib.get_close_matches(name, meanings, n=3, cutoff=0.6)
    said = [f"{other!r} ({_lowered(meanings[other])})" if meanings[other] else repr(other) for other in close]
    suggestion = f" Did you mean {' or '.join(said)}?" if said else ""
    few = len(meanings) <= FEW
    rest = f" Options: {listed(meanings)}." if few else " 'unrolled options' says what each of them means."
    return f"there is no option {name!r}.{suggestion}{rest}"


def _meaning(field: FieldInfo) -> str:
    """The words of a field, and the words that it takes."""
    kinds = get_args(field.annotation) or (field.annotation,)
    literals = [field.annotation, *kinds] if get_origin(field.annotation) is not Literal else [field.annotation]
    choices = [str(word) for kind in literals if get_origin(kind) is Literal for word in get_args(kind)]
    listing = f" ({', '.join(choices)})" if choices and field.description else ""
    return (field.description or "").removesuffix(".") + listing + ("." if field.description else "")


def _lowered(meaning: str) -> str:
    return (meaning[:1].lower() + meaning[1:]).rstrip(".")


def _sentence(error: ValidationError, meanings: Mapping[str, str]) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return unknown(name, meanings)
    if first["type"] == "missing":
        return f"option {name!r} is missing; give {name}=."
    problem = first["msg"].removeprefix("Value error, ").removesuffix(".")
    return f"{problem}." if not name else f"{name}={first['input']!r}: {problem}."
