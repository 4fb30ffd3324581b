"""What a fit finds out besides the weights: the fields, and what is usual in each series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unrolled.data.batch.runs import offsets_of
from unrolled.tasks.anomaly.calibration import Conformal, RunningTail
from unrolled.tasks.anomaly.follow import DetectorNet, Follower, RecordTails, distances
from unrolled.tasks.anomaly.newcomer import Newcomer
from unrolled.tasks.anomaly.options import AnomalyOptions, running_calibration
from unrolled.tasks.anomaly.reading import Observed, Watched
from unrolled.tasks.anomaly.rows import RowFields, Scale

__all__ = ["Learned", "surprises"]

# Fewer rows than these that were held out do not tell what is usual; all rows do then.
ENOUGH = 30
# A saved model keeps so many surprises of a series to count shares by; for records it keeps those of all rows.
KEPT = 10_000


@dataclass(frozen=True, eq=False)
class Learned:
    """layout, fields: of the rows. typical: (S, A D) the median surprise of each channel and distance. earlier: of each
    series the surprises by which new ones are judged. thresholds: (S,) scores from which on a row is an alarm, and
    threshold that of series which the fit has not met."""

    layout: Watched
    fields: RowFields
    typical: np.ndarray
    earlier: tuple[np.ndarray, ...]
    thresholds: np.ndarray
    threshold: float

    @classmethod
    def untold(cls, layout: Watched, fields: RowFields) -> Learned:
        """Before anything is known to be usual."""
        count = len(fields.ids)
        typical, nothing = np.zeros((count, len(fields.ahead) * fields.channels)), (np.empty(0),) * count
        return cls(layout, fields, typical, nothing, np.full(count, np.inf), np.inf)

    def begin(self, net: DetectorNet, options: AnomalyOptions, name: str) -> Follower | Newcomer:
        """At the beginning of a series, which the fit may not have met."""
        known = name in self.fields.ids
        return self.follower(net, options, name) if known else self.newcomer(net, options)

    def newcomer(self, net: DetectorNet, options: AnomalyOptions) -> Newcomer:
        """At the beginning of a series that the fit has not met."""
        typical = np.median(self.typical, axis=0)
        # A series of its own has no past, but its rows may be counted among those of all others.
        earlier = np.empty(0) if options.alarm.calibration == "tail" else np.concatenate(self.earlier)

        def begin(scale: Scale) -> Follower:
            return self._follower(net, options, scale, typical, earlier)

        return Newcomer(self.fields.scale_by, begin)

    def follower(self, net: DetectorNet, options: AnomalyOptions, name: str) -> Follower:
        """At the beginning of a series of the fit."""
        i = self.fields.ids.index(name)
        return self._follower(net, options, self.fields.scale(name), self.typical[i], self.earlier[i])

    def _follower(
        self, net: DetectorNet, options: AnomalyOptions, scale: Scale, typical: np.ndarray, earlier: np.ndarray
    ) -> Follower:
        alarm = options.alarm
        calibration: RunningTail | Conformal | RecordTails
        if alarm.calibration == "record":
            calibration = RecordTails.after(earlier.reshape(-1, 2), alarm)
        else:
            calibration = running_calibration(alarm) if alarm.calibration == "tail" else Conformal.of(earlier)
        strict = options.surprise.missing == "anomaly"
        return Follower(net, self.fields, scale, alarm, strict, typical, earlier, calibration)

    def told(self, net: DetectorNet, options: AnomalyOptions, rows: Observed, ends: np.ndarray) -> Learned:
        """With what is usual in the rows from `ends[i]` on of each series, or in all where those are few."""
        typical, earlier = [], []
        for i in range(len(rows.ids)):
            nats = surprises(self, net, options, rows, i)
            judging = nats[ends[i] :] if len(nats) - ends[i] >= ENOUGH else nats
            known = ~np.isnan(judging)
            middle = [np.median(column[there]) if there.any() else 0.0 for column, there in zip(judging.T, known.T)]
            typical.append(middle)
            if options.alarm.calibration == "record":
                # A record is one of all rows so far, whatever was learned from them.
                excess = np.where(np.isnan(nats), 0.0, nats - np.array(middle)).sum(1)
                values = rows.values[rows.rows(i)]
                far = distances(self.fields.scale(rows.ids[i]), values)
                earlier.append(np.stack([excess, far], 1))
                continue
            sums = np.where(known, judging - np.array(middle), 0.0).sum(1)
            earlier.append(_kept(sums, options))
        return replace(self, typical=np.array(typical).reshape(len(rows.ids), -1), earlier=tuple(earlier))

    def threshold_of(self, name: str) -> float:
        """The score from which on a row of the series is an alarm."""
        return float(self.thresholds[self.fields.ids.index(name)]) if name in self.fields.ids else self.threshold

    def to_parts(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Plain JSON, and arrays by name."""
        content = {"layout": self.layout.to_json(), "fields": self.fields.to_json()}
        arrays = {
            "typical": self.typical,
            "earlier": np.concatenate(self.earlier),
            "counts": np.array([len(part) for part in self.earlier], np.int64),
            "thresholds": np.append(self.thresholds, self.threshold),
        }
        return content, arrays

    @classmethod
    def from_parts(cls, content: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Learned:
        """What `to_parts` took apart."""
        bounds = offsets_of(arrays["counts"])
        earlier = tuple(np.array(part) for part in np.split(arrays["earlier"], bounds[1:-1]))
        return cls(
            Watched.from_json(content["layout"]),
            RowFields.from_json(content["fields"]),
            np.array(arrays["typical"]),
            earlier,
            np.array(arrays["thresholds"][:-1]),
            float(arrays["thresholds"][-1]),
        )


def surprises(learned: Learned, net: DetectorNet, options: AnomalyOptions, rows: Observed, series: int) -> np.ndarray:
    """(T, A D) nats of one series, NaN where a value is missing."""
    part = rows.rows(series)
    ignoring = options.replaced(missing="ignore")
    follower = learned.follower(net, ignoring, rows.ids[series])
    return follower.nats(rows.values[part], rows.clocks[part])


def _kept(sums: np.ndarray, options: AnomalyOptions) -> np.ndarray:
    """What is kept of the surprises of a series: the last ones of a running calibration, or their distribution."""
    if options.alarm.calibration == "tail":
        return sums[-running_calibration(options.alarm).reach :]
    ordered = np.sort(sums)
    return ordered[np.linspace(0, len(ordered) - 1, min(KEPT, len(ordered))).astype(np.int64)]
