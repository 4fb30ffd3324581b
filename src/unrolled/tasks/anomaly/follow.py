"""Following one series, in pieces of any size: how surprising each row is, and how rare that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from unrolled.align.next import Next, NextOptions
from unrolled.align.reconstruct import Reconstruct
from unrolled.heads.number.head import NumberHead
from unrolled.heads.number.likelihood import make_likelihood
from unrolled.nn.reading.reader import NumberReader
from unrolled.tasks.anomaly.calibration import Conformal, RecordTail, RunningTail, quieted
from unrolled.tasks.anomaly.options import NARROWER, AlarmOptions, AnomalyOptions, pick_window
from unrolled.tasks.anomaly.rows import Encoded, RowFields, RowMemory, Scale

__all__ = [
    "FARTHEST",
    "DetectorNet",
    "Follower",
    "Judged",
    "RecordTails",
    "build_detector",
    "distances",
    "read_and_wanted",
]

DetectorNet = Next[Any] | Reconstruct[Any]

# Nats of what cannot be: another value of a channel that has held one, and a missing value where that is an anomaly.
CERTAIN = 30.0
# Deviations from the middle beyond which values are all the same.
FARTHEST = 50.0
# Rows that go through the network at once.
PIECE = 4096


def build_detector(options: AnomalyOptions, fields: RowFields) -> DetectorNet:
    """The network: what is known before a row to the distribution of each channel's move; or the rows to themselves."""
    reader = NumberReader(2 * fields.channels, known=fields.calendar.width)
    encoder = options.make_encoder(reader.output_size)
    likelihood = make_likelihood(options.surprise.likelihood)
    if options.surprise.network == "each":
        window = pick_window(options)
        code_size = options.surprise.code_size or max(1, window * fields.channels // NARROWER)
        return Reconstruct(reader, encoder, fields.channels, likelihood, window=window, code_size=code_size)
    head = NumberHead(encoder.output_size, len(fields.ahead) * fields.channels, likelihood)
    return Next(reader, encoder, head, NextOptions())


def read_and_wanted(net: DetectorNet, encoded: Encoded) -> tuple[np.ndarray, np.ndarray]:
    """What the network reads at each row, and what it is to say of it: (T, 2 D + C) and (T, A D)."""
    if isinstance(net, Reconstruct):
        return encoded.known(), encoded.levels
    return encoded.inputs, encoded.moves


class Judged(NamedTuple):
    """excess: (T, D) nats by which each channel is more surprising than usual, 0 where missing. score: (T,)."""

    excess: np.ndarray
    score: np.ndarray


@dataclass(eq=False)
class RecordTails:
    """Records of surprises, and of the distances of values."""

    surprises: tuple[RecordTail, ...]
    values: tuple[RecordTail, ...]

    @classmethod
    def after(cls, earlier: np.ndarray, alarm: AlarmOptions) -> RecordTails:
        """After rows (n, 2) of surprise and distance."""
        cap = math.inf if alarm.cap is None else alarm.cap
        surprises = tuple(RecordTail.after(earlier[:, 0], recent, cap) for recent in alarm.record)
        return cls(surprises, tuple(RecordTail.after(earlier[:, 1], recent, math.inf) for recent in alarm.value_record))

    def score(self, rows: np.ndarray) -> np.ndarray:
        """(T,) the highest score of all: rows (T, 2) of surprise and distance."""
        parts = [each.score(rows[:, 0]) for each in self.surprises] + [each.score(rows[:, 1]) for each in self.values]
        found: np.ndarray = np.max(parts, axis=0)
        return found


def distances(scale: Scale, values: np.ndarray) -> np.ndarray:
    """(T,) the deviations of values (T, D) from the middle of the training rows, summed over channels."""
    with np.errstate(over="ignore"):
        z = np.minimum(np.abs(values - scale.center) / scale.spread, FARTHEST)
    found: np.ndarray = np.where(np.isnan(z) | ~np.isnan(scale.constant), 0.0, z).sum(1)
    return found


@dataclass(eq=False)
class Follower:
    """One series as it comes. What it is fed in pieces it judges as if fed at once.

    typical: (A D,) the usual surprise of each channel at each distance. earlier: surprises of rows before the first,
    the last ones of which a running calibration looks at. calibration: of surprises.
    """

    net: DetectorNet
    fields: RowFields
    scale: Scale
    alarm: AlarmOptions
    strict: bool
    typical: np.ndarray
    earlier: np.ndarray
    calibration: RunningTail | Conformal | RecordTails

    def __post_init__(self) -> None:
        self.memory: RowMemory = self.fields.begin()
        self.state: Any = None
        self.foreseen: torch.Tensor | None = None
        self.scored = np.empty(0)

    def push(self, values: np.ndarray, clocks: np.ndarray) -> Judged:
        """The next rows: values (T, D), NaN where missing, and their clocks (T,)."""
        nats = self.nats(values, clocks)
        excess = np.where(np.isnan(nats), 0.0, nats - self.typical)
        excess = excess.reshape(len(values), -1, self.fields.channels).sum(1)
        surprise = excess.sum(1)
        if isinstance(self.calibration, RunningTail):
            plain = self.calibration.score(surprise, self.earlier)
            self.earlier = np.concatenate([self.earlier, surprise])[-self.calibration.reach :]
        elif isinstance(self.calibration, RecordTails):
            plain = self.calibration.score(np.stack([surprise, distances(self.scale, values)], 1))
        else:
            plain = self.calibration.score(surprise)
        quiet = self.alarm.quiet
        score = quieted(plain, quiet, self.scored)
        self.scored = np.concatenate([self.scored, plain])[-quiet:] if quiet else self.scored
        return Judged(excess, score)

    def nats(self, values: np.ndarray, clocks: np.ndarray) -> np.ndarray:
        """(T, A D) -log density of each value given all before it, at each distance; NaN where it is not known."""
        encoded, self.memory = self.fields.encode(self.scale, values, clocks, self.memory)
        inputs, wanted = read_and_wanted(self.net, encoded)
        found = np.empty(wanted.shape)
        for begin in range(0, len(found), PIECE):
            part = slice(begin, begin + PIECE)
            found[part] = self._density(inputs[part], wanted[part])
        held, near = ~np.isnan(self.scale.constant), found[:, : self.fields.channels]
        found[:, np.tile(held, len(self.fields.ahead))] = np.nan
        near[:, held] = np.where(encoded.missing[:, held], np.nan, CERTAIN * encoded.changed[:, held])
        if self.strict:
            near[encoded.missing] = CERTAIN
        return found

    @torch.no_grad()
    def _density(self, inputs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        head = self.net.head
        assert isinstance(head, NumberHead)
        device = head.weight.device
        x = torch.from_numpy(inputs).to(device, head.weight.dtype)[None]
        y, self.state = self.net.vectors(x, state=self.state)
        target = torch.from_numpy(wanted).to(device, torch.float64)
        # Of a window that is rebuilt, the row itself stands first.
        told = self._when_they_come(head.distribution(y)[0, :, : wanted.shape[1]].double())
        terms = head.likelihood.terms(told, torch.where(target.isnan(), 0, target))
        found: np.ndarray = torch.where(target.isnan(), torch.nan, terms).cpu().numpy()
        return found

    def _when_they_come(self, told: torch.Tensor) -> torch.Tensor:
        """What was said of each row at each distance, from what is said at each step (T, A D, width)."""
        ahead, width = self.fields.ahead, self.fields.channels
        # Nothing was said of the first rows at a distance, and their moves are not known.
        before = told[:1].expand(max(ahead) - 1, -1, -1) if self.foreseen is None else self.foreseen
        whole = torch.cat([before, told])
        self.foreseen = whole[len(told) :]
        begins = [len(before) - (a - 1) for a in ahead]
        parts = [whole[begin : begin + len(told), i * width : (i + 1) * width] for i, begin in enumerate(begins)]
        return torch.cat(parts, 1)
