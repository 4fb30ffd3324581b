"""Writes golden files, run by hand: `python tests/model/make_golden.py NAME ...` with names of MAKERS.

Each gives golden/NAME-VERSION.unrolled, a tiny model fitted on made-up data, and the .json that test_golden.py reads:
questions, what the model answers, and the names of its weights and of what else it keeps. A file that is there already
is never written again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from test_golden import FOLDER, answers, names

from unrolled.fields.notes import MusicPiece
from unrolled.model.artefact import FORMAT
from unrolled.tasks import (
    AnomalyDetector,
    Captioner,
    Classifier,
    Composer,
    Drawer,
    Forecaster,
    LanguageModel,
    Recognizer,
    Regressor,
    Tagger,
    Translator,
)

# A fitted model and what it is asked.
Made = tuple[Any, dict[str, Any]]

PEOPLE, PLACES, VERBS = ["Ada", "Grace", "Alan", "Emmy"], ["Paris", "Lima", "New York"], ["visits", "leaves", "likes"]
GOOD, BAD = ["fine", "warm", "bright", "witty"], ["dull", "cold", "long", "flat"]
THINGS = ["film", "story", "play", "song"]
NUMBERS = {"eins": "one", "zwei": "two", "drei": "three", "vier": "four", "fünf": "five"}
LONG: dict[str, Any] = {"learning_rate": 0.03, "max_steps": 500, "epochs": 1000, "patience": 100}
SHORT: dict[str, Any] = {"learning_rate": 0.02, "max_steps": 40, "epochs": 1000}


def _draw(*key: int) -> np.random.Generator:
    return np.random.default_rng([len(key), *key])


def _reviews(count: int) -> tuple[list[str], list[str]]:
    """Texts about things, good or bad by their adjectives."""
    texts, labels = [], []
    for row in range(count):
        r = _draw(1, row)
        words = [GOOD, BAD][row % 2]
        texts.append(f"A {r.choice(words)} {r.choice(THINGS)}, {r.choice(words)} and {r.choice(words)}.")
        labels.append(["good", "bad"][row % 2])
    return texts, labels


def _reviewed(labels: list[Any] | None = None, refit: bool = True, **options: Any) -> Made:
    texts, said = _reviews(48)
    given = said if labels is None else [labels[word == "good"] for word in said]
    model = Classifier(embedding_size=6, batch_size=8, **SHORT, **options)
    model.fit(texts, given, valid=0.25, refit=refit)
    asked = ["A fine song, warm and bright.", "a cold play", "An unknown opera!", "", *texts[:2]]
    return model, {"inputs": asked, "labels": [given[0], given[1], given[1], given[0], *given[:2]]}


def _gestures(count: int) -> tuple[list[np.ndarray], list[int]]:
    """Series of two channels and any length that rise or fall or stay, with a hole now and then."""
    series, labels = [], []
    for row in range(count):
        r, kind = _draw(2, row), row % 3
        steps = np.arange(int(r.integers(4, 12)))
        values = np.stack([(kind - 1) * steps + r.normal(0, 0.3, len(steps)), r.normal(2, 1, len(steps))], 1)
        if row % 4 == 0:
            values[1, 1] = np.nan
        series.append(values.round(3))
        labels.append(kind)
    return series, labels


def _gestured(**options: Any) -> Made:
    series, labels = _gestures(45)
    model = Classifier(batch_size=8, **SHORT, **options).fit(series[5:], labels[5:], valid=0.2)
    asked = [[[None if np.isnan(v) else v for v in step] for step in values.tolist()] for values in series[:5]]
    return model, {"inputs": asked, "labels": labels[:5]}


def _levels(several: bool = False, **options: Any) -> Made:
    """Series of any length, and the level that each is about."""
    series, levels = [], []
    for row in range(60):
        r = _draw(7, row)
        level = float(r.uniform(-20, 80))
        series.append((level + r.normal(0, 5, (int(r.integers(3, 9)), 1))).round(3))
        levels.append([round(level, 3), round(-2 * level, 3)] if several else round(level, 3))
    model = Regressor(batch_size=8, hidden_size=6, **SHORT, **options).fit(series[5:], levels[5:], refit=several)
    return model, {"inputs": [values.tolist() for values in series[:5]], "targets": levels[:5]}


def _rated(**options: Any) -> Made:
    texts, _ = _reviews(48)
    worth = [sum((word in text) - (bad in text) for word, bad in zip(GOOD, BAD, strict=True)) for text in texts]
    model = Regressor(embedding_size=6, batch_size=8, hidden_size=6, **SHORT, **options).fit(texts, worth)
    asked = ["A fine song, warm and bright.", "a cold play", "", *texts[:2]]
    return model, {"inputs": asked, "targets": [3, -1, 0, *worth[:2]]}


def _journeys(count: int) -> tuple[list[list[str]], list[list[str]]]:
    """Sentences of who goes where, their names as chunks."""
    sentences, tags = [], []
    for row in range(count):
        r = _draw(3, row)
        place = str(r.choice(PLACES)).split()
        sentences.append([str(r.choice(PEOPLE)), str(r.choice(VERBS)), *place, "."])
        tags.append(["B-PER", "O", "B-LOC", *["I-LOC"] * (len(place) - 1), "O"])
    return sentences, tags


def _tagged(chunks: bool, **options: Any) -> Made:
    sentences, tags = _journeys(40)
    if not chunks:
        kinds = {"B-PER": "NAME", "B-LOC": "NAME", "I-LOC": "NAME"}
        tags = [
            [kinds.get(tag, "MARK" if word == "." else "VERB") for word, tag in zip(*pair, strict=True)]
            for pair in zip(sentences, tags, strict=True)
        ]
    model = Tagger(embedding_size=6, spelling_size=6, batch_size=8, **SHORT, **options)
    model.fit((sentences[3:], tags[3:]), valid=0.2)
    asked = [["Emmy", "seeks", "New", "Delhi", "."], *sentences[:3]]
    return model, {
        "sentences": asked,
        "tags": [[*tags[0][:1], *tags[0][1:2], *tags[0][2:3] * 2, tags[0][-1]], *tags[:3]],
    }


def _watched(**options: Any) -> Made:
    """A table of series with a row for each step, high or low, in no order of time."""
    rows: dict[str, list[Any]] = {"run": [], "at": [], "level": [], "noise": [], "state": []}
    for row in range(30):
        r = _draw(7, row)
        for step, high in enumerate((np.cumsum(r.random(int(r.integers(3, 9))) < 0.3) % 2).tolist()):
            level = 4 * high + r.normal(0, 0.3) if step else None
            for name, value in zip(rows, (f"r{row}", -step, level, r.normal(), ["low", "high"][high]), strict=True):
                rows[name].append(value)
    model = Tagger(batch_size=8, **SHORT, **options).fit(rows, column="state", id="run", time="at", valid=0.2)
    asked = [[[4.0, 0.5], [0.3, 1.0], [0.0, 0.0]], [[0.1, 0.2]], [[3.0, 0.0], [5.0, -1.0]]]
    return model, {"sentences": asked, "tags": [["high", "low", "low"], ["low"], ["high", "high"]]}


def _told(count: int) -> list[str]:
    """Documents of a few lines that say the same things in many orders."""
    lines = [f"{who} {how} the {what}." for who, how, what in zip(PEOPLE, [*VERBS, "sees"], THINGS, strict=True)]
    return ["\n".join(lines[int(i)] for i in _draw(4, row).permutation(4)) for row in range(count)]


def _speaking(prompt: str = "Ada visits", typed: str = "Ada visits the f", **options: Any) -> Made:
    model = LanguageModel(embedding_size=8, **{"streams": 4, "steps": 12} | LONG | options).fit(_told(30), valid=0.1)
    return model, {"text": "Ada visits the film.\nEmmy sees the opera.", "prompt": prompt, "typed": typed}


def _counted(count: int, names: bool = False) -> tuple[list[str], list[str]]:
    """Numbers in German and English in reversed order, with names that only a copy can tell."""
    sources, targets = [], []
    for row in range(count):
        r = _draw(5, row)
        words = [str(word) for word in r.choice(list(NUMBERS), int(r.integers(1, 4)))]
        said = [NUMBERS[word] for word in words]
        if names:
            words.append(f"N{row}")
            said.append(f"N{row}")
        sources.append(" ".join(words))
        targets.append(" ".join(reversed(said)))
    return sources, targets


def _translating(names: bool = False, **options: Any) -> Made:
    sources, targets = _counted(60, names)
    model = Translator(embedding_size=8, batch_size=8, **LONG, **options).fit(sources[4:], targets[4:], valid=0.1)
    return model, {"sources": [*sources[:4], "drei eins"], "targets": [*targets[:4], "one three"]}


def _days(first: int, count: int) -> list[str]:
    return [str(np.datetime64("2021-01-01") + first + i) for i in range(count)]


def _shops(first: int, count: int) -> dict[str, list[Any]]:
    """Two shops by day: sales and visits, whether a day is free, the rain, the region of each."""
    time, rows = np.arange(first, first + count), {}
    free = (time % 7 >= 5).astype(float)
    for shop, region, level in (("01", "north", 20.0), ("02", "south", 60.0)):
        rain = np.array([_draw(6, int(level), int(t)).normal() for t in time])
        sales = level + 5 * np.sin(2 * np.pi * time / 7) + 4 * free + rain
        rows[shop] = {
            "shop": [shop] * count, "day": _days(first, count), "sales": sales.round(3).tolist(),
            "visits": (2 * sales + free).round(3).tolist(), "orders": (sales // 10).tolist(),
            "free": free.tolist(), "rain": rain.round(3).tolist(), "region": [region] * count,
        }  # fmt: skip
    return {name: rows["01"][name] + rows["02"][name] for name in rows["01"]}


COLUMNS: dict[str, Any] = {"time": "day", "target": "sales", "id": "shop"}


def _forecasting(columns: dict[str, Any], **options: Any) -> Made:
    known = {**COLUMNS, **columns}
    model = Forecaster(4, lookback=14, batch_size=16, **{**SHORT, "samples": 40, **options})
    model.fit(_shops(0, 56), **known)
    future = _shops(56, 4) if "future" in known else None
    kept = None if future is None else {name: future[name] for name in ("shop", "day", *known["future"])}
    return model, {"rows": _shops(56, 8), "future": kept}


def _spelled(count: int) -> tuple[list[np.ndarray], list[str]]:
    """Series of three channels, each of which is a letter or the space while it is on, and what they spell."""
    series, texts = [], []
    for row in range(count):
        r = _draw(7, row)
        text = f"{r.choice(['ab', 'ba', 'a'])} {r.choice(['ab', 'b'])}"
        rows = [np.zeros((1, 3))]
        for letter in text:
            rows += [np.tile(2 * np.eye(3)["ab ".index(letter)], (int(r.integers(3, 6)), 1)), np.zeros((1, 3))]
        values = np.concatenate(rows)
        series.append((values + r.normal(0, 0.1, values.shape)).round(3))
        texts.append(text)
    return series, texts


def _recognizing(**options: Any) -> Made:
    series, texts = _spelled(48)
    long = {"learning_rate": 0.03, "max_steps": 120, "epochs": 1000, "warmup": 0, "batch_size": 8, "stride": 2}
    model = Recognizer(**long, **options).fit(series[5:], texts[5:], valid=0.2)
    return model, {"inputs": [values.tolist() for values in series[:5]], "texts": texts[:5]}


def _drawn(**options: Any) -> Made:
    """Drawings of any size: two strokes that cross, or one that turns."""
    drawings, labels = [], []
    for row in range(40):
        r, crossed = _draw(8, row), row % 2
        strokes = [[[0, 2], [4, 2]], [[2, 0], [2, 4]]] if crossed else [[[0, 0], [0, 4], [2, 4]]]
        size = r.uniform(1, 9)
        drawings.append([(np.array(one) * size + r.normal(0, 0.1, (len(one), 2))).round(3) for one in strokes])
        labels.append(["ell", "cross"][crossed])
    model = Classifier(batch_size=8, hidden_size=6, **SHORT, **options).fit(drawings[5:], labels[5:], valid=0.2)
    return model, {"inputs": [[stroke.tolist() for stroke in one] for one in drawings[:5]], "labels": labels[:5]}


def _sketching(**options: Any) -> Made:
    """Ells and crosses of about one size, by name."""
    drawings, names = [], []
    for row in range(48):
        r, crossed = _draw(9, row), row % 2
        strokes = [[[0, 2], [4, 2]], [[2, 0], [2, 4]]] if crossed else [[[0, 0], [0, 4], [2, 4]]]
        drawings.append([(np.array(one) * 5 + r.normal(0, 0.3, (len(one), 2))).round(3) for one in strokes])
        names.append(["ell", "cross"][crossed])
    model = Drawer(mixtures=2, batch_size=8, warmup=0, keyword_size=4, **LONG, **options)
    model.fit(drawings[4:], names[4:], valid=0.2)
    some = [[stroke.tolist() for stroke in one] for one in drawings[:4]]
    return model, {"drawings": some, "captions": names[:4], "begun": some[1][:1], "keyword": "cross"}


def _painting(**options: Any) -> Made:
    """Bands of two colours, in words."""
    pictures, captions, colours = [], [], {"red": [220, 30, 40], "blue": [40, 60, 200], "white": [255, 255, 255]}
    for row in range(60):
        upper, lower = _draw(10, row).permutation(list(colours))[:2].tolist()
        pictures.append([[colours[upper]] * 4] * 2 + [[colours[lower]] * 4] * 2)
        captions.append(f"{upper} on {lower}")
    model = Drawer(size=4, colours=3, batch_size=8, warmup=0, keyword_size=4, keywords="words", **SHORT, **options)
    model.fit([np.array(one, np.uint8) for one in pictures[12:]], captions[12:], valid=0.2)
    questions = {"drawings": pictures[:12], "captions": captions[:12], "begun": pictures[0][:2], "keyword": captions[0]}
    return model, questions


def _rounds(count: int) -> list[list[list[int]]]:
    """Pieces of any length: a voice that goes up and begins again over a bass that is held or rests."""
    pieces = []
    for row in range(count):
        r = _draw(9, row)
        begin, bass, size = int(r.integers(4)), [int(r.integers(43, 50))], int(r.integers(5, 13))
        pieces.append([[60 + (0, 2, 4, 7)[(begin + t) % 4], *(bass if t % 4 else [])] for t in range(size)])
    return pieces


def _composing(**options: Any) -> Made:
    pieces = _rounds(30)
    small = {"hidden_size": 6, "batch_size": 8, "notes_lowest": 40, "notes_highest": 72, "warmup": 0}
    model = Composer(**{**SHORT, "max_steps": 80, **small, **options}).fit(pieces[3:], valid=0.2)
    return model, {"pieces": [*pieces[:3], []], "prompt": pieces[0][:4]}


def _listening(**options: Any) -> Made:
    pieces = [MusicPiece.of_steps(piece) for piece in _rounds(40)]
    labels = [["low", "high"][piece.notes[-1].pitch > 60] for piece in pieces]
    model = Classifier(batch_size=8, hidden_size=6, **SHORT, **options).fit(pieces[5:], labels[5:], valid=0.2)
    return model, {"inputs": [piece.to_json() for piece in pieces[:5]], "labels": labels[:5]}


def _barred(count: int) -> tuple[list[np.ndarray], list[str]]:
    """Grey pictures of a bar that stands or lies."""
    pictures, labels = [], []
    for row in range(count):
        r, stands = _draw(9, row), row % 2
        picture = r.integers(0, 60, (9, 8), dtype=np.uint8)
        place = int(r.integers(1, 6))
        picture[(slice(None), place) if stands else place] += 150
        pictures.append(picture)
        labels.append(["lies", "stands"][stands])
    return pictures, labels


def _pictured(**options: Any) -> Made:
    pictures, labels = _barred(40)
    model = Classifier(batch_size=8, hidden_size=4, **SHORT, **options).fit(pictures[5:], labels[5:], valid=0.2)
    return model, {"inputs": [picture.tolist() for picture in pictures[:5]], "labels": labels[:5]}


def _printed(steps: int = 120, **options: Any) -> Made:
    """Lines of two letters, a bar and a point, on grey paper."""
    shapes = {"i": np.ones((6, 2)), "o": np.ones((2, 2)), " ": np.zeros((6, 2))}
    lines, texts = [], []
    for row in range(48):
        r = _draw(10, row)
        text = "".join(r.choice(list("io"), int(r.integers(1, 4)))) + " o" * (row % 2)
        columns = [np.zeros((6, 1))]
        for letter in text:
            columns.append(np.pad(shapes[letter], ((6 - len(shapes[letter]), 0), (0, 1))))
        ink = np.concatenate(columns, axis=1)
        lines.append((200 - 150 * ink + r.integers(0, 20, ink.shape)).astype(np.uint8))
        texts.append(text)
    long = {"learning_rate": 0.03, "max_steps": steps, "epochs": 1000, "warmup": 0, "batch_size": 8, "stride": 2}
    model = Recognizer(**long, image_size=6, image_widths=[3, 4], **options).fit(lines[5:], texts[5:], valid=0.2)
    return model, {"inputs": [line.tolist() for line in lines[:5]], "texts": texts[:5]}


def _filmed(**options: Any) -> Made:
    """Videos of a spot on noise that goes up or down."""
    videos, labels = [], []
    for row in range(40):
        r, down = _draw(11, row), row % 2
        video = r.integers(0, 60, (int(r.integers(3, 6)), 5, 4, 1 + 2 * (row % 3 > 0)), dtype=np.uint8)
        for place, frame in enumerate(video[:: 1 if down else -1]):
            frame[place, 1:3] = 250
        videos.append(video)
        labels.append(["up", "down"][down])
    model = Classifier(batch_size=8, hidden_size=4, **SHORT, **options).fit(videos[5:], labels[5:], valid=0.2)
    return model, {"inputs": [video.tolist() for video in videos[:5]], "labels": labels[:5]}


def _observed(several: bool = False, **options: Any) -> Made:
    """Two channels of one machine or two, one of them spoilt near the end, a value missing now and then."""
    columns: dict[str, list[Any]] = {"at": [], "machine": [], "a": [], "b": []}
    for machine in ("north", "south")[: 1 + several]:
        r = _draw(8, len(machine), several)
        for row in range(90):
            a = float(np.sin(row / 3) + r.normal(0, 0.1) + 4 * (row == 80)) if row % 17 else None
            columns["at"].append(f"2024-03-{1 + row // 24:02d} {row % 24:02d}:00")
            columns["machine"].append(machine)
            columns["a"].append(None if a is None else round(a, 3))
            columns["b"].append(round(float(r.normal(5, 2)), 3))
    model = AnomalyDetector(batch_size=2, steps=16, hidden_size=4, max_steps=40, **options)
    model.fit(columns, time="at", id="machine")
    return model, {"rows": columns, "windows": {"north": [["2024-03-04 08:00", "2024-03-04 08:00"]]}}


def _captioned(kind: str, **options: Any) -> Made:
    """Series, pictures or videos of what goes where, with one caption or two."""
    inputs, texts = [], []
    for row in range(40):
        r, up, steps = _draw(12, row), row % 2, int(_draw(13, row).integers(3, 6))
        rise = np.arange(steps) if up else np.arange(steps)[::-1]
        if kind == "series":
            inputs.append((rise[:, None] + r.normal(0, 0.1, (steps, 1))).round(3))
        else:
            frames = r.integers(0, 60, (steps, 6, 5, 3), dtype=np.uint8)
            for place, frame in zip(rise, frames, strict=True):
                frame[place : place + 2, 1:3, row % 3] = 250
            inputs.append(frames if kind == "video" else frames[0])
        colour = ["red", "green", "blue"][row % 3] if kind != "series" else "a line"
        texts.append([f"{colour} goes {['down', 'up'][up]}", f"{['down', 'up'][up]}, {colour}"][: 1 + row % 2])
    small = {"batch_size": 8, "hidden_size": 6, "embedding_size": 5, "warmup": 0, "max_steps": 200}
    model = Captioner(**SHORT | small, **options).fit(inputs[4:], texts[4:], valid=0.2)
    return model, {"inputs": [one.tolist() for one in inputs[:4]], "captions": texts[:4]}


MAKERS: dict[str, Callable[[], Made]] = {
    "classify-texts": lambda: _reviewed(
        cell="lstm", cell_options={"peephole": True}, hidden_size=5, bidirectional=True, weight_dropout=0.2
    ),
    "classify-texts-char": lambda: _reviewed(
        [1, 5], level="char", cell="gru", cell_options={"reset": "before", "learn_initial_state": True}, hidden_size=6,
        layers=2, layer_dropout=0.1, dropout=0.1, pooling="attention", refit=False,
    ),
    "classify-texts-spelled": lambda: _reviewed(
        cell="mlstm_block", hidden_size=8, spelling="lstm", spelling_size=4, pooling="mean", min_count=2
    ),
    "classify-series": lambda: _gestured(
        cell="gru", hidden_size=4, bidirectional=True, layers=2, zoneout=0.1, residual="norm", recurrent_dropout=0.1
    ),
    "classify-drawings": lambda: _drawn(cell="gru", layers=1, ink_curvature=True, ink_distance=0.2),
    "classify-music": lambda: _listening(cell="gru", layers=1, notes_encoding="events", notes_size=5,
                                         notes_lowest=40, notes_highest=72),
    "classify-pictures": lambda: _pictured(image_widths=[3, 4], image_shift=0.1, image_light=0.1),
    "classify-pictures-pixels": lambda: _pictured(image_steps="pixels", image_colour="colour"),
    "classify-videos": lambda: _filmed(
        cell="gru", layers=1, bidirectional=False, video_widths=[3, 4], video_features=5, video_rate=4.0,
        video_light=0.1,
    ),
    "classify-series-rwkv7": lambda: _gestured(cell="rwkv7", hidden_size=8, scaling="robust", pooling="last"),
    "regress-series": lambda: _levels(likelihood="quantile", levels=[50, 90], cell="gru"),
    "regress-series-several": lambda: _levels(True, likelihood="student-t", pooling="last"),
    "regress-texts": lambda: _rated(likelihood="point", pooling="max"),
    "compose-grid": lambda: _composing(cell="gru", voicing_size=5, recurrent_dropout=0.1, notes_step=0.5),
    "compose-independent": lambda: _composing(voicing="independent", cell="lstm", notes_struck=True, metre_beats=0),
    "compose-events": lambda: _composing(
        cell="gru", notes_encoding="events", notes_velocities=2, notes_size=5, layers=2
    ),
    "anomaly-tail": lambda: _observed(ahead=(1, 4), recent=2, past=40, cap=8.0, quiet=3),
    "anomaly-conformal": lambda: _observed(
        True, calibration="conformal", false_alarms=0.05, likelihood="gaussian", missing="anomaly", trim=0.02
    ),
    "anomaly-each": lambda: _observed(network="each", window=6, code_size=3, calibration="conformal"),
    "anomaly-record": lambda: _observed(True, calibration="record", record=(1, 3), value_record=(2,), cap=8.0),
    "tag-chunks": lambda: _tagged(
        True, scheme="IOBES", min_count=1, cell="lstm", cell_options={"coupled": True}, hidden_size=6,
    ),
    "tag-words": lambda: _tagged(
        False, spelling="lstm", cell="slstm", hidden_size=8, bidirectional=False, layers=2, input_dropout=0.1
    ),
    "tag-words-crf": lambda: _tagged(False, crf=True, spelling="none", cell="rnn", hidden_size=6),
    "tag-series": lambda: _watched(cell="gru", hidden_size=6, layers=1, crf=True, scaling="robust"),
    "language-word": lambda: _speaking(
        cell="lstm", hidden_size=8, layers=2, zoneout=[0.05, 0.3], weight_dropout=0.2, embedding_dropout=0.1,
        activation_penalty=1.0, slowness_penalty=1.0,
    ),
    "language-word-sampled": lambda: _speaking(cell="rglru", hidden_size=8, tied=False, samples=8, average="ema"),
    "language-char": lambda: _speaking("Ada ", "Ada vis", level="char", cell="mingru", hidden_size=8, layers=3,
                                       residual="norm"),
    "language-char-delta": lambda: _speaking("Ada ", "Ada vis", level="char", cell="gated_deltanet", hidden_size=8),
    "language-char-lru": lambda: _speaking("Ada ", "Ada vis", level="char", lower=True, cell="lru", hidden_size=8,
                                           layers=2, residual=True),
    "language-subword": lambda: _speaking(level="subword", max_size=60, cell="slstm_block", hidden_size=8),
    "translate-word": lambda: _translating(level="word", cell="gru", hidden_size=8),
    "translate-pointer": lambda: _translating(
        True, level="word", cell="lstm", hidden_size=8, attention="additive", feeding=True, copying="pointer",
        min_count=2, decoder_layers=2,
    ),
    "translate-unknown": lambda: _translating(
        True, level="word", cell="minlstm", hidden_size=8, copying="unknown", min_count=2, tied=False
    ),
    "translate-char": lambda: _translating(level="char", cell="mlstm", hidden_size=8, attention="none",
                                           bidirectional=False),
    "translate-subword": lambda: _translating(level="subword", max_size=40, cell="gru", hidden_size=8, sampling=0.1),
    "forecast-direct-columns": lambda: _forecasting(
        {"future": ["free"], "past": ["rain"], "static": ["region"]}, cell="rglru", hidden_size=8, segment=2
    ),
    "forecast-direct-joint": lambda: _forecasting(
        {"target": ["sales", "visits"]}, channels="joint", cell="lru", hidden_size=6, layers=2,
        static_inputs="decoder", levels=(50, 90),
    ),
    "forecast-direct-point": lambda: _forecasting(
        {}, likelihood="point", cell="slstm", hidden_size=8, scaling="log", level="mean"
    ),
    "forecast-autoregressive-columns": lambda: _forecasting(
        {"future": ["free"], "static": ["region"]}, decoder="autoregressive", cell="lstm",
        cell_options={"layer_norm": True, "forget_bias": 1.0}, hidden_size=6, layers=2,
    ),
    "forecast-autoregressive-joint": lambda: _forecasting(
        {"target": ["sales", "visits"], "past": ["rain"]}, channels="joint", decoder="autoregressive", cell="mingru",
        hidden_size=6, likelihood="gaussian",
    ),
    "forecast-autoregressive-counts": lambda: _forecasting(
        {"target": "orders"}, decoder="autoregressive", cell="rwkv7", hidden_size=8, likelihood="negative-binomial"
    ),
    "caption-series": lambda: _captioned("series", attention="additive", feeding=True, scaling="robust"),
    "caption-pictures": lambda: _captioned("picture", image_widths=[3, 4], image_shift=0.1, image_flip=True),
    "caption-pictures-vector": lambda: _captioned("picture", image_widths=[3, 4], attention="none", level="char"),
    "caption-videos": lambda: _captioned("video", video_widths=[3, 4], video_features=5, tied=False, cell="lstm"),
    "recognize-series": lambda: _recognizing(cell="gru", hidden_size=6, layers=2),
    "recognize-lines": lambda: _printed(hidden_size=6, layers=1),
    "recognize-lines-streaming": lambda: _printed(
        400, cell="gru", hidden_size=6, layers=1, streaming=True, feature_noise=0.0, linger=4
    ),
    "recognize-series-streaming": lambda: _recognizing(cell="lstm", hidden_size=8, layers=1, streaming=True,
                                                      scaling="running"),
    "draw-strokes": lambda: _sketching(cell="lstm", hidden_size=8, floor=0.05),
    "draw-pictures": lambda: _painting(cell="gru", hidden_size=8),
}  # fmt: skip


def make(name: str) -> None:
    """Write the golden file of this name, of the format version that this code writes."""
    if name not in MAKERS:
        raise SystemExit(f"make_golden: there is no {name!r}; there are {', '.join(MAKERS)}.")
    model_file = FOLDER / f"{name}-{FORMAT}.unrolled"
    beside = model_file.with_suffix(".json")
    if model_file.exists() or beside.exists():
        raise SystemExit(f"make_golden: {model_file.name} is written already, and golden files stay as they are.")
    model, questions = MAKERS[name]()
    record = {"questions": questions, "answers": answers(model, questions), **names(model)}
    model.save(model_file)
    beside.write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{model_file.name}: {model_file.stat().st_size} bytes, {beside.name}: {beside.stat().st_size} bytes")


if __name__ == "__main__":
    for word in sys.argv[1:] or sys.exit("make_golden: expected the names of golden files to write."):
        make(word)
