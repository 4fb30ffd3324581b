"""Anomaly detection: what is strange in a table of one or many series, row by row and live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import torch
from torch import Tensor

from unrolled.errors import DataError, OptionError, listed
from unrolled.model import Law
from unrolled.tasks.anomaly.follow import DetectorNet, Follower, Judged, build_detector
from unrolled.tasks.anomaly.found import (
    AnomalyEvent,
    AnomalyReport,
    RowScores,
    Truth,
    find_events,
    report_novelty,
    true_windows,
)
from unrolled.tasks.anomaly.laws import detector_laws
from unrolled.tasks.anomaly.learned import Learned, surprises
from unrolled.tasks.anomaly.live import AnomalyStream
from unrolled.tasks.anomaly.newcomer import Newcomer
from unrolled.tasks.anomaly.options import AnomalyOptions, pick_stream, pick_stream_training, pick_window
from unrolled.tasks.anomaly.reading import Observed, Watched, read_flags, read_layout, read_observed, read_table_of
from unrolled.tasks.anomaly.rows import RowFields
from unrolled.tasks.anomaly.training import read_halves
from unrolled.tasks.frame import Task, ready
from unrolled.train import Callback
from unrolled.train.stages import Stage, Training, learn

__all__ = ["AnomalyDetector"]


class AnomalyDetector(Task):
    """Learns from rows that are mostly normal what comes next in one or many series, and says how strange each row is.

        surprise = sum over channels of (-log p(value | all rows before) - the usual one)        nats
        score    = -log10 of how often normal rows are so surprising, by the calibration

    Nothing but earlier rows enters a row's score, so scores are the same live as at once. A series that the fit has not
    met, such as a new machine, is measured by its own rows so far: its first 30 rows are not scored (their score is 0),
    and it is measured again whenever its rows have doubled. With PyOD's verbs: `fit`, `decision_function`, `predict`,
    `threshold_`, `decision_scores_`, `labels_`.

    options: any of `AnomalyOptions` and `unrolled.train.TrainOptions` by name, for instance calibration="conformal",
    false_alarms=0.001, hidden_size=64, max_minutes=5.

    After `fit`: threshold_ is the score from which on a row is an alarm (the highest, where series have their own, as
    `thresholds_` names them), decision_scores_ and labels_ are those of the rows of the fit.

    Raises `OptionError` for an unknown option (with the nearest known one) or a bad value.
    """

    task = "anomaly"
    options_kind = AnomalyOptions
    score_name: ClassVar[str] = "nats a value"
    """What the score is that tells when to stop."""
    options: AnomalyOptions

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._learned: Learned | None = None
        self.decision_scores_ = np.empty(0)
        self.labels_ = np.empty(0, np.int64)

    def fit(
        self, source: object, *, time: str | None = None, columns: str | Sequence[str] | None = None,
        id: str | None = None, truth: str | None = None, step: str | None = None, day_first: bool | None = None,
        run: str | Path | None = None, progress: bool = False, resume: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> Self:  # fmt: skip
        """Learn from a table (CSV, TSV, Parquet, a dataframe of any kind, a dict of columns) or an array (T, D).

        Rows are read in the order of time, those of an array in its own. The last part of each series (held=) is not
        learned from; it tells when to stop, and what is usual.

        Args:
            source: the table, in long format if it holds several series.
            time, id: the columns of times and of the names of series; that of times is seen where it is called one.
            columns: of numbers, to be watched; None: all others.
            truth: a column that is left alone, of 0 and 1 where anomalies are known.
            step: the time between rows ("h", "5min"), by which rows that are not there are missing; None: rows are
                taken as they come.
            day_first: whether 01/02/2012 is in February; None: seen from the column.
            run: a folder for checkpoints, metrics and the model so far; None writes nothing.
            progress: a bar on a terminal.
            resume: go on from the last checkpoint in `run`.
            callbacks: called with every `unrolled.train.Event`.

        Raises:
            DataError, OptionError: the table or an option cannot be used, in one sentence.
            TrainingError, SaveError: training broke down, or a file could not be written.
        """
        but = [truth] if truth else []
        table, layout = read_layout(source, time=time, columns=columns, id=id, step=step, but=but)
        rows = read_observed(table, layout, day_first)
        if truth:
            # It is asked for after the training, which may be long.
            read_flags(table, truth)
        training = Training(None if run is None else Path(run), progress, resume, tuple(callbacks))
        with self.attempt():
            self._train(rows, training)
        return self

    def _train(self, rows: Observed, training: Training) -> None:
        ends = self._ends(rows)
        self.understood = (*_columns_said(rows.layout), *rows.remarks)
        asked = self.options.surprise
        fields = RowFields.fit(rows, ends, scaling=asked.scaling, calendar=asked.calendar, ahead=asked.ahead)

        def search() -> Stage:
            return self._stage(rows, ends, fields, None)

        def trimmed(first: Stage) -> Stage:
            self.fitted().eval()
            return replace(self._stage(rows, ends, fields, self._strangest(rows, ends)), options=first.options)

        def keep(path: Path) -> None:
            net = self.fitted()
            learning = net.training
            net.eval()
            self._find_usual(rows, ends)
            self.save(path)
            net.train(learning)

        again = trimmed if self.options.surprise.trim else None
        self.history = learn(search, again, training, between=lambda: None, save=keep)
        self._find_usual(rows, ends)

    def _ends(self, rows: Observed) -> np.ndarray:
        """(S,) how many rows of each series are learned from."""
        least = 2 * self.options.alarm.recent + 2 if self.options.alarm.calibration == "tail" else 8
        fewer = "judge fewer at once with recent= (--set recent=N)"
        if self.options.surprise.network == "each" and pick_window(self.options) > least:
            least, fewer = pick_window(self.options), "rebuild fewer at once with window= (--set window=N)"
        short = np.flatnonzero(rows.lengths < least)
        if len(short):
            i = int(short[0])
            name = f"series {rows.ids[i]!r}" if rows.ids[i] else "the table"
            raise DataError(
                f"fit: expected at least {least} rows in each series, got {rows.lengths[i]} in {name}; give more rows, "
                f"or {fewer}."
            )
        return rows.lengths - np.floor(self.options.surprise.held * rows.lengths).astype(np.int64)

    def _stage(self, rows: Observed, ends: np.ndarray, fields: RowFields, out: list[np.ndarray] | None) -> Stage:
        """A fresh network for the rows before `ends`, those marked in `out` left out, to be stopped by the others."""
        self._learned = Learned.untold(rows.layout, fields)
        net = self.net = ready(lambda each: build_detector(self.options, each), self.options.seed, fields)
        early, late = read_halves(self.network, rows, ends, fields, out)
        streams, steps = pick_stream(self.options, len(early.inputs)), self.options.steps
        training = pick_stream_training(self.options, streams, scored=late.scored)
        # The loop takes batches of one size, so the held rows are read as so many streams, too.
        valid = late.stream(streams, steps) if late.scored else None
        return Stage(net, early.stream(streams, steps), len(early.inputs), training, valid)

    def _strangest(self, rows: Observed, ends: np.ndarray) -> list[np.ndarray]:
        """Of each series (T,) whether a row is among the most surprising of those that are learned from."""
        found = []
        for i, end in enumerate(ends):
            nats = surprises(self.state, self.network, self.options, rows, i)
            sums, known = np.nansum(nats, axis=1), ~np.isnan(nats).all(1)
            # A row without any value teaches nothing, and is none of the part that is left out.
            judged = sums[:end][known[:end]]
            level = np.quantile(judged, 1 - self.options.surprise.trim) if len(judged) else np.inf
            found.append(known & (sums > level))
        return found

    def _find_usual(self, rows: Observed, ends: np.ndarray) -> None:
        """What is usual in the rows that were held out, the scores of all rows, and the thresholds."""
        self._learned = self.state.told(self.network, self.options, rows, ends)
        judged = self._judge(rows)
        scores = [judged.score[rows.rows(i)] for i in range(len(rows.ids))]
        alarm = self.options.alarm
        usual = [-np.log10(alarm.false_alarms)] * len(scores)
        if alarm.contamination is not None:
            usual = [float(np.quantile(part, 1 - alarm.contamination, method="higher")) for part in scores]
        self._learned = replace(self._learned, thresholds=np.array(usual, np.float64), threshold=float(max(usual)))
        self.decision_scores_ = rows.in_source(judged.score)
        self.labels_ = rows.in_source(self._alarms(rows, judged).astype(np.int64))

    @property
    def state(self) -> Learned:
        """What the fit found out. Raises `OptionError` before the fit."""
        self.fitted()
        assert self._learned is not None
        return self._learned

    @property
    def network(self) -> DetectorNet:
        """The network that foresees. Raises `OptionError` before the fit."""
        return cast(DetectorNet, self.fitted())

    @property
    def threshold_(self) -> float:
        """The score from which on a row is an alarm."""
        return self.state.threshold

    @property
    def thresholds_(self) -> dict[str, float]:
        """The same for each series of the fit."""
        return dict(zip(self.state.fields.ids, self.state.thresholds.tolist(), strict=True))

    @property
    def contamination(self) -> float:
        """The share of rows that is taken for anomalies: as given, or else the rate of false alarms."""
        alarm = self.options.alarm
        return alarm.false_alarms if alarm.contamination is None else alarm.contamination

    def judge(self, source: object) -> RowScores:
        """All that is said of each row, in the order of the table's rows; rows that are left out are normal."""
        rows = self.read(source)
        judged = self._judge(rows)
        return RowScores(*map(rows.in_source, (judged.score, self._alarms(rows, judged), judged.excess)))

    def decision_function(self, source: object) -> np.ndarray:
        """(rows,) how strange each row of a table or array is, higher is stranger, in the order of its rows.

        Every series is read from its first row on, as if nothing had come before; see `stream` to go on. The first 30
        rows of a series that the fit has not met have a score of 0.
        """
        return self.judge(source).scores

    def predict(self, source: object) -> np.ndarray:
        """(rows,) int64, 1 where a row is an alarm, else 0."""
        return self.judge(source).alarms.astype(np.int64)

    def explain(self, source: object) -> np.ndarray:
        """(rows, channels) the nats by which each channel is more surprising than usual; 0 where it is missing."""
        return self.judge(source).excess

    def events(self, source: object) -> list[AnomalyEvent]:
        """The runs of alarms, each with its times and the channels that explain it."""
        rows = self.read(source)
        judged = self._judge(rows)
        return find_events(rows, judged.score, self._alarms(rows, judged), judged.excess)

    def stream(self, series: str = "", *, new: bool = False) -> AnomalyStream:
        """A series as it comes: rows are given one by one, and each is scored at once.

        series: its name in the fit. new: it is none of the fit, whatever it is called; its first 30 rows say what it is
        measured in. Raises `OptionError` for a name that the fit has not met without `new`, or has met with it.
        """
        learned = self.state
        ids = learned.fields.ids
        if new and series in ids and series:
            raise OptionError(f"stream: series {series!r} is one of the fit; leave new= out.")
        if not new and series not in ids:
            raise OptionError(
                f"stream: there is no series {series!r}; name one of the fit ({listed(map(repr, ids))}), or pass "
                "new=True for another."
            )
        follower: Follower | Newcomer
        if new:
            follower, threshold = learned.newcomer(self.network, self.options), learned.threshold
        else:
            follower, threshold = learned.follower(self.network, self.options, series), learned.threshold_of(series)
        return AnomalyStream(follower, learned.fields, learned.layout, threshold)

    def evaluate(self, source: object, truth: Truth) -> AnomalyReport:
        """How good scores and alarms are beside the truth.

        truth: the name of a column of 0 and 1; or windows (first time, last time), both within, for one series, or by
        the names of several.

        Raises:
            DataError: a window without rows, no window, or a column that holds something else.
        """
        table = read_table_of(source, self.state.layout)
        rows = read_observed(table, self.state.layout, sparse=True)
        flags = None
        if isinstance(truth, str):
            flags = read_flags(table, truth)
        judged = self._judge(rows)
        windows = true_windows(rows, truth, flags)
        return report_novelty(rows, judged.score, self._alarms(rows, judged), windows)

    def plot(self, path: str | Path, source: object, truth: Truth | None = None) -> Path:
        """Write a picture of each series with surprise, alarms and, where given, truth (extra `report`)."""
        from unrolled.inspect.novelty import draw_novelty
        from unrolled.tasks.anomaly.picture import novelty_pictures

        table = read_table_of(source, self.state.layout)
        rows = read_observed(table, self.state.layout, sparse=True)
        windows = None
        if truth is not None:
            windows = true_windows(rows, truth, read_flags(table, truth) if isinstance(truth, str) else None)
        judged = self._judge(rows)
        return draw_novelty(novelty_pictures(rows, judged, self.state, self._alarms(rows, judged), windows), path)

    def read(self, source: object) -> Observed:
        """Another table or array, read as that of the fit."""
        layout = self.state.layout
        return read_observed(read_table_of(source, layout), layout, sparse=True)

    def _judge(self, rows: Observed) -> Judged:
        """All series from their beginnings on."""
        parts = []
        for i, name in enumerate(rows.ids):
            part = rows.rows(i)
            follower = self.state.begin(self.network, self.options, name)
            parts.append(follower.push(rows.values[part], rows.clocks[part]))
        return Judged(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))

    def _alarms(self, rows: Observed, judged: Judged) -> np.ndarray:
        level = np.array([self.state.threshold_of(name) for name in rows.ids])
        return np.asarray(judged.score >= level[rows.owner])

    def pack(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        content, arrays = self.state.to_parts()
        content["options"] = self.options.to_json()
        arrays |= {"scores": self.decision_scores_, "labels": self.labels_}
        return content, {name: torch.from_numpy(np.array(values)) for name, values in arrays.items()}

    @classmethod
    def unpack(cls, content: dict[str, Any], arrays: dict[str, Tensor]) -> Self:
        model = cls(**content["options"])
        kept = {name: tensor.numpy() for name, tensor in arrays.items()}
        model._learned = Learned.from_parts(content, kept)
        model.net = build_detector(model.options, model._learned.fields)
        model.decision_scores_, model.labels_ = kept["scores"], kept["labels"]
        return model

    def laws(self) -> Sequence[Law]:
        return detector_laws(self)


def _columns_said(layout: Watched) -> tuple[str, ...]:
    names = ", ".join(layout.channels[:6]) + (", ..." if len(layout.channels) > 6 else "")
    time = () if layout.time is None else (f"time: column {layout.time!r}",)
    return (*time, f"watched: {names}")
