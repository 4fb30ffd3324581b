"""Files of every format version, written once and never again: each must load and say what it did, under its names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from unrolled.data.read.table import read_table
from unrolled.fields.notes import MusicPiece
from unrolled.model import load
from unrolled.model.artefact import FORMAT, read_artefact
from unrolled.model.base import Model
from unrolled.model.registry import known_tasks
from unrolled.nn import CELLS
from unrolled.tasks import Forecaster

FOLDER = Path(__file__).parent / "golden"
GOLDEN = sorted(FOLDER.glob("*.unrolled"))
# The first two files have their forecasts beside them, all others what make_golden.py asked and heard.
FORECASTS = [path for path in GOLDEN if path.with_suffix(".csv").exists()]
ASKED = [path for path in GOLDEN if path not in FORECASTS]
# Another processor may round each of the few hundred float32 sums another way.
TOLERANCE = 1e-4
# What is exactly 0 is a difference of float32 sums of a few units, and these run in another order elsewhere.
NOTHING = 2.0**-20
# Keys of a saved content are looked at down to this depth: below are the words and the numbers themselves.
DEPTH = 3


@pytest.mark.parametrize("path", FORECASTS, ids=lambda path: path.stem)
def test_a_golden_file_loads_and_forecasts_what_it_did(path: Path) -> None:
    model = load(path)
    assert isinstance(model, Forecaster)
    found, expected = model.predict().to_arrow(), read_table(path.with_suffix(".csv"), text=["shop"])
    assert found.column_names == expected.column_names
    for name in expected.column_names[-3:]:
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=TOLERANCE)
    model.check()


@pytest.mark.parametrize("path", ASKED, ids=lambda path: path.stem)
def test_a_golden_file_loads_and_answers_what_it_did(path: Path) -> None:
    expected = _beside(path)
    model = load(path)
    _same(answers(model, expected["questions"]), expected["answers"], "answers")
    model.check()


@pytest.mark.parametrize("path", ASKED, ids=lambda path: path.stem)
def test_a_golden_file_keeps_its_names(path: Path) -> None:
    model = load(path)
    expected, found = _beside(path), names(model)
    assert found["weights"] == {type(model).renamed(name): shape for name, shape in expected["weights"].items()}
    assert found["arrays"] == expected["arrays"]
    # A later version may keep more, and no longer says which options a task has not.
    absent = {f"{part}.{name}" for part in ("options", "given", "options.encoder") for name in _absent(model)}
    assert not set(expected["content"]) - set(found["content"]) - absent


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_golden_file_is_packed_again_as_it_was(path: Path) -> None:
    before, model = read_artefact(path), load(path)
    content, arrays = model.pack()
    # It stands beside what a task packs.
    content["understood"] = list(model.understood)
    wanted = dict(before.content)
    # What was understood of the data is kept beside what the task itself packs.
    assert tuple(wanted.pop("understood", ())) == model.understood
    for part in ("options", "given"):
        if part in wanted:
            wanted[part] = {name: value for name, value in wanted[part].items() if name not in _absent(model)}
    _within(json.loads(json.dumps(content)), wanted, "content")
    kept = {f"data.{name}": array for name, array in arrays.items()}
    kept |= {f"weights.{name}": weight for name, weight in model.fitted().state_dict().items()}
    here = {_renamed(model, name): tensor for name, tensor in before.tensors.items()}
    assert kept.keys() == here.keys()
    assert [name for name, tensor in kept.items() if not torch.equal(tensor, here[name])] == []


def _renamed(model: Model, name: str) -> str:
    """The name under which a tensor of an earlier file is kept now."""
    own = name.removeprefix("weights.")
    return name if own == name else f"weights.{type(model).renamed(own)}"


@pytest.mark.parametrize("version", range(1, FORMAT + 1))
def test_every_format_version_has_a_golden_file_of_every_task(version: int) -> None:
    tasks = [read_artefact(path).task for path in GOLDEN if int(path.stem.rpartition("-")[2]) == version]
    assert set(tasks) == set(known_tasks())


def test_every_cell_is_in_a_golden_file() -> None:
    options = [read_artefact(path).content["options"] for path in GOLDEN]
    assert {chosen.get("encoder", chosen).get("cell") for chosen in options} >= set(CELLS)


def names(model: Model) -> dict[str, Any]:
    """Shapes of the weights and arrays by their names, and the keys of what is saved beside them."""
    content, arrays = model.pack()
    return {
        "weights": {name: list(weight.shape) for name, weight in model.fitted().state_dict().items()},
        "arrays": {name: list(array.shape) for name, array in arrays.items()},
        "content": sorted(_keys(content, DEPTH)),
    }


def answers(model: Any, questions: dict[str, Any]) -> dict[str, Any]:
    """All that a model says of its questions, as plain JSON."""
    said: dict[str, Any] = json.loads(json.dumps(ANSWERS[model.task](model, **questions)))
    return said


def _as_given(value: Any) -> Any:
    """An input as a user gives it: a text, a piece, a series, picture or video as an array, a drawing as strokes."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return MusicPiece.from_json(value)
    first = value
    while isinstance(first, list):
        first = first[0]
    if isinstance(first, int):
        return np.array(value, np.uint8)
    if isinstance(value[0][0], list):
        return [np.array(stroke, np.float64) for stroke in value]
    return np.array(value, np.float64)


