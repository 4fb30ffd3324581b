"""Rows as what a network reads and what it is to foresee: the move of each channel since its last known value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from unrolled.data.panel.calendar import Calendar
from unrolled.errors import ModelFileError
from unrolled.fields.number import Number
from unrolled.options import typed
from unrolled.tasks.anomaly.reading import Observed

__all__ = ["Encoded", "RowMemory", "RowFields", "Scale"]

# Moves beyond so many of their usual size are all the same to a network, and stay far from what float32 holds.
LARGEST = 1e6
# Values beyond so many of their usual size are all the same, so that what is between two of them is a number, too.
FARTHEST = 1e30
# Values that differ by no more than rounding are one.
ROUNDING = 1e-12
# The names of cycles, and their lengths in nanoseconds; a cycle must be seen twice.
MINUTE = 60 * 10**9
CYCLES = {"minute_of_hour": 60 * MINUTE, "hour_of_day": 1440 * MINUTE, "day_of_week": 7 * 1440 * MINUTE}
SEEN = 2


class RowMemory(NamedTuple):
    """What the row after a piece must know of the piece; NaN for what is not there.

    level, move: (D,) the last known values and the last moves. levels: (K, D) those before the last K rows.
    """

    level: np.ndarray
    move: np.ndarray
    levels: np.ndarray


class Encoded(NamedTuple):
    """inputs: (T, 2 D + C) float32, what is known before each row, NaN where nothing is. moves: (T, A D) float32, those
    of the first distance first, NaN where unknown. levels: (T, D) float32, asinh of the scaled values, NaN where
    unknown. changed: (T, D) whether a value differs from the one that the channel has always held. missing: (T, D)
    whether there is no value."""

    inputs: np.ndarray
    moves: np.ndarray
    levels: np.ndarray
    changed: np.ndarray
    missing: np.ndarray

    def known(self) -> np.ndarray:
        """(T, 2 D + C) float32 as `inputs`, but with the row itself: its value and its move."""
        width = self.levels.shape[1]
        own = np.arcsinh(self.moves[:, :width])
        return np.concatenate([self.levels, own, self.inputs[:, 2 * width :]], axis=1)


@dataclass(frozen=True, eq=False)
class Scale:
    """Of one series: centre and spread of values (D,), the size of moves (A D,), and the one value (D,) or NaN."""

    center: np.ndarray
    spread: np.ndarray
    move: np.ndarray
    constant: np.ndarray


@dataclass(frozen=True, eq=False)
class RowFields:
    """Fitted on the training rows of each series.

        level_t = last known (value - center) / spread before row t
        inputs  = asinh(level), asinh(last move), calendar of row t
        move_ta = ((value_t - center) / spread - level_(t - a + 1)) / usual size of moves, for each a in ahead

    values, moves: groups are series. constant: (S, D) the one value of the training rows, NaN where they hold several.
    """

    ids: tuple[str, ...]
    values: Number
    moves: Number
    constant: np.ndarray
    calendar: Calendar
    ahead: tuple[int, ...]

    @classmethod
    def fit(
        cls, rows: Observed, ends: np.ndarray, *, scaling: str, calendar: bool, ahead: tuple[int, ...]
    ) -> RowFields:
        """The fields as the first `ends[i]` rows of each series give them; later rows are not looked at."""
        values = Number.fit(rows.values, rows.offsets, ends, scaling)
        z = _told_apart(values.encode, rows.values, rows.owner)
        parts = [rows.rows(i) for i in range(len(rows.ids))]
        moves = [_whole_moves(z[part], ahead) for part in parts]
        spread = Number.fit(np.concatenate(moves), rows.offsets, ends, scaling)
        constant = np.stack([_one_value(rows.values[part][:end]) for part, end in zip(parts, ends, strict=True)])
        # Times are known in advance, so those of later rows tell nothing of these.
        cycles = _cycles([rows.clocks[part] for part in parts]) if calendar and rows.layout.time is not None else ()
        return cls(rows.ids, values, spread, constant, Calendar(cycles), ahead)

    @property
    def channels(self) -> int:
        """D."""
        return self.values.width

    def begin(self) -> RowMemory:
        """Before the first row of a series."""
        nothing = np.full(self.channels, np.nan)
        return RowMemory(nothing, nothing, np.full((max(self.ahead) - 1, self.channels), np.nan))

    def scale(self, name: str) -> Scale:
        """What a series of the fit is measured in."""
        i = self.ids.index(name)
        return Scale(self.values.center[i], self.values.scale[i], self.moves.scale[i], self.constant[i])

    def scale_by(self, rows: np.ndarray) -> Scale:
        """What a series that the fit has not met is measured in, as its rows (T, D) so far give it.

        Where a channel has held no value or one alone, the middle of the series of the fit says how wide it is. One
        that has held one value in each of them is to hold the middle one of its own: its moves are not learned.
        """
        own = Number.fit(rows, scaling=self.values.scaling)
        empty = np.isnan(rows).all(0)
        flat = empty | ~np.isnan(_one_value(rows))
        center = np.where(empty, np.median(self.values.center, axis=0), own.center[0])
        spread = np.where(flat, np.median(self.values.scale, axis=0), own.scale[0])
        moves = _whole_moves(_told_apart(lambda rows: (rows - center) / spread, rows), self.ahead)
        size = Number.fit(moves, scaling=self.values.scaling).scale[0]
        still = np.tile(flat, len(self.ahead)) | np.isnan(moves).all(0)
        held = ~np.isnan(self.constant).any(0)
        constant = np.where(held, np.where(empty, center, _middle_value(rows)), np.nan)
        return Scale(center, spread, np.where(still, np.median(self.moves.scale, axis=0), size), constant)

    def encode(
        self, scale: Scale, values: np.ndarray, clocks: np.ndarray, memory: RowMemory
    ) -> tuple[Encoded, RowMemory]:
        """Rows (T, D) that follow what the memory holds, and the memory after them."""
        z = _told_apart(lambda rows: (rows - scale.center) / scale.spread, values)
        levels = _levels(z, memory.level)
        before = np.concatenate([memory.levels, levels])
        moves = np.clip(_moves(z, before, self.ahead) / scale.move, -LARGEST, LARGEST)
        known = ~np.isnan(z)
        last = np.concatenate([memory.move[None], moves[:, : self.channels]])
        parts = [np.arcsinh(levels), np.arcsinh(last[:-1])]
        if self.calendar.features:
            parts.append(self.calendar.encode(clocks))
        with np.errstate(over="ignore"):
            changed = known & (np.abs(values - scale.constant) > ROUNDING * np.abs(scale.constant))
        after = RowMemory(_levels(np.append(z, z[:1], axis=0), memory.level)[-1], last[-1], before[len(z) :])
        inputs = np.concatenate(parts, axis=1).astype(np.float32)
        shown = np.arcsinh(z).astype(np.float32)
        return Encoded(inputs, moves.astype(np.float32), shown, changed, ~known), after

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; `RowFields.from_json` gives it back."""
        constant = [[None if np.isnan(value) else value for value in row] for row in self.constant.tolist()]
        return {
            "ids": list(self.ids),
            "values": self.values.to_json(),
            "moves": self.moves.to_json(),
            "constant": constant,
            "calendar": self.calendar.to_json(),
            "ahead": list(self.ahead),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RowFields:
        """What `to_json` wrote. Raises `ModelFileError` for parts that do not fit together."""
        values, moves = Number.from_json(data["values"]), Number.from_json(data["moves"])
        constant = np.array(data["constant"], np.float64).reshape(len(data["ids"]), -1)
        ahead = tuple(typed(list[int], data["ahead"], "ahead"))
        shape = (len(constant), len(ahead) * constant.shape[1])
        if not ahead or min(ahead) < 1 or constant.shape != values.center.shape or moves.center.shape != shape:
            raise ModelFileError(
                f"load: expected numbers for {len(data['ids'])} series, got {values.center.shape} and {constant.shape}."
            )
        return cls(tuple(data["ids"]), values, moves, constant, Calendar.from_json(data["calendar"]), ahead)


def _told_apart(encode: Callable[..., np.ndarray], *rows: np.ndarray) -> np.ndarray:
    """(T, D) scaled values, those too far to be told apart held at the farthest."""
    with np.errstate(over="ignore"):
        found: np.ndarray = np.clip(encode(*rows), -FARTHEST, FARTHEST)
    return found


def _levels(z: np.ndarray, before: np.ndarray) -> np.ndarray:
    """(T, D) the last known value before each row; NaN where there is none."""
    whole = np.concatenate([before[None], z[:-1]])
    at = np.where(np.isnan(whole), 0, np.arange(len(whole))[:, None])
    found: np.ndarray = np.take_along_axis(whole, np.maximum.accumulate(at, axis=0), axis=0)
    return found


def _moves(z: np.ndarray, levels: np.ndarray, ahead: tuple[int, ...]) -> np.ndarray:
    """(T, A D) how far each row has moved since so many rows ago; levels: (K + T, D), K of them before the rows."""
    begins = [len(levels) - len(z) - (a - 1) for a in ahead]
    return np.concatenate([z - levels[begin : begin + len(z)] for begin in begins], axis=1)


def _whole_moves(z: np.ndarray, ahead: tuple[int, ...]) -> np.ndarray:
    """The moves of a whole series."""
    nothing = np.full((max(ahead) - 1, z.shape[1]), np.nan)
    return _moves(z, np.concatenate([nothing, _levels(z, np.full(z.shape[1], np.nan))]), ahead)


def _one_value(rows: np.ndarray) -> np.ndarray:
    """(D,) the value that all known rows hold, NaN where they hold several or none."""
    found = np.full(rows.shape[1], np.nan)
    for d, column in enumerate(rows.T):
        known = column[~np.isnan(column)]
        with np.errstate(over="ignore"):
            one = len(known) and np.ptp(known) <= ROUNDING * abs(known[0])
        if one:
            found[d] = known[0]
    return found


def _middle_value(rows: np.ndarray) -> np.ndarray:
    """(D,) the known value in the middle of all known ones, NaN where there is none."""
    known = [np.sort(column[~np.isnan(column)]) for column in rows.T]
    return np.array([column[(len(column) - 1) // 2] if len(column) else np.nan for column in known])


def _cycles(clocks: list[np.ndarray]) -> tuple[str, ...]:
    """The cycles that rows come several times in, and that the training rows hold at least twice."""
    if clocks[0].dtype.kind != "M":
        return ()
    spans = [int(part[-1] - part[0]) for part in (c.astype(np.int64) for c in clocks) if len(part) > 1]
    steps = [int(np.median(np.diff(part.astype(np.int64)))) for part in clocks if len(part) > 1]
    if not spans:
        return ()
    span, step = float(np.median(spans)), float(np.median(steps))
    return tuple(name for name, length in CYCLES.items() if 2 * step < length and SEEN * length <= span)
