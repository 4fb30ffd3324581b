"""Pieces of music as inputs: what is seen as one, what its labels are, what a classifier makes of them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from unrolled.errors import DataError, OptionError
from unrolled.fields.notes import MusicPiece, to_midi
from unrolled.inputs.columns import LabelColumns
from unrolled.inputs.input import known_inputs
from unrolled.model import load
from unrolled.tasks import Classifier

QUICK: dict[str, Any] = {"hidden_size": 12, "layers": 1, "epochs": 15, "learning_rate": 0.02, "batch_size": 8,
                         "bidirectional": False, "dropout": 0.0, "head_dropout": 0.0}  # fmt: skip


def tunes(count: int, seed: int = 0) -> tuple[list[MusicPiece], list[str]]:
    """Scales that go up or down from any note."""
    random, pieces, labels = np.random.default_rng(seed), list[MusicPiece](), list[str]()
    for i in range(count):
        begin, way = int(random.integers(50, 70)), 1 if i % 2 else -1
        size = int(random.integers(4, 9))
        pieces.append(MusicPiece.of([(t / 2, 0.5, begin + way * t) for t in range(size)]))
        labels.append(("down", "up")[i % 2])
    return pieces, labels


def folder_of(path: Path, count: int, seed: int = 0) -> Path:
    for number, (piece, label) in enumerate(zip(*tunes(count, seed), strict=True)):
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{number}.mid").write_bytes(to_midi(piece))
    return path


def kind_of(source: object) -> str:
    columns = LabelColumns()
    return next(kind for kind in known_inputs() if kind.recognises(source, columns)).kind


@pytest.fixture(scope="module", params=["grid", "events"])
def listener(request: pytest.FixtureRequest) -> Classifier:
    return Classifier(**QUICK, notes_encoding=request.param).fit(*tunes(60), valid=0)


def test_tunes_are_told_apart(listener: Classifier, tmp_path: Path) -> None:
    pieces, labels = tunes(20, seed=1)
    assert listener.evaluate(pieces, labels).accuracy >= 0.95
    listener.check()
    again = load(listener.save(tmp_path / "tunes.unrolled"))
    assert isinstance(again, Classifier)
    np.testing.assert_array_equal(again.predict_proba(pieces), listener.predict_proba(pieces))
    assert listener.embed(pieces).shape[0] == 20


def test_a_folder_of_midi_for_each_class_is_learned_from(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "tunes", 24)
    assert kind_of(folder) == "pieces of music"
    model = Classifier(**{**QUICK, "epochs": 1}).fit(folder, valid=0)
    assert set(model.classes_) == {"down", "up"}
    assert model.understood[-1] == "labels: the names of their folders"
    assert len(model.predict(folder / "up")) == 12
    assert len(model.predict(folder / "up" / "1.mid")) == 1
    with zipfile.ZipFile(tmp_path / "tunes.zip", "w") as archive:
        for file in sorted(folder.rglob("*.mid")):
            archive.write(file, Path("tunes") / file.relative_to(folder))
    assert kind_of(tmp_path / "tunes.zip") == "pieces of music"
    zipped = Classifier(**{**QUICK, "epochs": 1}).fit(tmp_path / "tunes.zip", valid=0)
    assert set(zipped.classes_) == {"down", "up"}


def test_a_file_in_no_folder_has_no_class(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "tunes", 4)
    (folder / "x.mid").write_bytes(to_midi(tunes(1)[0][0]))
    with pytest.raises(DataError, match=r"Expected a folder as the class of x\.mid, but it is in none"):
        Classifier(**QUICK).fit(folder)


def test_other_inputs_stay_what_they_were(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("la la")
    assert kind_of(tmp_path / "a.txt") == "texts"
    assert kind_of([np.zeros((3, 2))]) == "series"
    assert kind_of(tunes(2)[0]) == "pieces of music"
    assert kind_of("no-such.mid") == "pieces of music"


def test_what_is_of_sounds_is_refused(listener: Classifier) -> None:
    with pytest.raises(OptionError, match="are of sounds, got pieces of music"):
        Classifier(**QUICK, speeds=[0.9]).fit(*tunes(8), valid=0)
    with pytest.raises(DataError, match="expected pieces of music, as in training, got texts"):
        listener.predict(["la la la"])