def _classify(model: Any, inputs: list[Any], labels: list[Any]) -> dict[str, Any]:
    given = [_as_given(each) for each in inputs]
    return {
        "classes": model.classes_.tolist(),
        "predict": model.predict(given).tolist(),
        "probabilities": model.predict_proba(given).tolist(),
        "evaluate": model.evaluate(given, labels).to_json(),
    }


def _regress(model: Any, inputs: list[Any], targets: list[Any]) -> dict[str, Any]:
    given = [each if isinstance(each, str) else np.array(each, np.float64) for each in inputs]
    return {
        "predict": model.predict(given).tolist(),
        "intervals": model.predict_interval(given).tolist(),
        "evaluate": model.evaluate(given, targets).to_json(),
    }


def _anomaly(model: Any, rows: dict[str, list[Any]], windows: dict[str, Any]) -> dict[str, Any]:
    return {
        "scores": model.decision_function(rows).tolist(),
        "predict": model.predict(rows).tolist(),
        "explain": model.explain(rows).tolist(),
        "events": [event.to_json() for event in model.events(rows)],
        "evaluate": model.evaluate(rows, windows).to_json(),
    }


def _tag(model: Any, sentences: list[list[str]], tags: list[list[str]]) -> dict[str, Any]:
    return {"predict": model.predict(sentences), "evaluate": model.evaluate((sentences, tags)).to_json()}


def _language(model: Any, text: str, prompt: str, typed: str) -> dict[str, Any]:
    return {
        "evaluate": model.evaluate([text]).to_json(),
        "score": model.score(text),
        "greedy": model.generate(prompt, length=12, temperature=0.0),
        "drawn": model.generate(prompt, length=12, samples=2, top_k=4, seed=3),
        "streamed": "".join(model.stream(prompt, length=12, seed=5)),
        "complete": [each._asdict() for each in model.complete(typed, k=3)],
    }


def _translate(model: Any, sources: list[str], targets: list[str]) -> dict[str, Any]:
    report = model.evaluate(sources, targets, width=3)
    blind = model.options.head.attention == "none"
    looked = None if blind else model.attention(sources[0], targets[0]).weights.tolist()
    return {
        "greedy": model.predict(sources, width=1),
        "candidates": model.candidates(sources, width=3, nbest=2),
        # The signatures hold the version of sacrebleu.
        "evaluate": {"bleu": report.bleu.value, "chrf": report.chrf.value, "rouge": report.rouge._asdict()},
        "attention": looked,
    }


