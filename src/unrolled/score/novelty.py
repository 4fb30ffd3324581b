"""Scores of detected anomalies: NAB's score, F1 of windows, volumes under surfaces; alarms as events.

Rows are numbered in time. A window, which is a labelled anomaly, is (begin, end): the rows begin .. end - 1; an event
is the same of alarms. Scores are higher where rows are stranger; a row is an alarm where its score is the threshold or
higher.

The point-adjusted F1 is left out on purpose: it takes a whole window for found after one alarm in it, and random alarms
score higher by it than published methods (Kim et al. 2022, arXiv:2109.05257).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from unrolled.check import check_choice
from unrolled.errors import DataError, OptionError
from unrolled.score.areas import check_flags, check_labelled, check_scores, ranked, trapezoids
from unrolled.score.rates import Counts
from unrolled.types import Json

__all__ = [
    "NAB_PROFILES",
    "NabReport",
    "NabWeights",
    "Volumes",
    "events",
    "nab_score",
    "probation",
    "vus",
    "window_f1",
    "window_labels",
    "window_rows",
]

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]
Windows = Sequence[tuple[int, int]]


class NabWeights(NamedTuple):
    """What a found window, a false alarm and a missed window count in a profile of NAB."""

    found: float
    false_alarm: float
    missed: float


NAB_PROFILES = {
    "standard": NabWeights(1.0, 0.11, 1.0),
    "reward_low_FP_rate": NabWeights(1.0, 0.22, 1.0),
    "reward_low_FN_rate": NabWeights(1.0, 0.11, 2.0),
}
# The share of a file's rows that is not scored, and the longest file of which it is taken.
PROBATION, LONGEST = 0.15, 5000
# NAB's sigmoid 2 / (1 + exp(5 x)) - 1 is tanh(-2.5 x); this many widths behind a window it is cut to -1.
STEEPNESS, FAR = 2.5, 3.0


class Volumes(NamedTuple):
    """The volumes under the surface of precision and recall, and under that of the ROC curve; each in [0, 1]."""

    pr: float
    roc: float


@dataclass(frozen=True)
class NabReport:
    """NAB's score of a detector over a corpus: 0 never alarms, 100 is perfect, less than 0 is worse than silence.

    threshold: the one for all files, infinite where no alarm is best. raw: the score before it is normalised; files:
    each file's part of it. windows: how many count; found: in how many there is an alarm; left_out: those that begin
    among the first rows, which NAB does not score. false_alarms: rows outside all windows.
    """

    score: float
    profile: str
    threshold: float
    raw: float
    files: tuple[float, ...]
    windows: int
    found: int
    left_out: int
    false_alarms: int

    def __str__(self) -> str:
        return (
            f"NAB score {self.score:.2f} (profile {self.profile}, threshold {self.threshold:.6g}: {self.found} of "
            f"{self.windows} windows found, {self.false_alarms} false alarms)"
        )

    def to_json(self) -> Json:
        """The report as plain JSON; an infinite threshold is null."""
        threshold = self.threshold if math.isfinite(self.threshold) else None
        return {**asdict(self), "threshold": threshold, "files": list(self.files)}


def events(alarms: ArrayLike) -> list[tuple[int, int]]:
    """The runs of alarms (rows,), bool or 0 and 1, as (begin, end) in order.

    >>> events([0, 1, 1, 0, 1])
    [(1, 3), (4, 5)]
    """
    flags = check_flags("events", "alarms", alarms)
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def window_labels(windows: Windows, rows: int) -> Flags:
    """Whether each of so many rows lies in a window: (rows,) bool.

    >>> window_labels([(1, 3)], 4)
    array([False,  True,  True, False])
    """
    labels = np.zeros(rows, bool)
    for begin, end in _spans("window_labels", windows, rows):
        labels[begin:end] = True
    return labels


def window_rows(windows: Sequence[tuple[object, object]], times: ArrayLike) -> list[tuple[int, int]]:
    """Windows given as times, the first and the last one, both within, as rows (begin, end).

    times: (rows,) numbers, dates (datetime64) or dates as text; in order at least where windows are.

    Raises:
        DataError: what is no time, a window without a row in it, or rows of a window that do not stand together.

    >>> window_rows([("2014-04-10 01:00", "2014-04-10 02:00")], ["2014-04-10T00", "2014-04-10T01", "2014-04-10T02"])
    [(1, 3)]
    """
    clock, dates = _clock(times)
    rows = []
    for pair in windows:
        (first, last), also = _clock(np.array(pair))
        if also != dates:
            kinds = ["dates" if each else "numbers" for each in (also, dates)]
            raise DataError(
                f"window_rows: expected one kind of times, got windows of {kinds[0]} and rows of {kinds[1]}."
            )
        within = np.flatnonzero((clock >= first) & (clock <= last))
        if not len(within) or within[-1] - within[0] >= len(within):
            found = f"{len(within)} that are parted by others" if len(within) else "none"
            raise DataError(
                f"window_rows: expected a run of rows between {pair[0]} and {pair[1]}, got {found}; sort the rows by "
                "time or mend the window."
            )
        rows.append((int(within[0]), int(within[-1]) + 1))
    return rows


def window_f1(files: Sequence[tuple[ArrayLike, Windows]]) -> Counts:
    """Precision, recall and F1 of windows, counted over all files.

    files: the alarms of each, (rows,) bool or 0 and 1, and its windows. A window is found if there is an alarm in it. A
    run of alarms of which no row lies in any window is one false alarm, however long; a run that reaches into a window
    is none. `correct` are windows found, `predicted` those and the false alarms, `support` all windows.

    With the runs as its segments this is the rule of overlapping segments by which TadGAN and Orion count: both ends of
    a segment belong to it there, and it is false if it overlaps no window. A rate of nothing is 0.

    Raises:
        DataError: no file, alarms that are no flags, or windows that overlap or lie outside the rows.

    Source: Hundman et al. 2018, arXiv:1802.04431; Geiger et al. 2020, arXiv:2009.07769.

    >>> window_f1([([0, 1, 0, 0, 1, 1], [(0, 3), (3, 4)])]).rates
    Rates(precision=0.5, recall=0.5, f1=0.5)
    """
    found = alone = total = 0
    for name, alarms, windows in _named("window_f1", files):
        flags = check_flags(name, "alarms", alarms)
        spans = _spans(name, windows, len(flags))
        labels = window_labels(spans, len(flags))
        found += sum(bool(flags[begin:end].any()) for begin, end in spans)
        alone += sum(not labels[begin:end].any() for begin, end in events(flags))
        total += len(spans)
    return Counts("windows", found, found + alone, total)


def vus(scores: ArrayLike, labels: ArrayLike, buffer: int) -> Volumes:
    """Volumes under the surfaces of range-based precision over recall and of the range-based ROC, both over a buffer l.

        label_l    = 1 in a window, (1 - d / l)^1/2 at d = 1 .. l // 2 rows before or behind it, summed up to 1
        TP, FP     = sum of label_l, and of 1 - label_l, over the alarms
        P, N       = (sum label + sum label_l) / 2, rows - P
        recall     = min(TP / P, 1) * windows (with their buffers) with an alarm in them / windows
        precision  = TP / alarms,  false positive rate = FP / N

    scores: (rows,); labels: (rows,) bool or 0 and 1, whose runs are the windows; buffer: the longest l, such as the
    period of the series or the usual length of a window. Every score is a threshold; areas are those of trapezoids,
    from precision 1 at recall 0, and the ROC ends in (1, 1). A volume is the mean area over l = 0 .. buffer. With l = 0
    recall still counts windows, so the areas are not those of single rows.

    As in the authors' code, and not in the paper: buffers are equally long on both sides, recall is at most 1, windows
    whose buffers share a row count as one, the mean stands for the volume. That code takes 250 thresholds.

    Raises:
        DataError: different lengths, scores that are not finite, or rows that are all in windows or all outside.
        OptionError: a buffer that is no integer of at least 0.

    Source: Paparrizos et al. 2022, PVLDB 15(11), 2774-2787.
    """
    if isinstance(buffer, bool) or not isinstance(buffer, int) or buffer < 0:
        raise OptionError(f"vus: buffer must be an integer of at least 0, got {buffer!r}.")
    values, truth = check_labelled("vus", scores, labels)
    order, last = ranked(values)
    runs = np.array(events(truth))
    # The first threshold at which each row is an alarm; one more stands behind the end.
    since = np.full(len(values) + 1, len(last))
    since[order] = np.searchsorted(last, np.arange(len(values)))
    areas = np.array([_areas(order, last, since, truth, runs, size) for size in range(buffer + 1)])
    return Volumes(*map(float, areas.mean(0)))


def probation(rows: int) -> int:
    """How many rows at the beginning of a file of so many are not scored by NAB: 15 %, at most 750.

    >>> probation(1000), probation(20_000)
    (150, 750)
    """
    return math.floor(PROBATION * min(rows, LONGEST))


def nab_score(
    files: Sequence[tuple[ArrayLike, Windows]], threshold: float | None = None, *, profile: str = "standard"
) -> NabReport:
    """The score of the Numenta Anomaly Benchmark over a corpus, normalised.

        inside a window    found * s(-(rows left, this one counted) / width) / s(-1), for its first alarm alone
        no alarm in it     -missed
        other alarms       false_alarm * s(rows since the last window / (its width - 1)); -false_alarm before any
        s(x)               2 / (1 + e^5x) - 1, and -1 where x > 3
        score              100 (raw + missed * windows) / ((found + missed) * windows)

    files: the scores of each, (rows,), and its windows; `window_rows` makes rows of times. threshold: one for all
    files; None takes the one of the best score, the highest among equals, as NAB's optimizer does. The first rows
    of a file are not scored (`probation`), and windows that begin there are none, as NAB makes its labels. profile:
    found, false_alarm and missed of 1, 0.11, 1 ("standard"), 1, 0.22, 1 ("reward_low_FP_rate") or 1, 0.11, 2
    ("reward_low_FN_rate").

    A window of one row is no measure of distance: false alarms behind it count in full; NAB divides by zero there.

    Raises:
        DataError: no file, scores that are not finite, windows that overlap or lie outside the rows, or no window.
        OptionError: no such profile, or a threshold that is no number.

    Source: Lavin and Ahmad 2015, arXiv:1510.03336; details as in their published scorer.
    """
    check_choice("nab_score", "profile", profile, NAB_PROFILES)
    if threshold is not None and math.isnan(threshold):
        raise OptionError("nab_score: threshold must be a number, got nan; None finds the best one.")
    weights = NAB_PROFILES[profile]
    rows = _corpus(files, weights)
    if not len(rows.owners):
        raise DataError(
            f"nab_score: expected at least one window behind the first {PROBATION:.0%} of its file's rows, got none in "
            f"{len(files)} files; score what has labels."
        )
    if threshold is None:
        threshold = _best_threshold(rows, weights)
    alarm, inside = rows.scores >= threshold, rows.window >= 0
    best = np.full(len(rows.owners), -weights.missed)
    np.maximum.at(best, rows.window[alarm & inside], rows.worth[alarm & inside])
    costs, where = rows.worth[alarm & ~inside], rows.file[alarm & ~inside]
    parts = [math.fsum([*best[rows.owners == i], *costs[where == i]]) for i in range(len(files))]
    raw, number = math.fsum(parts), len(best)
    score = 100 * (raw + weights.missed * number) / ((weights.found + weights.missed) * number)
    found = int((best > -weights.missed).sum())
    return NabReport(score, profile, float(threshold), raw, tuple(parts), number, found, rows.left_out, len(costs))


class _Corpus(NamedTuple):
    """The rows of all files that are scored: what an alarm there is worth, their window (-1: none) and their file."""

    scores: Array
    worth: Array
    window: Places
    file: Places
    owners: Places
    left_out: int


def _corpus(files: Sequence[tuple[ArrayLike, Windows]], weights: NabWeights) -> _Corpus:
    columns: list[tuple[Array, Array, Places, Places]] = []
    owners, left_out = list[int](), 0
    for i, (name, scores, windows) in enumerate(_named("nab_score", files)):
        values = check_scores(name, scores)
        spans = _spans(name, windows, len(values))
        start = probation(len(values))
        kept = [span for span in spans if span[0] >= start]
        worth, window = _worth(len(values), kept, weights)
        window[window >= 0] += len(owners)
        columns.append((values[start:], worth[start:], window[start:], np.full(len(values) - start, i)))
        owners += [i] * len(kept)
        left_out += len(spans) - len(kept)
    scores_of, worths, places, numbers = map(np.concatenate, zip(*columns, strict=True))
    return _Corpus(scores_of, worths, places, numbers, np.array(owners, np.int64), left_out)


def _worth(rows: int, spans: Windows, weights: NabWeights) -> tuple[Array, Places]:
    """What an alarm in each row of a file is worth, and the number of the row's window or -1."""
    worth, window = np.full(rows, -weights.false_alarm), np.full(rows, -1)
    for i, (begin, end) in enumerate(spans):
        width = end - begin
        left = np.arange(width, 0, -1) / width
        worth[begin:end] = weights.found * np.tanh(STEEPNESS * left) / np.tanh(STEEPNESS)
        window[begin:end] = i
        # The next window writes over what is nearer to it.
        behind = np.arange(1, rows - end + 1) / (width - 1) if width > 1 else np.full(rows - end, np.inf)
        worth[end:] = -weights.false_alarm * np.where(behind > FAR, 1, np.tanh(STEEPNESS * behind))
    return worth, window


