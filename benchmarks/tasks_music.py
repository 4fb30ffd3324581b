"""Rows of music: the chorales of Bach on a grid of quarters, in nats a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import simple
from common import data_folder
from tasks_row import Score, notes

import unrolled as ur
from unrolled.data.read.music import read_pieces
from unrolled.fields import NoteGrid

__all__ = ["CONDITIONED", "INDEPENDENT", "chorales", "chorales_simple"]

CHORALES = "jsb-chorales-quarter.json.gz"
INDEPENDENT: dict[str, Any] = {"voicing": "independent"}
CONDITIONED: dict[str, Any] = {"voicing": "conditioned"}


def file() -> Path:
    """Where the chorales are."""
    return data_folder("jsb_chorales") / CHORALES


def chorales(seed: int, **options: Any) -> Score:
    """The official parts: train is learned from, valid decides when to stop, test is the score."""
    model = ur.Composer(seed=seed, **options).fit(file())
    found = model.evaluate(file(), part="test")
    more = {"nats a note": round(found.nats_per_note, 4), "valid": round(model.history.best_score or 0.0, 4)}
    return Score("nats a step", found.nats_per_step, notes(model) | more)


def chorales_simple() -> dict[str, float]:
    train, test = (read_pieces(file(), part=part).values for part in ("train", "test"))
    field = NoteGrid.fit(train)
    grids: list[list[np.ndarray]] = [[field.encode(piece) for piece in part] for part in (train, test)]
    return {
        "note marginals": simple.marginal_nats(*grids),
        "previous state of each note": simple.previous_nats(*grids),
    }
