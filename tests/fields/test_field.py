"""The register of fields: which kinds saved models may name."""

from __future__ import annotations

import json

import numpy as np
import pytest

from unrolled.errors import ModelFileError, OptionError
from unrolled.fields import (
    Audio,
    Category,
    Field,
    Image,
    Ink,
    Levelled,
    NoteEvents,
    NoteGrid,
    Number,
    Numbers,
    Palette,
    Spelling,
    Tags,
    Text,
    Video,
    field_from_json,
    field_kinds,
    field_to_json,
    register_field,
)
from unrolled.fields import field as register
from unrolled.types import Json


@pytest.fixture(autouse=True)
def _own_register(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(register, "_KINDS", dict(register._KINDS))


class Switch(Field[bool]):
    """On or off, as a stranger writes it."""

    kind = "Switch"

    def encode(self, value: bool) -> np.ndarray:
        return np.array([int(value)])

    def decode(self, array: np.ndarray) -> bool:
        return bool(array[0])

    def draw(self, random: np.random.Generator) -> bool:
        return bool(random.integers(2))

    def say(self, value: bool) -> str:
        return "on" if value else "off"

    def to_json(self) -> Json:
        return {"field": "of the switch itself", "kind": "light"}

    @classmethod
    def from_json(cls, data: Json) -> Switch:
        assert data == {"field": "of the switch itself", "kind": "light"}
        return cls()


def test_the_kinds_of_saved_models_are_known() -> None:
    assert field_kinds() == {
        "Audio": Audio,
        "Category": Category,
        "Image": Image,
        "Ink": Ink,
        "Levelled": Levelled,
        "NoteEvents": NoteEvents,
        "NoteGrid": NoteGrid,
        "Number": Number,
        "Numbers": Numbers,
        "Palette": Palette,
        "Spelling": Spelling,
        "Tags": Tags,
        "Text": Text,
        "Video": Video,
    }


def test_a_field_comes_back_by_its_kind() -> None:
    category = Category.fit(["a", "b"])
    data = json.loads(json.dumps(field_to_json(category)))
    assert data == {"kind": "Category", "values": ["a", "b"]}
    assert field_from_json(data) == category
    number = field_from_json(field_to_json(Number.fit(np.arange(6.0).reshape(3, 2), scaling="log")))
    assert isinstance(number, Number)
    assert number.scaling == "log"


def test_a_field_of_a_stranger_may_use_any_names_in_its_json() -> None:
    assert register_field(Switch) is Switch
    assert field_kinds()["Switch"] is Switch
    assert isinstance(field_from_json(json.loads(json.dumps(field_to_json(Switch())))), Switch)


def test_an_unknown_kind_is_a_sentence_with_the_nearest_name() -> None:
    with pytest.raises(
        ModelFileError, match=r"kind 'Categorie', and none .* Did you mean 'Category'\? Known: Audio, Category, "
    ):
        field_from_json({"kind": "Categorie", "values": []})
    with pytest.raises(ModelFileError, match="kind None"):
        field_from_json({"values": []})


def test_a_kind_is_taken_once_and_a_class_written_again_takes_its_place() -> None:
    register_field(Switch)
    again = type("Switch", (Switch,), {"__module__": Switch.__module__})
    assert register_field(again) is again
    assert field_kinds()["Switch"] is again
    with pytest.raises(OptionError, match=r"kind 'Text' of Sign is taken by unrolled\.fields\.text\.Text"):
        register_field(type("Sign", (Switch,), {"kind": "Text"}))


def test_what_is_no_whole_field_is_not_registered() -> None:
    with pytest.raises(OptionError, match="expected a subclass of Field, got <class 'int'>"):
        register_field(int)  # type: ignore[type-var]
    with pytest.raises(OptionError, match="Half lacks decode, draw, encode, from_json, say, to_json"):
        register_field(type("Half", (Field,), {"kind": "Half"}))
    nameless = type("Nameless", (Switch,), {"kind": ""})
    with pytest.raises(OptionError, match=r"Nameless\.kind must be a name, got ''"):
        register_field(nameless)
