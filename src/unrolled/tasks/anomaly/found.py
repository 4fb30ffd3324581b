"""What a detector says: alarms as events, and how good they are beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from unrolled.errors import DataError
from unrolled.score.areas import average_precision, roc_area
from unrolled.score.novelty import (
    NabReport,
    events,
    nab_score,
    probation,
    vus,
    window_f1,
    window_labels,
    window_rows,
)
from unrolled.score.rates import Counts
from unrolled.tasks.anomaly.reading import Observed

__all__ = ["AnomalyEvent", "AnomalyReport", "RowScores", "find_events", "report_novelty", "true_windows"]

# The longest buffer of the volume under the surface; longer ones take minutes and change the third digit.
BUFFER = 100

Truth = str | Sequence[tuple[object, object]] | Mapping[str, Sequence[tuple[object, object]]]


class AnomalyEvent(NamedTuple):
    """A run of alarms. series: its name, "" where there is one. begin, end, peak: times of the first, the last and the
    strangest row, or their places. score: at the peak. channels: those that explain it, each with its part of the
    excess surprise, the largest first."""

    series: str
    begin: object
    end: object
    peak: object
    score: float
    channels: tuple[tuple[str, float], ...]

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        times = {name: _plain(getattr(self, name)) for name in ("begin", "end", "peak")}
        return {"series": self.series, **times, "score": self.score, "channels": dict(self.channels)}


class RowScores(NamedTuple):
    """scores: (rows,) higher is stranger. alarms: (rows,) bool. excess: (rows, channels) nats beyond the usual."""

    scores: np.ndarray
    alarms: np.ndarray
    excess: np.ndarray


class AnomalyReport(NamedTuple):
    """How good scores and alarms are. windows: found, false and missed ones, by the model's own threshold. average: the
    area under precision and recall of rows; roc: under the ROC; volume: under the surface of precision and recall
    (VUS-PR). nab: NAB's score with the best threshold of all; None where no window lies behind the first 15 %."""

    windows: Counts
    average: float
    roc: float
    volume: float
    nab: NabReport | None
    rows: int
    alarms: int

    def __str__(self) -> str:
        precision, recall, f1 = self.windows.rates
        said = [
            f"windows: F1 {f1:.4f} (precision {precision:.4f}, recall {recall:.4f}, {self.windows.correct} of "
            f"{self.windows.support} found)",
            f"rows: AUC-PR {self.average:.4f}, VUS-PR {self.volume:.4f}, AUC-ROC {self.roc:.4f}; {self.alarms:,} "
            f"alarms in {self.rows:,} rows",
        ]
        return "\n".join([*said, *([] if self.nab is None else [str(self.nab)])])

    def to_json(self) -> dict[str, object]:
        """Plain JSON."""
        counts = {"correct": self.windows.correct, "predicted": self.windows.predicted, "support": self.windows.support}
        areas = {"auc_pr": self.average, "auc_roc": self.roc, "vus_pr": self.volume}
        nab = None if self.nab is None else self.nab.to_json()
        return {
            "windows": {**counts, **self.windows.rates._asdict()},
            **areas,
            "nab": nab,
            "rows": self.rows,
            "alarms": self.alarms,
        }


def find_events(rows: Observed, scores: np.ndarray, alarms: np.ndarray, excess: np.ndarray) -> list[AnomalyEvent]:
    """The runs of alarms of each series, in order; scores, alarms: (N,), excess: (N, D)."""
    found = []
    for i, name in enumerate(rows.ids):
        part = rows.rows(i)
        clocks, strange = rows.clocks[part], scores[part]
        for begin, end in events(alarms[part]):
            peak = begin + int(strange[begin:end].argmax())
            parts = np.maximum(excess[part][begin:end], 0).sum(0)
            whole = float(parts.sum()) or 1.0
            order = np.argsort(-parts, kind="stable")
            named = tuple((rows.layout.channels[d], float(parts[d]) / whole) for d in order if parts[d] > 0)
            found.append(AnomalyEvent(name, clocks[begin], clocks[end - 1], clocks[peak], float(strange[peak]), named))
    return found


def true_windows(rows: Observed, truth: Truth, flags: np.ndarray | None) -> list[list[tuple[int, int]]]:
    """The windows of each series as its rows: of a column of 0 and 1 (flags, (rows of the table,) bool), or as times.

    Raises:
        DataError: no such series, or windows without rows.
    """
    if flags is not None:
        whole = np.where(rows.source >= 0, flags[rows.source], False)
        return [events(whole[rows.rows(i)]) for i in range(len(rows.ids))]
    by_name: Mapping[str, Sequence[tuple[object, object]]]
    if isinstance(truth, Mapping):
        by_name = truth
    else:
        if len(rows.ids) > 1:
            raise DataError(
                f"evaluate: expected windows for each of {len(rows.ids)} series, got one list; give a dict of lists by "
                "the names of the series, or the name of a column of 0 and 1."
            )
        by_name = {rows.ids[0]: [pair for pair in truth if not isinstance(pair, str)]}
    unknown = [name for name in by_name if name not in rows.ids]
    if unknown:
        raise DataError(f"evaluate: there is no series {unknown[0]!r}; name the windows by the series of the table.")
    return [window_rows(list(by_name.get(name, ())), rows.clocks[rows.rows(i)]) for i, name in enumerate(rows.ids)]


def report_novelty(
    rows: Observed, scores: np.ndarray, alarms: np.ndarray, windows: Sequence[Sequence[tuple[int, int]]]
) -> AnomalyReport:
    """Scores of (N,) scores and alarms beside the windows of each series.

    Raises:
        DataError: there is no window, or nothing but windows.
    """
    parts = [rows.rows(i) for i in range(len(rows.ids))]
    if not any(windows):
        raise DataError("evaluate: expected at least one window of anomalies, got none; nothing can be scored.")
    labels = np.concatenate(
        [window_labels(own, part.stop - part.start) for own, part in zip(windows, parts, strict=True)]
    )
    files = [(scores[part], list(own)) for own, part in zip(windows, parts, strict=True)]
    flagged = [(alarms[part], list(own)) for own, part in zip(windows, parts, strict=True)]
    usual = int(np.median([end - begin for own in windows for begin, end in own]))
    scored = any(
        begin >= probation(part.stop - part.start) for own, part in zip(windows, parts, strict=True) for begin, _ in own
    )
    return AnomalyReport(
        window_f1(flagged),
        average_precision(scores, labels),
        roc_area(scores, labels),
        vus(scores, labels, min(usual, BUFFER)).pr,
        nab_score(files) if scored else None,
        len(scores),
        int(alarms.sum()),
    )


def _plain(time: object) -> object:
    return str(time) if isinstance(time, np.datetime64) else int(time)  # type: ignore[call-overload]
