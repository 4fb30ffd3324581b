"""A field for series whose level and spread differ from one recording to the next: each is measured by its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from unrolled.errors import NotStreamable
from unrolled.fields.field import Field, register_field
from unrolled.fields.numbers import Numbers
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["Levelled", "LevelledFront"]

# What float32 makes of numbers of a few units.
ROUNDING = 1e-6
# Steps of the training part that a recording's own statistics are joined to, and the least variance, of 1 in training.
PRIOR, LEAST = 100.0, 0.01


@register_field
@dataclass(frozen=True, eq=False)
class Levelled(Field[np.ndarray]):
    """Series scaled with the training part's statistics, x, and then with those of the recording itself, by channel:

        over="recording"    (x_t - mean) / deviation              of all its steps; 0 where it stands still
        over="running"      (x_t - m_t) / sqrt(max(v_t, 0.01))    m, v: of the steps before, and of 100 steps of mean 0
                                                                  and variance 1, as the training part has

    Flags of missing values stay as they are.

    Args:
        numbers: the scaling with the training part's statistics.
        over: "recording" needs the whole, "running" knows what came.
    """

    kind: ClassVar[str] = "Levelled"
    lossy: ClassVar[str] = "the level and the spread of a whole recording, where it is measured by them"
    numbers: Numbers
    over: Literal["recording", "running"]

    @classmethod
    def fit(cls, series: Iterable[np.ndarray], over: Literal["recording", "running"]) -> Levelled:
        """The field of the series given; hand in the training part only. Raises as `Numbers.fit` does."""
        return cls(Numbers.fit(series), over)

    @property
    def channels(self) -> int:
        """The number of channels of a series."""
        return self.numbers.channels

    @property
    def width(self) -> int:
        return self.numbers.width

    def encode(self, value: np.ndarray) -> np.ndarray:
        """A series (time, channels) as (time, width) float32. Raises as `Numbers.encode` does."""
        encoded = self.numbers.encode(value)
        if self.over == "running":
            return _Running(self.channels).level(encoded)
        own, flags = encoded[:, : self.channels].astype(np.float64), encoded[:, self.channels :]
        there = flags == 0 if flags.shape[1] else np.ones(own.shape, bool)
        count = np.maximum(1, there.sum(axis=0))
        # What is missing is 0, and has no say.
        mean = (own * there).sum(axis=0) / count
        deviation = np.sqrt((((own - mean) * there) ** 2).sum(axis=0) / count)
        rounding = ROUNDING * np.maximum(1.0, np.abs(own).max(axis=0, initial=0.0))
        still = deviation <= rounding
        # What is level already, as what comes back from `decode`, is left as it is: dividing would only round it.
        level = (np.abs(mean) <= rounding) & (np.abs(deviation - 1) <= rounding)
        measured = np.where(there & ~still, (own - mean) / np.where(still, 1.0, deviation), 0.0)
        return np.concatenate([np.where(level, own, measured).astype(np.float32), flags], axis=1)

    def decode(self, array: np.ndarray) -> np.ndarray:
        """(time, width) to (time, channels) float64; of a whole recording with the training part's level and spread."""
        values = np.asarray(array, np.float64)
        return self.numbers.decode(_Running(self.channels).undo(values) if self.over == "running" else values)

    def front(self) -> LevelledFront:
        """Takes rows (n, channels) as they come. Raises NotStreamable where the whole recording is needed."""
        if self.over == "recording":
            raise NotStreamable(
                "Levelled: scaling='recording' needs the whole recording, so no row can be scaled before its end; fit "
                "with scaling='running' to stream."
            )
        return LevelledFront(self.numbers)

    def draw(self, random: np.random.Generator) -> np.ndarray:
        return self.numbers.draw(random)

    def say(self, value: np.ndarray) -> str:
        return self.numbers.say(value)

    def to_json(self) -> Json:
        """Plain JSON; `Levelled.from_json` gives the field back, bit for bit."""
        return {"numbers": self.numbers.to_json(), "over": self.over}

    @classmethod
    def from_json(cls, data: Json) -> Levelled:
        """The field that `to_json` wrote."""
        return cls(Numbers.from_json(data["numbers"]), typed(Literal["recording", "running"], data["over"], "over"))


class LevelledFront:
    """Rows of one series after another as they come: any split gives the steps of the whole, bit for bit."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers, self._running = numbers, _Running(numbers.channels)

    def push(self, piece: np.ndarray) -> np.ndarray:
        """The steps (n, width) of the next rows (n, channels), of one channel also (n,)."""
        rows = np.asarray(piece, np.float64)
        return self._running.level(self._numbers.encode(rows[:, None] if rows.ndim == 1 else rows))

    def flush(self) -> np.ndarray:
        """No step waits; another series begins."""
        self._running = _Running(self._numbers.channels)
        return np.zeros((0, self._numbers.width), np.float32)


class _Running:
    """Sums over the steps so far, by channel."""

    def __init__(self, channels: int) -> None:
        self.channels, self.count = channels, PRIOR
        self.sums, self.squares = np.zeros(channels), np.full(channels, PRIOR)

    def level(self, steps: np.ndarray) -> np.ndarray:
        """The steps (n, width) float32, measured by those before them."""
        own = steps[:, : self.channels].astype(np.float64)
        # One after another, as pieces would add them.
        sums = np.cumsum(np.concatenate([self.sums[None], own]), axis=0)
        squares = np.cumsum(np.concatenate([self.squares[None], own**2]), axis=0)
        counts = self.count + np.arange(len(own) + 1.0)[:, None]
        mean, deviation = _measured(sums[:-1], squares[:-1], counts[:-1])
        self.sums, self.squares, self.count = sums[-1], squares[-1], float(counts[-1, 0])
        return np.concatenate([((own - mean) / deviation).astype(np.float32), steps[:, self.channels :]], axis=1)

    def undo(self, steps: np.ndarray) -> np.ndarray:
        """What `level` made these steps of."""
        found = steps.copy()
        for row in found:
            mean, deviation = _measured(self.sums, self.squares, self.count)
            row[: self.channels] = row[: self.channels] * deviation + mean
            self.sums, self.squares = self.sums + row[: self.channels], self.squares + row[: self.channels] ** 2
            self.count += 1
        return found


def _measured(sums: np.ndarray, squares: np.ndarray, count: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    mean = sums / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, LEAST))
