"""Rows of drawing: sketches of a pen, characters by their names, small pictures from their captions."""

from __future__ import annotations

import csv
import math
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from common import data_folder
from ink_words import omniglot_parts
from simple_strokes import move_nats
from tasks_row import Contest, Score, notes

import unrolled as ur
from unrolled.data.read.images import ImageFile, read_image
from unrolled.fields.ink import Drawing
from unrolled.tasks.batches import per_row

__all__ = ["CHARACTERS", "EMOJI", "KANJI", "SHEEP", "emoji_drawn", "omniglot_drawn", "sketches"]

# As many epochs as fit; nothing of a test part was looked at to choose them.
KANJI: dict[str, Any] = {"epochs": 24}
# Moves are whole numbers, in units of 14.94 (size times spread of the field): 0.034 is half of one, from which at most
# 0.03 nats a point are to be had. For kanji, in units of 112.5, the usual 0.01 is more than one.
SHEEP: dict[str, Any] = {"epochs": 8, "floor": 0.034}
# Points farther apart, so that the name says more in each: of what was drawn a judge knew 0.07 at 0.06, and at 0.1
# 0.54 after 60 epochs, 0.66 after 120.
CHARACTERS: dict[str, Any] = {"distance": 0.1, "epochs": 160, "batch_size": 16, "dropout": 0.1}
EMOJI: dict[str, Any] = {"epochs": 20}
# A judge learns less long than the row omniglot does; how sure characters are drawn.
JUDGE: dict[str, Any] = {"epochs": 20, "batch_size": 32, "label_smoothing": 0.1}
SURE = 0.4


def sketches(name: str) -> Contest:
    """Kanji or sheep: nats a point, moves in the deviation of all moves of the training part, the pen down or up."""

    def run(seed: int, **options: Any) -> Score:
        train, valid, test = ([drawing_of(rows) for rows in rows_of(name, part)] for part in ("train", "valid", "test"))
        model = ur.Drawer(seed=seed, **options).fit(train, valid=valid)
        found, nats = model.evaluate(test), two_state_nats(model, test)
        deviation = np.concatenate(rows_of(name, "train"))[:, :2].astype(float).std()
        # The network tells densities of moves in sizes over spreads.
        field = model.fields["ink"]
        nats += 2 * math.log(field.size * field.spread / deviation)
        return Score("nats a point", nats, {"ends told apart": found.score, "points": found.steps, **notes(model)})

    def plain() -> dict[str, float]:
        return {"two last moves": move_nats(rows_of(name, "train"), rows_of(name, "test"))}

    return run, plain


def two_state_nats(model: ur.Drawer, drawings: list[Drawing]) -> float:
    """Nats a point of a drawer whose pen leaves the paper at the end of a drawing, too, as that of these data does."""
    net: Any = model.fitted()
    data = model.make_data(model._read(drawings), np.arange(len(drawings)))

    def likelihood(batch: Any) -> Any:
        y, _ = net.next.vectors(batch.x, batch.lengths)
        # Where a drawing begins there is no move: that place is none of the points that are counted.
        return net.next.head.log_prob(y, batch.target, batch.lengths, ends=False)[:, 1:].sum(1)

    return -float(np.sum(per_row(data, net, likelihood))) / float((data.lengths - 1).sum())


def rows_of(name: str, part: str) -> list[np.ndarray]:
    with np.load(data_folder("sketches") / f"{name}.npz") as arrays:
        rows, lengths = arrays[part], arrays[f"{part}_lengths"]
    return np.split(rows, np.cumsum(lengths)[:-1])


def drawing_of(rows: np.ndarray) -> Drawing:
    """The strokes of rows, from where the first move begins: the first row of these is a move on the paper."""
    points = np.concatenate([np.zeros((1, 2)), np.cumsum(rows[:, :2], axis=0, dtype=float)])
    return [stroke for stroke in np.split(points, np.flatnonzero(rows[:, 2]) + 2) if len(stroke)]


def omniglot_drawn(seed: int, **options: Any) -> Score:
    """Of 136 characters, each drawn once from its name: how many a classifier of real drawings takes for it."""
    parts = omniglot_parts()
    (train, names, _), (test, truth, _) = parts["train"], parts["test"]
    model = ur.Drawer(seed=seed, **options).fit(train, names, valid=0)
    judge = ur.Classifier(seed=seed, **JUDGE).fit(train, names, valid=0)
    asked = sorted(set(names))
    drawn = [model.generate(name, temperature=SURE, seed=seed)[0] for name in asked]
    found = model.evaluate(test, truth)
    more = {
        "real drawings": judge.evaluate(test, truth).accuracy, "nats a point": found.score, "without name": found.alone,
        "among 10": found.retrieval,
    }  # fmt: skip
    return Score("accuracy", float(np.mean(judge.predict(drawn) == np.array(asked))), {**more, **notes(model)})


def emoji_drawn(seed: int, **options: Any) -> Score:
    """How often a caption's picture is found among ten; bits a pixel with the caption, without, and never told any."""
    parts = emoji_parts()
    model = ur.Drawer(seed=seed, **options).fit(*parts["train"], valid=parts["valid"])
    found = model.evaluate(*parts["test"])
    untold = ur.Drawer(seed=seed, keywords="none", **options).fit(parts["train"][0], valid=parts["valid"][0])
    more = {
        "bits a pixel": found.score, "without caption": found.alone,
        "never told": untold.evaluate(parts["test"][0]).score,
    }  # fmt: skip
    return Score("among 10", found.retrieval or 0.0, {**more, **notes(model)})


def emoji_parts() -> dict[str, tuple[list[np.ndarray], list[str]]]:
    """Pictures of 64 x 64 pixels on white, and their captions, by part."""
    folder = data_folder("emoji_captions_twemoji")
    parts: dict[str, tuple[list[np.ndarray], list[str]]] = {part: ([], []) for part in ("train", "valid", "test")}
    with tempfile.TemporaryDirectory() as place, zipfile.ZipFile(folder / "images.zip") as archive:
        archive.extractall(place)
        files = {file.name: file for file in Path(place).rglob("*.png")}
        with (folder / "captions.csv").open(encoding="utf-8", newline="") as table:
            for row in csv.DictReader(table):
                pictures, captions = parts[row["split"]]
                pictures.append(read_image(ImageFile(files[row["image"]])))
                captions.append(row["caption"])
    return parts