def _best_threshold(rows: _Corpus, weights: NabWeights) -> float:
    """The threshold of the highest score, infinite where no alarm is best."""
    order, last = ranked(rows.scores)
    gain, window = rows.worth[order], rows.window[order]
    for i in range(len(rows.owners)):
        mine = np.flatnonzero(window == i)
        # Lower thresholds count for a window only where they find it earlier.
        gain[mine] = np.diff(np.maximum.accumulate(gain[mine]), prepend=-weights.missed)
    totals = np.append(0, np.cumsum(gain)[last])
    return float(np.append(np.inf, rows.scores[order][last])[np.argmax(totals)])


def _areas(order: Places, last: Places, since: Places, truth: Flags, runs: Places, size: int) -> tuple[float, float]:
    """The areas under precision over recall and under the ROC for one length of the buffer."""
    rows, half = len(truth), size // 2
    label = truth.astype(np.float64)
    slope = np.sqrt(1 - np.arange(1, half + 1) / max(size, 1))
    for begin, end in runs:
        before, behind = min(half, begin), min(half, rows - end)
        label[begin - before : begin] += slope[:before][::-1]
        label[end : end + behind] += slope[:behind]
    label = np.minimum(label, 1)
    starts, ends = np.maximum(runs[:, 0] - half, 0), np.minimum(runs[:, 1] + half, rows)
    apart = starts[1:] >= ends[:-1]
    bounds = np.stack([starts[np.append(True, apart)], ends[np.append(apart, True)]], 1)
    first = np.minimum.reduceat(since, bounds.ravel())[::2]
    found = np.cumsum(np.bincount(first, minlength=len(last))[: len(last)]) / len(bounds)
    hits, alarms = np.cumsum(label[order])[last], last + 1
    positive = (truth.sum() + label.sum()) / 2
    recall = np.concatenate([[0], np.minimum(hits / positive, 1) * found])
    wrong = np.concatenate([[0], (alarms - hits) / (rows - positive), [1]])
    return trapezoids(recall, np.append(1, hits / alarms)), trapezoids(wrong, np.append(recall, 1))


