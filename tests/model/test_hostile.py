"""Saved models whose JSON was changed and signed anew: a sentence, at once, whatever they ask for."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from unrolled.errors import ModelFileError
from unrolled.model import load
from unrolled.model.artefact import RECORD, read_artefact, write_artefact
from unrolled.model.bounds import bounded_by

GOLDEN = Path(__file__).parent / "golden"


def changed(name: str, change: Callable[[dict[str, Any]], object], tmp_path: Path) -> Path:
    artefact = read_artefact(GOLDEN / name)
    content = copy.deepcopy(artefact.content)
    change(content)
    return write_artefact(artefact._replace(content=content), tmp_path / "changed.unrolled")


def encoder(content: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = content["options"].get("encoder", content["options"])
    return found


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a wide network": lambda content: encoder(content).update(hidden_size=4000),
    "a huge network": lambda content: encoder(content).update(hidden_size=10**9),
    "a deep network": lambda content: encoder(content).update(layers=20_000),
    "a number for a text": lambda content: encoder(content).update(cell=3),
    "a list for the options": lambda content: content.update(options=[]),
    "a text for the fields": lambda content: content.update(fields="text"),
    "a field that is null": lambda content: content["fields"].update(text=None),
    "words that are numbers": lambda content: content["fields"]["text"].update(tokens=[1, 2]),
    "no notes": lambda content: content.pop("notes"),
    "notes of another kind": lambda content: content["notes"].update(width="wide"),
    "a seed beyond all": lambda content: content["options"].update(seed=10**400),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_refused_at_once(change: str, tmp_path: Path) -> None:
    path = changed("language-word-1.unrolled", CHANGES[change], tmp_path)
    with pytest.raises(ModelFileError) as caught:
        load(path)
    assert len(str(caught.value)) <= 600
    assert "\n" not in str(caught.value)


def test_classes_that_are_not_of_their_kind_are_refused_when_loaded(tmp_path: Path) -> None:
    path = changed("classify-texts-1.unrolled", lambda content: content["notes"].update(labels="whole"), tmp_path)
    with pytest.raises(ModelFileError, match="does not fit"):
        load(path)


@pytest.mark.parametrize(("part", "value"), [("center", []), ("scale", [[0.0, 1.0]]), ("scale", [[1.0, -1.0]])])
def test_statistics_that_no_data_have_are_refused(part: str, value: object, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["fields"]["series"]["number"].update({"columns": 2, part: value})

    with pytest.raises(ModelFileError, match=r"a positive scale|cannot reshape"):
        load(changed("classify-series-1.unrolled", change, tmp_path))


FORECASTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "a look-back beyond all rows": lambda content: content["net"].update(lookback=10**9),
    "another horizon": lambda content: content["options"].update(horizon=10**9),
    "a season that is none": lambda content: content.update(season={}),
}


@pytest.mark.parametrize("change", FORECASTS)
def test_a_forecaster_of_other_sizes_is_refused(change: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"look-back|season"):
        load(changed("forecast-direct-1.unrolled", FORECASTS[change], tmp_path))


def test_a_scheme_of_tags_that_there_is_not_is_refused(tmp_path: Path) -> None:
    path = changed("tag-chunks-1.unrolled", lambda content: content["notes"].update(scheme="x"), tmp_path)
    with pytest.raises(ModelFileError, match="expected a scheme of tags"):
        load(path)


def test_a_network_is_counted_before_its_weights_are_drawn() -> None:
    weights = {"w": torch.zeros(10)}
    with bounded_by(weights):
        torch.nn.Linear(100, 100)
    with pytest.raises(ModelFileError, match="numbers in 1 parts"), bounded_by(weights):
        torch.nn.Linear(100_000, 10_000)
    with pytest.raises(ModelFileError, match="parts"), bounded_by(weights):
        [torch.nn.Linear(1, 1) for _ in range(1000)]


def test_a_zip_that_unpacks_to_far_more_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.unrolled"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(RECORD, b" " * (1 << 26))
    with pytest.raises(ModelFileError, match="would unpack to 67,108,864"):
        load(path)


@pytest.mark.parametrize("text", ["[" * 200_000, '{"format": NaN}', '{"format": ' + "9" * 6000 + "}", '"\\ud800"'])
def test_a_record_that_is_no_json_of_a_model_is_damaged(text: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / RECORD).write_text(text)
    with pytest.raises(ModelFileError, match="damaged"):
        load(tmp_path / "model")


def test_a_pipe_in_the_place_of_a_model_is_not_waited_for(tmp_path: Path) -> None:
    import os

    for path in (tmp_path / "a.unrolled", tmp_path / RECORD):
        os.mkfifo(path)
        with pytest.raises(ModelFileError, match="expected a file"):
            load(path if path.suffix == ".unrolled" else tmp_path)


def test_golden_content_is_json_that_is_read_strictly(tmp_path: Path) -> None:
    path = changed("language-word-1.unrolled", lambda content: content, tmp_path)
    assert json.loads(zipfile.ZipFile(path).read(RECORD))["format"] == 1
    assert load(path).task == "language"
