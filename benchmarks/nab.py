"""The Numenta Anomaly Benchmark, online: its files, a detector that learns again as it goes, and a plain baseline."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from common import data_folder

import unrolled as ur
from unrolled.fields.number import Number
from unrolled.score.novelty import nab_score, probation, vus, window_f1, window_labels, window_rows
from unrolled.tasks.anomaly.follow import FARTHEST, RecordTails, distances

__all__ = ["Found", "Recording", "gaussian", "online", "read_nab", "score_nab", "value_records"]

# The detector learns again whenever there are so many times as many rows as when it learned before.
AGAIN, REST = 2.0, 0.8
# NAB's windowed Gaussian: the rows it looks back on, and after how many new ones it looks again.
WINDOW, STRIDE = 6400, 100


class Recording(NamedTuple):
    """One file: times as text, values, and the labelled windows as rows."""

    name: str
    times: list[str]
    values: np.ndarray
    windows: list[tuple[int, int]]

    @property
    def probation(self) -> int:
        """The first rows, which are not scored."""
        return probation(len(self.values))


class Found(NamedTuple):
    """NAB's score (standard profile) with its one threshold for all files, and the windows' F1 at that threshold."""

    nab: float
    f1: float
    more: dict[str, Any]


def read_nab(part: str = "") -> list[Recording]:
    """The files of the folder whose names begin with `part`, in the order of their names."""
    folder = data_folder("nab")
    labels = json.loads((folder / "labels" / "combined_windows.json").read_text())
    found = []
    for name in sorted(labels):
        path = folder / name
        if not name.startswith(part) or not path.exists():
            continue
        times, values = _columns(path)
        # Clocks that go back make two rows of one time: windows are placed by times that never fall.
        clock = np.maximum.accumulate(np.array(times, "datetime64[s]").astype(np.int64))
        pairs = [tuple(np.array(pair, "datetime64[s]").astype(np.int64).tolist()) for pair in labels[name]]
        found.append(Recording(name, times, values, window_rows(pairs, clock)))
    return found


def _columns(path: Path) -> tuple[list[str], np.ndarray]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["timestamp"] for row in rows], np.array([float(row["value"]) for row in rows])


def online(recording: Recording, seed: int, **options: Any) -> np.ndarray:
    """(rows,) scores, each by earlier rows alone: learned from the rows not scored, and again when they have doubled.

    No label is looked at. The surprises of all models and the distances of values, in the measure of the first model,
    go through one calibration by records, for which the rows that are not scored are the past.
    """
    count, begin = len(recording.values), 0
    end = recording.probation
    parts, far = [], np.zeros(count)
    alarm = ur.AnomalyDetector(**options).options.alarm
    while begin < count:
        model = ur.AnomalyDetector(seed=seed, **options).fit(_rows(recording, end))
        if not begin:
            values = recording.values[:, None]
            far = distances(model.state.fields.scale(""), values)
        # A short rest is not worth learning again for.
        until = count if AGAIN * end > REST * count else int(AGAIN * end)
        parts.append(model.explain(_rows(recording, until)).sum(1)[begin:])
        begin, end = until, until
    rows = np.stack([np.concatenate(parts), far], 1)
    past, new = rows[: recording.probation], rows[recording.probation :]
    return np.concatenate([np.zeros(len(past)), RecordTails.after(past, alarm).score(new)])


def value_records(recording: Recording) -> np.ndarray:
    """(rows,) the records of the distances of values alone, without a network."""
    values, begin = recording.values[:, None], recording.probation
    measure = Number.fit(values[:begin], scaling="robust")
    far = np.minimum(np.abs(measure.encode(values))[:, 0], FARTHEST)
    rows = np.stack([np.zeros(len(far)), far], 1)
    alarm = ur.AnomalyDetector(calibration="record", record=()).options.alarm
    return np.concatenate([np.zeros(begin), RecordTails.after(rows[:begin], alarm).score(rows[begin:])])


def _rows(recording: Recording, end: int) -> dict[str, Any]:
    return {"timestamp": recording.times[:end], "value": recording.values[:end]}


def gaussian(recording: Recording) -> np.ndarray:
    """(rows,) how far each value is from the mean of those before it, as NAB's windowed Gaussian counts it."""
    values, begin, waiting = recording.values, 0, 0
    scores, mean, deviation = np.zeros(len(values)), 0.0, 1.0
    for row, value in enumerate(values):
        if row:
            scores[row] = 1 - math.erfc(abs(value - mean) / deviation / math.sqrt(2)) / 2
        if row >= WINDOW:
            waiting += 1
            if waiting < STRIDE:
                continue
            begin, waiting = begin + STRIDE, 0
        seen = values[begin : row + 1]
        mean, deviation = float(seen.mean()), float(seen.std()) or 1e-6
    return scores


def score_nab(recordings: list[Recording], judge: Callable[[Recording], np.ndarray]) -> Found:
    """One threshold for all files: the best one by NAB's standard profile, as its optimizer chooses it."""
    scores = [judge(each) for each in recordings]
    report = nab_score([(own, each.windows) for own, each in zip(scores, recordings, strict=True)])
    alarms = []
    for own, each in zip(scores, recordings, strict=True):
        scored = np.arange(len(own)) >= each.probation
        kept = [window for window in each.windows if window[0] >= each.probation]
        alarms.append(((own >= report.threshold) & scored, kept))
    counts = window_f1(alarms)
    areas = [
        vus(own, window_labels(each.windows, len(own)), 100).pr
        for own, each in zip(scores, recordings, strict=True)
        if each.windows
    ]
    more = {
        "window_f1": round(counts.rates.f1, 4),
        "precision": round(counts.rates.precision, 4),
        "recall": round(counts.rates.recall, 4),
        "found": report.found,
        "windows": report.windows,
        "false_alarms": report.false_alarms,
        "threshold": report.threshold,
        "vus_pr": round(float(np.mean(areas)), 4),
        "profile": report.profile,
        "chosen": "one threshold for all files, the best of the profile",
    }
    return Found(report.score, counts.rates.f1, more)
