"""The contract of a field: raw values of one kind become arrays, and back; and the register of the kinds there are."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from unrolled.errors import ModelFileError, OptionError, listed, suggest
from unrolled.types import Json

__all__ = ["Field", "field_from_json", "field_kinds", "field_to_json", "register_field", "shortened"]

Raw = TypeVar("Raw")
F = TypeVar("F", bound="type[Field[Any]]")

_KINDS: dict[str, type[Field[Any]]] = {}
# What a message shows of a text.
_SHOWN = 60


class Field(ABC, Generic[Raw]):
    """How raw values of one kind become arrays, and back. Fitted on the training part only; pure JSON.

        decode(encode(v)) = v                     for every v that `draw` gives, up to the rounding of the array
        encode(decode(encode(v))) = encode(v)     where `lossy` says what is lost on the way

    `unrolled.testing.check_field` proves this and the rest of the contract for a field of anybody's. How a field is
    fitted is its own affair: a class method `fit` of what the kind needs.
    """

    kind: ClassVar[str]
    """The name of the kind in saved models; `register_field` makes it known."""

    lossy: ClassVar[str] = ""
    """What encoding a value that `draw` gives loses, in words: "beyond 8 bits a sample"; empty where nothing is."""

    @property
    def width(self) -> int:
        """The number of features of an encoded step; 1 where a step is one code."""
        return 1

    @abstractmethod
    def encode(self, value: Raw) -> np.ndarray:
        """The array of a value, always of one dtype: (steps, width), or (steps,) where a step is one code."""

    @abstractmethod
    def decode(self, array: np.ndarray) -> Raw:
        """The value of an array that `encode` gave, or that a network gave in its form."""

    @abstractmethod
    def draw(self, random: np.random.Generator) -> Raw:
        """A valid value, for the laws: the same for the same state of the generator."""

    @abstractmethod
    def say(self, value: Raw) -> str:
        """How messages and reports name a value: one short line."""

    @abstractmethod
    def to_json(self) -> Json:
        """Plain JSON; `from_json` gives the field back."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Json) -> Self:
        """The field that `to_json` wrote."""


def register_field(field: F) -> F:
    """Make the kind of a field known, so that saved models may name it; stands above the class as a decorator.

    Raises:
        OptionError: it is no whole field, names no kind, or names the kind of another.
    """
    if not (isinstance(field, type) and issubclass(field, Field)):
        raise OptionError(f"register_field: expected a subclass of Field, got {field!r}: derive the class from Field.")
    if inspect.isabstract(field):
        missing = ", ".join(sorted(field.__abstractmethods__))
        raise OptionError(f"register_field: {field.__name__} lacks {missing}: write what is missing.")
    kind = getattr(field, "kind", None)
    if not isinstance(kind, str) or not kind:
        raise OptionError(f"register_field: {field.__name__}.kind must be a name, got {kind!r}: give kind = a text.")
    known = _KINDS.get(kind)
    # A class that is written once more, as in a notebook's cell, takes its own place.
    if known is not None and (known.__module__, known.__qualname__) != (field.__module__, field.__qualname__):
        raise OptionError(
            f"register_field: the kind {kind!r} of {field.__name__} is taken by "
            f"{known.__module__}.{known.__qualname__}: choose another name."
        )
    _KINDS[kind] = field
    return field


def field_kinds() -> dict[str, type[Field[Any]]]:
    """The fields that saved models may name, by their kinds."""
    return dict(_KINDS)


def field_to_json(field: Field[Raw]) -> Json:
    """The field and its kind as plain JSON; `field_from_json` gives it back."""
    data = field.to_json()
    # Names that stand here for something else keep their meaning one level down.
    return {"kind": field.kind, **({"field": data} if data.keys() & {"kind", "field"} else data)}


def field_from_json(data: Json) -> Field[Any]:
    """The field that `field_to_json` wrote, of whatever kind.

    Raises:
        ModelFileError: there is no field of that kind.
    """
    values = dict(data)
    kind = values.pop("kind", None)
    if kind not in _KINDS:
        raise ModelFileError(
            f"load: the model holds a field of kind {kind!r}, and none is registered under that name."
            f"{suggest(str(kind), _KINDS)} Known: {listed(sorted(_KINDS))}; "
            "import the module that registers it first."
        )
    return _KINDS[kind].from_json(values.get("field", values))


def shortened(text: str) -> str:
    """The text in quotes on one line, cut where it is long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
