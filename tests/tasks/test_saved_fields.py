"""The fields of a saved model: named by their kinds, strangers' too."""

from __future__ import annotations

from pathlib import Path

import pytest

import unrolled as ur
from unrolled.errors import ModelFileError
from unrolled.fields import Category, register_field
from unrolled.fields import field as register
from unrolled.model.artefact import read_artefact, write_artefact

GOLDEN = Path(__file__).parents[1] / "model" / "golden" / "classify-texts-1.unrolled"


class Mood(Category):
    """A stranger's field."""

    kind = "Mood"


def with_kind(kind: str, path: Path) -> Path:
    """A saved classifier whose label is a field of another kind."""
    saved = read_artefact(GOLDEN)
    saved.content["fields"]["label"]["kind"] = kind
    return write_artefact(saved, path)


def test_a_field_of_an_unknown_kind_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="a field of kind 'Mood', and none is registered under that name"):
        ur.load(with_kind("Mood", tmp_path / "model.zip"))


def test_a_registered_field_of_a_stranger_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "_KINDS", dict(register._KINDS))
    register_field(Mood)
    model = ur.load(with_kind("Mood", tmp_path / "model.zip"))
    assert isinstance(model.fields["label"], Mood)
    assert isinstance(ur.load(model.save(tmp_path / "again.zip")).fields["label"], Mood)
