"""Recordings on disk or in memory, how long they are, and their features, which are made when a batch asks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from unrolled.data.batch.lazy import LazyRagged
from unrolled.data.read.audio import Clip, check_claimed_rate, clip_name, measure_clip, read_clip
from unrolled.fields.audio import Audio
from unrolled.fields.sound import Sound, resample, resampled_size
from unrolled.fields.sound.samples import checked_samples

__all__ = ["Hastened", "Recording", "Size", "features", "heard", "sizes"]


class Hastened(NamedTuple):
    """A recording as many times faster as `speed` says, and so much higher."""

    recording: Recording
    speed: float


Recording: TypeAlias = Clip | Sound | Hastened


class Size(NamedTuple):
    """How many samples a recording holds, and how many of them make a second; of one made faster as it was before."""

    samples: int
    rate: int


def heard(recording: Recording, rate: int) -> Sound:
    """The sound of a recording, now, at so many samples a second."""
    if isinstance(recording, Hastened):
        sound = heard(recording.recording, rate)
        return Sound(resample(sound.samples, recording.speed, 1.0), rate)
    if isinstance(recording, Clip):
        return read_clip(recording, rate)
    return Sound(resample(recording.samples, recording.rate, rate), rate)


def sizes(recordings: Sequence[Recording]) -> list[Size]:
    """The size of each, by what files say of themselves.

    Raises `DataError` for a file that is not there, is cut short or is no sound, and for samples that are no sound.
    """
    found: dict[int, Size] = {}
    for row, one in enumerate(map(_recorded, recordings)):
        # One that is heard at several speeds is looked at once.
        if id(one) not in found:
            found[id(one)] = Size(*measure_clip(one)) if isinstance(one, Clip) else _size(one, row)
    return [found[id(_recorded(one))] for one in recordings]


def features(recordings: Sequence[Recording], measured: Sequence[Size], field: Audio, room: int) -> LazyRagged:
    """The features of each recording by the field, made when they are asked for; `room` bytes of them are kept."""
    made, options = _Features(recordings, field), field.options
    for row, size in enumerate(measured):
        check_claimed_rate(*size, options.rate, made.name(row))
    heard_sizes = [_heard_size(*both, options.rate) for both in zip(recordings, measured, strict=True)]
    lengths = [options.frames(size) for size in heard_sizes]
    return LazyRagged(made.of, lengths, room=room, name=made.name, shape=(field.width,))


@dataclass(frozen=True, eq=False)
class _Features:
    recordings: Sequence[Recording]
    field: Audio

    def of(self, row: int) -> np.ndarray:
        return self.field.encode(heard(self.recordings[row], self.field.options.rate).samples)

    def name(self, row: int) -> str:
        one = _recorded(self.recordings[row])
        return clip_name(one) if isinstance(one, Clip) else f"Sound {row}"


def _recorded(recording: Recording) -> Clip | Sound:
    """What stands in the file or in memory."""
    return _recorded(recording.recording) if isinstance(recording, Hastened) else recording


def _size(sound: Sound, row: int) -> Size:
    return Size(len(checked_samples(sound.samples, f"Sound {row}")), sound.rate)


def _heard_size(recording: Recording, size: Size, rate: int) -> int:
    """The samples of what `heard` gives."""
    if isinstance(recording, Hastened):
        return resampled_size(_heard_size(recording.recording, size, rate), recording.speed, 1.0)
    return resampled_size(*size, rate)
