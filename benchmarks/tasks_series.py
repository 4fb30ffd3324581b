"""Rows of series of numbers: their classes, speakers verified by what a network makes of them, and anomalies."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import nab
import simple
from common import data_folder
from tasks_row import Contest, Score, notes
from verification import error_rate, moments_error_rate

import unrolled as ur
from unrolled.data.read.series import Series, read_series

__all__ = ["NAB", "classified", "nab_online", "nab_simple", "verified"]

# Chosen on the made-up files and every second measured one: see docs/tasks.md.
NAB = {"calibration": "record", "cap": 10.0}


def classified(name: str, stem: str) -> Contest:
    """A data set of the UEA archive with its split; stem: what the names of its files begin with."""
    return partial(series, name, stem), partial(series_simple, name, stem)


def series_parts(name: str, stem: str) -> list[Path]:
    """The file of the training part and that of the test part."""
    return [next(data_folder(name).glob(f"{stem}_{part}.ts*")) for part in ("TRAIN", "TEST")]


def series(name: str, stem: str, seed: int, **options: Any) -> Score:
    train, test = series_parts(name, stem)
    model = ur.Classifier(seed=seed, **options).fit(train)
    return Score("accuracy", model.evaluate(test).accuracy, notes(model))


def series_simple(name: str, stem: str) -> dict[str, float]:
    train, test = (read_series(path) for path in series_parts(name, stem))
    labels = [part.labels or [] for part in (train, test)]
    return {"statistics": simple.series_accuracy(train.values, labels[0], test.values, labels[1])}


def verified(*, new: bool = False) -> Contest:
    """The speakers of vowels, told apart by the vectors of a network that learned to name them; new: others than it
    learned from."""
    return partial(verify, new), partial(verify_simple, new)


def speakers(new: bool) -> tuple[Series, Series]:
    """Recordings of vowels to learn from and to verify; new: speakers 1 to 6 are learned, 7 to 9 verified."""
    train, test = (read_series(path) for path in series_parts("japanese_vowels", "JapaneseVowels"))
    if not new:
        return train, test
    return spoken_by(train, "123456"), spoken_by(test, "789")


def spoken_by(series: Series, names: str) -> Series:
    """The recordings whose speaker's name, a digit, is among these."""
    return series.select([row for row, label in enumerate(series.labels or []) if label in names])


def verify(new: bool, seed: int, **options: Any) -> Score:
    train, test = speakers(new)
    model = ur.Classifier(seed=seed, **options).fit(train.values, train.labels)
    return Score("equal error rate", error_rate(model.embed(test.values), test.labels or []), notes(model))


def verify_simple(new: bool) -> dict[str, float]:
    train, test = speakers(new)
    return {"moments + cosine": moments_error_rate(train.values, test.values, test.labels or [])}


def nab_online(seed: int, **options: Any) -> Score:
    found = nab.score_nab(nab.read_nab(), lambda recording: nab.online(recording, seed, **options))
    return Score("NAB score", found.nab, found.more)


def nab_simple() -> dict[str, float]:
    ways = {"windowed Gaussian": nab.gaussian, "records of values": nab.value_records}
    found = {name: nab.score_nab(nab.read_nab(), way) for name, way in ways.items()}
    scores = {name: round(each.nab, 2) for name, each in found.items()}
    return scores | {f"window F1 of {name}": round(each.f1, 4) for name, each in found.items()}