def _named(name: str, files: Sequence[tuple[ArrayLike, Windows]]) -> Iterator[tuple[str, ArrayLike, Windows]]:
    """Each file's name for messages, rows and windows."""
    if not len(files):
        raise DataError(f"{name}: expected at least one file, got none; give (rows, windows) of each.")
    for i, (rows, windows) in enumerate(files):
        yield f"{name}, file {i}", rows, windows


def _spans(name: str, windows: Windows, rows: int) -> list[tuple[int, int]]:
    """The windows in order."""
    for begin, end in windows:
        if not (isinstance(begin, int | np.integer) and isinstance(end, int | np.integer)):
            raise DataError(
                f"{name}: expected windows (begin, end) as rows, got ({begin!r}, {end!r}); window_rows makes them of "
                "times."
            )
    spans = sorted((int(begin), int(end)) for begin, end in windows)
    for begin, end in spans:
        if not 0 <= begin < end <= rows:
            raise DataError(
                f"{name}: expected windows (begin, end) within {rows} rows, got ({begin}, {end}); rows count from 0, "
                "and the end is the row behind the last."
            )
    for (begin, end), (start, stop) in pairwise(spans):
        if start < end:
            raise DataError(
                f"{name}: expected windows that do not overlap, got ({begin}, {end}) and ({start}, {stop}); merge them."
            )
    return spans


def _clock(times: ArrayLike) -> tuple[NDArray[np.number], bool]:
    """Times as numbers, of microseconds if they are dates, and whether they are."""
    clock = np.asarray(times)
    if clock.ndim != 1:
        raise DataError(f"window_rows: expected one time a row, got times of shape {clock.shape}.")
    if clock.dtype.kind in "iuf":
        return clock, False
    try:
        dates = clock.astype("datetime64[us]")
    except (TypeError, ValueError) as error:
        raise DataError(f"window_rows: expected numbers or dates as times ({error}); parse them first.") from error
    if np.isnat(dates).any():
        raise DataError("window_rows: expected a time in each row and window, got one that is missing; leave it out.")
    return dates.astype(np.int64), True