def _forecast(model: Any, rows: dict[str, list[Any]], future: dict[str, list[Any]] | None) -> dict[str, Any]:
    table = model.predict(future=future).to_arrow()
    said = {name: [value if isinstance(value, float) else str(value) for value in table[name].to_pylist()]
            for name in table.column_names}  # fmt: skip
    return {"predict": said, "evaluate": model.evaluate(rows).to_json()}


def _recognize(model: Any, inputs: list[Any], texts: list[str]) -> dict[str, Any]:
    given = [_as_given(each) for each in inputs]
    found = model.transcribe(given, beam=4, nbest=2)
    return {
        "predict": model.predict(given).tolist(),
        "transcribe": [each.to_json() for each in found],
        "evaluate": model.evaluate(given, texts, lexicon="training").to_json(),
    }


def _caption(model: Any, inputs: list[Any], captions: list[list[str]]) -> dict[str, Any]:
    given = [_as_given(each) for each in inputs]
    blind = model.options.head.attention == "none"
    return {
        "greedy": model.predict(given, width=1),
        "candidates": model.candidates(given, width=3, nbest=2),
        "evaluate": model.evaluate(given, captions).to_json(),
        "attention": None if blind else model.attention(given, captions[1][0], row=1).weights.tolist(),
    }


def _draw(model: Any, drawings: list[Any], captions: list[str], begun: Any, keyword: str) -> dict[str, Any]:
    given = [_as_drawn(each) for each in drawings]
    drawn = [
        *model.generate(keyword, samples=2, temperature=0.5, seed=3),
        *model.generate(temperature=0.0, length=9),
        *model.generate(keyword, begun=_as_drawn(begun), seed=1),
    ]
    return {
        "drawn": [[np.asarray(stroke).tolist() for stroke in one] for one in drawn],
        "evaluate": model.evaluate(given, captions).to_json(),
    }


def _as_drawn(value: Any) -> Any:
    """A drawing as a list of strokes, or a picture of whole numbers."""
    whole = isinstance(value[0][0], list) and len(value[0][0]) == 3
    return np.array(value, np.uint8) if whole else [np.array(stroke, np.float64) for stroke in value]


def _compose(model: Any, pieces: list[Any], prompt: Any) -> dict[str, Any]:
    made = model.generate(prompt, length=6, samples=2, key="C", tempo=100, seed=3)
    return {
        "evaluate": model.evaluate(pieces).to_json(),
        "generate": [piece.to_json() for piece in made],
        "predict": [piece.to_json() for piece in model.predict(pieces, given=4, length=4, temperature=0.0)],
        "embed": model.embed(pieces).tolist(),
    }


ANSWERS: dict[str, Callable[..., dict[str, Any]]] = {
    "classify": _classify,
    "regress": _regress,
    "anomaly": _anomaly,
    "tag": _tag,
    "language": _language,
    "translate": _translate,
    "forecast": _forecast,
    "recognize": _recognize,
    "caption": _caption,
    "draw": _draw,
    "compose": _compose,
}


def _absent(model: Any) -> set[str]:
    return set(model.options.absent)


def _beside(path: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    if "subword" in path.stem:
        pytest.importorskip("tokenizers")
    return data


def _keys(content: Any, depth: int) -> Iterator[str]:
    if not isinstance(content, dict) or not depth:
        return
    for key, value in content.items():
        yield key
        yield from (f"{key}.{inner}" for inner in _keys(value, depth - 1))


def _same(found: Any, expected: Any, where: str) -> None:
    """Texts and shapes exactly, numbers up to rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            _same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for place, value in enumerate(expected):
            _same(found[place], value, f"{where}[{place}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=TOLERANCE, abs=NOTHING if expected == 0 else 0.0), where
    else:
        assert found == expected, where


def _within(found: Any, expected: Any, where: str) -> None:
    """All that was kept is kept as it was; there may be more."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in found, f"{where}.{key}"
            _within(found[key], value, f"{where}.{key}")
    else:
        assert found == expected, where
