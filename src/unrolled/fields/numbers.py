"""A field for series of numbers: scaled channels with a flag where a value is missing, and back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from unrolled.errors import DataError
from unrolled.fields.field import Field, register_field
from unrolled.fields.number import Number, counted
from unrolled.options import typed
from unrolled.types import Json

__all__ = ["Numbers"]


@register_field
@dataclass(frozen=True, eq=False)
class Numbers(Field[np.ndarray]):
    """Each channel scaled with its statistics over all training series; a missing value (NaN) becomes 0.

    Where the training part holds any missing value, one flag a channel follows the channels: 1 where its value is
    missing, else 0.

    Args:
        number: the scaling of the channels, one group.
        flags: whether the flags are there.
    """

    kind: ClassVar[str] = "Numbers"
    number: Number
    flags: bool

    @classmethod
    def fit(cls, series: Iterable[np.ndarray], scaling: str = "standard") -> Numbers:
        """The field of the series given; hand in the training part only.

        Args:
            series: arrays (time, channels), of any time, 0 included; NaN where missing.
            scaling: one of those of `Number`.

        Raises:
            DataError: there is no series, the numbers of channels differ, or a value is infinite.
        """
        arrays: list[np.ndarray] = []
        for index, values in enumerate(series):
            arrays.append(_checked(values, arrays[0].shape[1] if arrays else None, f"series {index}"))
        if not arrays:
            raise DataError("Numbers: expected at least one series to fit, got none: give the training series.")
        values = np.concatenate(arrays)
        return cls(Number.fit(values, scaling=scaling), bool(np.isnan(values).any()))

    @property
    def channels(self) -> int:
        """The number of channels of a series."""
        return int(self.number.center.shape[1])

    @property
    def width(self) -> int:
        """The number of features of an encoded step: the channels, and their flags if any."""
        return self.channels * (2 if self.flags else 1)

    def encode(self, value: np.ndarray) -> np.ndarray:
        """A series (time, channels) as (time, width) float32, finite everywhere.

        Raises:
            DataError: another number of channels, an infinite value, or one that float32 cannot hold after scaling.
        """
        values = _checked(value, self.channels, "the series")
        missing = np.isnan(values)
        with np.errstate(over="ignore"):
            scaled = np.where(missing, 0.0, self.number.encode(values)).astype(np.float32)
        if not np.isfinite(scaled).all():
            step, channel = np.argwhere(~np.isfinite(scaled))[0]
            raise DataError(
                f"Numbers: {values[step, channel]} at step {step}, channel {channel} lies beyond float32 after "
                "scaling: correct it, or write NaN if it is missing."
            )
        return np.concatenate([scaled, missing.astype(np.float32)], axis=1) if self.flags else scaled

    def decode(self, array: np.ndarray) -> np.ndarray:
        """The inverse of `encode`: (time, width) to (time, channels) float64, NaN where a flag is above one half.

        Raises:
            DataError: another width.
        """
        values = _shaped(array, self.width, "the encoded series")
        raw = self.number.decode(values[:, : self.channels])
        return np.where(values[:, self.channels :] > 0.5, np.nan, raw) if self.flags else raw

    def draw(self, random: np.random.Generator) -> np.ndarray:
        """One to eight steps around the centre; a value is missing now and then where there are flags."""
        values = self.number.draw(random)
        return values if self.flags else self.number.decode(np.nan_to_num(self.number.encode(values)))

    def say(self, value: np.ndarray) -> str:
        """The length of the series, as in "40 steps of 2 channels"."""
        return counted(np.shape(value), "step", "channel")

    def to_json(self) -> Json:
        """Plain JSON; `Numbers.from_json` gives the field back, bit for bit."""
        return {"number": self.number.to_json(), "flags": self.flags}

    @classmethod
    def from_json(cls, data: Json) -> Numbers:
        """The field that `to_json` wrote."""
        return cls(Number.from_json(data["number"]), typed(bool, data["flags"], "flags"))


def _shaped(values: np.ndarray, columns: int | None, name: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or (columns is not None and array.shape[1] != columns):
        wanted = "channels" if columns is None else columns
        raise DataError(
            f"Numbers: expected {name} as (time, {wanted}), got {array.shape}: give every series the same columns."
        )
    return array


def _checked(values: np.ndarray, channels: int | None, name: str) -> np.ndarray:
    array = _shaped(values, channels, name)
    infinite = np.argwhere(np.isinf(array))
    if len(infinite):
        step, channel = infinite[0]
        raise DataError(
            f"Numbers: {name} holds an infinite value at step {step}, channel {channel}: write NaN if it is missing."
        )
    return array
